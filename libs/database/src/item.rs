//! Checks of items and keys against their table, with DynamoDB's texts.

use tradewind_model::{Item, ItemKey, ItemRef, KeyAttribute, Type, ValueRef};
use tradewind_wire::ApiError;

use crate::index;
use crate::table::document::TableDocument;

/// 400 KB, names and values.
pub const MAX_ITEM_BYTES: usize = 400 * 1024;
pub const MAX_PARTITION_KEY_BYTES: usize = 2048;
pub const MAX_SORT_KEY_BYTES: usize = 1024;
/// Lists and maps inside each other, the item itself not counted: 32 levels with it.
const MAX_DEPTH: usize = 31;

/// The key of an item that is to be put: its key attributes are there, of their types, and fit.
pub fn key_of_item(table: &TableDocument, item: ItemRef<'_>) -> Result<ItemKey, ApiError> {
    let attribute = |key: &KeyAttribute| {
        let name = &key.name;
        let value = item
            .get(name)
            .ok_or_else(|| ApiError::invalid_value(format!("Missing the key {name} in the item")))?;
        if value.kind() != key.kind {
            let (expected, actual) = (key.kind.name(), value.kind().name());
            return Err(ApiError::invalid_value(format!(
                "Type mismatch for key {name} expected: {expected} actual: {actual}"
            )));
        }
        Ok(value)
    };
    build_key(table, attribute)
}

/// The key that a request names: exactly the table's key attributes.
pub fn key_of_key(table: &TableDocument, key: ItemRef<'_>) -> Result<ItemKey, ApiError> {
    if key.attributes().len() != table.keys.attributes().count() {
        return Err(mismatch());
    }
    build_key(table, |attribute| {
        key.get(&attribute.name).filter(|value| value.kind() == attribute.kind).ok_or_else(mismatch)
    })
}

fn mismatch() -> ApiError {
    ApiError::validation("The provided key element does not match the schema")
}

fn build_key<'a>(
    table: &TableDocument,
    value_of: impl Fn(&KeyAttribute) -> Result<ValueRef<'a>, ApiError>,
) -> Result<ItemKey, ApiError> {
    let partition_key = value_of(&table.keys.hash)?;
    let sort_key = match &table.keys.range {
        Some(range) => Some((range, value_of(range)?)),
        None => None,
    };
    let partition_key = not_empty(&table.keys.hash, partition_key)?;
    let sort_key = sort_key.map(|(range, value)| not_empty(range, value)).transpose()?.unwrap_or_default();
    if partition_key.len() > MAX_PARTITION_KEY_BYTES {
        return Err(ApiError::invalid_value(
            "Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ));
    }
    if sort_key.len() > MAX_SORT_KEY_BYTES {
        return Err(ApiError::invalid_value(
            "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
        ));
    }
    Ok(ItemKey::new(partition_key, sort_key))
}

fn not_empty<'a>(attribute: &KeyAttribute, value: ValueRef<'a>) -> Result<&'a [u8], ApiError> {
    match value.key_bytes().unwrap_or_default() {
        [] => {
            let kind = if attribute.kind == Type::B { "binary" } else { "string" };
            let name = &attribute.name;
            Err(ApiError::validation(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an \
                 empty {kind} value. Key: {name}"
            )))
        }
        bytes => Ok(bytes),
    }
}

/// An item that is to be put.
pub fn check_put(table: &TableDocument, item: ItemRef<'_>) -> Result<ItemKey, ApiError> {
    let key = key_of_item(table, item)?;
    index::check(table, item)?;
    if item.size() > MAX_ITEM_BYTES {
        return Err(ApiError::validation("Item size has exceeded the maximum allowed size"));
    }
    Ok(key)
}

/// The same in a batch, which says less of an item without a key of the right types. (Recorded by dynalite.)
pub fn check_put_in_batch(table: &TableDocument, item: ItemRef<'_>) -> Result<ItemKey, ApiError> {
    let fits = |key: &KeyAttribute| item.get(&key.name).is_some_and(|value| value.kind() == key.kind);
    if table.keys.attributes().all(fits) { check_put(table, item) } else { Err(mismatch()) }
}

/// What an update made of an item.
pub fn check_updated(table: &TableDocument, item: ItemRef<'_>) -> Result<(), ApiError> {
    index::check_updated(table, item)?;
    if item.size() > MAX_ITEM_BYTES {
        return Err(ApiError::validation("Item size to update has exceeded the maximum allowed size"));
    }
    let depth = item.attributes().iter().map(|(_, value)| value.depth()).max().unwrap_or(0);
    if depth > MAX_DEPTH {
        return Err(ApiError::validation(
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported \
             limit",
        ));
    }
    Ok(())
}

/// Key attributes cannot be written by an update.
pub fn check_update_names<'a>(
    table: &TableDocument,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), ApiError> {
    for name in names {
        if table.keys.contains(name) {
            return Err(ApiError::invalid_value(format!(
                "Cannot update attribute {name}. This attribute is part of the key"
            )));
        }
    }
    Ok(())
}

/// The key attributes of an item (of a table, or with an index's own).
pub fn only<'a>(item: ItemRef<'_>, names: impl Iterator<Item = &'a str>) -> Item {
    let names: Vec<_> = names.collect();
    Item::build(|out| {
        for (name, value) in item.attributes().iter().filter(|(name, _)| names.contains(name)) {
            out.name(name);
            out.value(value);
        }
    })
}
