//! The tables of a region, as the command line shows them.

use serde_json::{Value, json};
use tradewind_database::Database;
use tradewind_engine::{Documents, Engine};
use tradewind_wire::ApiError;

/// By name.
pub async fn tables<E: Engine + Documents>(database: &Database<E>) -> Result<Vec<Value>, ApiError> {
    let mut names: Vec<_> = database.tables().iter().map(|table| table.document().name.clone()).collect();
    names.sort();
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let description = database.describe_table(&name).await?;
        let replicas: Vec<_> = description
            .replicas
            .iter()
            .map(|replica| json!({ "region": replica.region, "status": replica.status.name() }))
            .collect();
        tables.push(json!({
            "region": database.region(),
            "table": name,
            "status": description.status.name(),
            "items": description.item_count,
            "bytes": description.size_bytes,
            "stream": description.stream.map(|view| view.name()),
            "indexes": description.global_indexes.len() + description.local_indexes.len(),
            "replicas": replicas,
        }));
    }
    Ok(tables)
}
