//! How far each partition is published, kept with the engine: one document a partition, written by its owner now and then.
//!
//! It is fenced by the owner's epoch, and checked against the topic before anything is built upon it: it may be behind what
//! the topic has, and a mark whose record is not found there belongs to another topic of that name.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tradewind_engine::{Documents, Error};
use tradewind_model::{Epoch, PartitionId, Sequence};

const COLLECTION: &str = "kafka-progress";
/// Marks grow by the logarithm of what was published; this is never reached.
const MAX_MARKS: usize = 256;

/// The record with this sequence has this offset, and all before it have lower ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub sequence: Sequence,
    pub offset: i64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub epoch: u64,
    pub topic: String,
    /// The topic answers for what comes after this.
    pub begins_after: Sequence,
    /// Everything that was committed before this (Unix milliseconds, the engine's clock) is published.
    pub complete_ms: u64,
    /// Ascending, dense at the end and sparse at the beginning. The last is how far the partition is published.
    pub marks: Vec<Mark>,
}

impl Progress {
    pub fn new(epoch: Epoch, topic: String, begins_after: Sequence) -> Progress {
        Progress { epoch: epoch.0, topic, begins_after, complete_ms: 0, marks: Vec::new() }
    }

    pub fn published(&self) -> Sequence {
        self.marks.last().map_or(self.begins_after, |mark| mark.sequence)
    }

    /// The last mark at or before `position`.
    pub fn mark_at(&self, position: Sequence) -> Option<Mark> {
        self.marks.iter().rev().find(|mark| mark.sequence <= position).copied()
    }

    /// Adds a mark, and drops those that stand closer together than an eighth of their distance from the end: whoever is
    /// that far behind has more to read than to skip.
    pub fn note(&mut self, mark: Mark) {
        if self.marks.last().is_some_and(|last| last.sequence >= mark.sequence) {
            return;
        }
        self.marks.push(mark);
        let end = mark.sequence.0;
        let mut at = self.marks.len().saturating_sub(2);
        while at > 0 {
            let (before, after) = (self.marks[at - 1].sequence.0, self.marks[at + 1].sequence.0);
            if after - before <= (end - after) / 8 {
                self.marks.remove(at);
            }
            at -= 1;
        }
        if self.marks.len() > MAX_MARKS {
            self.marks.remove(0);
        }
    }
}

pub(crate) struct Store<E>(Arc<E>);

impl<E> Clone for Store<E> {
    fn clone(&self) -> Self {
        Store(self.0.clone())
    }
}

impl<E: Documents> Store<E> {
    pub fn new(engine: Arc<E>) -> Store<E> {
        Store(engine)
    }

    /// The partition's progress with its revision.
    pub async fn load(&self, partition: PartitionId) -> Result<Option<(u64, Progress)>, Error> {
        let Some(document) = self.0.get(COLLECTION, &partition.to_string()).await? else { return Ok(None) };
        Ok(Some((document.revision, read(&document.body)?)))
    }

    /// The new revision, or `None` if another came first.
    pub async fn save(
        &self,
        partition: PartitionId,
        revision: Option<u64>,
        progress: &Progress,
    ) -> Result<Option<u64>, Error> {
        let body = serde_json::to_vec(progress).map_err(|error| Error::Corrupt(error.to_string()))?;
        self.0.compare_and_set(COLLECTION, &partition.to_string(), revision, Some(&body)).await
    }

    /// Forgets a partition whose topic is gone.
    pub async fn remove(&self, partition: PartitionId) -> Result<(), Error> {
        let name = partition.to_string();
        while let Some(document) = self.0.get(COLLECTION, &name).await? {
            if self.0.compare_and_set(COLLECTION, &name, Some(document.revision), None).await?.is_some() {
                break;
            }
        }
        Ok(())
    }
}

fn read(body: &[u8]) -> Result<Progress, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Corrupt(format!("progress of a change log: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_few_and_never_far_beside_what_is_left_to_read() {
        let mut progress = Progress::new(Epoch(1), "t".to_owned(), Sequence(0));
        let end = 10_000_000;
        for sequence in (0..=end).step_by(1000) {
            progress.note(Mark { sequence: Sequence(sequence), offset: sequence as i64 });
        }
        assert!(progress.marks.len() < 120, "{}", progress.marks.len());
        assert_eq!(progress.published(), Sequence(end));
        for position in (0..=end).step_by(77_777) {
            let mark = progress.mark_at(Sequence(position)).unwrap();
            let (skipped, left) = (position - mark.sequence.0, end - position);
            assert!(skipped <= 2000 + left / 3, "{skipped} of {left}");
        }
    }

    #[test]
    fn what_is_noted_twice_counts_once() {
        let mut progress = Progress::new(Epoch(1), "t".to_owned(), Sequence(3));
        assert_eq!(progress.published(), Sequence(3));
        let mark = Mark { sequence: Sequence(5), offset: 9 };
        progress.note(mark);
        progress.note(Mark { sequence: Sequence(4), offset: 12 });
        assert_eq!(progress.marks, [mark]);
        assert_eq!(progress.mark_at(Sequence(4)), None);
    }
}
