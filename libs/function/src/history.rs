//! What became of a function's newest invocations: input, output, duration, attempt, error.
//!
//! In memory, bounded three ways: by number, by bytes, by age. What an event or an answer has beyond [`MAX_SHOWN`] bytes
//! is cut, so that a handful of large events does not push out everything else.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::invoke::{Cause, Outcome};

pub const MAX_ENTRIES: usize = 1000;
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
pub const MAX_AGE: Duration = Duration::from_secs(3600);
/// How much is kept of each input and each output.
pub const MAX_SHOWN: usize = 64 * 1024;

/// One invocation that has ended.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Grows by one with each invocation of the function in this process.
    pub number: u64,
    pub request_id: Uuid,
    pub started_ms: u64,
    pub cause: Cause,
    pub duration: Duration,
    pub cold_start: bool,
    /// `Handled` or `Unhandled`; the output is the error object then. Not run at all: why.
    pub error: Option<String>,
    pub input: Shown,
    pub output: Shown,
    pub log_tail: Bytes,
}

/// Bytes as far as they are kept, and how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub bytes: Bytes,
    pub size: usize,
}

impl Shown {
    pub fn of(bytes: &Bytes) -> Shown {
        let size = bytes.len();
        // A slice would keep all of it in memory.
        let bytes =
            if size > MAX_SHOWN { Bytes::copy_from_slice(&bytes[..MAX_SHOWN]) } else { bytes.clone() };
        Shown { bytes, size }
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.input.bytes.len() + self.output.bytes.len() + self.log_tail.len() + 256
    }
}

#[derive(Default)]
pub struct History {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<Entry>,
    bytes: usize,
    next: u64,
}

/// What is noted before the function runs.
pub struct Begun {
    pub request_id: Uuid,
    pub started_ms: u64,
    pub cause: Cause,
    pub input: Shown,
}

impl History {
    pub fn note(&self, begun: Begun, result: Result<&Outcome, String>) {
        let mut kept = self.kept.lock().expect("no panic while held");
        let Begun { request_id, started_ms, cause, input } = begun;
        let mut entry = Entry {
            number: kept.next,
            request_id,
            started_ms,
            cause,
            duration: Duration::ZERO,
            cold_start: false,
            error: None,
            input,
            output: Shown::default(),
            log_tail: Bytes::new(),
        };
        match result {
            Ok(outcome) => {
                entry.duration = outcome.duration;
                entry.cold_start = outcome.cold_start;
                entry.error = outcome.function_error.map(|error| error.as_str().to_owned());
                entry.output = Shown::of(&outcome.payload);
                entry.log_tail = outcome.log_tail.clone();
            }
            Err(why) => entry.error = Some(why),
        }
        kept.next += 1;
        kept.bytes += entry.bytes();
        kept.entries.push_back(entry);
        kept.forget_before(started_ms.saturating_sub(MAX_AGE.as_millis() as u64));
    }

    /// The newest first, at most `limit`, only failed ones if asked.
    pub fn newest(&self, limit: usize, only_failed: bool, now_ms: u64) -> Vec<Entry> {
        let mut kept = self.kept.lock().expect("no panic while held");
        kept.forget_before(now_ms.saturating_sub(MAX_AGE.as_millis() as u64));
        let wanted = kept.entries.iter().rev().filter(|entry| !only_failed || entry.error.is_some());
        wanted.take(limit).cloned().collect()
    }

    pub fn find(&self, request_id: Uuid) -> Option<Entry> {
        let kept = self.kept.lock().expect("no panic while held");
        kept.entries.iter().rev().find(|entry| entry.request_id == request_id).cloned()
    }
}

impl Kept {
    fn forget_before(&mut self, time_ms: u64) {
        while let Some(oldest) = self.entries.front() {
            let is_old = oldest.started_ms < time_ms;
            if !is_old && self.entries.len() <= MAX_ENTRIES && self.bytes <= MAX_BYTES {
                break;
            }
            self.bytes -= oldest.bytes();
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(history: &History, started_ms: u64, input: usize, error: Option<&str>) -> Uuid {
        let request_id = Uuid::new_v4();
        let input = Shown::of(&Bytes::from(vec![b'x'; input]));
        let begun = Begun { request_id, started_ms, cause: Cause::default(), input };
        history.note(begun, Err(error.unwrap_or("none").to_owned()));
        request_id
    }

    #[test]
    fn what_is_kept_is_bounded_by_number_bytes_and_age() {
        let history = History::default();
        for _ in 0..MAX_ENTRIES + 5 {
            note(&history, 1000, 10, None);
        }
        assert_eq!(history.newest(usize::MAX, false, 1000).len(), MAX_ENTRIES);
        for _ in 0..200 {
            note(&history, 1000, 6 << 20, None);
        }
        let kept = history.newest(usize::MAX, false, 1000);
        let bytes: usize = kept.iter().map(Entry::bytes).sum();
        assert!(bytes <= MAX_BYTES && bytes > MAX_BYTES / 2, "{bytes}");
        assert_eq!((kept[0].input.bytes.len(), kept[0].input.size), (MAX_SHOWN, 6 << 20));
        let later_ms = 1000 + u64::try_from(MAX_AGE.as_millis()).unwrap() + 1;
        assert!(history.newest(usize::MAX, false, later_ms).is_empty());
    }

    #[test]
    fn an_invocation_is_found_by_its_request() {
        let history = History::default();
        let first = note(&history, 1, 1, Some("Throttled"));
        note(&history, 2, 1, None);
        assert_eq!(history.find(first).unwrap().error.as_deref(), Some("Throttled"));
        assert_eq!(history.newest(1, false, 2)[0].started_ms, 2);
    }
}
