//! Comparisons of a table between the regions of this process: see [`tradewind_storage::verify`] for the questions.

use std::sync::Arc;

use serde_json::{Value, json};
use tradewind_replication::LocalPeer;
use tradewind_storage::verify::{asked_after, show_comparison, wish};
use tradewind_wire::ApiError;

use super::region::{RegionProcess, Store};
use super::regions::RegionSet;

impl RegionProcess {
    pub fn verify(&self, regions: &RegionSet, order: &str, body: &[u8]) -> Result<Value, ApiError> {
        match order {
            "" => {
                let peers = Some(self.undisturbed(regions));
                let begun = self.replicator.begin_comparison(wish(body)?, peers, regions.background());
                let id = begun.map_err(|error| ApiError::validation(error.to_string()))?;
                Ok(json!({ "comparison": id }))
            }
            "status" => show_comparison(self.replicator.comparison(asked_after(body)?).as_ref()),
            _ => Err(ApiError::resource_not_found("there is no such question about equality")),
        }
    }

    /// The other regions as an operator sees them who goes there: whatever their links suffer.
    fn undisturbed(&self, regions: &RegionSet) -> Vec<Arc<LocalPeer<Store>>> {
        let here = self.database.region();
        let others = regions.all().into_iter().filter(|other| other.database.region() != here);
        others
            .map(|other| Arc::new(LocalPeer::new(here, other.database.clone(), Default::default())))
            .collect()
    }
}
