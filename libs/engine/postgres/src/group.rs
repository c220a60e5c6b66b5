//! Batches that one transaction carries, and what they write together: one row per key, in the order of keys.
//!
//! The order keeps two transactions that write the same keys from waiting for each other in a circle. Of rows with one key
//! the last counts, as a statement may not meet a key twice.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tradewind_engine::{Batch, Error, PartitionCommit, Space};
use tradewind_model::{Epoch, PartitionId, Sequence};

use crate::long::{Head, is_long, marks, place};

/// A commit that waits, or is under way.
pub struct Waiting {
    pub batch: Batch,
    pub bytes: usize,
    /// Refused if it could not be sent by then.
    pub until: Instant,
    pub done: oneshot::Sender<Result<(), Error>>,
}

impl Waiting {
    pub fn answer(self, answer: Result<(), Error>) {
        // Whoever asked may have gone; the batch counts all the same.
        self.done.send(answer).ok();
    }

    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        self.batch.iter().map(|part| part.partition)
    }
}

pub fn bytes_of(batch: &Batch) -> usize {
    let part = |part: &PartitionCommit| {
        let rows = part.rows.iter().map(|row| row.key.len() + row.value.as_ref().map_or(0, Bytes::len));
        rows.sum::<usize>() + part.changes.iter().map(|(_, change)| change.len()).sum::<usize>()
    };
    batch.iter().map(part).sum()
}

/// The part that does not go on where an earlier one of the same batch leaves its partition: no state lets it pass.
pub fn contradiction(batch: &Batch) -> Option<&PartitionCommit> {
    let earlier = |at: usize| batch[..at].iter().rev().find(|part| part.partition == batch[at].partition);
    let contradicts = |at: &usize| {
        earlier(*at).is_some_and(|part| part.epoch != batch[*at].epoch || part.next != batch[*at].first)
    };
    (1..batch.len()).find(contradicts).map(|at| &batch[at])
}

/// What the transaction asks of one partition: the first part's beginning and the last one's end.
#[derive(Clone, Copy, Debug)]
pub struct Fence {
    pub epoch: Epoch,
    pub first: Sequence,
    pub next: Sequence,
    pub max_hlc: u64,
}

/// The fences of a group while it is gathered.
#[derive(Default)]
pub struct Fences(HashMap<PartitionId, Fence>);

impl Fences {
    /// Adds a batch's parts if each goes on where the group leaves its partition; else none.
    pub fn admit(&mut self, batch: &Batch) -> bool {
        let mut staged: Vec<(PartitionId, Fence)> = Vec::with_capacity(batch.len());
        for part in batch {
            let earlier = staged.iter().rev().find(|(id, _)| *id == part.partition).map(|(_, fence)| *fence);
            let known = earlier.or_else(|| self.0.get(&part.partition).copied());
            let Some(fence) = joined(known, part) else { return false };
            staged.push((part.partition, fence));
        }
        self.0.extend(staged);
        true
    }

    pub fn contains(&self, partition: PartitionId) -> bool {
        self.0.contains_key(&partition)
    }

    /// By partition, so that transactions lock them in one order.
    pub fn sorted(&self) -> Vec<(PartitionId, Fence)> {
        let mut fences: Vec<_> = self.0.iter().map(|(id, fence)| (*id, *fence)).collect();
        fences.sort_unstable_by_key(|(id, _)| *id);
        fences
    }
}

fn joined(known: Option<Fence>, part: &PartitionCommit) -> Option<Fence> {
    let new = Fence { epoch: part.epoch, first: part.first, next: part.next, max_hlc: part.max_hlc };
    match known {
        None => Some(new),
        Some(known) if known.epoch == part.epoch && known.next == part.first => {
            Some(Fence { first: known.first, max_hlc: known.max_hlc.max(part.max_hlc), ..new })
        }
        Some(_) => None,
    }
}

/// The rows of a group by space, each key once and in order.
#[derive(Default)]
pub struct SpaceWrites<'a> {
    pub put_keys: Vec<&'a [u8]>,
    pub put_values: Vec<&'a [u8]>,
    pub removed: Vec<&'a [u8]>,
    pub marks: Vec<&'a [u8]>,
}

/// Rows and marks of long keys, of all spaces.
#[derive(Default)]
pub struct LongWrites<'a> {
    pub puts: Vec<LongRow<'a>>,
    pub marks: Vec<LongRow<'a>>,
    pub removed: Vec<LongRow<'a>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct LongRow<'a> {
    pub space: i16,
    pub head: Head,
    pub rest: &'a [u8],
    pub value: &'a [u8],
}

#[derive(Default)]
pub struct LogWrites<'a> {
    pub partitions: Vec<[u8; PartitionId::LEN]>,
    pub sequences: Vec<i64>,
    pub changes: Vec<&'a [u8]>,
}

pub struct Writes<'a> {
    pub fences: Vec<(PartitionId, Fence)>,
    pub spaces: Vec<(Space, SpaceWrites<'a>)>,
    pub long: LongWrites<'a>,
    pub log: LogWrites<'a>,
}

impl<'a> Writes<'a> {
    pub fn of(fences: &Fences, batches: impl Iterator<Item = &'a Batch> + Clone) -> Writes<'a> {
        let mut writes = Writes {
            fences: fences.sorted(),
            spaces: Vec::new(),
            long: LongWrites::default(),
            log: LogWrites::default(),
        };
        let parts = batches.flatten();
        for space in Space::ALL {
            let rows = parts.clone().flat_map(|part| &part.rows).filter(|row| row.space == space);
            let rows = folded(rows.map(|row| (&row.key[..], row.value.as_deref())).collect());
            if !rows.is_empty() {
                let of_space = space_writes(space, rows, &mut writes.long);
                writes.spaces.push((space, of_space));
            }
        }
        writes.long.sort();
        for part in parts {
            writes.log.extend(part);
        }
        writes
    }
}

type KeyAndValue<'a> = (&'a [u8], Option<&'a [u8]>);

/// In the order of keys; of equal ones the last.
fn folded(mut rows: Vec<KeyAndValue<'_>>) -> Vec<KeyAndValue<'_>> {
    // Stable: equal keys stay in the order in which they were written.
    rows.sort_by_key(|(key, _)| *key);
    let mut folded: Vec<KeyAndValue<'_>> = Vec::with_capacity(rows.len());
    for row in rows {
        match folded.last_mut() {
            Some(last) if last.0 == row.0 => *last = row,
            _ => folded.push(row),
        }
    }
    folded
}

fn space_writes<'a>(space: Space, rows: Vec<KeyAndValue<'a>>, long: &mut LongWrites<'a>) -> SpaceWrites<'a> {
    let mut writes = SpaceWrites::default();
    for (key, value) in rows {
        match value {
            _ if is_long(key) => {
                let mark = long.add(space as i16, key, value);
                // Neighbours share it.
                if mark.is_some() && writes.marks.last().copied() != mark {
                    writes.marks.extend(mark);
                }
            }
            Some(value) => {
                writes.put_keys.push(key);
                writes.put_values.push(value);
            }
            None => writes.removed.push(key),
        }
    }
    writes
}

impl<'a> LongWrites<'a> {
    /// Answers the mark that belongs into the space's table, if a row is put.
    fn add(&mut self, space: i16, key: &'a [u8], value: Option<&'a [u8]>) -> Option<&'a [u8]> {
        let (head, rest) = {
            let place = place(key);
            (place.head, place.rest)
        };
        let Some(value) = value else {
            self.removed.push(LongRow { space, head, rest, value: &[] });
            return None;
        };
        self.puts.push(LongRow { space, head, rest, value });
        let (first, later) = marks(key);
        self.marks.extend(later.map(|mark| LongRow { space, head: mark.head, rest: mark.rest, value: &[] }));
        Some(first)
    }

    fn sort(&mut self) {
        self.puts.sort_unstable();
        self.removed.sort_unstable();
        self.marks.sort_unstable();
        self.marks.dedup();
    }
}

impl<'a> LogWrites<'a> {
    fn extend(&mut self, part: &'a PartitionCommit) {
        for (sequence, change) in &part.changes {
            self.partitions.push(part.partition.to_bytes());
            self.sequences.push(sequence.0 as i64);
            self.changes.push(change);
        }
    }
}
