//! ItemCount and TableSizeBytes, for tables and indexes. They are counted when somebody asks, at most every so often for
//! a large table: DynamoDB's own are up to six hours old.

use std::collections::HashMap;
use std::sync::Mutex;

use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::key::after_prefix;
use tradewind_model::{Incarnation, ItemRef, StoredItem};
use tradewind_wire::ApiError;

use crate::partition::owner::explain;
use crate::region::Database;
use crate::table::document::TableDocument;

/// A count that took longer than this is kept for a while.
const CHEAP_ROWS: u64 = 2_000;
const CHEAP_BYTES: u64 = 4 * 1024 * 1024;
/// Looked at before other work of the thread has its turn.
const STEP_BYTES: usize = 1024 * 1024;
const KEEP_MS: u64 = 6 * 3600 * 1000;

/// Items and bytes.
pub type Size = (u64, u64);

#[derive(Clone, Debug, Default)]
pub struct Sizes {
    pub table: Size,
    indexes: HashMap<String, Size>,
}

impl Sizes {
    pub fn index(&self, name: &str) -> Size {
        self.indexes.get(name).copied().unwrap_or_default()
    }
}

/// Counts that were expensive, with when they were made.
#[derive(Default)]
pub struct Counted(Mutex<HashMap<Incarnation, (u64, Sizes)>>);

impl Counted {
    pub fn forget(&self, table: Incarnation) {
        self.0.lock().expect("no panic while held").remove(&table);
    }
}

impl<E: Engine + Documents> Database<E> {
    pub(crate) async fn sizes(&self, document: &TableDocument) -> Result<Sizes, ApiError> {
        let now_ms = self.shared.clock.now_ms();
        let kept = self.counted.0.lock().expect("no panic while held").get(&document.incarnation).cloned();
        if let Some((_, sizes)) = kept.filter(|(at_ms, _)| at_ms + KEEP_MS > now_ms) {
            return Ok(sizes);
        }
        let mut sizes =
            Sizes { table: self.count(Space::Items, document.incarnation).await?, ..Sizes::default() };
        for index in &document.indexes {
            sizes.indexes.insert(index.name.clone(), self.count(Space::Index, index.id).await?);
        }
        if sizes.table.0 > CHEAP_ROWS || sizes.table.1 > CHEAP_BYTES {
            let mut counted = self.counted.0.lock().expect("no panic while held");
            counted.insert(document.incarnation, (now_ms, sizes.clone()));
        }
        Ok(sizes)
    }

    async fn count(&self, space: Space, prefix: Incarnation) -> Result<Size, ApiError> {
        let end = after_prefix(prefix.as_bytes());
        let mut from = Some(prefix.as_bytes().to_vec());
        let mut sum = (0, 0);
        while let Some(start) = from {
            from = self.count_step(space, &start, &end, &mut sum).await?;
            tokio::task::yield_now().await;
        }
        Ok(sum)
    }

    /// Adds a piece of the rows to `sum`, and answers where the next one begins.
    async fn count_step(
        &self,
        space: Space,
        from: &[u8],
        end: &[u8],
        sum: &mut Size,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let (mut seen, mut next) = (0, None);
        let counted = self.shared.engine.range(space, from..end, false, |key, value| {
            if seen > STEP_BYTES {
                next = Some(key.to_vec());
                return false;
            }
            seen += key.len() + value.len();
            let item = if space == Space::Items { StoredItem::item_of(value) } else { ItemRef::new(value) };
            if let Some(item) = item {
                sum.0 += 1;
                sum.1 += item.size() as u64;
            }
            true
        });
        counted.await.map_err(|error| explain(&error))?;
        Ok(next)
    }
}
