//! A table of this region: its document, and the owners of its partitions.

pub mod document;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::OnceCell;
use tradewind_engine::Engine;
use tradewind_model::ItemKey;
use tradewind_wire::ApiError;

use self::document::{TableDocument, TableStatus};
use crate::partition::group::{Answer, Op};
use crate::partition::owner::{Owner, Setting, explain};
use crate::region::Shared;

pub struct Table<E> {
    document: Arc<ArcSwap<TableDocument>>,
    /// By position in the document's partitions; opened at first use, so that a thousand idle tables cost nothing.
    owners: Vec<OnceCell<Owner>>,
    shared: Arc<Shared<E>>,
}

impl<E: Engine> Table<E> {
    pub fn new(document: TableDocument, shared: Arc<Shared<E>>) -> Table<E> {
        let owners = document.partitions.iter().map(|_| OnceCell::new()).collect();
        Table { document: Arc::new(ArcSwap::from_pointee(document)), owners, shared }
    }

    pub fn document(&self) -> Arc<TableDocument> {
        self.document.load_full()
    }

    /// From the next group on, the partitions decide by this document.
    pub fn set_document(&self, document: TableDocument) {
        self.document.store(Arc::new(document));
    }

    /// The position of the partition that holds `hash`.
    pub fn position(&self, hash: u64) -> usize {
        let document = self.document.load();
        document.partitions.partition_point(|range| range.to < hash)
    }

    pub fn partition_count(&self) -> usize {
        self.owners.len()
    }

    pub async fn owner(&self, position: usize) -> Result<&Owner, ApiError> {
        let cell = &self.owners[position];
        if let Some(owner) = cell.get() {
            return Ok(owner);
        }
        cell.get_or_try_init(|| self.start(position)).await
    }

    /// The owner, if anything was asked of the partition since the start.
    pub fn running(&self, position: usize) -> Option<&Owner> {
        self.owners[position].get()
    }

    /// Ends all owners: when this returns, nothing of the table is written any more.
    pub async fn close(&self) {
        for cell in &self.owners {
            // Waits for an owner that is being started. Later ones are not: the document says that the table goes.
            if let Ok(owner) = cell.get_or_try_init(async || Err(())).await {
                owner.close().await;
            }
        }
    }

    /// Runs one at a time per partition.
    async fn start(&self, position: usize) -> Result<Owner, ApiError> {
        let document = self.document();
        if document.status == TableStatus::Deleting {
            return Err(ApiError::resource_not_found("Requested resource not found"));
        }
        let range = document.partitions[position];
        Owner::start(Setting {
            engine: self.shared.engine.clone(),
            clock: self.shared.clock.clone(),
            tail: self.shared.tail.clone(),
            here: self.shared.region,
            table: self.document.clone(),
            id: document.partition_id(range.number),
            range,
            runtime: self.shared.data[position % self.shared.data.len()].clone(),
        })
        .await
        .map_err(|error| explain(&error))
    }

    /// Through the queue of the partition that holds `key`.
    pub async fn submit(&self, key: &ItemKey, op: Op) -> Result<Answer, ApiError> {
        self.owner(self.position(key.hash())).await?.submit(op).await
    }

    /// Through every partition's queue, all at the same time; the answers are in the partitions' order.
    pub async fn submit_to_all(&self, op: impl Fn(usize) -> Op) -> Result<Vec<Answer>, ApiError> {
        let mut answers = Vec::with_capacity(self.owners.len());
        let submitted: Vec<_> = (0..self.owners.len())
            .map(|position| {
                let op = op(position);
                async move { self.owner(position).await?.submit(op).await }
            })
            .collect();
        for answer in futures_util::future::join_all(submitted).await {
            answers.push(answer?);
        }
        Ok(answers)
    }
}
