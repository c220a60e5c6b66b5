//! Keeps a region's links and joins running: it compares what the catalogue says with what runs, and starts what is
//! missing. A change of the catalogue wakes it; so does time, for what failed before.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tradewind_database::Database;
use tradewind_database::table::Table;
use tradewind_database::table::document::{ReplicaStatus, TableDocument};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Incarnation, PartitionId, Region, Sequence};

use crate::join;
use crate::peer::Peer;
use crate::sender::Sender;

const RECONCILE: Duration = Duration::from_secs(2);
const PRUNE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// Nothing is known of the destination yet.
    #[default]
    Unknown,
    Running,
    /// The destination does not answer, or refuses.
    Stalled,
    /// The next change is too far ahead of the destination's clock.
    Ahead,
    /// The destination followed another log: this database was restored from a backup.
    Diverged,
    /// The destination needs changes that are not kept any more.
    Trimmed,
}

/// What a link does, for operators.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct LinkStatus {
    pub state: LinkState,
    /// Changes of the log the destination has not confirmed yet.
    pub pending: u64,
    pub acknowledged: Sequence,
    /// From a change's version to its application there, of the last batch with changes.
    pub latency_ms: Option<u64>,
    pub last_answer_ms: u64,
    pub error: Option<String>,
}

/// A link's place in the world.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct LinkId {
    partition: PartitionId,
    to: Region,
}

struct Running {
    table: String,
    status: watch::Receiver<LinkStatus>,
    abort: AbortHandle,
}

impl Running {
    /// Whether it ended and nobody has to be told: were its replica removed and added in one breath, it begins anew. A
    /// link that had to stop stays in view.
    fn is_over(&self) -> bool {
        let stopped = matches!(self.status.borrow().state, LinkState::Diverged | LinkState::Trimmed);
        self.abort.is_finished() && !stopped
    }
}

pub struct Replicator<E, P> {
    database: Arc<Database<E>>,
    peers: Mutex<HashMap<Region, Arc<P>>>,
    links: Mutex<HashMap<LinkId, Running>>,
    /// Joins, removals and settings that are being carried out.
    settling: Mutex<HashSet<(Incarnation, Region)>>,
    joining: tokio::sync::Mutex<()>,
    changed: watch::Sender<u64>,
}

impl<E: Engine + Documents, P: Peer> Replicator<E, P> {
    pub fn new(database: Arc<Database<E>>) -> Replicator<E, P> {
        Replicator {
            database,
            peers: Mutex::new(HashMap::new()),
            links: Mutex::new(HashMap::new()),
            settling: Mutex::default(),
            joining: tokio::sync::Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// Regions may come while it runs.
    pub fn add_peer(&self, peer: P) {
        self.peers.lock().expect("no panic while held").insert(peer.region(), Arc::new(peer));
        self.changed.send_modify(|generation| *generation += 1);
    }

    /// Every link of this region: table, partition, destination and what it does.
    pub fn status(&self) -> Vec<(String, u32, Region, LinkStatus)> {
        let links = self.links.lock().expect("no panic while held");
        let mut rows: Vec<_> = links
            .iter()
            .map(|(id, link)| (link.table.clone(), id.partition.number, id.to, link.status.borrow().clone()))
            .collect();
        rows.sort_by(|a, b| (&a.0, a.2, a.1).cmp(&(&b.0, b.2, b.1)));
        rows
    }

    /// Runs until dropped.
    pub async fn run(self: Arc<Self>) {
        let mut catalogue = self.database.watch_catalogue();
        let mut peers = self.changed.subscribe();
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().prune());
        loop {
            self.reconcile(&mut tasks).await;
            tokio::select! {
                _ = catalogue.changed() => (),
                _ = peers.changed() => (),
                _ = tokio::time::sleep(RECONCILE) => (),
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        std::panic::resume_unwind(error.into_panic());
                    }
                }
            }
        }
    }

    async fn reconcile(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let peers: Vec<_> = self.peers.lock().expect("no panic while held").values().cloned().collect();
        let tables = self.database.tables();
        for table in tables.iter().filter(|table| table.document().is_replicated()) {
            let document = table.document();
            for peer in &peers {
                if let Some(replica) = document.replicas.get(&peer.region()) {
                    if replica.incarnation.is_some() && replica.status != ReplicaStatus::Deleting {
                        self.link(table, peer, tasks);
                    }
                    self.settle(&document, peer, &peers, tasks);
                }
            }
        }
        join::leave_dropped(&self.database, &peers).await;
        self.end_links(&tables);
    }

    /// Carries out what the catalogue asks for a replica, beside everything else and one thing at a time: a join needs the
    /// links that the next look at the catalogue starts.
    fn settle(
        self: &Arc<Self>,
        document: &Arc<TableDocument>,
        peer: &Arc<P>,
        peers: &[Arc<P>],
        tasks: &mut JoinSet<()>,
    ) {
        let id = (document.incarnation, peer.region());
        if !self.settling.lock().expect("no panic while held").insert(id) {
            return;
        }
        let (this, document, peer, peers) = (self.clone(), document.clone(), peer.clone(), peers.to_vec());
        tasks.spawn(async move {
            if let Err(error) = this.carry_out(&document, &peer, &peers).await {
                let (table, replica) = (&document.name, peer.region());
                tracing::warn!(table, %replica, %error, "a replica waits; it is tried again");
            }
            this.settling.lock().expect("no panic while held").remove(&id);
        });
    }

    async fn carry_out(
        &self,
        document: &TableDocument,
        peer: &Arc<P>,
        peers: &[Arc<P>],
    ) -> Result<(), join::Error> {
        let Some(replica) = document.replicas.get(&peer.region()) else { return Ok(()) };
        let sees_to_it = replica.seen_to_by == Some(self.database.region());
        match replica.status {
            ReplicaStatus::Active => join::share_settings(&self.database, document, peer).await,
            ReplicaStatus::Creating if sees_to_it => {
                // One after the other: each counts those before it.
                let _alone = self.joining.lock().await;
                join::join(&self.database, &document.name, peer, peers).await
            }
            ReplicaStatus::Deleting if sees_to_it => {
                join::remove(&self.database, document, peer, peers).await
            }
            ReplicaStatus::Creating | ReplicaStatus::Deleting => Ok(()),
        }
    }

    fn link(&self, table: &Arc<Table<E>>, peer: &Arc<P>, tasks: &mut JoinSet<()>) {
        let document = table.document();
        let mut links = self.links.lock().expect("no panic while held");
        for (position, range) in document.partitions.iter().enumerate() {
            let id = LinkId { partition: document.partition_id(range.number), to: peer.region() };
            links.entry(id).or_insert_with(|| {
                let (status, published) = watch::channel(LinkStatus::default());
                let sender = Sender {
                    database: self.database.clone(),
                    table: table.clone(),
                    position,
                    peer: peer.clone(),
                    log: self.database.change_log(),
                    status,
                };
                let abort = tasks.spawn(sender.run());
                Running { table: document.name.clone(), status: published, abort }
            });
        }
    }

    /// Ends the links of tables that are gone and of replicas that left.
    fn end_links(&self, tables: &[Arc<Table<E>>]) {
        let documents: HashMap<_, _> = tables
            .iter()
            .map(|table| table.document())
            .map(|document| (document.incarnation, document))
            .collect();
        self.links.lock().expect("no panic while held").retain(|id, link| {
            let lives = documents
                .get(&id.partition.incarnation)
                .is_some_and(|document| document.replicas.contains_key(&id.to));
            if !lives {
                link.abort.abort();
            }
            lives && !link.is_over()
        });
    }

    /// Lets tombstones go that every replica has applied.
    async fn prune(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PRUNE).await;
            for table in self.database.tables() {
                if !table.document().is_replicated() {
                    continue;
                }
                for position in 0..table.partition_count() {
                    if table.running(position).is_none_or(|owner| owner.state().tombstones == 0) {
                        continue;
                    }
                    while let Ok(true) = self.database.prune(&table, position).await {}
                }
            }
        }
    }
}
