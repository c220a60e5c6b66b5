//! The storage nodes of a region as a process sees them that owns no partition: it reads who they are, asks them, and is
//! none of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tradewind_database::cluster::Cluster;
use tradewind_engine::{Error, Member, Members};
use tradewind_rpc::{Identity, Nodes};
use uuid::Uuid;

use super::membership::GROUP;
use super::roster::Roster;
use super::together::Together;

/// How often the members are read.
const READ_EVERY: Duration = Duration::from_secs(1);
/// Suspicions come in crowds, when a node dies under load.
const SUSPECT_AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// Reads the region's storage nodes before this returns and again and again until `stop`; the database that gets the
/// answer owns no partition.
pub async fn visit<E: Members>(
    engine: Arc<E>,
    identity: &Identity,
    runtime: Handle,
    stop: CancellationToken,
) -> Result<Arc<dyn Cluster>, Error> {
    let nobody = Member { name: String::new(), id: Uuid::new_v4(), address: String::new() };
    let roster = Arc::new(Roster::new(GROUP, nobody));
    let nodes = Arc::new(Nodes::new(identity, runtime.clone()));
    roster.found(engine.members(GROUP).await?);
    let cluster = Together { roster: roster.clone(), nodes: nodes.clone(), runtime: runtime.clone() };
    runtime.spawn(async move {
        let look = async {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(READ_EVERY) => (),
                    () = roster.suspected() => tokio::time::sleep(SUSPECT_AT_MOST_EVERY).await,
                }
                match engine.members(GROUP).await {
                    Ok(members) => {
                        roster.found(members);
                        let others = roster.others();
                        nodes.keep(others.iter().map(|node| node.address.as_str()));
                    }
                    Err(error) => tracing::warn!(%error, "the region's storage nodes cannot be read"),
                }
            }
        };
        stop.run_until_cancelled(look).await;
    });
    Ok(Arc::new(cluster))
}
