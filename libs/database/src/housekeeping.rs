//! Work that the catalogue asks for and that takes its time: filling new indexes, removing the rows of what was dropped,
//! deleting expired items, trimming logs. All of it may be interrupted and begins again where it was.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::ItemKey;
use tradewind_model::key::after_prefix;
use tradewind_wire::ApiError;

use crate::control::unavailable;
use crate::expiry;
use crate::partition::decide::{Action, Write};
use crate::partition::group::{Answer, Op};
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
        for (name, document) in self.shared.engine.list(TRASH).await.map_err(unavailable)? {
            let Ok(trash) = serde_json::from_slice::<crate::control::Trash>(&document.body) else { continue };
            // A crash before the table went leaves it standing, and this useless.
            let stands = trash.table.is_some_and(|table| self.table_of(table).is_some());
            if !stands {
                for (space, prefix) in trash.prefixes() {
                    self.shared.engine.clear(space, &prefix).await.map_err(unavailable)?;
                }
            }
            self.set(TRASH, &name, Some(document.revision), None).await?;
        }
        Ok(())
    }

    async fn fill_indexes(&self) -> Result<(), ApiError> {
        for table in self.tables() {
            let document = table.document();
            for index in document.indexes.iter().filter(|index| index.status == IndexStatus::Backfilling) {
                // Every group from here on keeps the index; what was there before is filled in.
                table.submit_to_all(|_| Op::Barrier).await?;
                self.fill(&table, &document, &index.name).await?;
                self.change(&document.name, |document| {
                    let filled = document.indexes.iter_mut().find(|found| found.name == index.name);
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

    async fn fill(
        &self,
        table: &Arc<Table<E>>,
        document: &TableDocument,
        index: &str,
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
                let op = Op::Fill { index: index.to_owned(), keys };
                table.owner(position).await?.submit(op).await?;
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
            if document.ttl.is_some() {
                while self.expire_step(&table, &document).await? == STEP {}
            }
        }
        Ok(())
    }

    async fn expire_step(&self, table: &Arc<Table<E>>, document: &TableDocument) -> Result<usize, ApiError> {
        let Some(ttl) = &document.ttl else { return Ok(0) };
        let now_s = self.shared.clock.now_ms() / 1000;
        let mine = |origin| origin == self.region() || !document.replicas.contains_key(&origin);
        let keys = self.expired(document, now_s).await?;
        let found = keys.len();
        let mut deleted = 0;
        for (second, key) in keys {
            let stored = key.stored(document.incarnation);
            let row = self.rows(&[&stored]).await?.pop().flatten();
            let row = row.as_deref().and_then(tradewind_model::StoredItem::decode);
            let overdue = second + TAKE_OVER_S <= now_s;
            if row.is_some_and(|row| !mine(row.version.origin)) && !overdue {
                continue;
            }
            let action = Action::Expire { attribute: ttl.attribute.clone(), now_s };
            let write =
                Write { key: key.clone(), action, condition: None, item_on_failure: false, request: None };
            if let Answer::Written(Ok(written)) = table.submit(&key, Op::Write(write)).await?
                && written.old.is_some()
                && written.new.is_none()
            {
                deleted += 1;
            }
        }
        // A step that deletes nothing is the last: what it found is left to others, or is no expiry time at all.
        Ok(if deleted == 0 { 0 } else { found })
    }

    async fn expired(&self, document: &TableDocument, now_s: u64) -> Result<Vec<(u64, ItemKey)>, ApiError> {
        let oldest = now_s.saturating_sub(crate::partition::decide::OLDEST_EXPIRY_S);
        let bound = |second: u64| [&document.incarnation.as_bytes()[..], &second.to_be_bytes()].concat();
        let (from, to) = (bound(oldest), bound(now_s + 1));
        let mut found = Vec::new();
        self.shared
            .engine
            .range(Space::Expiry, &from[..]..&to[..], false, |key, _| {
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
