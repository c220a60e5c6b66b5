//! What a function wrote: the newest megabyte of its standard output and error, with our START, END and REPORT lines.
//!
//! Positions count bytes since the log began, so that a reader that fell behind sees how much it missed and goes on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::watch;

use crate::invoke::LOG_TAIL;

/// How much of a function's log is kept in memory.
pub const KEPT_BYTES: usize = 1024 * 1024;

pub struct FunctionLog {
    kept: Mutex<Kept>,
    end: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    /// The position of the first byte kept.
    start: u64,
    bytes: VecDeque<u8>,
}

/// A piece of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPiece {
    /// Where the piece begins: later than asked if older bytes are gone.
    pub start: u64,
    pub bytes: Bytes,
}

impl LogPiece {
    /// Where to go on reading.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Default for FunctionLog {
    fn default() -> FunctionLog {
        FunctionLog { kept: Mutex::default(), end: watch::channel(0).0 }
    }
}

impl FunctionLog {
    pub fn append(&self, bytes: &[u8]) {
        let end = {
            let mut kept = self.kept.lock().expect("no panic while held");
            kept.bytes.extend(bytes);
            let excess = kept.bytes.len().saturating_sub(KEPT_BYTES);
            kept.bytes.drain(..excess);
            kept.start += excess as u64;
            kept.start + kept.bytes.len() as u64
        };
        self.end.send_replace(end);
    }

    /// What is kept from `position` on; empty at the end.
    pub fn read(&self, position: u64) -> LogPiece {
        let kept = self.kept.lock().expect("no panic while held");
        let start = position.max(kept.start);
        let skip = usize::try_from(start - kept.start).unwrap_or(usize::MAX).min(kept.bytes.len());
        LogPiece { start, bytes: kept.bytes.range(skip..).copied().collect() }
    }

    /// Where a reader starts that wants about the last `bytes`.
    pub fn position_before_end(&self, bytes: u64) -> u64 {
        self.end.borrow().saturating_sub(bytes)
    }

    /// Signalled with the log's end whenever it grows: `tail -f` reads, waits, and reads on.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }
}

/// One environment's writing into its function's log, and the end of what its present invocation wrote.
pub struct Transcript {
    log: Arc<FunctionLog>,
    tail: Mutex<VecDeque<u8>>,
}

impl Transcript {
    pub fn new(log: Arc<FunctionLog>) -> Transcript {
        Transcript { log, tail: Mutex::default() }
    }

    pub fn append(&self, bytes: &[u8]) {
        self.log.append(bytes);
        let mut tail = self.tail.lock().expect("no panic while held");
        tail.extend(&bytes[bytes.len().saturating_sub(LOG_TAIL)..]);
        let excess = tail.len().saturating_sub(LOG_TAIL);
        tail.drain(..excess);
    }

    /// The last [`LOG_TAIL`] bytes since this was last called.
    pub fn take_tail(&self) -> Bytes {
        self.tail.lock().expect("no panic while held").drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_fell_behind_goes_on_at_the_oldest_byte_kept() {
        let log = FunctionLog::default();
        log.append(&vec![b'a'; KEPT_BYTES]);
        log.append(b"end");
        let piece = log.read(0);
        assert_eq!((piece.start, piece.bytes.len()), (3, KEPT_BYTES));
        assert!(piece.bytes.ends_with(b"aend"));
        assert_eq!(log.read(piece.end()).bytes.len(), 0);
    }

    #[tokio::test]
    async fn followers_are_woken_by_what_is_appended() {
        let log = FunctionLog::default();
        let mut end = log.subscribe();
        log.append(b"one\n");
        end.changed().await.unwrap();
        assert_eq!(log.read(0).bytes, "one\n");
    }
}
