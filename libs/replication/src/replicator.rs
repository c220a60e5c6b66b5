//! Keeps a region's links and joins running: it compares what the catalogue says with what runs, and starts what is
//! missing. A change of the catalogue wakes it; so does time, for what failed before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tradewind_database::question::{Asked, Neighbours, Question, Unanswered};
use tradewind_database::table::Table;
use tradewind_database::table::document::{Replica, ReplicaStatus, TableDocument, TableStatus};
use tradewind_database::{Database, RETENTION};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Incarnation, PartitionId, Region, Sequence};

use crate::evict::{self, Wanted};
use crate::join;
use crate::peer::Peer;
use crate::repair::{self, Repaired};
use crate::sender::Sender;
use crate::sight::Sight;

const RECONCILE: Duration = Duration::from_secs(2);
/// As long as a region's log is kept: what one misses that is away longer cannot be sent to it.
pub const EVICT_AFTER: Duration = RETENTION;
/// A control operation waits no longer for another region.
const ASK: Duration = Duration::from_secs(5);
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

impl LinkState {
    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Unknown => "unknown",
            LinkState::Running => "running",
            LinkState::Stalled => "stalled",
            LinkState::Ahead => "ahead",
            LinkState::Diverged => "diverged",
            LinkState::Trimmed => "trimmed",
        }
    }
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
    /// When the oldest change was made that the destination has not confirmed, in Unix milliseconds.
    pub oldest_unsent_ms: Option<u64>,
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
    /// Tables that are being repaired, by name: their links rest.
    repairing: Mutex<HashSet<String>>,
    sight: Arc<Sight>,
    /// Regions away for so long are evicted by the others, where there is a majority of them.
    evict_after: Duration,
    changed: watch::Sender<u64>,
}

/// Collects what has ended, for ever. That alone is no reason to look at the catalogue again: most tasks
/// find nothing to do, what they change there wakes by itself, and what failed is not tried again at once.
async fn reap(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    std::future::pending().await
}

impl<E: Engine + Documents, P: Peer> Replicator<E, P> {
    pub fn new(database: Arc<Database<E>>) -> Replicator<E, P> {
        Replicator {
            database,
            peers: Mutex::new(HashMap::new()),
            links: Mutex::new(HashMap::new()),
            settling: Mutex::default(),
            joining: tokio::sync::Mutex::default(),
            repairing: Mutex::default(),
            sight: Arc::default(),
            evict_after: EVICT_AFTER,
            changed: watch::Sender::new(0),
        }
    }

    /// Evicts a region that nobody has heard of for so long, instead of [`EVICT_AFTER`].
    pub fn evict_after(self, away: Duration) -> Replicator<E, P> {
        Replicator { evict_after: away, ..self }
    }

    /// Regions may come while it runs.
    pub fn add_peer(&self, peer: P) {
        self.sight.expect(peer.region());
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

    pub(crate) fn database(&self) -> &Database<E> {
        &self.database
    }

    fn peers(&self) -> Vec<Arc<P>> {
        self.peers.lock().expect("no panic while held").values().cloned().collect()
    }

    /// Evicts a region's replica, because an operator says that it is lost.
    pub async fn evict(&self, table: &str, region: Region) -> Result<(), join::Error> {
        evict::begin(&self.database, table, &[region], &self.peers(), Wanted::ByOperator).await
    }

    /// Levels this region's table with the others after its log was found to be another one, or its links to need what is
    /// not kept; then they go on.
    pub async fn repair(&self, table: &str) -> Result<Repaired, join::Error> {
        let Some(document) = self.database.table(table).map(|table| table.document()) else {
            return Err(join::Error::Rule(format!(
                "there is no table {table} in {}",
                self.database.region()
            )));
        };
        let stopped = |status: &LinkStatus| matches!(status.state, LinkState::Diverged | LinkState::Trimmed);
        if !self.status().iter().any(|(name, _, _, status)| name == table && stopped(status)) {
            return Err(join::Error::Rule(format!(
                "no link of {table} has stopped: there is nothing to repair"
            )));
        }
        if !self.repairing.lock().expect("no panic while held").insert(table.to_owned()) {
            return Err(join::Error::Rule(format!("{table} is being repaired")));
        }
        self.drop_links(document.incarnation);
        let outcome = repair::repair(&self.database, table, &self.peers()).await;
        if outcome.is_ok() {
            self.sight.clear_diverged(document.incarnation);
        }
        self.repairing.lock().expect("no panic while held").remove(table);
        self.changed.send_modify(|generation| *generation += 1);
        outcome
    }

    fn drop_links(&self, table: Incarnation) {
        self.links.lock().expect("no panic while held").retain(|id, link| {
            let stays = id.partition.incarnation != table;
            if !stays {
                link.abort.abort();
            }
            stays
        });
    }

    /// Runs until dropped.
    pub async fn run(self: Arc<Self>) {
        let this: Arc<dyn Neighbours> = self.clone();
        self.database.set_neighbours(Arc::downgrade(&this));
        drop(this);
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
                () = reap(&mut tasks) => (),
            }
        }
    }

    async fn reconcile(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let peers = self.peers();
        let tables = self.database.tables();
        for table in tables.iter().filter(|table| table.document().is_replicated()) {
            let document = table.document();
            self.evict_unheard(&document, &peers).await;
            for peer in &peers {
                if let Some(replica) = document.replicas.get(&peer.region()) {
                    let linked = replica.incarnation.is_some() && replica.status != ReplicaStatus::Deleting;
                    // A joiner has nothing of its own to send, and others know where its links begin only in the end.
                    if linked && document.status != TableStatus::Creating {
                        self.link(table, peer, tasks);
                    }
                    self.settle(&document, peer, &peers, tasks);
                }
            }
        }
        join::leave_dropped(&self.database, &peers).await;
        self.come_back(&peers, tasks);
        self.end_links(&tables);
    }

    /// Tables that were set aside because this region was evicted: one look at them at a time, beside everything else.
    fn come_back(self: &Arc<Self>, peers: &[Arc<P>], tasks: &mut JoinSet<()>) {
        let id = (Incarnation(uuid::Uuid::nil()), self.database.region());
        if !self.settling.lock().expect("no panic while held").insert(id) {
            return;
        }
        let (this, peers) = (self.clone(), peers.to_vec());
        tasks.spawn(async move {
            if let Err(error) = join::come_back(&this.database, &peers).await {
                tracing::warn!(region = %this.database.region(), %error, "coming back is tried again");
            }
            this.settling.lock().expect("no panic while held").remove(&id);
        });
    }

    /// Evicts replicas that nobody has heard of for too long. One of those who stay does it, the least by name.
    async fn evict_unheard(&self, document: &TableDocument, peers: &[Arc<P>]) {
        let unheard = self.sight.unheard_ms();
        let away = |region: &Region| {
            unheard.get(region).is_some_and(|ms| Duration::from_millis(*ms) >= self.evict_after)
        };
        let active = document.replicas.iter().filter(|(_, replica)| replica.status == ReplicaStatus::Active);
        let (gone, stay): (Vec<_>, Vec<_>) = active.map(|(region, _)| *region).partition(away);
        if gone.is_empty() || stay.first() != Some(&self.database.region()) {
            return;
        }
        let wanted = Wanted::ByTime(self.evict_after);
        match evict::begin(&self.database, &document.name, &gone, peers, wanted).await {
            Ok(()) => {
                tracing::warn!(table = document.name, ?gone, "regions are away too long and are evicted")
            }
            Err(error) => tracing::debug!(table = document.name, ?gone, %error, "nobody is evicted"),
        }
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
        let sees_to_it = sees_to_it(document, replica, self.database.region());
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
            ReplicaStatus::Evicting if sees_to_it => {
                let _alone = self.joining.lock().await;
                evict::finish(&self.database, &document.name, peers).await
            }
            ReplicaStatus::Creating | ReplicaStatus::Deleting | ReplicaStatus::Evicting => Ok(()),
        }
    }

    fn link(&self, table: &Arc<Table<E>>, peer: &Arc<P>, tasks: &mut JoinSet<()>) {
        let document = table.document();
        if self.repairing.lock().expect("no panic while held").contains(&document.name) {
            return;
        }
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
                    sight: self.sight.clone(),
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

/// Whether this region carries out what is to happen to a replica: the one that was asked, or, once that is no replica
/// itself, the first of those that are.
fn sees_to_it(document: &TableDocument, replica: &Replica, here: Region) -> bool {
    let active = |region: &Region| {
        document.replicas.get(region).is_some_and(|replica| replica.status == ReplicaStatus::Active)
    };
    match replica.seen_to_by.filter(active) {
        Some(region) => region == here,
        None => document.replicas.keys().find(|region| active(region)) == Some(&here),
    }
}

impl<E: Engine + Documents, P: Peer> Neighbours for Replicator<E, P> {
    fn ask<'a>(&'a self, region: Region, table: &'a str, question: Question) -> Asked<'a> {
        let peer = self.peers.lock().expect("no panic while held").get(&region).cloned();
        Box::pin(async move {
            let unknown = || Unanswered::Unreachable(format!("region {region} is not known here"));
            let peer = peer.ok_or_else(unknown)?;
            match tokio::time::timeout(ASK, peer.ask(table, question)).await {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(Unanswered::Unreachable(format!("region {region} does not answer"))),
            }
        })
    }

    fn sight(&self) -> BTreeMap<Region, u64> {
        self.sight.unheard_ms()
    }
}
