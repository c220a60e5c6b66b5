//! Items past their time are deleted, at a bounded pace, so that a million that expire at once disturb nobody else.
//!
//! What has just expired goes first, then what waited longest: a backlog does not delay what comes after it. Every
//! deletion is conditional on the item still being expired, and is decided in its partition's queue like any other write.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::{Incarnation, ItemKey, StoredItem};
use tradewind_wire::ApiError;

use crate::expiry;
use crate::partition::decide::{Action, OLDEST_EXPIRY_S, Write};
use crate::partition::group::Op;
use crate::partition::owner::explain;
use crate::region::Database;
use crate::table::Table;
use crate::table::document::TableDocument;

/// Items of one step: small enough that foreground writes wait for no more than one group.
const STEP: usize = 100;
const EVERY: Duration = Duration::from_secs(1);
/// What expired so lately does not wait behind a backlog.
const FRESH_S: u64 = 5;
/// Another region expires what the region that wrote it has left for so long.
const TAKE_OVER_S: u64 = 60;

/// How many items a region looks at for deletion in a second, at most.
pub struct Pace(AtomicU32);

impl Pace {
    /// On two cores this leaves the latency of other requests about where it was.
    pub const DEFAULT: u32 = 4_000;

    pub fn set(&self, per_second: u32) {
        self.0.store(per_second.max(1), Ordering::Relaxed);
    }

    fn time_for(&self, items: usize) -> Duration {
        Duration::from_secs_f64(items as f64 / f64::from(self.0.load(Ordering::Relaxed)))
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace(AtomicU32::new(Pace::DEFAULT))
    }
}

/// Where the backlog of each table is gone on with.
type Backlogs = HashMap<Incarnation, Vec<u8>>;

impl<E: Engine + Documents> Database<E> {
    /// Runs until dropped.
    pub(crate) async fn keep_expiring(&self) {
        let mut backlogs = Backlogs::new();
        loop {
            let began = Instant::now();
            if let Err(error) = self.expire(&mut backlogs, began + EVERY).await {
                let error = error.message;
                tracing::warn!(region = %self.region(), error, "deleting expired items is tried again");
            }
            sleep_until(began + EVERY).await;
        }
    }

    /// One round: the fresh of all tables, then their backlogs until it is time for the next.
    async fn expire(&self, backlogs: &mut Backlogs, until: Instant) -> Result<(), ApiError> {
        let now_s = self.shared.clock.now_ms() / 1000;
        let tables: Vec<_> = self.expiring();
        backlogs.retain(|incarnation, _| tables.iter().any(|(_, table)| table.incarnation == *incarnation));
        for (table, document) in &tables {
            let fresh = expiry::bound(document.incarnation, now_s.saturating_sub(FRESH_S));
            self.expire_from(table, document, fresh, now_s, until).await?;
        }
        for (table, document) in &tables {
            let oldest = || expiry::bound(document.incarnation, now_s.saturating_sub(OLDEST_EXPIRY_S));
            let from = backlogs.remove(&document.incarnation).unwrap_or_else(oldest);
            if let Some(rest) = self.expire_from(table, document, from, now_s, until).await? {
                backlogs.insert(document.incarnation, rest);
            }
        }
        Ok(())
    }

    fn expiring(&self) -> Vec<(Arc<Table<E>>, Arc<TableDocument>)> {
        let tables = self.housekept().filter(|table| !table.is_gone());
        let with_documents = tables.map(|table| {
            let document = table.document();
            (table, document)
        });
        with_documents.filter(|(_, document)| document.ttl.is_some()).collect()
    }

    /// Deletes in steps, at the pace, what has expired from a place on; answers where it stopped if time was up.
    async fn expire_from(
        &self,
        table: &Table<E>,
        document: &TableDocument,
        mut from: Vec<u8>,
        now_s: u64,
        until: Instant,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let Some(ttl) = &document.ttl else { return Ok(None) };
        let to = expiry::bound(document.incarnation, now_s + 1);
        loop {
            let began = Instant::now();
            if began >= until {
                return Ok(Some(from));
            }
            let found = self.expired(&from, &to).await?;
            let Some((second, last)) = found.last() else { return Ok(None) };
            from = expiry::after(document.incarnation, *second, last);
            let count = found.len();
            let keys = self.to_expire(document, found, now_s).await?;
            let deletes = keys.into_iter().map(|key| delete(table, key, &ttl.attribute, now_s));
            futures_util::future::try_join_all(deletes).await?;
            sleep_until(began + self.pace.time_for(count)).await;
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
        if from >= to {
            return Ok(found);
        }
        let step = |key: &[u8], _: &[u8]| {
            found.extend(expiry::decode(key));
            found.len() < STEP
        };
        let read = self.shared.engine.range(Space::Expiry, from..to, false, step).await;
        read.map_err(|error| explain(&error))?;
        Ok(found)
    }
}

async fn delete<E: Engine + Documents>(
    table: &Table<E>,
    key: ItemKey,
    attribute: &str,
    now_s: u64,
) -> Result<(), ApiError> {
    let action = Action::Expire { attribute: attribute.to_owned(), now_s };
    let write = Write {
        key: key.clone(),
        action,
        condition: None,
        item_on_failure: false,
        request: None,
        trace: None,
    };
    let answer = table.submit(&key, Op::Write(write)).await?;
    table.count_expired(&answer);
    Ok(())
}
