//! Any change log, for those who do not care what keeps it: so that no type parameter spreads from the choice.
//!
//! A call costs one boxed future, which is nothing beside the page it brings.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tradewind_model::{PartitionId, Sequence};

use crate::{ChangeLog, Error, Page};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`ChangeLog`] as an object.
trait AnyLog: Send + Sync {
    fn read(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Boxed<'_, Result<Page, Error>>;

    fn kept(&self, partition: PartitionId) -> Boxed<'_, Result<Range<Sequence>, Error>>;

    fn wait(&self, partition: PartitionId, after: Sequence) -> Boxed<'_, ()>;

    fn watch(&self, partition: PartitionId) -> watch::Receiver<u64>;
}

impl<L: ChangeLog> AnyLog for L {
    fn read(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Boxed<'_, Result<Page, Error>> {
        Box::pin(ChangeLog::read(self, partition, after, limit, max_bytes))
    }

    fn kept(&self, partition: PartitionId) -> Boxed<'_, Result<Range<Sequence>, Error>> {
        Box::pin(ChangeLog::kept(self, partition))
    }

    fn wait(&self, partition: PartitionId, after: Sequence) -> Boxed<'_, ()> {
        Box::pin(ChangeLog::wait(self, partition, after))
    }

    fn watch(&self, partition: PartitionId) -> watch::Receiver<u64> {
        ChangeLog::watch(self, partition)
    }
}

/// A shared handle to a change log of any kind.
#[derive(Clone)]
pub struct Log(Arc<dyn AnyLog>);

impl Log {
    pub fn new(log: impl ChangeLog) -> Log {
        Log(Arc::new(log))
    }
}

impl ChangeLog for Log {
    async fn read(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        self.0.read(partition, after, limit, max_bytes).await
    }

    async fn kept(&self, partition: PartitionId) -> Result<Range<Sequence>, Error> {
        self.0.kept(partition).await
    }

    async fn wait(&self, partition: PartitionId, after: Sequence) {
        self.0.wait(partition, after).await;
    }

    fn watch(&self, partition: PartitionId) -> watch::Receiver<u64> {
        self.0.watch(partition)
    }
}
