//! What a mapping has done: the event source mapping's group of Lambda's metrics.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::Kind;

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
    /// By shard that runs here: when the oldest record was written that is not settled.
    oldest_ms: Mutex<HashMap<String, Option<u64>>>,
    last_processing_result: Mutex<String>,
}

impl MappingMetrics {
    pub fn add(counter: &AtomicU64, amount: usize) {
        counter.fetch_add(amount as u64, Ordering::Relaxed);
    }

    pub fn set_oldest(&self, shard_id: &str, oldest_ms: Option<u64>) {
        let mut known = self.oldest_ms.lock().expect("no panic while held");
        match known.get_mut(shard_id) {
            Some(known) => *known = oldest_ms,
            None => drop(known.insert(shard_id.to_owned(), oldest_ms)),
        }
    }

    pub fn forget_shard(&self, shard_id: &str) {
        self.oldest_ms.lock().expect("no panic while held").remove(shard_id);
    }

    /// How many shards run here.
    pub fn shards(&self) -> usize {
        self.oldest_ms.lock().expect("no panic while held").len()
    }

    /// The greatest over the shards that run here; zero when everything is done, `None` if none runs here.
    pub fn iterator_age_ms(&self, now_ms: u64) -> Option<u64> {
        let known = self.oldest_ms.lock().expect("no panic while held");
        known
            .values()
            .map(|oldest_ms| oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms)))
            .max()
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

    pub fn snapshot(&self, now_ms: u64) -> Vec<(&'static str, Kind, f64)> {
        let counters = [
            ("PolledEventCount", &self.polled_event_count),
            ("FilteredOutEventCount", &self.filtered_out_event_count),
            ("InvokedEventCount", &self.invoked_event_count),
            ("FailedInvokeEventCount", &self.failed_invoke_event_count),
            ("DroppedEventCount", &self.dropped_event_count),
            ("OnFailureDestinationDeliveredEventCount", &self.on_failure_destination_delivered_event_count),
            ("DestinationDeliveryFailures", &self.destination_delivery_failures),
        ];
        let counters = counters.into_iter();
        let counted =
            counters.map(|(name, counter)| (name, Kind::Counter, counter.load(Ordering::Relaxed) as f64));
        let age = self.iterator_age_ms(now_ms).map(|age_ms| ("IteratorAge", Kind::Gauge, age_ms as f64));
        counted.chain(age).collect()
    }
}
