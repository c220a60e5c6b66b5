//! Single items: put, get, update, delete.

use tradewind_expression::Projection;

use crate::decode::expression::{Expressions, check_mixing};
use crate::decode::legacy;
use crate::error::ApiError;
use crate::request::item::{
    DeleteItem, GetItem, PutItem, ReturnCapacity, ReturnValues, Returns, TableRef, UpdateItem,
};
use crate::shape::node::{Attributes, Fault, Members};

/// Names and values of an item, in bytes.
pub(crate) const MAX_ITEM_SIZE: usize = 400 * 1024;

pub(crate) fn put(mut request: Members<'_>) -> Result<PutItem, ApiError> {
    check_mixing(&request, &["ConditionExpression"], &["Expected", "ConditionalOperator"])?;
    let item = attributes(&mut request, "Item").item()?;
    check_only_old(&request)?;
    check_size(&item)?;
    let expected = legacy::expected(&mut request)?;
    let mut expressions = Expressions::begin(&mut request)?;
    let condition = expressions.condition(&request)?.or(expected);
    expressions.end()?;
    Ok(PutItem { table: table(&request), item, condition, returns: returns(&request) })
}

pub(crate) fn get(mut request: Members<'_>) -> Result<GetItem, ApiError> {
    check_mixing(&request, &["ProjectionExpression"], &["AttributesToGet"])?;
    let key = attributes(&mut request, "Key").item()?;
    let projection = projection(&mut request)?;
    let consistent = request.bool("ConsistentRead").unwrap_or(false);
    Ok(GetItem {
        table: table(&request),
        key,
        projection,
        consistent,
        fresh: false,
        capacity: capacity(&request),
    })
}

pub(crate) fn update(mut request: Members<'_>) -> Result<UpdateItem, ApiError> {
    let legacy_names = ["AttributeUpdates", "Expected", "ConditionalOperator"];
    check_mixing(&request, &["UpdateExpression", "ConditionExpression"], &legacy_names)?;
    let key = attributes(&mut request, "Key").item()?;
    let updates = legacy::attribute_updates(&mut request)?;
    let expected = legacy::expected(&mut request)?;
    let mut expressions = Expressions::begin(&mut request)?;
    let update = expressions.update(&request)?.or(updates);
    let condition = expressions.condition(&request)?.or(expected);
    expressions.end()?;
    Ok(UpdateItem { table: table(&request), key, update, condition, returns: returns(&request) })
}

pub(crate) fn delete(mut request: Members<'_>) -> Result<DeleteItem, ApiError> {
    check_mixing(&request, &["ConditionExpression"], &["Expected", "ConditionalOperator"])?;
    let key = attributes(&mut request, "Key").item()?;
    check_only_old(&request)?;
    let expected = legacy::expected(&mut request)?;
    let mut expressions = Expressions::begin(&mut request)?;
    let condition = expressions.condition(&request)?.or(expected);
    expressions.end()?;
    Ok(DeleteItem { table: table(&request), key, condition, returns: returns(&request) })
}

/// A required map of attribute values: the constraints have seen that it is there.
pub(crate) fn attributes(request: &mut Members<'_>, name: &str) -> Attributes {
    let absent = || Attributes::new(tradewind_model::Item::empty(), Some(Fault::from("absent")));
    request.attributes(name).unwrap_or_else(absent)
}

/// The required TableName.
pub(crate) fn table(request: &Members<'_>) -> TableRef {
    TableRef::parse(request.text("TableName").unwrap_or_default())
}

pub(crate) fn capacity(request: &Members<'_>) -> ReturnCapacity {
    match request.text("ReturnConsumedCapacity") {
        Some("TOTAL") => ReturnCapacity::Total,
        Some("INDEXES") => ReturnCapacity::Indexes,
        _ => ReturnCapacity::None,
    }
}

pub(crate) fn item_on_failure(request: &Members<'_>) -> bool {
    request.text("ReturnValuesOnConditionCheckFailure") == Some("ALL_OLD")
}

pub(crate) fn metrics(request: &Members<'_>) -> bool {
    request.text("ReturnItemCollectionMetrics") == Some("SIZE")
}

fn returns(request: &Members<'_>) -> Returns {
    let values = match request.text("ReturnValues") {
        Some("ALL_OLD") => ReturnValues::AllOld,
        Some("UPDATED_OLD") => ReturnValues::UpdatedOld,
        Some("ALL_NEW") => ReturnValues::AllNew,
        Some("UPDATED_NEW") => ReturnValues::UpdatedNew,
        _ => ReturnValues::None,
    };
    Returns {
        values,
        item_on_failure: item_on_failure(request),
        capacity: capacity(request),
        metrics: metrics(request),
    }
}

fn check_only_old(request: &Members<'_>) -> Result<(), ApiError> {
    match request.text("ReturnValues") {
        None | Some("ALL_OLD" | "NONE") => Ok(()),
        Some(_) => Err(ApiError::validation("ReturnValues can only be ALL_OLD or NONE")),
    }
}

pub(crate) fn check_size(item: &tradewind_model::Item) -> Result<(), ApiError> {
    // A stored value takes at least half of the bytes that are counted for it.
    if item.as_bytes().len() > MAX_ITEM_SIZE / 2 && item.size() > MAX_ITEM_SIZE {
        return Err(ApiError::validation("Item size has exceeded the maximum allowed size"));
    }
    Ok(())
}

/// ProjectionExpression or AttributesToGet, with the names that belong to it.
pub(crate) fn projection(request: &mut Members<'_>) -> Result<Option<Projection>, ApiError> {
    let legacy = legacy::attributes_to_get(request)?;
    let mut expressions = Expressions::begin(request)?;
    let projection = expressions.projection(request)?.or(legacy);
    expressions.end()?;
    Ok(projection)
}
