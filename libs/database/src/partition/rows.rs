//! The rows that decisions read: from the engine or, of items that were written lately, from memory.
//!
//! What is remembered is exact. A partition has one writer, who puts in what it has committed under its epoch and finds
//! nothing of another epoch; of a transaction, which writes in its place, it forgets the items.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tradewind_engine::{Engine, Error, PartitionCommit, Row, Space};
use tradewind_model::{Epoch, Incarnation, ItemKey, StoredItem};

use super::group::Op;
use crate::table::document::TableDocument;

/// What a region may remember.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Rows to expect; the cache grows to more of them by itself.
const EXPECTED_ROWS: usize = 1024;
/// What a row takes beside its key and value.
const OVERHEAD_BYTES: u64 = 160;

/// Rows of a region that its owners here wrote last. Clones are the same.
#[derive(Clone)]
pub struct Recent(Arc<Cache<Bytes, Remembered, Weight>>);

#[derive(Clone)]
struct Remembered {
    epoch: Epoch,
    /// `None`: there is no row.
    row: Option<Bytes>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Bytes, Remembered> for Weight {
    fn weight(&self, key: &Bytes, remembered: &Remembered) -> u64 {
        OVERHEAD_BYTES + key.len() as u64 + remembered.row.as_ref().map_or(0, |row| row.len() as u64)
    }
}

impl Default for Recent {
    fn default() -> Recent {
        Recent(Arc::new(Cache::with_weighter(EXPECTED_ROWS, MAX_BYTES, Weight)))
    }
}

impl Recent {
    /// The rows of items that a commit is about to write, to be remembered once it has happened.
    pub fn written(commit: &PartitionCommit) -> Vec<Row> {
        commit.rows.iter().filter(|row| row.space == Space::Items).cloned().collect()
    }

    pub fn remember(&self, epoch: Epoch, rows: Vec<Row>) {
        rows.into_iter().for_each(|row| self.0.insert(row.key, Remembered { epoch, row: row.value }));
    }

    pub fn forget(&self, incarnation: Incarnation, items: &[ItemKey]) {
        items.iter().for_each(|item| _ = self.0.remove(&item.stored(incarnation)));
    }

    fn row(&self, epoch: Epoch, key: &Bytes) -> Option<Option<Bytes>> {
        self.0.get(key).filter(|remembered| remembered.epoch == epoch).map(|remembered| remembered.row)
    }

    /// What [`read_items`] answers, for the owner with this epoch.
    pub async fn read_items<E: Engine>(
        &self,
        engine: &E,
        epoch: Epoch,
        table: &TableDocument,
        ops: &[Op],
    ) -> Result<HashMap<ItemKey, Option<StoredItem>>, Error> {
        read(engine, table, ops, |key| self.row(epoch, key)).await
    }
}

/// The current rows of all items that the operations name, from one state.
pub async fn read_items<E: Engine>(
    engine: &E,
    table: &TableDocument,
    ops: &[Op],
) -> Result<HashMap<ItemKey, Option<StoredItem>>, Error> {
    read(engine, table, ops, |_| None).await
}

async fn read<E: Engine>(
    engine: &E,
    table: &TableDocument,
    ops: &[Op],
    known: impl Fn(&Bytes) -> Option<Option<Bytes>>,
) -> Result<HashMap<ItemKey, Option<StoredItem>>, Error> {
    let mut current = HashMap::with_capacity(ops.len());
    let mut unknown = Vec::new();
    for item in ops.iter().flat_map(Op::keys) {
        if current.contains_key(item) {
            continue;
        }
        let key = item.stored(table.incarnation);
        let row = known(&key).map(decode).transpose()?;
        if row.is_none() {
            unknown.push((item, key));
        }
        current.insert(item.clone(), row.flatten());
    }
    if unknown.is_empty() {
        return Ok(current);
    }
    let keys: Vec<&[u8]> = unknown.iter().map(|(_, key)| &key[..]).collect();
    let rows = engine.read(Space::Items, &keys).await?;
    for ((item, _), row) in unknown.iter().zip(rows) {
        current.insert((*item).clone(), decode(row)?);
    }
    Ok(current)
}

fn decode(row: Option<Bytes>) -> Result<Option<StoredItem>, Error> {
    let decoded =
        |bytes| StoredItem::decode_shared(&bytes).ok_or_else(|| Error::Corrupt("an item's row".into()));
    row.map(decoded).transpose()
}

#[cfg(test)]
mod tests {
    use tradewind_model::Incarnation;

    use super::*;

    const LIFE: Incarnation = Incarnation(uuid::Uuid::nil());

    fn row(name: &str, value: Option<&'static str>) -> Row {
        let key = ItemKey::new(name.as_bytes(), b"").stored(LIFE);
        Row { space: Space::Items, key, value: value.map(|value| Bytes::from_static(value.as_bytes())) }
    }

    #[test]
    fn an_owner_finds_what_it_has_written_and_that_it_has_removed_it() {
        let recent = Recent::default();
        recent.remember(Epoch(1), vec![row("a", Some("one")), row("b", None)]);
        assert_eq!(recent.row(Epoch(1), &row("a", None).key), Some(Some(Bytes::from_static(b"one"))));
        assert_eq!(recent.row(Epoch(1), &row("b", None).key), Some(None));
        assert_eq!(recent.row(Epoch(1), &row("c", None).key), None);
    }

    #[test]
    fn nothing_of_another_epoch_is_found() {
        let recent = Recent::default();
        recent.remember(Epoch(1), vec![row("a", Some("one"))]);
        assert_eq!(recent.row(Epoch(2), &row("a", None).key), None);
    }

    #[test]
    fn what_a_transaction_was_about_is_forgotten() {
        let recent = Recent::default();
        recent.remember(Epoch(1), vec![row("a", Some("one")), row("b", Some("one"))]);
        recent.forget(LIFE, &[ItemKey::new(b"a", b"")]);
        assert_eq!(recent.row(Epoch(1), &row("a", None).key), None);
        assert!(recent.row(Epoch(1), &row("b", None).key).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let recent = Recent::default();
        let value = Bytes::from(vec![0; 100_000]);
        for number in 0..1000 {
            let row = Row { value: Some(value.clone()), ..row(&number.to_string(), None) };
            recent.remember(Epoch(1), vec![row]);
        }
        assert!(recent.0.weight() <= MAX_BYTES, "{}", recent.0.weight());
    }
}
