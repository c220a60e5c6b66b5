//! The tables at the end of a run, of `list` and of `compare`.

use comfy_table::{CellAlignment, Table, presets};

use crate::figures::Summary;
use crate::report::Report;
use crate::scenario::Scenario;

fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(heads);
    // Numbers; the first column names them.
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn latency(summary: &Summary) -> [String; 5] {
    let Summary { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, .. } = *summary;
    [p50_ms, p90_ms, p99_ms, p999_ms, max_ms].map(|ms| format!("{ms:.2}"))
}

fn row(name: &str, middle: Vec<String>, summary: &Summary, end: Option<String>) -> Vec<String> {
    let mut row = vec![name.to_owned()];
    row.extend(middle);
    row.extend(latency(summary));
    row.extend(end);
    row
}

pub fn render(report: &Report) -> String {
    let mut parts = vec![operations(report)];
    parts.extend(delays(report));
    parts.extend(stages(report));
    if let Some(server) = &report.server {
        parts.push(format!(
            "server {:.2} cores, {:.0} µs CPU a request, {:.0} MiB at most; client {:.2} of {} cores",
            server.cpu_cores,
            server.cpu_us_per_request,
            server.peak_memory_mib,
            server.client_cpu_cores,
            report.machine.cores
        ));
    }
    parts.push(checks(report));
    parts.join("\n\n")
}

fn operations(report: &Report) -> String {
    let mut table = table(&["operation", "/s", "p50 ms", "p90", "p99", "p99.9", "max", "errors"]);
    for figure in &report.operations {
        let errors: Vec<_> = figure.errors.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let rate = format!("{:.0}", figure.per_second);
        table.add_row(row(&figure.operation, vec![rate], &figure.latency, Some(errors.join(", "))));
    }
    table.to_string()
}

/// What comes later than the answer: replication, streams, functions.
fn delays(report: &Report) -> Option<String> {
    let lags = report.lags.iter().map(|lag| (format!("{} → {}", lag.from, lag.to), &lag.latency));
    let streams =
        report.streams.iter().map(|(region, latency)| (format!("to the stream of {region}"), latency));
    let function = report.function.iter().map(|latency| ("to the function".to_owned(), latency));
    let delays: Vec<_> = lags.chain(streams).chain(function).collect();
    let mut table = table(&["lag", "seen", "p50 ms", "p90", "p99", "p99.9", "max"]);
    for (name, latency) in &delays {
        table.add_row(row(name, vec![latency.count.to_string()], latency, None));
    }
    (!delays.is_empty()).then(|| table.to_string())
}

fn stages(report: &Report) -> Option<String> {
    let heads = ["items", "/s", "CPU µs a request", "MiB", "p50 ms", "p90", "p99", "p99.9", "max"];
    let mut table = table(&heads);
    let number = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.1}"));
    for stage in &report.stages {
        let middle = vec![
            format!("{:.0}", stage.per_second),
            number(stage.server_cpu_us_per_request),
            number(stage.server_memory_mib),
        ];
        table.add_row(row(&stage.items.to_string(), middle, &stage.latency, None));
    }
    (report.stages.len() > 1).then(|| table.to_string())
}

fn checks(report: &Report) -> String {
    let mut lines = Vec::new();
    for check in &report.checks {
        lines.push(format!("{:<12} {}: {}", check.verdict.name(), check.name, check.detail));
        lines.extend(check.examples.iter().map(|example| format!("             - {example}")));
    }
    lines.push(if report.passed { "passed".to_owned() } else { "FAILED".to_owned() });
    lines.join("\n")
}

pub fn list() -> anyhow::Result<String> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for scenario in Scenario::built_in() {
        let scenario = scenario?;
        table.add_row([scenario.name, scenario.about]);
    }
    Ok(table.to_string())
}

/// Figures of two runs beside each other.
pub fn compare(before: &Report, after: &Report) -> String {
    let mut table = table(&["", "before", "after", "after : before"]);
    let mut add = |name: String, before: f64, after: f64| {
        let ratio = if before > 0.0 { format!("{:.2}", after / before) } else { "-".to_owned() };
        table.add_row([name, format!("{before:.2}"), format!("{after:.2}"), ratio]);
    };
    for one in &before.operations {
        let same = after.operations.iter().find(|other| other.operation == one.operation);
        let Some(other) = same else { continue };
        let name = &one.operation;
        add(format!("{name} /s"), one.per_second, other.per_second);
        add(format!("{name} p50 ms"), one.latency.p50_ms, other.latency.p50_ms);
        add(format!("{name} p99 ms"), one.latency.p99_ms, other.latency.p99_ms);
        add(format!("{name} p99.9 ms"), one.latency.p999_ms, other.latency.p999_ms);
    }
    for one in &before.lags {
        let same = after.lags.iter().find(|other| (&other.from, &other.to) == (&one.from, &one.to));
        let Some(other) = same else { continue };
        add(format!("lag {} → {} p50 ms", one.from, one.to), one.latency.p50_ms, other.latency.p50_ms);
        add(format!("lag {} → {} p99 ms", one.from, one.to), one.latency.p99_ms, other.latency.p99_ms);
    }
    if let (Some(one), Some(other)) = (&before.server, &after.server) {
        add("server CPU µs a request".to_owned(), one.cpu_us_per_request, other.cpu_us_per_request);
        add("server MiB".to_owned(), one.peak_memory_mib, other.peak_memory_mib);
    }
    let warning = match before.machine.cpu == after.machine.cpu && before.machine.cores == after.machine.cores
    {
        true => "",
        false => "\nThe machines differ: the ratios say little.",
    };
    let same_scenario = before.scenario.name == after.scenario.name;
    let other = if same_scenario { "" } else { "\nThe scenarios differ." };
    format!("{table}{warning}{other}")
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::report::{Check, Figure, Machine, Second, Verdict};

    pub fn report(per_second: f64) -> Report {
        let latency = Summary { count: 10, p50_ms: 1.0, p99_ms: 2.0, max_ms: 3.0, ..Summary::default() };
        Report {
            format: crate::report::FORMAT,
            passed: false,
            scenario: Scenario { name: "put".to_owned(), ..Scenario::default() },
            targets: vec![("us-east-1".to_owned(), "http://localhost:8000".to_owned())],
            began_ms: 0,
            machine: Machine { cores: 2, cpu: "</script>".to_owned() },
            operations: vec![Figure {
                operation: "put".to_owned(),
                per_second,
                latency,
                errors: [("timeout".to_owned(), 3)].into(),
            }],
            regions: [("us-east-1".to_owned(), latency)].into(),
            lags: Vec::new(),
            streams: Default::default(),
            function: None,
            server: None,
            stages: Vec::new(),
            events: Vec::new(),
            checks: vec![Check {
                name: "no acknowledged write is lost".to_owned(),
                verdict: Verdict::Failed,
                detail: "1 wrong".to_owned(),
                examples: vec!["item 5 is gone".to_owned()],
            }],
            settled_s: Some(0.1),
            timeline: vec![Second {
                at_s: 1.0,
                per_second: [("put".to_owned(), per_second)].into(),
                errors_per_second: 0.0,
                p50_ms: 1.0,
                p90_ms: 1.5,
                p99_ms: 2.0,
                max_ms: 3.0,
                lag_ms: Default::default(),
                server_cores: None,
                server_memory_mib: None,
            }],
        }
    }

    #[test]
    fn the_table_shows_figures_errors_and_what_is_wrong() {
        let text = render(&report(1234.0));
        for part in ["put", "1234", "3 timeout", "FAILED", "item 5 is gone"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn comparing_shows_ratios() {
        let text = compare(&report(1000.0), &report(1500.0));
        assert!(text.contains("put /s") && text.contains("1.50"), "{text}");
    }
}
