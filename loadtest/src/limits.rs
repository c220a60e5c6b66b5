//! The limits of a scenario, as checks.

use std::sync::Arc;

use crate::ledger::Violations;
use crate::probe::Lag;
use crate::report::Check;
use crate::scenario::Scenario;
use crate::stage::Measured;
use crate::verify::check;

/// Also a load that did nothing, and an event that did not happen, would make a run worthless.
pub fn checks(
    scenario: &Scenario,
    measured: &Measured,
    lags: &[Arc<Lag>],
    settled_s: Option<f64>,
) -> Vec<Check> {
    let limits = &scenario.limits;
    let mut checks = vec![answered(measured)];
    if !scenario.events.is_empty() {
        checks.push(events(scenario, measured));
    }
    for (operation, limit) in &limits.p99_ms {
        let p99 = measured.figures.of(*operation).summary().p99_ms;
        checks.push(at_most(&format!("p99 of {operation}"), p99, *limit, "ms"));
    }
    if let Some(limit) = limits.error_share {
        let (failures, answers) = (measured.figures.failures() as f64, measured.figures.answered() as f64);
        checks.push(at_most("share of errors", failures / (failures + answers).max(1.0), limit, ""));
    }
    if let Some(limit) = limits.lag_p99_ms {
        let worst = lags.iter().map(|lag| lag.summary().p99_ms).fold(0.0, f64::max);
        checks.push(at_most("p99 of replication lag", worst, limit, "ms"));
    }
    if let Some(limit) = limits.stage_cost_ratio {
        checks.extend(stage_cost(measured, limit));
    }
    if let Some(limit) = limits.catch_up {
        let took = settled_s.unwrap_or(f64::INFINITY);
        checks.push(at_most("time to catch up", took, limit.0.as_secs_f64(), "s"));
    }
    checks
}

fn answered(measured: &Measured) -> Check {
    let (answers, failures) = (measured.figures.answered(), measured.figures.failures());
    let mut violations = Violations::default();
    if answers == 0 {
        violations.add(|| "not a single request was answered".to_owned());
    }
    check("requests were answered", &violations, format!("{answers} answers, {failures} errors"))
}

fn events(scenario: &Scenario, measured: &Measured) -> Check {
    let mut violations = Violations::default();
    for event in &measured.events {
        if let Some(trouble) = &event.trouble {
            violations.add(|| format!("{}: {trouble}", event.run));
        }
    }
    let (happened, planned) = (measured.events.len(), scenario.events.len() * measured.stages.len());
    if happened < planned {
        violations.add(|| format!("{happened} of {planned} events came to their end"));
    }
    check("events happened", &violations, format!("{happened} of {planned}"))
}

fn stage_cost(measured: &Measured, limit: f64) -> Option<Check> {
    let costs: Vec<f64> =
        measured.stages.iter().filter_map(|stage| stage.server_cpu_us_per_request).collect();
    let dearest = costs.iter().copied().fold(0.0, f64::max);
    let first = *costs.first()?;
    Some(at_most("CPU of a request, in the dearest stage beside the first", dearest / first, limit, "times"))
}

fn at_most(name: &str, found: f64, limit: f64, unit: &str) -> Check {
    let mut violations = Violations::default();
    let detail = format!("{found:.2} {unit}, at most {limit} {unit}");
    // What is no number fails, too.
    if found.is_nan() || found > limit {
        violations.add(|| format!("{name} is {found:.2} {unit}"));
    }
    check(name, &violations, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;
    use crate::report::Verdict;
    use std::time::Duration;

    fn verdicts(scenario: &Scenario, latency_ms: u64) -> Vec<Verdict> {
        let mut measured = Measured::default();
        measured.figures.record(Operation::Put, 0, Duration::from_millis(latency_ms));
        checks(scenario, &measured, &[], Some(1.0)).into_iter().map(|check| check.verdict).collect()
    }

    #[test]
    fn a_limit_that_is_passed_fails_the_run() {
        let mut scenario = Scenario::default();
        scenario.limits.p99_ms.insert(Operation::Put, 5.0);
        assert_eq!(verdicts(&scenario, 4), [Verdict::Passed, Verdict::Passed]);
        assert_eq!(verdicts(&scenario, 40), [Verdict::Passed, Verdict::Failed]);
    }

    #[test]
    fn a_load_without_an_answer_fails() {
        let checks = checks(&Scenario::default(), &Measured::default(), &[], None);
        assert_eq!(checks[0].verdict, Verdict::Failed);
    }

    #[test]
    fn regions_that_never_became_equal_did_not_catch_up() {
        let mut scenario = Scenario::default();
        scenario.limits.catch_up = Some(crate::span::Span::from_secs(60));
        let mut measured = Measured::default();
        measured.figures.record(Operation::Put, 0, Duration::from_millis(1));
        assert_eq!(checks(&scenario, &measured, &[], None)[1].verdict, Verdict::Failed);
    }
}
