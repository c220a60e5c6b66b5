//! BatchGetItem and BatchWriteItem. Items written twice are found later, where the tables' key schemas are known.

use std::collections::HashSet;

use crate::attribute_value::read::TWO_TYPES;
use crate::decode::expression::check_mixing;
use crate::decode::item::{attributes, capacity, check_size, metrics, projection};
use crate::error::ApiError;
use crate::json::write::object;
use crate::request::item::{BatchGetItem, BatchWrite, BatchWriteItem, TableGets, TableRef};
use crate::shape::node::{Members, Node};

const MAX_GETS: usize = 100;
const MAX_WRITES: usize = 25;

pub(crate) fn get(mut request: Members<'_>) -> Result<BatchGetItem, ApiError> {
    let mut tables = Vec::new();
    let mut count = 0;
    for (name, node) in request.map("RequestItems").unwrap_or_default() {
        let Node::Struct(members) = node else {
            return Err(ApiError::validation(format!(
                "1 validation error detected: Value null at 'requestItems.{name}.member' failed to satisfy constraint: \
                 Member must not be null"
            )));
        };
        let gets = table_gets(TableRef::parse(&name), members)?;
        count += gets.keys.len();
        if count > MAX_GETS {
            return Err(ApiError::validation("Too many items requested for the BatchGetItem call"));
        }
        tables.push(gets);
    }
    Ok(BatchGetItem { tables, capacity: capacity(&request) })
}

fn table_gets(table: TableRef, mut members: Members<'_>) -> Result<TableGets, ApiError> {
    check_mixing(&members, &["ProjectionExpression"], &["AttributesToGet"])?;
    let rest = rest(&members);
    let projection = projection(&mut members)?;
    let mut keys = Vec::new();
    for node in members.list("Keys").unwrap_or_default() {
        if let Node::Attributes(key) = node {
            keys.push(key.item()?);
        }
    }
    // Equal keys are equal attribute by attribute, whatever the schema.
    let mut seen = HashSet::with_capacity(keys.len());
    if !keys.iter().all(|key| seen.insert(key.as_bytes())) {
        return Err(ApiError::validation("Provided list of item keys contains duplicates"));
    }
    let consistent = members.bool("ConsistentRead").unwrap_or(false);
    Ok(TableGets { table, keys, projection, consistent, fresh: false, rest })
}

/// All members but the keys, as JSON members, to be repeated in UnprocessedKeys.
fn rest(members: &Members<'_>) -> String {
    let mut out = Vec::new();
    object(&mut out, |object| {
        if let Some(Node::List(names)) = members.get("AttributesToGet") {
            let names =
                names.iter().filter_map(|name| if let Node::Text(name) = name { Some(name) } else { None });
            object.texts("AttributesToGet", names.map(AsRef::as_ref));
        }
        if let Some(consistent) = members.bool("ConsistentRead") {
            object.bool("ConsistentRead", consistent);
        }
        object.maybe_text("ProjectionExpression", members.text("ProjectionExpression"));
        if let Some(Node::Map(names)) = members.get("ExpressionAttributeNames") {
            object.object("ExpressionAttributeNames", |object| {
                for (key, name) in names {
                    if let Node::Text(name) = name {
                        object.text(key, name);
                    }
                }
            });
        }
    });
    let json = String::from_utf8_lossy(&out);
    json[1..json.len() - 1].to_owned()
}

pub(crate) fn write(mut request: Members<'_>) -> Result<BatchWriteItem, ApiError> {
    let mut tables = Vec::new();
    let mut count = 0;
    for (name, node) in request.map("RequestItems").unwrap_or_default() {
        let Node::List(nodes) = node else { continue };
        let members = nodes.into_iter().filter_map(|node| match node {
            Node::Struct(members) => Some(members),
            _ => None,
        });
        let members: Vec<_> = members.collect();
        // All of a table's are looked at before the items in any of them.
        if members.iter().any(|write| write.present.len() != 1) {
            return Err(ApiError::validation(TWO_TYPES));
        }
        let writes = members.into_iter().map(batch_write).collect::<Result<Vec<_>, _>>()?;
        count += writes.len();
        if count > MAX_WRITES {
            return Err(ApiError::validation("Too many items requested for the BatchWriteItem call"));
        }
        tables.push((TableRef::parse(&name), writes));
    }
    Ok(BatchWriteItem { tables, capacity: capacity(&request), metrics: metrics(&request) })
}

fn batch_write(mut members: Members<'_>) -> Result<BatchWrite, ApiError> {
    match (members.members("PutRequest"), members.members("DeleteRequest")) {
        (Some(mut put), None) => {
            let item = attributes(&mut put, "Item").item()?;
            check_size(&item)?;
            Ok(BatchWrite::Put(item))
        }
        (None, Some(mut delete)) => Ok(BatchWrite::Delete(attributes(&mut delete, "Key").item()?)),
        _ => Err(ApiError::validation(TWO_TYPES)),
    }
}
