//! DeleteTable. The table is gone for its users when the answer leaves; its rows go in the background. Its change log
//! stays as long as its streams can be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::{Epoch, Incarnation, PartitionId, Region, Sequence};
use tradewind_wire::ApiError;

use super::{encode, in_use, unavailable};
use crate::partition::group::{Answer, Op};
use crate::region::{DROPPED, Database, TRASH};
use crate::table::Table;
use crate::table::document::{TableDocument, TableStatus};

/// Tables whose other replicas are still to be told that this one is gone.
const LEFT: &str = "left";

/// What a dropped table leaves to be cleared.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Trash {
    /// Set for a table, whose rows all begin with it.
    pub table: Option<Incarnation>,
    /// The table that stands, where only indexes of it were dropped.
    #[serde(default)]
    pub of: Option<Incarnation>,
    pub indexes: Vec<Incarnation>,
}

impl Trash {
    /// What the rows to remove begin with, by space.
    pub fn prefixes(&self) -> Vec<(Space, Vec<u8>)> {
        let mut prefixes: Vec<_> =
            self.indexes.iter().map(|index| (Space::Index, index.as_bytes().to_vec())).collect();
        if let Some(table) = self.table {
            let whole = [Space::Items, Space::Conflicts, Space::Expiry, Space::Cursors, Space::Tombstones];
            prefixes.extend(whole.map(|space| (space, table.as_bytes().to_vec())));
        }
        prefixes
    }
}

/// A replica that was dropped here.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Left {
    pub name: String,
    pub incarnation: Incarnation,
    replicas: Vec<Region>,
}

impl<E: Engine + Documents> Database<E> {
    /// Answers the table as it was.
    pub async fn delete_table(&self, name: &str) -> Result<Arc<TableDocument>, ApiError> {
        let _alone = self.control.lock().await;
        let table = self.existing(name)?;
        let document = table.document();
        match document.status {
            TableStatus::Creating => return Err(in_use("Table is being created", name)),
            TableStatus::Deleting => return Err(in_use("Table is being deleted", name)),
            TableStatus::Active | TableStatus::Updating => (),
        }
        if document.settings.deletion_protection {
            return Err(ApiError::validation(
                "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection \
                 first.",
            ));
        }
        self.remember_left(&document).await?;
        self.drop_table(&table).await?;
        Ok(document)
    }

    /// Drops the table without telling its other replicas. A table of one region with the name was made after the replica
    /// went, and stays.
    pub async fn drop_replica(&self, name: &str) -> Result<(), ApiError> {
        let _alone = self.control.lock().await;
        match self.table(name).filter(|table| table.document().is_replicated()) {
            Some(table) => self.drop_table(&table).await,
            None => Ok(()),
        }
    }

    /// For a caller that holds the control lock. Once the document says that the table goes, no owner starts any more at any
    /// node; then every one there was is fenced, so that the stream ends where the log does. A catalogue that cannot be
    /// written leaves the table as it was; what fails later is done by housekeeping.
    pub(super) async fn drop_table(&self, table: &Arc<Table<E>>) -> Result<(), ApiError> {
        let name = table.document().name.clone();
        self.change_alone(&name, |document| {
            document.status = TableStatus::Deleting;
            Ok(())
        })
        .await?;
        self.finish_drop(table).await
    }

    /// What a drop does after the document says so. It may be done again, and by several nodes at the same time.
    pub(crate) async fn finish_drop(&self, table: &Arc<Table<E>>) -> Result<(), ApiError> {
        let document = table.document();
        table.close().await;
        let fenced = document.partitions.iter().map(|range| self.fence(document.partition_id(range.number)));
        futures_util::future::try_join_all(fenced).await?;
        self.record_drop(&document).await?;
        // Where another node was first, there is nothing left to do.
        self.replace(&document.name, Some(table.revision()), None).await?;
        self.tell_nodes().await;
        Ok(())
    }

    async fn fence(&self, partition: PartitionId) -> Result<(), ApiError> {
        let engine = &self.shared.engine;
        // One that was never opened is not opened any more: whoever does reads the document afterwards.
        if engine.peek(partition).await.map_err(unavailable)?.epoch > Epoch(0) {
            engine.open(partition).await.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn record_drop(&self, document: &TableDocument) -> Result<(), ApiError> {
        let id = document.incarnation.to_string();
        let trash = Trash {
            table: Some(document.incarnation),
            of: None,
            indexes: document.indexes.iter().map(|index| index.id).collect(),
        };
        let trash = serde_json::to_vec(&trash).expect("plain data");
        self.put(TRASH, &id, &trash).await?;
        let dropped = self.ended(document).await?;
        if !dropped.streams.is_empty() {
            self.put(DROPPED, &id, &encode(&dropped)).await?;
        }
        Ok(())
    }

    /// The document with its last stream ended where the log ends.
    async fn ended(&self, document: &TableDocument) -> Result<TableDocument, ApiError> {
        let mut ended = document.clone();
        let mut ends_at = BTreeMap::new();
        for range in &document.partitions {
            let kept =
                self.shared.engine.kept(document.partition_id(range.number)).await.map_err(unavailable)?;
            ends_at.insert(range.number, Sequence(kept.end.0 - 1));
        }
        let now_ms = self.shared.clock.now_ms();
        if let Some(stream) = ended.streams.last_mut().filter(|stream| !stream.is_ended(document)) {
            stream.ends_at = Some(ends_at);
            stream.disabled_ms = Some(now_ms);
        }
        Ok(ended)
    }

    async fn remember_left(&self, document: &TableDocument) -> Result<(), ApiError> {
        let here = self.region();
        let replicas: Vec<_> = document.replicas.keys().copied().filter(|region| *region != here).collect();
        if replicas.is_empty() {
            return Ok(());
        }
        let left = Left { name: document.name.clone(), incarnation: document.incarnation, replicas };
        let body = serde_json::to_vec(&left).expect("plain data");
        self.put(LEFT, &document.incarnation.to_string(), &body).await
    }

    /// Replicas dropped here whose others are not told yet.
    pub async fn left(&self) -> Vec<(Left, Vec<Region>)> {
        let stored = self.shared.engine.list(LEFT).await.unwrap_or_default();
        let left = stored.iter().filter_map(|(_, document)| serde_json::from_slice(&document.body).ok());
        left.map(|left: Left| (left.clone(), left.replicas)).collect()
    }

    pub async fn forget_left(&self, left: &Left) -> Result<(), ApiError> {
        let name = left.incarnation.to_string();
        let stored = self.shared.engine.get(LEFT, &name).await.map_err(unavailable)?;
        match stored {
            Some(stored) => self.set(LEFT, &name, Some(stored.revision), None).await,
            None => Ok(()),
        }
    }
}

/// The last sequence of each partition, by its number.
pub(crate) async fn log_ends<E: Engine + Documents>(
    table: &Table<E>,
    document: &TableDocument,
) -> Result<BTreeMap<u32, Sequence>, ApiError> {
    let answers = table.submit_to_all(|_| Op::Barrier).await?;
    let last = |answer: &Answer| match answer {
        Answer::Done { next, .. } => Sequence(next.0 - 1),
        _ => Sequence::ZERO,
    };
    Ok(document.partitions.iter().zip(&answers).map(|(range, answer)| (range.number, last(answer))).collect())
}
