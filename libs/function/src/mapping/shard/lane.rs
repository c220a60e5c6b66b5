//! A lane: the records of some keys of a shard, in order, of which one batch is at work.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Again, GivenUp, MAX_THROTTLED_MS, ShardSettings, WindowState, backoff_ms};
use crate::mapping::source::StreamRecord;

/// What a function is invoked with.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Empty only for the last invocation of a tumbling window.
    pub records: Vec<Arc<StreamRecord>>,
    pub window: Option<WindowState>,
    /// The last invocation of its window.
    pub is_final: bool,
}

/// A batch and how often the function failed on it.
#[derive(Clone, Debug)]
pub struct Work {
    pub batch: Batch,
    pub failures: u32,
}

impl Work {
    pub fn new(batch: Batch) -> Work {
        Work { batch, failures: 0 }
    }

    pub fn records(&self) -> &[Arc<StreamRecord>] {
        &self.batch.records
    }

    pub fn count(&self) -> usize {
        self.batch.records.len()
    }

    pub fn is_final(&self) -> bool {
        self.batch.is_final
    }
}

pub enum InFlight {
    Invocation(Work),
    Parking(Work, GivenUp),
}

#[derive(Default)]
pub struct Lane {
    queue: VecDeque<(Arc<StreamRecord>, u64)>,
    queue_bytes: usize,
    /// To be done before the queue, front first: retries, and what is to be parked.
    pub again: Again,
    pub in_flight: Option<InFlight>,
    pub not_before_ms: u64,
    pub last_end_ms: u64,
    failures_in_a_row: u32,
}

impl Lane {
    pub fn push(&mut self, record: Arc<StreamRecord>, now_ms: u64) {
        self.queue_bytes += record.event.len() + 1;
        self.queue.push_back((record, now_ms));
    }

    pub fn head(&self) -> Option<&Arc<StreamRecord>> {
        self.queue.front().map(|(record, _)| record)
    }

    /// When the batching window of what is queued is over: it opens with the first record, but not before the last
    /// invocation has ended.
    pub fn flush_at(&self, settings: &ShardSettings) -> Option<u64> {
        let (_, arrived_ms) = self.queue.front()?;
        Some((*arrived_ms).max(self.last_end_ms) + settings.batching_window_ms)
    }

    pub fn is_due(&self, settings: &ShardSettings, now_ms: u64) -> bool {
        let full = self.queue.len() >= settings.batch_size || self.queue_bytes >= crate::invoke::MAX_PAYLOAD;
        full || self.flush_at(settings).is_some_and(|at| at <= now_ms)
    }

    /// The first records, at most `count` and `bytes` of them (but at least one), written before `until_ms`.
    pub fn take(&mut self, count: usize, bytes: usize, until_ms: Option<u64>) -> Vec<Arc<StreamRecord>> {
        let (mut taken, mut size) = (Vec::new(), 0);
        while let Some(record) = self.head() {
            size += record.event.len() + 1;
            let fits = taken.is_empty() || size <= bytes;
            let in_window = until_ms.is_none_or(|until_ms| record.approximate_time_ms < until_ms);
            if taken.len() >= count || !fits || !in_window {
                break;
            }
            self.queue_bytes -= record.event.len() + 1;
            taken.extend(self.queue.pop_front().map(|(record, _)| record));
        }
        taken
    }

    pub fn oldest_ms(&self) -> Option<u64> {
        let in_flight = self.in_flight.iter().map(|in_flight| match in_flight {
            InFlight::Invocation(work) | InFlight::Parking(work, _) => work,
        });
        let again = self.again.iter().map(|(work, _)| work);
        let at_work = in_flight.chain(again).filter_map(|work| work.records().first());
        at_work.chain(self.head()).map(|record| record.approximate_time_ms).min()
    }

    /// The function works again.
    pub fn calm(&mut self) {
        self.failures_in_a_row = 0;
        self.not_before_ms = 0;
    }

    pub fn back_off(&mut self, now_ms: u64) {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.not_before_ms = now_ms + backoff_ms(self.failures_in_a_row);
    }

    pub fn retry_later(&mut self, work: Work, now_ms: u64) {
        self.back_off(now_ms);
        self.again.push_front((work, None));
    }

    /// Nothing is wrong, it was only not its turn.
    pub fn retry_soon(&mut self, work: Work, now_ms: u64) {
        self.retry_later(work, now_ms);
        self.not_before_ms = self.not_before_ms.min(now_ms + MAX_THROTTLED_MS);
    }

    /// Two halves, the first before the second. A split uses up no attempt and waits for nothing.
    pub fn split(&mut self, work: Work) {
        let (first, second) = work.records().split_at(work.count() / 2);
        for half in [second, first] {
            let batch = Batch { records: half.to_vec(), ..work.batch.clone() };
            self.again.push_front((Work { batch, failures: work.failures }, None));
        }
    }

    pub fn give_up(&mut self, work: Work, why: GivenUp) {
        self.again.push_front((work, Some(why)));
    }
}
