//! What operators ask of a region's replicators, as storage nodes pass it on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tradewind_engine::{Documents, Engine};
use tradewind_model::Region;
use uuid::Uuid;

use crate::comparisons::Comparison;
use crate::peer::Peer;
use crate::repair::Repaired;
use crate::replicator::Replicator;
use crate::report::LinkReport;
use crate::verify::Wish;

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
        /// Whether any replicator's link of it has stopped.
        #[serde(default)]
        stopped: bool,
    },
    /// Begins to compare a table between the regions.
    Verify(Wish),
    /// What became of that.
    Compared(Uuid),
    /// The clocks of these tables were raised in some other process of the region: their links have something to announce.
    Raised(BTreeSet<String>),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Ordered {
    Links(Vec<LinkReport>),
    Sight(BTreeMap<Region, u64>),
    Evicting,
    Repaired(Repaired),
    Comparing(Uuid),
    Comparison(Option<Box<Comparison>>),
    Done,
    /// Why it was not done.
    Refused(String),
}

impl<E: Engine + Documents, P: Peer> Replicator<E, P> {
    pub async fn order(self: &Arc<Self>, order: Order) -> Ordered {
        match order {
            Order::Status => Ordered::Links(self.status()),
            Order::Sight => Ordered::Sight(self.unheard_ms()),
            Order::Evict { table, region } => match self.evict(&table, region).await {
                Ok(()) => Ordered::Evicting,
                Err(error) => Ordered::Refused(error.to_string()),
            },
            Order::Repair { table, stopped } => match self.repair(&table, stopped).await {
                Ok(repaired) => Ordered::Repaired(repaired),
                Err(error) => Ordered::Refused(error.to_string()),
            },
            Order::Verify(wish) => match self.begin_comparison(wish, None, &Handle::current()) {
                Ok(id) => Ordered::Comparing(id),
                Err(error) => Ordered::Refused(error.to_string()),
            },
            Order::Compared(id) => Ordered::Comparison(self.comparison(id).map(Box::new)),
            Order::Raised(tables) => {
                tables.iter().for_each(|table| self.database().announce_raised(table));
                Ordered::Done
            }
        }
    }
}
