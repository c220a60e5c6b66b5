//! Work that the catalogue asks for and that takes its time: filling new indexes, removing the rows of what was dropped,
//! trimming logs. All of it may be interrupted and begins again where it was.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::key::after_prefix;
use tradewind_model::{Incarnation, ItemKey};
use tradewind_wire::ApiError;

use crate::conflicts;
use crate::control::{Trash, unavailable};
use crate::partition::group::Op;
use crate::partition::owner::explain;
use crate::region::{DROPPED, Database, TRASH};
use crate::table::Table;
use crate::table::document::{IndexStatus, TableDocument};

/// Streams can be read for this long. (Streams API: "24-hour data retention limit".)
pub const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Items of one step: small enough that foreground writes wait for no more than one group.
const STEP: usize = 200;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Duration = Duration::from_secs(1);
const TRIM_EVERY: Duration = Duration::from_secs(300);
/// For what belongs to no table.
const NOBODYS: Incarnation = Incarnation(uuid::Uuid::nil());

impl<E: Engine + Documents> Database<E> {
    /// Runs until dropped.
    pub async fn keep_house(self: Arc<Self>) {
        futures_util::future::join3(self.keep_expiring(), self.keep_order(), self.keep_pruned()).await;
    }

    /// Lets tombstones go that every replica has applied, where their owners are.
    async fn keep_pruned(&self) {
        loop {
            tokio::time::sleep(PRUNE_EVERY).await;
            for table in self.tables().iter().filter(|table| table.document().is_replicated()) {
                for position in 0..table.partition_count() {
                    if table.running(position).is_none_or(|owner| owner.state().tombstones == 0) {
                        continue;
                    }
                    while let Ok(true) = self.prune(table, position).await {}
                }
            }
        }
    }

    async fn keep_order(&self) {
        let mut catalogue = self.watch_catalogue();
        let mut trim_at = Instant::now();
        loop {
            self.logged("ending what is being dropped", self.finish_drops().await);
            self.logged("clearing what was dropped", self.clear_trash().await);
            self.logged("filling an index", self.fill_indexes().await);
            self.logged("noting when items expire", self.note_expiry().await);
            if Instant::now() >= trim_at {
                trim_at = Instant::now() + TRIM_EVERY;
                self.logged("trimming logs", self.trim().await);
                let trimmed = self.trim_conflicts(conflicts::KEPT_MS, conflicts::KEPT).await;
                self.logged("trimming conflicts", trimmed);
            }
            tokio::select! {
                _ = catalogue.changed() => (),
                () = tokio::time::sleep(LOOK_EVERY) => (),
            }
        }
    }

    fn logged(&self, what: &str, outcome: Result<(), ApiError>) {
        if let Err(error) = outcome {
            tracing::warn!(region = %self.region(), what, error = error.message, "housekeeping is tried again");
        }
    }

    /// The tables whose house this node keeps: of several nodes, one does.
    pub(crate) fn housekept(&self) -> impl Iterator<Item = Arc<Table<E>>> {
        let here = |table: &Arc<Table<E>>| self.keeps_house_for(table.document().incarnation);
        self.tables().into_iter().filter(here)
    }

    /// Tables and streams that were being dropped or disabled when a node ended.
    async fn finish_drops(&self) -> Result<(), ApiError> {
        for table in self.housekept() {
            let _alone = self.control.lock().await;
            let name = table.document().name.clone();
            if !self.table(&name).is_some_and(|now| Arc::ptr_eq(&now, &table)) {
                continue;
            }
            match table.is_gone() {
                true => self.finish_drop(&table).await?,
                false => self.end_streams(&table).await?,
            }
        }
        Ok(())
    }

    /// Removes the rows of dropped tables and indexes.
    async fn clear_trash(&self) -> Result<(), ApiError> {
        if !self.keeps_house_for(NOBODYS) {
            return Ok(());
        }
        let mut outcome = Ok(());
        for (name, revision, trash) in self.trash().await? {
            // One whose table cannot be written now keeps no other waiting.
            outcome = self.clear_one(&name, revision, &trash).await.and(outcome);
        }
        outcome
    }

    async fn clear_one(&self, name: &str, revision: u64, trash: &Trash) -> Result<(), ApiError> {
        if let Some(table) = trash.of.and_then(|of| self.table_of(of)) {
            // An owner that has not heard of the drop yet would still write rows of the index. When it answers this, it
            // has decided by a document no older than the one here.
            table.submit_to_all(|_| Op::Barrier).await?;
        }
        for (space, prefix) in trash.prefixes() {
            self.shared.engine.clear(space, &prefix).await.map_err(unavailable)?;
        }
        self.set(TRASH, name, Some(revision), None).await
    }

    /// What is to be cleared. A table that still stands is being dropped, and its rows wait.
    async fn trash(&self) -> Result<Vec<(String, u64, Trash)>, ApiError> {
        let listed = self.shared.engine.list(TRASH).await.map_err(unavailable)?;
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        // After the list: what stands in it stands now.
        self.refresh_catalogue().await.map_err(unavailable)?;
        let aside: Vec<_> = self.asides().await?.iter().map(|aside| aside.document.incarnation).collect();
        let read = listed.into_iter().filter_map(|(name, document)| {
            let trash = serde_json::from_slice::<Trash>(&document.body).ok()?;
            // Of an evicted region's rows, those that only it had are still to be kept.
            let waits = |table| aside.contains(&table) || self.table_of(table).is_some();
            // Once it is gone, no owner of it is left.
            let is_going = |of| self.table_of(of).is_some_and(|table| table.is_gone());
            (!trash.table.is_some_and(waits) && !trash.of.is_some_and(is_going)).then_some((
                name,
                document.revision,
                trash,
            ))
        });
        Ok(read.collect())
    }

    async fn fill_indexes(&self) -> Result<(), ApiError> {
        for table in self.housekept().filter(|table| !table.is_gone()) {
            let document = table.document();
            for index in document.indexes.iter().filter(|index| index.status == IndexStatus::Backfilling) {
                // Every group from here on keeps the index; what was there before is filled in.
                table.submit_to_all(|_| Op::Barrier).await?;
                let op = |keys| Op::Fill { index: index.name.clone(), keys };
                self.for_items(&table, &document, op).await?;
                self.change(&document.name, |document| {
                    // By its id: another of that name may have been made meanwhile.
                    let filled = document.indexes.iter_mut().find(|found| found.id == index.id);
                    if let Some(filled) = filled {
                        filled.status = IndexStatus::Active;
                    }
                    Ok(())
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Records when the items that are there expire, in tables whose TTL was switched, here or in another region.
    async fn note_expiry(&self) -> Result<(), ApiError> {
        for table in self.housekept().filter(|table| !table.is_gone()) {
            let document = table.document();
            let attribute = document.ttl.as_ref().map(|ttl| &ttl.attribute);
            if document.settings.expiry_noted.as_ref() == attribute {
                continue;
            }
            // Every group from here on records by the new attribute; rows of the old one go.
            table.submit_to_all(|_| Op::Barrier).await?;
            let prefix = document.incarnation.as_bytes();
            self.shared.engine.clear(Space::Expiry, prefix).await.map_err(unavailable)?;
            if attribute.is_some() {
                self.for_items(&table, &document, Op::Expiring).await?;
            }
            self.change(&document.name, |now| {
                if now.incarnation == document.incarnation {
                    now.settings.expiry_noted = attribute.cloned();
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Gives every item there is to an operation, in steps.
    async fn for_items(
        &self,
        table: &Arc<Table<E>>,
        document: &TableDocument,
        op: impl Fn(Vec<ItemKey>) -> Op,
    ) -> Result<(), ApiError> {
        let prefix = document.incarnation.as_bytes();
        let end = after_prefix(prefix);
        let mut from = prefix.to_vec();
        loop {
            let mut keys = Vec::new();
            self.shared
                .engine
                .range(Space::Items, &from[..]..&end[..], false, |key, _| {
                    keys.extend(ItemKey::from_stored(key));
                    keys.len() < STEP
                })
                .await
                .map_err(|error| explain(&error))?;
            let Some(last) = keys.last() else { return Ok(()) };
            from = [&last.stored(document.incarnation)[..], &[0]].concat();
            let full = keys.len() == STEP;
            for (position, keys) in by_partition(table, keys) {
                table.submit_at(position, op(keys)).await?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Lets logs go that retention has passed, with the dropped tables and the streams that can no more be read.
    async fn trim(&self) -> Result<(), ApiError> {
        if self.keeps_house_for(NOBODYS) {
            self.trim_shared().await?;
        }
        self.trim_streams().await
    }

    fn retained_from_ms(&self) -> u64 {
        self.shared.clock.now_ms().saturating_sub(RETENTION.as_millis() as u64)
    }

    /// What is not published yet stays in the engine's log however old it is.
    async fn published_before(&self) -> Result<Option<u64>, ApiError> {
        let Some(outlet) = self.outlet() else { return Ok(None) };
        let logged =
            self.tables().into_iter().map(|table| table.document()).filter(|table| table.is_logged());
        let partitions = logged.flat_map(|table| {
            let ids: Vec<_> = table.partitions.iter().map(|range| table.partition_id(range.number)).collect();
            ids
        });
        outlet.published_before(partitions.collect()).await.map_err(unavailable)
    }

    /// What belongs to no table in particular.
    async fn trim_shared(&self) -> Result<(), ApiError> {
        let before_ms = self.retained_from_ms();
        let published_ms = self.published_before().await?.unwrap_or(before_ms);
        self.shared.engine.trim(before_ms.min(published_ms)).await.map_err(unavailable)?;
        self.trim_tokens().await?;
        for (name, stored) in self.shared.engine.list(DROPPED).await.map_err(unavailable)? {
            let document: Option<TableDocument> = serde_json::from_slice(&stored.body).ok();
            let readable = document.as_ref().is_some_and(|document| {
                document.streams.iter().any(|stream| stream.disabled_ms.is_none_or(|at| at > before_ms))
            });
            if !readable {
                if let (Some(outlet), Some(document)) = (self.outlet(), document) {
                    outlet.remove(Arc::new(document)).await.map_err(unavailable)?;
                }
                self.set(DROPPED, &name, Some(stored.revision), None).await?;
            }
        }
        Ok(())
    }

    async fn trim_streams(&self) -> Result<(), ApiError> {
        let before_ms = self.retained_from_ms();
        for table in self.housekept().filter(|table| !table.is_gone()) {
            let passed = |document: &TableDocument| {
                document.streams.iter().any(|stream| stream.disabled_ms.is_some_and(|at| at <= before_ms))
            };
            if passed(&table.document()) {
                self.change(&table.document().name, |document| {
                    document.streams.retain(|stream| stream.disabled_ms.is_none_or(|at| at > before_ms));
                    Ok(())
                })
                .await?;
            }
        }
        Ok(())
    }
}

fn by_partition<E: Engine + Documents>(table: &Table<E>, keys: Vec<ItemKey>) -> Vec<(usize, Vec<ItemKey>)> {
    let mut parts = std::collections::BTreeMap::<usize, Vec<ItemKey>>::new();
    for key in keys {
        parts.entry(table.position(key.hash())).or_default().push(key);
    }
    parts.into_iter().collect()
}
