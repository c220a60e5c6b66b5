//! Everything functions and mappings count, under Lambda's names, for whoever publishes it.
//!
//! [`Metrics`] is a registry of plain counters. Counters count since this process took the function or mapping up; gauges
//! say what is now. Names and units are those of "Types of metrics for Lambda functions" in the Lambda developer guide.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::mapping::metrics::MappingMetrics;

/// Upper bounds of Duration's buckets, in milliseconds; the last bucket has none.
pub const DURATION_BOUNDS_MS: [u64; 14] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 20_000, 100_000, 900_000];

/// One function's counters.
#[derive(Default)]
pub struct FunctionMetrics {
    pub invocations: AtomicU64,
    pub errors: AtomicU64,
    pub throttles: AtomicU64,
    pub concurrent_executions: AtomicU64,
    pub async_events_received: AtomicU64,
    pub async_events_dropped: AtomicU64,
    pub duration_us: AtomicU64,
    pub durations: [AtomicU64; DURATION_BOUNDS_MS.len() + 1],
}

impl FunctionMetrics {
    pub fn add_duration(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.duration_us.fetch_add(micros, Ordering::Relaxed);
        let bucket = DURATION_BOUNDS_MS.partition_point(|bound_ms| bound_ms * 1000 < micros);
        self.durations[bucket].fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Counter,
    Gauge,
}

/// One number as it is now.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// As Lambda names it.
    pub name: &'static str,
    pub kind: Kind,
    pub function: String,
    /// The event source mapping's UUID, for those of its group.
    pub mapping: Option<String>,
    pub value: f64,
}

/// All counters of a region's functions and mappings.
#[derive(Default)]
pub struct Metrics {
    functions: Mutex<BTreeMap<String, Arc<FunctionMetrics>>>,
    mappings: Mutex<BTreeMap<String, (String, Arc<MappingMetrics>)>>,
}

impl Metrics {
    pub fn function(&self, name: &str) -> Arc<FunctionMetrics> {
        let mut functions = self.functions.lock().expect("no panic while held");
        if let Some(found) = functions.get(name) {
            return found.clone();
        }
        functions.entry(name.to_owned()).or_default().clone()
    }

    /// A mapping's counters; `function` is the one it invokes now.
    pub fn mapping(&self, uuid: &str, function: &str) -> Arc<MappingMetrics> {
        let mut mappings = self.mappings.lock().expect("no panic while held");
        let entry = mappings.entry(uuid.to_owned()).or_insert_with(|| (function.to_owned(), Arc::default()));
        function.clone_into(&mut entry.0);
        entry.1.clone()
    }

    pub fn find_mapping(&self, uuid: &str) -> Option<Arc<MappingMetrics>> {
        self.mappings.lock().expect("no panic while held").get(uuid).map(|(_, metrics)| metrics.clone())
    }

    pub fn forget_mapping(&self, uuid: &str) {
        self.mappings.lock().expect("no panic while held").remove(uuid);
    }

    pub fn keep_functions(&self, keep: impl Fn(&str) -> bool) {
        self.functions.lock().expect("no panic while held").retain(|name, _| keep(name));
    }

    /// Every number, functions first. IteratorAge is there for each mapping that runs, 0 while it is idle.
    pub fn snapshot(&self, now_ms: u64) -> Vec<Sample> {
        let mut samples = Vec::new();
        for (name, metrics) in self.functions.lock().expect("no panic while held").iter() {
            samples.extend(of_function(name, metrics));
        }
        for (uuid, (function, metrics)) in self.mappings.lock().expect("no panic while held").iter() {
            samples.extend(metrics.snapshot(now_ms).into_iter().map(|(name, kind, value)| Sample {
                name,
                kind,
                function: function.clone(),
                mapping: Some(uuid.clone()),
                value,
            }));
        }
        samples
    }
}

fn of_function(function: &str, metrics: &FunctionMetrics) -> Vec<Sample> {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let counter = |name, counter| (name, Kind::Counter, load(counter));
    let numbers = [
        counter("Invocations", &metrics.invocations),
        counter("Errors", &metrics.errors),
        counter("Throttles", &metrics.throttles),
        ("Duration", Kind::Counter, load(&metrics.duration_us) / 1000.0),
        ("ConcurrentExecutions", Kind::Gauge, load(&metrics.concurrent_executions)),
        counter("AsyncEventsReceived", &metrics.async_events_received),
        counter("AsyncEventsDropped", &metrics.async_events_dropped),
    ];
    let sample =
        |(name, kind, value)| Sample { name, kind, function: function.to_owned(), mapping: None, value };
    numbers.into_iter().map(sample).collect()
}

/// Counts down when dropped, also when the invocation is given up half-way.
pub struct Executing<'a>(&'a AtomicU64);

impl<'a> Executing<'a> {
    pub fn begin(gauge: &'a AtomicU64) -> Executing<'a> {
        gauge.fetch_add(1, Ordering::Relaxed);
        Executing(gauge)
    }
}

impl Drop for Executing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(metrics: &Metrics, name: &str, now_ms: u64) -> Option<f64> {
        metrics.snapshot(now_ms).iter().find(|sample| sample.name == name).map(|sample| sample.value)
    }

    #[test]
    fn iterator_age_is_there_while_idle_and_grows_while_a_record_waits() {
        let metrics = Metrics::default();
        let mapping = metrics.mapping("m", "f");
        mapping.set_oldest("shard", None);
        assert_eq!(value(&metrics, "IteratorAge", 5000), Some(0.0));
        mapping.set_oldest("shard", Some(3000));
        assert_eq!(value(&metrics, "IteratorAge", 5000), Some(2000.0));
        assert_eq!(value(&metrics, "IteratorAge", 9000), Some(6000.0), "nobody has to say it again");
        mapping.forget_shard("shard");
        assert_eq!(value(&metrics, "IteratorAge", 9000), None, "it runs elsewhere");
    }

    #[test]
    fn an_execution_that_is_dropped_is_no_longer_counted() {
        let metrics = Metrics::default();
        let function = metrics.function("f");
        let executing = Executing::begin(&function.concurrent_executions);
        assert_eq!(value(&metrics, "ConcurrentExecutions", 0), Some(1.0));
        drop(executing);
        assert_eq!(value(&metrics, "ConcurrentExecutions", 0), Some(0.0));
    }
}
