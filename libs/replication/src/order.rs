//! What operators ask of a region's replicators, as storage nodes pass it on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tradewind_engine::{Documents, Engine};
use tradewind_model::Region;

use crate::peer::Peer;
use crate::repair::Repaired;
use crate::replicator::Replicator;
use crate::report::LinkReport;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Order {
    Status,
    /// For how many milliseconds each region has not been heard of.
    Sight,
    Evict {
        table: String,
        region: Region,
    },
    Repair {
        table: String,
    },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Ordered {
    Links(Vec<LinkReport>),
    Sight(BTreeMap<Region, u64>),
    Evicting,
    Repaired(Repaired),
    /// Why it was not done.
    Refused(String),
}

impl<E: Engine + Documents, P: Peer> Replicator<E, P> {
    pub async fn order(&self, order: Order) -> Ordered {
        match order {
            Order::Status => Ordered::Links(self.status()),
            Order::Sight => Ordered::Sight(self.unheard_ms()),
            Order::Evict { table, region } => match self.evict(&table, region).await {
                Ok(()) => Ordered::Evicting,
                Err(error) => Ordered::Refused(error.to_string()),
            },
            Order::Repair { table } => match self.repair(&table).await {
                Ok(repaired) => Ordered::Repaired(repaired),
                Err(error) => Ordered::Refused(error.to_string()),
            },
        }
    }
}
