//! Questions about conflicts, as the command line asks them: JSON, by POST.
//!
//! ```text
//! conflicts/TABLE           { key?, region?, from_ms?, to_ms?, after?, limit? }     oldest first
//! conflicts/TABLE/counts    {}                                                      per pair of regions
//! conflicts/TABLE/restore   { id }
//! ```

use serde::Deserialize;
use serde_json::{Value, json};
use tradewind_database::Database;
use tradewind_database::conflict::Conflict;
use tradewind_database::conflicts::Wanted;
use tradewind_engine::{Documents, Engine};
use tradewind_model::{ItemRef, KeySchema, Region, StoredItem};
use tradewind_wire::request::Request;
use tradewind_wire::{ApiError, Operation, attribute_value, decode};

const MAX_CONFLICTS: usize = 10_000;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct List {
    key: Option<Value>,
    region: Option<Region>,
    from_ms: Option<u64>,
    to_ms: Option<u64>,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct Restore {
    id: String,
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| ApiError::validation(error.to_string()))
}

/// Answers the part of the path behind `conflicts/`.
///
/// # Errors
/// What the question has wrong.
pub async fn conflicts<E: Engine + Documents>(
    database: &Database<E>,
    rest: &str,
    body: &[u8],
) -> Result<Value, ApiError> {
    match rest.split_once('/') {
        None => list_conflicts(database, rest, read(body)?).await,
        Some((table, "counts")) => count_conflicts(database, table).await,
        Some((table, "restore")) => {
            let Restore { id } = read(body)?;
            database.restore_conflict(table, &id).await?;
            Ok(json!({ "table": table, "restored": id }))
        }
        Some(_) => Err(ApiError::resource_not_found("there is no such question about conflicts")),
    }
}

async fn list_conflicts<E: Engine + Documents>(
    database: &Database<E>,
    table: &str,
    list: List,
) -> Result<Value, ApiError> {
    let document = database.table(table).map(|table| table.document());
    let document = document.ok_or_else(|| ApiError::resource_not_found("Requested resource not found"))?;
    let key = match list.key {
        Some(key) => Some(database.item_key(table, &key_attributes(table, key)?)?),
        None => None,
    };
    let List { region, from_ms, to_ms, after, .. } = list;
    let limit = list.limit.unwrap_or(100).clamp(1, MAX_CONFLICTS);
    let wanted = Wanted { key, region, from_ms, to_ms, after };
    let listed = database.conflicts(table, &wanted, limit).await?;
    let shown: Vec<_> =
        listed.conflicts.iter().map(|(id, conflict)| show(id, conflict, &document.keys)).collect();
    Ok(json!({
        "table": table,
        "region": database.region(),
        "conflicts": shown,
        "more": listed.next.is_some(),
        "next": listed.next,
    }))
}

async fn count_conflicts<E: Engine + Documents>(
    database: &Database<E>,
    table: &str,
) -> Result<Value, ApiError> {
    let counts = database.conflict_counts(table).await?;
    let shown: Vec<_> = counts
        .into_iter()
        .map(|(pair, count)| json!({ "lost": pair.lost, "won": pair.won, "kind": pair.kind, "count": count }))
        .collect();
    Ok(json!({ "table": table, "region": database.region(), "counts": shown }))
}

/// A key as the API writes it, read as any request's.
fn key_attributes(table: &str, key: Value) -> Result<tradewind_model::Item, ApiError> {
    let body = json!({ "TableName": table, "Key": key }).to_string();
    match decode(Operation::DeleteItem, body.as_bytes())? {
        Request::DeleteItem(request) => Ok(request.key),
        _ => Err(ApiError::validation("no key")),
    }
}

fn show(id: &str, conflict: &Conflict, keys: &KeySchema) -> Value {
    json!({
        "id": id,
        "at_ms": conflict.at_ms,
        "kind": conflict.kind,
        "key": item(conflict.key.attributes(keys).as_ref()),
        "winner": conflict.winner.as_ref().map(row),
        "loser": row(&conflict.loser),
    })
}

fn row(row: &StoredItem) -> Value {
    json!({
        "region": row.version.origin,
        "version": row.version.to_string(),
        "written_ms": row.version.hlc.ms(),
        "item": row.item.as_ref().map(|stored| item(stored.as_ref())),
    })
}

fn item(stored: ItemRef<'_>) -> Value {
    let mut out = Vec::new();
    attribute_value::render_item(stored, &mut out);
    serde_json::from_slice(&out).unwrap_or_default()
}
