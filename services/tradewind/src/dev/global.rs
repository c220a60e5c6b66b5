//! Questions and orders about global tables: conflicts, evictions, repairs. All are JSON, by POST.
//!
//! ```text
//! conflicts/TABLE           { key?, region?, from_ms?, to_ms?, after?, limit? }     oldest first
//! conflicts/TABLE/counts    {}                                                      per pair of regions
//! conflicts/TABLE/restore   { id }
//! replication/evict         { table, region }
//! replication/repair        { table }
//! ```

use serde::Deserialize;
use serde_json::{Value, json};
use tradewind_database::conflict::Conflict;
use tradewind_database::conflicts::Wanted;
use tradewind_model::{ItemRef, KeySchema, Region, StoredItem};
use tradewind_wire::request::Request;
use tradewind_wire::{ApiError, Operation, attribute_value, decode};

use super::region::RegionProcess;

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

#[derive(Deserialize)]
struct Evict {
    table: String,
    region: Region,
}

#[derive(Deserialize)]
struct Repair {
    table: String,
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| ApiError::validation(error.to_string()))
}

impl RegionProcess {
    pub async fn conflicts(&self, rest: &str, body: &[u8]) -> Result<Value, ApiError> {
        match rest.split_once('/') {
            None => self.list_conflicts(rest, read(body)?).await,
            Some((table, "counts")) => self.count_conflicts(table).await,
            Some((table, "restore")) => {
                let Restore { id } = read(body)?;
                self.database.restore_conflict(table, &id).await?;
                Ok(json!({ "table": table, "restored": id }))
            }
            Some(_) => Err(ApiError::resource_not_found("there is no such question about conflicts")),
        }
    }

    async fn list_conflicts(&self, table: &str, list: List) -> Result<Value, ApiError> {
        let database = &self.database;
        let document = database.table(table).map(|table| table.document());
        let document =
            document.ok_or_else(|| ApiError::resource_not_found("Requested resource not found"))?;
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

    async fn count_conflicts(&self, table: &str) -> Result<Value, ApiError> {
        let counts = self.database.conflict_counts(table).await?;
        let shown: Vec<_> = counts
            .into_iter()
            .map(|(pair, count)| {
                json!({ "lost": pair.lost, "won": pair.won, "kind": pair.kind, "count": count })
            })
            .collect();
        Ok(json!({ "table": table, "region": self.database.region(), "counts": shown }))
    }

    /// What an operator orders; `None` for no such order.
    pub async fn order(&self, order: &str, body: &[u8]) -> Option<Result<Value, ApiError>> {
        match order {
            "evict" => Some(self.evict(body).await),
            "repair" => Some(self.repair(body).await),
            _ => None,
        }
    }

    async fn evict(&self, body: &[u8]) -> Result<Value, ApiError> {
        let Evict { table, region } = read(body)?;
        self.replicator.evict(&table, region).await.map_err(refused)?;
        Ok(json!({ "table": table, "evicting": region }))
    }

    async fn repair(&self, body: &[u8]) -> Result<Value, ApiError> {
        let Repair { table } = read(body)?;
        let repaired = self.replicator.repair(&table).await.map_err(refused)?;
        Ok(json!({ "table": table, "repaired": repaired }))
    }
}

fn refused(error: tradewind_replication::Error) -> ApiError {
    ApiError::validation(error.to_string())
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
