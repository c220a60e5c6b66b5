//! The replicator service of a region: it carries the region's changes to the other regions, and sees to joins, evictions and
//! settings of its tables. Composed on this page.
//!
//! It owns no partition and keeps nothing: the cursor of each link lives at its destination, what it decides goes to the
//! region's storage nodes. Any number share the links, by leases in the region's database; a dead one's are taken over when
//! its lease ends.

mod answers;
mod health;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tradewind_engine::{Documents, Engine, Member, Members};
use tradewind_model::{Clock, Region};
use tradewind_replication::{RemotePeer, Replicator, Share};
use tradewind_rpc::{Authority, Destination, Nodes, Serving};
use tradewind_storage::node::{
    Advertise, NodeError, REPLICATORS, Replicators, Roster, ViewSettings, listen, membership, peers,
    tell_raised, view,
};
use uuid::Uuid;

use self::answers::Answers;
use self::health::Samples;

/// A lease that runs out is noticed within this time.
const LOOK: Duration = Duration::from_millis(250);
const STOP: Duration = Duration::from_secs(1);

/// What a replicator is told.
pub struct Settings {
    pub region: Region,
    /// Twelve digits.
    pub account: String,
    /// Of its own among the region's replicators; `None`: its address.
    pub name: Option<String>,
    /// Where health checks are answered.
    pub listen: SocketAddr,
    /// Where the region's storage nodes ask.
    pub node_listen: SocketAddr,
    pub advertise: Advertise,
    pub peers: BTreeMap<Region, Destination>,
    /// Where changes are read; `None`: from the database.
    pub kafka: Option<tradewind_changelog_kafka::Settings>,
}

/// What a replicator says once it runs.
#[derive(Clone, Debug)]
pub struct Started {
    pub name: String,
    /// Where health checks are answered.
    pub address: SocketAddr,
    /// As the storage nodes know it.
    pub node_address: String,
}

/// Runs a replicator until `stop`. `started` hears of it once it has its lease.
///
/// # Errors
/// It could not start, or another has taken its name: one line for the operator.
pub async fn run<E: Engine + Documents + Members>(
    engine: Arc<E>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    started: impl FnOnce(&Started) -> io::Result<()>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let health = listen("--listen", settings.listen).await?;
    let listener = listen("--node-listen", settings.node_listen).await?;
    let node_port = settings.advertise.port.unwrap_or(listener.local_addr()?.port());
    let node_address = settings.advertise.address(node_port);
    let name = settings.name.clone().unwrap_or_else(|| node_address.clone());
    let facts =
        Started { name: name.clone(), address: health.local_addr()?, node_address: node_address.clone() };
    let me = Member { name, id: Uuid::new_v4(), address: node_address };
    let roster = Arc::new(Roster::new(REPLICATORS, me));
    let identity = Authority::of(&*engine).await?.issue()?;
    let links = peers(settings.region, &settings.peers)?;
    let seen = ViewSettings {
        region: settings.region,
        account: settings.account,
        peers: settings.peers.keys().copied().collect(),
        kafka: settings.kafka,
    };
    let database = view(engine.clone(), clock, seen, &identity, &stop).await?;
    // What this one raises, when it brings a replica up, the others announce as well.
    let nodes = Arc::new(Nodes::new(&identity, tokio::runtime::Handle::current()));
    let others = Arc::new(Replicators::new(engine.clone(), nodes));
    tokio::spawn(tell_raised(database.clone(), others, stop.clone()));
    let share = Arc::new(Share::default());
    share.set(&roster.me.name, Vec::new());
    let replicator: Arc<Replicator<E, RemotePeer>> =
        Arc::new(Replicator::new(database).sharing(share.clone()));
    links.into_values().for_each(|peer| replicator.add_peer(peer));
    let answers = Answers { id: roster.me.id, replicator: replicator.clone() };
    let serving = Serving { listener, identity };
    let answering = tokio::spawn(tradewind_rpc::serve(serving, Arc::new(answers), stop.clone()));
    let counted = replicator.clone();
    let samples: Samples = Arc::new(move || {
        let mut samples = Vec::new();
        counted.samples(&mut samples);
        samples
    });
    tokio::spawn(health::serve(health, roster.clone(), samples, stop.clone()));
    membership::join(&*engine, &roster).await?;
    let member = tokio::spawn(membership::keep(engine, roster.clone(), || (), stop.clone()));
    tokio::spawn(membership::watch(roster.clone(), stop.clone()));
    tokio::spawn(stop.clone().run_until_cancelled_owned(follow(roster, share)));
    let running = tokio::spawn(stop.clone().run_until_cancelled_owned(replicator.run()));
    started(&facts)?;
    let left = member.await;
    stop.cancel();
    if let Err(error) = running.await
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
    let _ = tokio::time::timeout(STOP, answering).await;
    match left {
        Ok(left) => Ok(left?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Keeps the share what the leases make it: nothing, as soon as this replicator's own has run out.
async fn follow(roster: Arc<Roster>, share: Arc<Share>) {
    let mut changed = roster.subscribe();
    loop {
        share.set(&roster.me.name, roster.living());
        tokio::select! {
            Ok(()) = changed.changed() => (),
            () = tokio::time::sleep(LOOK) => (),
        }
    }
}
