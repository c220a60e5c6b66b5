//! The latest records of one partition, in memory, for the readers that keep up.
//!
//! ```text
//! … in the topic │ begins_after+1 … end │ to come
//!                  └──── entries ─────┘   └ next_offset
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tradewind_changelog::{Error, Page};
use tradewind_model::{Change, PartitionId, Sequence};

use crate::order::{Place, Span};

/// What is missing has this long to come; then readers that stand before it look for themselves.
const GAP: Duration = Duration::from_secs(2);

/// What a record holds: a change, or none, or nothing that can be read.
pub(crate) type Held = Option<Option<Arc<Change>>>;

struct Entry {
    sequence: Sequence,
    held: Held,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrived {
    Taken,
    Repeated,
    /// Not taken: records before it are missing.
    Ahead,
    /// Not taken, and the topic is to be read again from this offset.
    Refetch(i64),
}

#[derive(Default)]
pub(crate) struct Ring {
    /// `None` until the first record.
    begins_after: Option<Sequence>,
    end: Sequence,
    next_offset: i64,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Since when records are missing.
    gap: Option<Instant>,
}

impl Ring {
    /// Knows, from elsewhere, how far the log goes.
    pub fn starts_at(&mut self, end: Sequence, next_offset: i64) {
        *self = Ring { begins_after: Some(end), end, next_offset, ..Ring::default() };
    }

    /// The last sequence that was published, as far as is known.
    pub fn end(&self) -> Sequence {
        self.end
    }

    pub fn arrive(&mut self, span: Span, offset: i64, bytes: usize, held: impl FnOnce() -> Held) -> Arrived {
        if self.begins_after.is_none() {
            (self.begins_after, self.end) = (Some(span.previous), span.previous);
        }
        match (span.place(self.end), self.gap) {
            (Place::Repeated, _) => Arrived::Repeated,
            (Place::Next, _) => {
                self.gap = None;
                self.push(span.sequence, offset, bytes, held());
                Arrived::Taken
            }
            (Place::Ahead, None) => {
                self.gap = Some(Instant::now());
                Arrived::Refetch(self.next_offset)
            }
            (Place::Ahead, Some(since)) if since.elapsed() > GAP => {
                *self = Ring { begins_after: Some(span.previous), ..Ring::default() };
                self.push(span.sequence, offset, bytes, held());
                Arrived::Taken
            }
            (Place::Ahead, Some(_)) => Arrived::Ahead,
        }
    }

    fn push(&mut self, sequence: Sequence, offset: i64, bytes: usize, held: Held) {
        self.entries.push_back(Entry { sequence, held, bytes });
        self.bytes += bytes;
        self.end = sequence;
        self.next_offset = offset + 1;
    }

    /// Drops the oldest entries beyond `max_bytes`.
    pub fn shrink(&mut self, max_bytes: usize) {
        while self.bytes > max_bytes
            && let Some(entry) = self.entries.pop_front()
        {
            self.bytes -= entry.bytes;
            self.begins_after = Some(entry.sequence);
        }
    }

    /// `None` if this position is not here any more, or not yet known to be.
    pub fn page(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Option<Result<Page, Error>> {
        if self.begins_after.is_none_or(|begin| after < begin) {
            return None;
        }
        let first = self.entries.partition_point(|entry| entry.sequence <= after);
        let (mut page, mut bytes) = (Page { changes: Vec::new(), through: after }, 0);
        for entry in self.entries.range(first..) {
            if page.changes.len() >= limit || bytes >= max_bytes {
                break;
            }
            match &entry.held {
                Some(Some(change)) => page.changes.push((entry.sequence, Change::clone(change))),
                Some(None) => {}
                None if page.changes.is_empty() => {
                    return Some(Err(Error::Corrupt(partition, entry.sequence)));
                }
                None => break,
            }
            page.through = entry.sequence;
            bytes += entry.bytes;
        }
        Some(Ok(page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tradewind_changelog::suite::{change, partition};

    fn arrive(ring: &mut Ring, previous: u64, sequence: u64, offset: i64) -> Arrived {
        let span = Span { previous: Sequence(previous), sequence: Sequence(sequence) };
        ring.arrive(span, offset, 100, || Some(Some(Arc::new(change(sequence)))))
    }

    fn read(ring: &Ring, after: u64) -> Option<Vec<u64>> {
        let page = ring.page(partition(0), Sequence(after), 100, usize::MAX)?.unwrap();
        Some(page.changes.iter().map(|(sequence, _)| sequence.0).collect())
    }

    #[test]
    fn a_record_twice_is_read_once() {
        let mut ring = Ring::default();
        assert_eq!(read(&ring, 4), None);
        assert_eq!(arrive(&mut ring, 4, 5, 10), Arrived::Taken);
        assert_eq!(arrive(&mut ring, 4, 5, 11), Arrived::Repeated);
        assert_eq!(arrive(&mut ring, 5, 6, 12), Arrived::Taken);
        assert_eq!(read(&ring, 4), Some(vec![5, 6]));
        assert_eq!(read(&ring, 6), Some(vec![]));
        assert_eq!(read(&ring, 3), None, "it may not answer for what it never had");
    }

    #[test]
    fn a_gap_stops_and_is_read_again() {
        let mut ring = Ring::default();
        arrive(&mut ring, 0, 1, 10);
        assert_eq!(arrive(&mut ring, 2, 3, 11), Arrived::Refetch(11));
        assert_eq!(arrive(&mut ring, 2, 3, 11), Arrived::Ahead);
        assert_eq!(read(&ring, 0), Some(vec![1]));
        assert_eq!(arrive(&mut ring, 1, 2, 12), Arrived::Taken);
        assert_eq!(arrive(&mut ring, 2, 3, 13), Arrived::Taken);
        assert_eq!(read(&ring, 0), Some(vec![1, 2, 3]));
    }

    #[test]
    fn a_gap_that_stays_sends_readers_elsewhere() {
        let mut ring = Ring::default();
        arrive(&mut ring, 0, 1, 10);
        assert_eq!(arrive(&mut ring, 2, 3, 11), Arrived::Refetch(11));
        ring.gap = Instant::now().checked_sub(2 * GAP);
        assert_eq!(arrive(&mut ring, 3, 4, 12), Arrived::Taken);
        assert_eq!(read(&ring, 1), None);
        assert_eq!(read(&ring, 3), Some(vec![4]));
    }

    #[test]
    fn the_oldest_go_first_and_pages_are_bounded() {
        let mut ring = Ring::default();
        (0..5).for_each(|at| assert_eq!(arrive(&mut ring, at, at + 1, at as i64), Arrived::Taken));
        ring.shrink(300);
        assert_eq!(read(&ring, 1), None);
        assert_eq!(read(&ring, 2), Some(vec![3, 4, 5]));
        let page = |limit, bytes| {
            let page = ring.page(partition(0), Sequence(2), limit, bytes).unwrap().unwrap();
            (page.changes.len(), page.through.0)
        };
        assert_eq!(page(1, usize::MAX), (1, 3));
        assert_eq!(page(9, 101), (2, 4));
    }

    #[test]
    fn what_cannot_be_read_stops_its_readers_there() {
        let mut ring = Ring::default();
        arrive(&mut ring, 0, 1, 0);
        let span = Span { previous: Sequence(1), sequence: Sequence(2) };
        ring.arrive(span, 1, 100, || None);
        assert_eq!(read(&ring, 0), Some(vec![1]));
        let stopped = ring.page(partition(0), Sequence(1), 9, usize::MAX);
        assert!(matches!(stopped, Some(Err(Error::Corrupt(_, Sequence(2))))), "{stopped:?}");
    }
}
