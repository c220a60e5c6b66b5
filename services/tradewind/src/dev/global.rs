//! Orders about global tables: evictions and repairs. All are JSON, by POST.
//!
//! ```text
//! replication/evict         { table, region }
//! replication/repair        { table }
//! ```

use serde::Deserialize;
use serde_json::{Value, json};
use tradewind_model::Region;
use tradewind_wire::ApiError;

use super::region::RegionProcess;

#[derive(Deserialize)]
struct Evict {
    table: String,
    region: Region,
}

#[derive(Deserialize)]
struct Repair {
    table: String,
}

pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::validation(error.to_string()))
}

impl RegionProcess {
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
        let repaired = self.replicator.repair(&table, false).await.map_err(refused)?;
        Ok(json!({ "table": table, "repaired": repaired }))
    }
}

fn refused(error: tradewind_replication::Error) -> ApiError {
    ApiError::validation(error.to_string())
}
