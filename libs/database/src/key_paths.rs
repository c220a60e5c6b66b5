//! Key attributes are scalars: an expression that looks into one is refused, whatever the item.

use tradewind_expression::{Condition, Projection, Update};
use tradewind_wire::ApiError;

use crate::table::document::{Index, TableDocument};

pub(crate) fn check_condition(table: &TableDocument, condition: Option<&Condition>) -> Result<(), ApiError> {
    let Some(condition) = condition else { return Ok(()) };
    let paths = condition.paths();
    let nested = paths.iter().filter(|path| !path.steps.is_empty()).map(|path| path.name.as_str());
    check(table, &nested.collect::<Vec<_>>())
}

pub(crate) fn check_projection(
    table: &TableDocument,
    projection: Option<&Projection>,
) -> Result<(), ApiError> {
    let Some(projection) = projection else { return Ok(()) };
    check(table, &projection.nested_names().collect::<Vec<_>>())
}

pub(crate) fn check_update(table: &TableDocument, update: Option<&Update>) -> Result<(), ApiError> {
    let Some(update) = update else { return Ok(()) };
    let paths = update.paths();
    let nested = paths.iter().filter(|path| !path.steps.is_empty()).map(|path| path.name.as_str());
    check(table, &nested.collect::<Vec<_>>())
}

/// The first key attribute, of the table and then of its indexes, that is among the attributes looked into.
fn check(table: &TableDocument, nested: &[&str]) -> Result<(), ApiError> {
    if nested.is_empty() {
        return Ok(());
    }
    let own = table.keys.attributes().map(|key| ("Key", key));
    let of_indexes = table.indexes.iter().flat_map(Index::keys).map(|key| ("IndexKey", key));
    match own.chain(of_indexes).find(|(_, key)| nested.contains(&key.name.as_str())) {
        None => Ok(()),
        Some((what, key)) => Err(ApiError::validation(format!(
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: {what}: {}",
            key.name
        ))),
    }
}
