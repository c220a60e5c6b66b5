//! Every query of the dashboards and every alert asks for metrics that exist, by labels that they have.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tradewind_telemetry::metrics::declared::{ALL, Kind, Metric};

/// What Prometheus itself says of what it scrapes.
const PROMETHEUS: [&str; 1] = ["up"];
/// Labels that Prometheus adds, and those of a histogram's buckets.
const ADDED: [&str; 3] = ["job", "instance", "le"];
const WORDS: [&str; 23] = [
    "sum",
    "max",
    "min",
    "avg",
    "count",
    "by",
    "without",
    "rate",
    "increase",
    "topk",
    "absent",
    "or",
    "and",
    "unless",
    "on",
    "histogram_quantile",
    "label_values",
    "m",
    "s",
    "h",
    "d",
    "up",
    "bool",
];

fn observability() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose/observability")
}

fn expressions() -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(observability().join("grafana/dashboards")).unwrap() {
        let board: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                found.push(target["expr"].as_str().unwrap().to_owned());
            }
        }
        for variable in board["templating"]["list"].as_array().unwrap() {
            found.push(variable["query"]["query"].as_str().unwrap().to_owned());
        }
    }
    let alerts = std::fs::read_to_string(observability().join("alerts.yml")).unwrap();
    let count = found.len();
    found.extend(alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned));
    assert_eq!(
        found.len() - count,
        alerts.matches("alert: ").count(),
        "each alert has its expression in one line"
    );
    found
}

/// The names in an expression, what stands in quotes and behind a dollar left out.
fn words(expression: &str) -> Vec<String> {
    let mut plain = String::new();
    for (index, piece) in expression.split('"').enumerate() {
        plain.push_str(if index % 2 == 0 { piece } else { " " });
    }
    let mut words = Vec::new();
    for word in plain.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$')) {
        if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            words.push(word.to_owned());
        }
    }
    words
}

fn metric(name: &str) -> Option<&'static Metric> {
    let exact = ALL.iter().find(|metric| metric.name == name && metric.kind != Kind::Histogram);
    let part = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let histogram = || ALL.iter().find(|metric| Some(metric.name) == part && metric.kind == Kind::Histogram);
    exact.or_else(histogram).copied()
}

#[test]
fn every_expression_asks_for_what_there_is() {
    let expressions = expressions();
    assert!(expressions.len() > 40, "{}", expressions.len());
    for expression in &expressions {
        let words = words(expression);
        let metrics: Vec<_> = words.iter().filter_map(|word| metric(word)).collect();
        let plain = words.iter().any(|word| PROMETHEUS.contains(&&**word));
        assert!(plain || !metrics.is_empty(), "no metric in {expression}");
        let labels: BTreeSet<&str> = metrics.iter().flat_map(|metric| metric.labels).copied().collect();
        for word in &words {
            let is_known = metric(word).is_some()
                || labels.contains(&**word)
                || ADDED.contains(&&**word)
                || WORDS.contains(&&**word);
            assert!(is_known, "{word} in {expression} is neither a metric nor a label of one");
        }
    }
}

/// A counter is asked for by its rate, and a gauge as it is.
#[test]
fn rates_are_of_counters() {
    for expression in expressions() {
        for (at, _) in expression.match_indices("rate(") {
            let name: String =
                expression[at + 5..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let kind = metric(&name).map(|metric| metric.kind);
            assert!(matches!(kind, Some(Kind::Counter | Kind::Histogram)), "{name} in {expression}");
        }
    }
}

/// What is counted is also shown: a metric that no dashboard has is one that nobody sees.
#[test]
fn dashboards_show_most_of_what_there_is() {
    let asked: BTreeSet<_> = expressions()
        .iter()
        .flat_map(|expression| words(expression))
        .filter_map(|word| metric(&word))
        .map(|metric| metric.name)
        .collect();
    let unseen: Vec<_> = ALL.iter().map(|metric| metric.name).filter(|name| !asked.contains(name)).collect();
    assert!(unseen.len() <= ALL.len() / 5, "{unseen:?}");
}
