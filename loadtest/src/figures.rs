//! Latencies and errors: recorded by the threads that send, collected every second, summed up at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::client::is_refusal;
use crate::operation::Operation;

/// An hour in microseconds; what takes longer is counted as that.
const LONGEST_US: u64 = 3_600_000_000;

/// Latencies in microseconds, to three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds that HDR histograms can have"))
    }
}

impl Latencies {
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record((latency.as_micros() as u64).clamp(1, LONGEST_US));
    }

    pub fn add(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("the same bounds");
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    pub fn clear(&mut self) {
        self.0.reset();
    }

    pub fn summary(&self) -> Summary {
        let at = |quantile: f64| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        Summary {
            count: self.0.len(),
            mean_ms: self.0.mean() / 1000.0,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: if self.0.is_empty() { 0.0 } else { self.0.max() as f64 / 1000.0 },
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    #[serde(rename = "p99.9_ms")]
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// What one thread, or all of them, saw in one second or in the whole measurement.
#[derive(Default)]
pub struct Figures {
    /// By operation and target.
    pub latencies: BTreeMap<(Operation, usize), Latencies>,
    /// By operation and kind.
    pub errors: BTreeMap<(Operation, String), u64>,
}

impl Figures {
    pub fn record(&mut self, operation: Operation, region: usize, latency: Duration) {
        self.latencies.entry((operation, region)).or_default().record(latency);
    }

    pub fn error(&mut self, operation: Operation, kind: &str) {
        *self.errors.entry((operation, kind.to_owned())).or_default() += 1;
    }

    /// Empties `other` into this; its histograms stay allocated.
    pub fn take(&mut self, other: &mut Figures) {
        self.add(other);
        other.latencies.values_mut().filter(|latencies| !latencies.is_empty()).for_each(Latencies::clear);
        other.errors.clear();
    }

    pub fn add(&mut self, other: &Figures) {
        for (which, latencies) in other.latencies.iter().filter(|(_, latencies)| !latencies.is_empty()) {
            self.latencies.entry(*which).or_default().add(latencies);
        }
        for (which, count) in &other.errors {
            *self.errors.entry(which.clone()).or_default() += count;
        }
    }

    /// Over all regions.
    pub fn of(&self, operation: Operation) -> Latencies {
        self.sum(|(which, _)| which == operation)
    }

    pub fn of_region(&self, region: usize) -> Latencies {
        self.sum(|(_, which)| which == region)
    }

    pub fn all(&self) -> Latencies {
        self.sum(|_| true)
    }

    fn sum(&self, is_part: impl Fn((Operation, usize)) -> bool) -> Latencies {
        let mut sum = Latencies::default();
        let parts = self.latencies.iter().filter(|(which, _)| is_part(**which));
        parts.for_each(|(_, latencies)| sum.add(latencies));
        sum
    }

    pub fn operations(&self) -> Vec<Operation> {
        let mut operations: Vec<_> = self.latencies.keys().map(|(operation, _)| *operation).collect();
        operations.extend(self.errors.keys().map(|(operation, _)| *operation));
        operations.sort_unstable();
        operations.dedup();
        operations
    }

    pub fn errors_of(&self, operation: Operation) -> BTreeMap<String, u64> {
        let of = self.errors.iter().filter(|((which, _), _)| *which == operation);
        of.map(|((_, kind), count)| (kind.clone(), *count)).collect()
    }

    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.latencies.values().map(Latencies::count).sum()
    }

    /// Requests that went wrong; refusals are answers.
    pub fn failures(&self) -> u64 {
        self.errors.iter().filter(|((_, kind), _)| !is_refusal(kind)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn figures(latencies: &[u64]) -> Figures {
        let mut figures = Figures::default();
        latencies.iter().for_each(|us| figures.record(Operation::Get, 0, Duration::from_micros(*us)));
        figures
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the order and the way in which parts are put together, the whole is the same.
        #[test]
        fn parts_merge_into_the_whole(parts in vec(vec(1u64..10_000_000, 0..50), 1..5)) {
            let whole = figures(&parts.concat());
            let (mut taken, mut added) = (Figures::default(), Figures::default());
            for part in &parts {
                added.add(&figures(part));
                let mut part = figures(part);
                taken.take(&mut part);
                prop_assert_eq!(part.answered(), 0);
            }
            for merged in [&taken, &added] {
                prop_assert_eq!(merged.all().summary(), whole.all().summary());
            }
        }

        #[test]
        fn percentiles_are_right_to_three_digits(mut latencies in vec(1u64..100_000_000, 1..200)) {
            let summary = figures(&latencies).of(Operation::Get).summary();
            latencies.sort_unstable();
            for (quantile, shown) in [(0.5, summary.p50_ms), (0.99, summary.p99_ms)] {
                let rank = ((latencies.len() as f64 * quantile).ceil() as usize).max(1);
                let exact = latencies[rank - 1] as f64 / 1000.0;
                prop_assert!((shown - exact).abs() <= exact * 0.002 + 0.001, "{} for {}", shown, exact);
            }
        }
    }

    #[test]
    fn errors_are_counted_by_kind_and_refusals_are_none() {
        let mut figures = Figures::default();
        figures.error(Operation::Put, "timeout");
        figures.error(Operation::Put, "timeout");
        figures.error(Operation::Put, "ConditionalCheckFailedException");
        figures.error(Operation::Get, "HTTP 500");
        assert_eq!((figures.failures(), figures.errors_of(Operation::Put).len()), (3, 2));
        assert_eq!(figures.operations(), [Operation::Get, Operation::Put]);
    }
}
