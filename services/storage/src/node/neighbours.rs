//! The other regions, as a storage node asks them: for control operations, which must not wait for a replicator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tradewind_database::question::{Asked, Neighbours, Question, Unanswered};
use tradewind_engine::Members;
use tradewind_model::Region;
use tradewind_replication::{Order, Ordered, Peer, RemotePeer};

use super::replicators::Replicators;

/// A control operation waits no longer for another region.
const ASK: Duration = Duration::from_secs(5);
/// The replicators are asked so often whom they have heard of.
const LOOK: Duration = Duration::from_secs(5);

pub struct OtherRegions {
    peers: BTreeMap<Region, RemotePeer>,
    /// When each was heard of by any of the replicators.
    heard: Mutex<BTreeMap<Region, Instant>>,
}

impl OtherRegions {
    pub fn new(peers: BTreeMap<Region, RemotePeer>) -> OtherRegions {
        OtherRegions { peers, heard: Mutex::default() }
    }

    /// Learns from the region's replicators whom they hear of, until `stop`.
    pub async fn listen<E: Members>(
        self: Arc<Self>,
        replicators: Arc<Replicators<E>>,
        stop: CancellationToken,
    ) {
        loop {
            for (_, answer) in replicators.ask_all(&Order::Sight).await {
                if let Ok(Ordered::Sight(unheard)) = answer {
                    self.learn(&unheard);
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                return;
            }
        }
    }

    fn learn(&self, unheard_ms: &BTreeMap<Region, u64>) {
        let now = Instant::now();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for (region, ms) in unheard_ms {
            let Some(at) = now.checked_sub(Duration::from_millis(*ms)) else { continue };
            let known = heard.entry(*region).or_insert(at);
            *known = at.max(*known);
        }
    }
}

impl Neighbours for OtherRegions {
    fn ask<'a>(&'a self, region: Region, table: &'a str, question: Question) -> Asked<'a> {
        Box::pin(async move {
            let unknown = || Unanswered::Unreachable(format!("region {region} is not known here: --peer"));
            let peer = self.peers.get(&region).ok_or_else(unknown)?;
            match tokio::time::timeout(ASK, peer.ask(table, question)).await {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(Unanswered::Unreachable(format!("region {region} does not answer"))),
            }
        })
    }

    fn sight(&self) -> BTreeMap<Region, u64> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().map(|(region, at)| (*region, at.elapsed().as_millis() as u64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_heard_of_when_any_replicator_has() {
        let others = OtherRegions::new(BTreeMap::new());
        let region = Region::new("eu-west-1").unwrap();
        assert!(others.sight().is_empty(), "nobody was heard of");
        for ms in [9_000, 2_000, 5_000] {
            others.learn(&BTreeMap::from([(region, ms)]));
        }
        let unheard = others.sight()[&region];
        assert!((2_000..5_000).contains(&unheard), "{unheard}");
    }
}
