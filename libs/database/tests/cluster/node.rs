//! A node of a region in one process: its database over the shared disk, behind a gate that freezes and kills it.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::watch;
use tradewind_engine::memory::MemoryEngine;
use tradewind_engine::{Batch, Document, Documents, Engine, Error, Opened, Space};
use tradewind_model::{Incarnation, PartitionId, Sequence};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    Live,
    /// Nothing goes on until it wakes.
    Frozen,
    /// Nothing goes on any more.
    Dead,
}

/// The engine as one node reaches it.
pub struct Gate {
    inner: MemoryEngine,
    life: watch::Receiver<Life>,
    /// While set, the node does not learn of what others change in the catalogue.
    deaf: watch::Sender<bool>,
    /// What the engine was told of tables: the last hash of each partition.
    placed: Mutex<BTreeMap<Incarnation, Vec<(u32, u64)>>>,
}

impl Gate {
    pub fn new(inner: MemoryEngine, life: watch::Receiver<Life>) -> Gate {
        Gate { inner, life, deaf: watch::Sender::new(false), placed: Mutex::default() }
    }

    pub fn set_deaf(&self, deaf: bool) {
        self.deaf.send_replace(deaf);
    }

    pub fn placed(&self, table: Incarnation) -> Option<Vec<(u32, u64)>> {
        self.placed.lock().unwrap().get(&table).cloned()
    }

    async fn pass(&self) {
        live(self.life.clone()).await;
    }
}

/// Returns while the node lives.
pub async fn live(mut life: watch::Receiver<Life>) {
    if life.wait_for(|life| *life == Life::Live).await.is_err() {
        std::future::pending().await
    }
}

/// What a frozen node was about to do, it does when it wakes.
impl Engine for Gate {
    async fn open(&self, partition: PartitionId) -> Result<Opened, Error> {
        self.pass().await;
        self.inner.open(partition).await
    }

    async fn peek(&self, partition: PartitionId) -> Result<Opened, Error> {
        self.pass().await;
        self.inner.peek(partition).await
    }

    async fn read(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Error> {
        self.pass().await;
        self.inner.read(space, keys).await
    }

    async fn range(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> Result<(), Error> {
        self.pass().await;
        self.inner.range(space, keys, reverse, visit).await
    }

    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), Error>> + Send {
        let life = self.life.clone();
        let inner = self.inner.clone();
        async move {
            // Others have their turn between a group's reads and its commit.
            tokio::task::yield_now().await;
            live(life.clone()).await;
            let done = inner.commit(batch).await;
            tokio::task::yield_now().await;
            live(life).await;
            done
        }
    }

    async fn changes(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Sequence, Bytes)>, Error> {
        self.pass().await;
        self.inner.changes(partition, after, limit, max_bytes).await
    }

    async fn kept(&self, partition: PartitionId) -> Result<Range<Sequence>, Error> {
        self.pass().await;
        self.inner.kept(partition).await
    }

    async fn trim(&self, before_ms: u64) -> Result<(), Error> {
        self.pass().await;
        self.inner.trim(before_ms).await
    }

    fn place(&self, incarnation: Incarnation, last_hashes: &[(u32, u64)]) {
        let mut placed = self.placed.lock().unwrap();
        match last_hashes {
            [] => _ = placed.remove(&incarnation),
            told => _ = placed.insert(incarnation, told.to_vec()),
        }
    }

    async fn clear(&self, space: Space, prefix: &[u8]) -> Result<(), Error> {
        self.pass().await;
        self.inner.clear(space, prefix).await
    }
}

impl Documents for Gate {
    async fn get(&self, collection: &str, name: &str) -> Result<Option<Document>, Error> {
        self.pass().await;
        self.inner.get(collection, name).await
    }

    async fn list(&self, collection: &str) -> Result<Vec<(String, Document)>, Error> {
        self.pass().await;
        self.inner.list(collection).await
    }

    async fn compare_and_set(
        &self,
        collection: &str,
        name: &str,
        expected: Option<u64>,
        body: Option<&[u8]>,
    ) -> Result<Option<u64>, Error> {
        self.pass().await;
        self.inner.compare_and_set(collection, name, expected, body).await
    }

    async fn generation(&self, collection: &str) -> Result<u64, Error> {
        self.pass().await;
        let mut deaf = self.deaf.subscribe();
        deaf.wait_for(|deaf| !deaf).await.expect("the gate has the other end");
        self.inner.generation(collection).await
    }
}

pub type Store = Arc<tradewind_database::Database<Gate>>;
