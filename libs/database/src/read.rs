//! Requests that read items by key. They do not pass a queue: they see what is committed.

use std::collections::HashSet;

use bytes::Bytes;
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::{Item, ItemKey, StoredItem};
use tradewind_wire::ApiError;
use tradewind_wire::request::item::{BatchGetItem, GetItem, TableGets, TransactGetItems};
use tradewind_wire::response::item::{BatchGetOutput, Capacity, GetOutput, TransactGetOutput};

use crate::capacity::{self, Reading};
use crate::item;
use crate::key_paths;
use crate::partition::owner::explain;
use crate::region::Database;
use crate::table::document::TableDocument;
use crate::transaction::canceled_by;

/// What one BatchGetItem answers at most; the rest is left unprocessed.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// What one transaction reads at most.
const TRANSACTION_BYTES: usize = 4 * 1024 * 1024;

impl<E: Engine + Documents> Database<E> {
    pub async fn get_item(&self, request: GetItem) -> Result<GetOutput, ApiError> {
        let table = self.find(&request.table)?.document();
        let key = item::key_of_key(&table, request.key.as_ref())?;
        key_paths::check_projection(&table, request.projection.as_ref())?;
        self.admit_read(&table, None)?;
        self.touch(&table, key.partition_key());
        let stored = key.stored(table.incarnation);
        let row = self.rows_as(request.consistent || request.fresh, &[&stored]).await?.pop().flatten();
        let item = row.as_ref().and_then(StoredItem::item_shared);
        let read = capacity::read_units(item.as_ref().map_or(0, Item::size), Reading::of(request.consistent));
        self.charge(&table, || Capacity { read, ..Capacity::default() });
        let projected = item.map(|item| project(item, request.projection.as_ref()));
        let capacity =
            capacity::named(&request.table, request.capacity, Capacity { read, ..Capacity::default() });
        Ok(GetOutput { item: projected, capacity })
    }

    pub async fn batch_get_item(&self, request: BatchGetItem) -> Result<BatchGetOutput, ApiError> {
        let mut checked = Vec::new();
        for gets in request.tables {
            let table = self.find(&gets.table)?.document();
            let keys = check_keys(&table, &gets.keys)?;
            key_paths::check_projection(&table, gets.projection.as_ref())?;
            checked.push((table, gets, keys));
        }
        let mut output = BatchGetOutput::default();
        let mut left = BATCH_BYTES;
        let only_table = checked.len() == 1;
        for (table, gets, keys) in checked {
            let mut sum = Capacity::default();
            let name = gets.table.arn.clone().unwrap_or_else(|| gets.table.name.clone());
            let (items, unprocessed) = match self.admit_read(&table, None) {
                Ok(()) => self.get_all(&table, &gets, keys, &mut left, &mut sum).await?,
                Err(error) if only_table => return Err(error),
                Err(_) => (Vec::new(), gets.keys.clone()),
            };
            self.charge(&table, || sum.clone());
            output.responses.push((name.clone(), items));
            if !unprocessed.is_empty() {
                output.unprocessed.push((name, unprocessed, gets.rest.clone()));
            }
            output.capacity.extend(capacity::named(&gets.table, request.capacity, sum));
        }
        Ok(output)
    }

    async fn get_all(
        &self,
        table: &TableDocument,
        gets: &TableGets,
        keys: Vec<ItemKey>,
        left: &mut usize,
        sum: &mut Capacity,
    ) -> Result<(Vec<Item>, Vec<Item>), ApiError> {
        keys.iter().for_each(|key| self.touch(table, key.partition_key()));
        let stored: Vec<_> = keys.iter().map(|key| key.stored(table.incarnation)).collect();
        let refs: Vec<&[u8]> = stored.iter().map(|key| &key[..]).collect();
        let rows = self.rows_as(gets.consistent || gets.fresh, &refs).await?;
        let (mut items, mut unprocessed) = (Vec::new(), Vec::new());
        for (row, asked) in rows.iter().zip(&gets.keys) {
            let item = row.as_ref().and_then(StoredItem::item_shared);
            let size = item.as_ref().map_or(0, Item::size);
            if size > *left {
                *left = 0;
                unprocessed.push(asked.clone());
                continue;
            }
            *left -= size;
            sum.read += capacity::read_units(size, Reading::of(gets.consistent));
            items.extend(item.map(|item| project(item, gets.projection.as_ref())));
        }
        Ok((items, unprocessed))
    }

    /// All items from one state of the database.
    pub async fn transact_get_items(&self, request: TransactGetItems) -> Result<TransactGetOutput, ApiError> {
        let mut keys = Vec::new();
        let mut distinct = HashSet::new();
        let mut tables = Vec::with_capacity(request.gets.len());
        for get in &request.gets {
            let table = self.find(&get.table)?.document();
            key_paths::check_projection(&table, get.projection.as_ref())?;
            tables.push(table);
        }
        for (at, (get, table)) in request.gets.iter().zip(&tables).enumerate() {
            let key = item::key_of_key(table, get.key.as_ref())
                .map_err(|error| canceled_by(error, at, request.gets.len()))?;
            if !distinct.insert(key.stored(table.incarnation)) {
                return Err(ApiError::validation(
                    "Transaction request cannot include multiple operations on one item",
                ));
            }
            keys.push(key.stored(table.incarnation));
        }
        let refs: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let rows = self.rows(&refs).await?;
        let items: Vec<_> = rows.iter().map(|row| row.as_ref().and_then(StoredItem::item_shared)).collect();
        if items.iter().flatten().map(Item::size).sum::<usize>() > TRANSACTION_BYTES {
            return Err(ApiError::validation(
                "Member must have total size less than or equal to 4194304 bytes",
            ));
        }
        let mut output = TransactGetOutput::default();
        for ((item, get), table) in items.into_iter().zip(&request.gets).zip(&tables) {
            let read = capacity::read_units(item.as_ref().map_or(0, Item::size), Reading::Transactional);
            self.charge(table, || Capacity { read, ..Capacity::default() });
            let used = Capacity { read, split: true, ..Capacity::default() };
            merge_capacity(&mut output.capacity, capacity::named(&get.table, request.capacity, used));
            output.items.push(item.map(|item| project(item, get.projection.as_ref())));
        }
        Ok(output)
    }

    /// The committed rows of `keys`: as they are now, or, where that is not asked for, as they were a moment ago.
    pub(crate) async fn rows_as(
        &self,
        consistent: bool,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Bytes>>, ApiError> {
        match consistent {
            true => self.rows(keys).await,
            false => {
                let read = self.shared.engine.read_eventual(Space::Items, keys).await;
                read.map_err(|error| explain(&error))
            }
        }
    }

    /// The committed rows of `keys`, from one state.
    pub(crate) async fn rows(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, ApiError> {
        self.shared.engine.read(Space::Items, keys).await.map_err(|error| explain(&error))
    }
}

/// One entry per table, in the order of first mention.
pub(crate) fn merge_capacity(list: &mut Vec<Capacity>, used: Option<Capacity>) {
    let Some(used) = used else { return };
    match list.iter_mut().find(|capacity| capacity.table_name == used.table_name) {
        Some(capacity) => capacity::add(capacity, &used),
        None => list.push(used),
    }
}

fn check_keys(table: &TableDocument, keys: &[Item]) -> Result<Vec<ItemKey>, ApiError> {
    let keys: Vec<_> =
        keys.iter().map(|key| item::key_of_key(table, key.as_ref())).collect::<Result<_, _>>()?;
    let mut distinct = HashSet::new();
    if !keys.iter().all(|key| distinct.insert(key)) {
        return Err(ApiError::validation("Provided list of item keys contains duplicates"));
    }
    Ok(keys)
}

pub(crate) fn project(item: Item, projection: Option<&tradewind_expression::Projection>) -> Item {
    match projection {
        None => item,
        Some(projection) => projection.project(item.as_ref()),
    }
}
