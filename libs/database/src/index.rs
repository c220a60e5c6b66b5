//! Rows of secondary indexes: which an item has, and which a write adds and takes away.
//!
//! An index row is written with its base row in one commit, so an index is never behind. Indexes are sparse: an item
//! without one of the index's keys has no row. The row holds what the index projects, so that an index is read without
//! the table.

use bytes::Bytes;
use tradewind_engine::{Row, Space};
use tradewind_model::key::index_key;
use tradewind_model::{Item, ItemKey, ItemRef, KeyAttribute, KeySchema, ValueRef};
use tradewind_wire::ApiError;
use tradewind_wire::request::table::IndexProjection;

use crate::table::document::{Index, TableDocument};

/// Bytes of one attribute of an index's partition key, and of its sort key. (Developer guide, "Quotas".)
const MAX_HASH_BYTES: usize = 2048;
const MAX_RANGE_BYTES: usize = 1024;

/// An index row of an item.
#[derive(Clone, PartialEq, Debug)]
pub struct IndexRow {
    pub key: Bytes,
    pub item: Item,
}

/// The row `item` has in `index`; `None` where it lacks one of the index's keys, or where the value of one cannot be a
/// key (an item that was there before the index, or came from a region without it).
pub fn row(index: &Index, schema: &KeySchema, key: &ItemKey, item: &Item) -> Option<IndexRow> {
    let part = |attribute: &KeyAttribute, most: usize| {
        let value = item.get(&attribute.name)?;
        is_key(attribute, most, value).then(|| value.key_bytes()).flatten()
    };
    let hash: Option<Vec<_>> = index.hash.iter().map(|attribute| part(attribute, MAX_HASH_BYTES)).collect();
    let range: Option<Vec<_>> =
        index.range.iter().map(|attribute| part(attribute, MAX_RANGE_BYTES)).collect();
    let key = index_key(index.id, &hash?, &range?, key);
    Some(IndexRow { key, item: project(index, schema, item) })
}

/// Key values have the key's type, are not empty, and have their bounds.
fn is_key(attribute: &KeyAttribute, most: usize, value: ValueRef<'_>) -> bool {
    value.kind() == attribute.kind && value.key_bytes().is_some_and(|bytes| (1..=most).contains(&bytes.len()))
}

/// What the index shows of an item: its keys, the table's keys, and what it projects.
pub fn project(index: &Index, schema: &KeySchema, item: &Item) -> Item {
    let included: &[String] = match &index.projection {
        IndexProjection::All => return item.clone(),
        IndexProjection::KeysOnly => &[],
        IndexProjection::Include(names) => names,
    };
    Item::build(|out| {
        for (name, value) in item.as_ref().attributes().iter() {
            let is_key = schema.contains(name) || index.keys().any(|key| key.name == name);
            if is_key || included.iter().any(|included| included == name) {
                out.name(name);
                out.value(value);
            }
        }
    })
}

/// Appends what changes in the table's indexes when an item goes from `old` to `new`.
pub fn changes(
    table: &TableDocument,
    key: &ItemKey,
    old: Option<&Item>,
    new: Option<&Item>,
    out: &mut Vec<Row>,
) {
    for index in &table.indexes {
        let row_of = |item| row(index, &table.keys, key, item);
        let (old, new) = (old.and_then(row_of), new.and_then(row_of));
        if old == new {
            continue;
        }
        if let Some(old) = old.filter(|old| new.as_ref().is_none_or(|new| new.key != old.key)) {
            out.push(Row { space: Space::Index, key: old.key, value: None });
        }
        if let Some(new) = new {
            out.push(Row { space: Space::Index, key: new.key, value: Some(new.item.to_bytes()) });
        }
    }
}

/// Refuses an item whose value for an index key cannot be one: the whole write fails, as on DynamoDB.
pub fn check(table: &TableDocument, item: ItemRef<'_>) -> Result<(), ApiError> {
    first_fault(table, item).map_or(Ok(()), |fault| Err(fault.of_item()))
}

/// The same for what an update made of an item, in the words for updates.
pub fn check_updated(table: &TableDocument, item: ItemRef<'_>) -> Result<(), ApiError> {
    first_fault(table, item).map_or(Ok(()), |fault| Err(fault.of_update()))
}

/// Refuses an empty value that an index is queried for.
pub fn check_operand(index: &str, key: &KeyAttribute, value: ValueRef<'_>) -> Result<(), ApiError> {
    let empty = value.key_bytes().is_none_or(<[u8]>::is_empty);
    if empty { Err(Fault { index, key, kind: FaultKind::Empty }.of_item()) } else { Ok(()) }
}

/// Why a value cannot be the key of an index.
struct Fault<'a> {
    index: &'a str,
    key: &'a KeyAttribute,
    kind: FaultKind,
}

enum FaultKind {
    Type { actual: &'static str },
    Empty,
    Long { most: usize },
}

impl Fault<'_> {
    fn of_item(&self) -> ApiError {
        let (index, name) = (self.index, &self.key.name);
        match self.kind {
            FaultKind::Type { actual } => ApiError::invalid_value(format!(
                "Type mismatch for Index Key {name} Expected: {} Actual: {actual} IndexName: {index}",
                self.key.kind.name()
            )),
            FaultKind::Empty => ApiError::validation(format!(
                "One or more parameter values are not valid. A value specified for a secondary index key is not \
                 supported. {} IndexName: {index}, IndexKey: {name}",
                self.empty()
            )),
            FaultKind::Long { most } => ApiError::invalid_value(format!(
                "Size of {}key has exceeded the maximum size limit of {most} bytes. IndexName: {index}, IndexKey: {name}",
                if most == MAX_HASH_BYTES { "hash" } else { "range" },
            )),
        }
    }

    fn of_update(&self) -> ApiError {
        match self.kind {
            FaultKind::Type { .. } => ApiError::validation(
                "The update expression attempted to update the secondary index key to unsupported type",
            ),
            FaultKind::Empty => ApiError::validation(format!(
                "One or more parameter values are not valid. The update expression attempted to update a secondary \
                 index key to a value that is not supported. {}",
                self.empty()
            )),
            FaultKind::Long { .. } => self.of_item(),
        }
    }

    fn empty(&self) -> String {
        let kind = if self.key.kind == tradewind_model::Type::B { "binary" } else { "string" };
        format!("The AttributeValue for a key attribute cannot contain an empty {kind} value.")
    }
}

fn first_fault<'a>(table: &'a TableDocument, item: ItemRef<'_>) -> Option<Fault<'a>> {
    table.indexes.iter().find_map(|index| {
        let hash = index.hash.iter().map(|key| (key, MAX_HASH_BYTES));
        let range = index.range.iter().map(|key| (key, MAX_RANGE_BYTES));
        hash.chain(range).find_map(|(key, most)| {
            let kind = key_fault(key, most, item.get(&key.name)?)?;
            Some(Fault { index: &index.name, key, kind })
        })
    })
}

fn key_fault(key: &KeyAttribute, most: usize, value: ValueRef<'_>) -> Option<FaultKind> {
    if value.kind() != key.kind {
        return Some(FaultKind::Type { actual: value.kind().name() });
    }
    match value.key_bytes().map_or(0, <[u8]>::len) {
        0 => Some(FaultKind::Empty),
        length if length > most => Some(FaultKind::Long { most }),
        _ => None,
    }
}
