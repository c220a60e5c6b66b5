//! What a mapping has done, under Lambda's names, as plain counters for whoever publishes them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters since this process took the mapping up.
#[derive(Default)]
pub struct MappingMetrics {
    pub polled_event_count: AtomicU64,
    pub filtered_out_event_count: AtomicU64,
    pub invoked_event_count: AtomicU64,
    pub failed_invoke_event_count: AtomicU64,
    pub dropped_event_count: AtomicU64,
    pub on_failure_destination_delivered_event_count: AtomicU64,
    pub destination_delivery_failures: AtomicU64,
    pub invocations: AtomicU64,
    pub errors: AtomicU64,
    pub throttles: AtomicU64,
    pub concurrent_executions: AtomicU64,
    pub duration_us: AtomicU64,
    /// By shard: how far behind it is.
    iterator_age_ms: Mutex<HashMap<String, u64>>,
    last_processing_result: Mutex<String>,
}

impl MappingMetrics {
    pub fn add(counter: &AtomicU64, amount: usize) {
        counter.fetch_add(amount as u64, Ordering::Relaxed);
    }

    pub fn add_duration(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.duration_us.fetch_add(micros, Ordering::Relaxed);
    }

    pub fn set_iterator_age(&self, shard_id: &str, age_ms: u64) {
        self.iterator_age_ms.lock().expect("no panic while held").insert(shard_id.to_owned(), age_ms);
    }

    pub fn forget_shard(&self, shard_id: &str) {
        self.iterator_age_ms.lock().expect("no panic while held").remove(shard_id);
    }

    /// The greatest over all shards; zero when everything is done.
    pub fn iterator_age_ms(&self) -> u64 {
        self.iterator_age_ms.lock().expect("no panic while held").values().copied().max().unwrap_or(0)
    }

    pub fn set_result(&self, result: &str) {
        let mut last = self.last_processing_result.lock().expect("no panic while held");
        if *last != result {
            result.clone_into(&mut last);
        }
    }

    /// What Lambda calls LastProcessingResult.
    pub fn result(&self) -> String {
        let last = self.last_processing_result.lock().expect("no panic while held");
        if last.is_empty() { "No records processed".to_owned() } else { last.clone() }
    }
}
