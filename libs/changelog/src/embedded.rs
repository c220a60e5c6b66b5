//! The engine's own log as a change log, and the tails that tell readers of new changes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tradewind_engine::Engine;
use tradewind_model::{Change, PartitionId, Sequence};

use crate::{ChangeLog, Error, Page};

/// Where each partition's durable log ends, for those who wait for it to grow.
#[derive(Clone, Default)]
pub struct Tail(Arc<Mutex<HashMap<PartitionId, watch::Sender<u64>>>>);

impl Tail {
    /// The partition's next sequence is `next` now, durably.
    pub fn advance(&self, partition: PartitionId, next: Sequence) {
        self.sender(partition).send_if_modified(|known| {
            let grows = next.0 > *known;
            *known = next.0.max(*known);
            grows
        });
    }

    /// Changes with the partition's next sequence, which it holds.
    pub fn watch(&self, partition: PartitionId) -> watch::Receiver<u64> {
        self.sender(partition).subscribe()
    }

    /// Forgets a dropped table's partitions.
    pub fn forget(&self, partition: PartitionId) {
        self.0.lock().expect("no panic while held").remove(&partition);
    }

    fn sender(&self, partition: PartitionId) -> watch::Sender<u64> {
        let mut tails = self.0.lock().expect("no panic while held");
        tails.entry(partition).or_insert_with(|| watch::Sender::new(0)).clone()
    }
}

pub struct Embedded<E> {
    engine: Arc<E>,
    tail: Tail,
}

impl<E> Clone for Embedded<E> {
    fn clone(&self) -> Self {
        Embedded { engine: self.engine.clone(), tail: self.tail.clone() }
    }
}

impl<E: Engine> Embedded<E> {
    pub fn new(engine: Arc<E>, tail: Tail) -> Embedded<E> {
        Embedded { engine, tail }
    }

    pub fn tail(&self) -> &Tail {
        &self.tail
    }
}

impl<E: Engine> ChangeLog for Embedded<E> {
    async fn read(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        let kept = self.kept(partition).await?;
        let encoded = self.engine.changes(partition, after, limit, max_bytes).await.map_err(unavailable)?;
        // Asked again after reading: retention may have passed the position in between.
        let first = self.kept(partition).await?.start;
        if after.next() < first {
            return Err(Error::Trimmed { partition, first });
        }
        let through = match encoded.last() {
            Some((last, _)) => *last,
            // Read before the changes: all below it was visible then.
            None => Sequence(kept.end.0.saturating_sub(1)).max(after),
        };
        let decoded = encoded.into_iter().map(|(sequence, bytes)| {
            let change = Change::decode(&bytes).ok_or(Error::Corrupt(partition, sequence))?;
            Ok((sequence, change))
        });
        Ok(Page { changes: decoded.collect::<Result<_, Error>>()?, through })
    }

    async fn kept(&self, partition: PartitionId) -> Result<Range<Sequence>, Error> {
        self.engine.kept(partition).await.map_err(unavailable)
    }

    async fn wait(&self, partition: PartitionId, after: Sequence) {
        let mut tail = self.tail.watch(partition);
        let next = self.kept(partition).await.map_or(Sequence::ZERO, |kept| kept.end);
        if next > after.next() {
            return;
        }
        // The sender lives as long as the partition is not forgotten; then there is nothing to wait for either.
        let _ = tail.wait_for(|next| *next > after.next().0).await;
    }

    fn watch(&self, partition: PartitionId) -> watch::Receiver<u64> {
        self.tail.watch(partition)
    }
}

fn unavailable(error: tradewind_engine::Error) -> Error {
    Error::Unavailable(error.to_string())
}
