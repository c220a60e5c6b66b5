//! Work that the catalogue asks for and that takes its time: filling new indexes, removing the rows of what was dropped,
//! deleting expired items, trimming logs. All of it may be interrupted and begins again where it was.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::key::after_prefix;
use tradewind_model::{ItemKey, StoredItem};
use tradewind_wire::ApiError;

use crate::control::{Trash, unavailable};
use crate::expiry;
use crate::partition::decide::{Action, OLDEST_EXPIRY_S, Write};
use crate::partition::group::Op;
use crate::partition::owner::explain;
use crate::region::{DROPPED, Database, TRASH};
use crate::table::Table;
use crate::table::document::{IndexStatus, TableDocument};

/// Streams can be read for this long. (Streams API: "24-hour data retention limit".)
pub const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Items of one step: small enough that foreground writes wait for no more than one group.
const STEP: usize = 200;
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
const TRIM_EVERY: Duration = Duration::from_secs(300);
/// Another region expires what the region that wrote it has left for so long.
const TAKE_OVER_S: u64 = 60;

impl<E: Engine + Documents> Database<E> {
    /// Runs until dropped.
    pub async fn keep_house(self: Arc<Self>) {
        let mut catalogue = self.watch_catalogue();
        let mut trim_at = Instant::now();
        loop {
            self.logged("clearing what was dropped", self.clear_trash().await);
            self.logged("filling an index", self.fill_indexes().await);
            self.logged("noting when items expire", self.note_expiry().await);
            self.logged("deleting expired items", self.expire().await);
            if Instant::now() >= trim_at {
                trim_at = Instant::now() + TRIM_EVERY;
                self.logged("trimming logs", self.trim().await);
            }
            tokio::select! {
                _ = catalogue.changed() => (),
                () = tokio::time::sleep(EXPIRE_EVERY) => (),
            }
        }
    }

    fn logged(&self, what: &str, outcome: Result<(), ApiError>) {
        if let Err(error) = outcome {
            tracing::warn!(region = %self.region(), what, error = error.message, "housekeeping is tried again");
        }
    }

    /// Removes the rows of dropped tables and indexes.
    async fn clear_trash(&self) -> Result<(), ApiError> {
        for (name, revision, trash) in self.trash().await? {
            for (space, prefix) in trash.iter().flat_map(Trash::prefixes) {
                self.shared.engine.clear(space, &prefix).await.map_err(unavailable)?;
            }
            self.set(TRASH, &name, Some(revision), None).await?;
        }
        Ok(())
    }

    /// What is to be cleared, and documents of trash that are useless (`None`): a crash before the table went leaves it
    /// standing. Told while no table is being dropped: one that cannot be dropped in the end keeps its rows.
    async fn trash(&self) -> Result<Vec<(String, u64, Option<Trash>)>, ApiError> {
        let _alone = self.control.lock().await;
        let listed = self.shared.engine.list(TRASH).await.map_err(unavailable)?;
        let read = listed.into_iter().filter_map(|(name, document)| {
            let trash = serde_json::from_slice::<Trash>(&document.body).ok()?;
            let stands = trash.table.is_some_and(|table| self.table_of(table).is_some());
            Some((name, document.revision, (!stands).then_some(trash)))
        });
        Ok(read.collect())
    }

    async fn fill_indexes(&self) -> Result<(), ApiError> {
        for table in self.tables() {
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
        for table in self.tables() {
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
                table.owner(position).await?.submit(op(keys)).await?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Deletes what has expired, conditionally on still being so. The region that wrote the current version does it;
    /// others only when it has not for a while.
    async fn expire(&self) -> Result<(), ApiError> {
        for table in self.tables() {
            let document = table.document();
            if let Some(ttl) = &document.ttl {
                self.expire_table(&table, &document, &ttl.attribute).await?;
            }
        }
        Ok(())
    }

    /// In steps, each of which is decided in groups like any other writes: foreground writes wait for no more than one.
    async fn expire_table(
        &self,
        table: &Arc<Table<E>>,
        document: &TableDocument,
        attribute: &str,
    ) -> Result<(), ApiError> {
        let now_s = self.shared.clock.now_ms() / 1000;
        let oldest_s = now_s.saturating_sub(OLDEST_EXPIRY_S);
        let mut from = expiry::bound(document.incarnation, oldest_s);
        loop {
            let found = self.expired(&from, &expiry::bound(document.incarnation, now_s + 1)).await?;
            let Some((second, last)) = found.last() else { return Ok(()) };
            from = expiry::after(document.incarnation, *second, last);
            let full = found.len() == STEP;
            let keys = self.to_expire(document, found, now_s).await?;
            let deletes = keys.into_iter().map(|key| async move {
                let action = Action::Expire { attribute: attribute.to_owned(), now_s };
                let write = Write {
                    key: key.clone(),
                    action,
                    condition: None,
                    item_on_failure: false,
                    request: None,
                };
                table.submit(&key, Op::Write(write)).await
            });
            futures_util::future::try_join_all(deletes).await?;
            if !full {
                return Ok(());
            }
        }
    }

    /// Without the items that the region which wrote them expires, unless it has not for a while.
    async fn to_expire(
        &self,
        document: &TableDocument,
        found: Vec<(u64, ItemKey)>,
        now_s: u64,
    ) -> Result<Vec<ItemKey>, ApiError> {
        let stored: Vec<_> = found.iter().map(|(_, key)| key.stored(document.incarnation)).collect();
        let refs: Vec<&[u8]> = stored.iter().map(|key| &key[..]).collect();
        let rows = self.rows(&refs).await?;
        let left_to_others = |row: &Option<bytes::Bytes>| {
            let origin = row.as_deref().and_then(StoredItem::decode).map(|row| row.version.origin);
            origin.is_some_and(|origin| origin != self.region() && document.replicas.contains_key(&origin))
        };
        let mine = found.into_iter().zip(&rows).filter(|((second, _), row)| {
            let overdue = second + TAKE_OVER_S <= now_s;
            overdue || !left_to_others(row)
        });
        Ok(mine.map(|((_, key), _)| key).collect())
    }

    async fn expired(&self, from: &[u8], to: &[u8]) -> Result<Vec<(u64, ItemKey)>, ApiError> {
        let mut found = Vec::new();
        self.shared
            .engine
            .range(Space::Expiry, from..to, false, |key, _| {
                found.extend(expiry::decode(key));
                found.len() < STEP
            })
            .await
            .map_err(|error| explain(&error))?;
        Ok(found)
    }

    /// Lets logs go that retention has passed, with the dropped tables and the streams that can no more be read.
    async fn trim(&self) -> Result<(), ApiError> {
        let before_ms = self.shared.clock.now_ms().saturating_sub(RETENTION.as_millis() as u64);
        self.shared.engine.trim(before_ms).await.map_err(unavailable)?;
        self.trim_tokens().await?;
        for (name, stored) in self.shared.engine.list(DROPPED).await.map_err(unavailable)? {
            let document: Option<TableDocument> = serde_json::from_slice(&stored.body).ok();
            let readable = document.is_some_and(|document| {
                document.streams.iter().any(|stream| stream.disabled_ms.is_none_or(|at| at > before_ms))
            });
            if !readable {
                self.set(DROPPED, &name, Some(stored.revision), None).await?;
            }
        }
        for table in self.tables() {
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

fn by_partition<E: Engine>(table: &Table<E>, keys: Vec<ItemKey>) -> Vec<(usize, Vec<ItemKey>)> {
    let mut parts = std::collections::BTreeMap::<usize, Vec<ItemKey>>::new();
    for key in keys {
        parts.entry(table.position(key.hash())).or_default().push(key);
    }
    parts.into_iter().collect()
}
