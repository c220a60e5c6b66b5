//! Keeps a region's links and joins running: it compares what the catalogue says with what runs, and starts what is
//! missing. A change of the catalogue wakes it; so does time, for what failed before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tradewind_database::question::{Asked, Neighbours, Question, Unanswered};
use tradewind_database::table::Table;
use tradewind_database::table::document::{Replica, ReplicaStatus, TableDocument, TableStatus};
use tradewind_database::{Database, RETENTION};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Incarnation, PartitionId, Region, Sequence};

use crate::comparisons::Comparisons;
use crate::evict;
use crate::join;
use crate::peer::{Peer, PeerError};
use crate::repair::{self, Repaired};
use crate::report::{LinkReport, has_stopped};
use crate::sender::Sender;
use crate::share::Share;
use crate::sight::Sight;
use crate::verify::{self, Progress, Verified, Wish};

const RECONCILE: Duration = Duration::from_secs(2);
/// As long as a region's log is kept: what one misses that is away longer cannot be sent to it.
pub const EVICT_AFTER: Duration = RETENTION;
/// A control operation waits no longer for another region.
const ASK: Duration = Duration::from_secs(5);
/// A region is asked so often whether it is there, whatever this replicator's links say.
const LISTEN: Duration = Duration::from_secs(10);

/// In the order of how bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// The destination has everything, and has said so not long ago.
    Idle,
    Running,
    /// Nothing is known of the destination.
    #[default]
    Unknown,
    /// The next change is too far ahead of the destination's clock.
    Ahead,
    /// The destination does not answer, or refuses.
    Stalled,
    /// The destination needs changes that are not kept any more.
    Trimmed,
    /// The destination followed another log: this database was restored from a backup.
    Diverged,
}

impl LinkState {
    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Idle => "idle",
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
    /// How long it takes, at the pace so far, until the destination has all that waits; nothing where little does.
    pub left_ms: Option<u64>,
    pub last_answer_ms: u64,
    pub error: Option<String>,
}

/// A link's place in the world.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct LinkId {
    partition: PartitionId,
    to: Region,
}

impl LinkId {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.partition.to_bytes()[..], self.to.as_str().as_bytes()].concat()
    }
}

/// What a link is made of.
struct Wanted<E, P> {
    table: Arc<Table<E>>,
    position: usize,
    peer: Arc<P>,
}

struct Running {
    table: String,
    status: watch::Receiver<LinkStatus>,
    abort: AbortHandle,
}

impl Running {
    /// Whether it ended: were its replica removed and added in one breath, it begins anew. A link that had to stop has not.
    fn is_over(&self) -> bool {
        self.abort.is_finished()
    }
}

pub struct Replicator<E, P> {
    database: Arc<Database<E>>,
    peers: Mutex<HashMap<Region, Arc<P>>>,
    links: Mutex<HashMap<LinkId, Running>>,
    /// Joins, removals and settings that are being carried out.
    settling: Mutex<HashSet<(Incarnation, Region)>>,
    joining: tokio::sync::Mutex<()>,
    /// One repair at a time; one of another replicator may take over.
    repairing: tokio::sync::Mutex<()>,
    sight: Arc<Sight>,
    /// Regions away for so long are evicted by the others, where there is a majority of them.
    evict_after: Duration,
    changed: watch::Sender<u64>,
    share: Arc<Share>,
    pub(crate) comparisons: Comparisons,
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
            repairing: tokio::sync::Mutex::default(),
            sight: Arc::default(),
            evict_after: EVICT_AFTER,
            changed: watch::Sender::new(0),
            share: Arc::default(),
            comparisons: Comparisons::default(),
        }
    }

    /// One of several of the region: it runs its share of the links.
    pub fn sharing(self, share: Arc<Share>) -> Replicator<E, P> {
        Replicator { share, ..self }
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

    /// Every link that runs here.
    pub fn status(&self) -> Vec<LinkReport> {
        let (from, now_ms) = (self.database.region(), self.database.clock().now_ms());
        let links = self.links.lock().expect("no panic while held");
        let report = |(id, link): (&LinkId, &Running)| {
            let status = link.status.borrow().clone();
            LinkReport::new(link.table.clone(), id.partition.number, from, id.to, status, now_ms)
        };
        let mut reports: Vec<_> = links.iter().map(report).collect();
        reports.sort_by(|a, b| (&a.table, a.to, a.partition).cmp(&(&b.table, b.to, b.partition)));
        reports
    }

    /// For how many milliseconds each region has not been heard of.
    pub fn unheard_ms(&self) -> BTreeMap<Region, u64> {
        self.sight.unheard_ms()
    }

    pub(crate) fn database(&self) -> &Database<E> {
        &self.database
    }

    fn peers(&self) -> Vec<Arc<P>> {
        self.peers.lock().expect("no panic while held").values().cloned().collect()
    }

    /// Evicts a region's replica, because an operator says that it is lost.
    pub async fn evict(&self, table: &str, region: Region) -> Result<(), join::Error> {
        evict::begin(&self.database, table, &[region], &self.peers(), evict::Wanted::ByOperator).await
    }

    /// Compares this region's table with those of the other replicas, through these peers or its own.
    pub async fn verify(
        &self,
        wish: &Wish,
        peers: Option<Vec<Arc<P>>>,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Verified, join::Error> {
        let peers = peers.unwrap_or_else(|| self.peers());
        verify::verify(&self.database, &peers, wish, progress).await
    }

    /// Levels this region's table with the others after its log was found to be another one, or its links to need what is
    /// not kept; then they go on, whichever replicators run them. `elsewhere`: another replicator has a link of it that has
    /// stopped.
    pub async fn repair(&self, table: &str, elsewhere: bool) -> Result<Repaired, join::Error> {
        let Some(document) = self.database.table(table).map(|table| table.document()) else {
            return Err(join::Error::Rule(format!(
                "there is no table {table} in {}",
                self.database.region()
            )));
        };
        if !elsewhere && document.global.log.is_sound() && !has_stopped(&self.status(), table) {
            return Err(join::Error::Rule(format!(
                "no link of {table} has stopped: there is nothing to repair"
            )));
        }
        let Ok(_alone) = self.repairing.try_lock() else {
            return Err(join::Error::Rule("a table of this region is being repaired: ask again".to_owned()));
        };
        repair::repair(&self.database, table, &self.peers()).await
    }

    /// Runs until dropped.
    pub async fn run(self: Arc<Self>) {
        let this: Arc<dyn Neighbours> = self.clone();
        self.database.set_neighbours(Arc::downgrade(&this));
        drop(this);
        let mut catalogue = self.database.watch_catalogue();
        let mut peers = self.changed.subscribe();
        let mut shares = self.share.changed();
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().listen());
        loop {
            self.reconcile(&mut tasks).await;
            tokio::select! {
                _ = catalogue.changed() => (),
                _ = peers.changed() => (),
                _ = shares.changed() => (),
                _ = tokio::time::sleep(RECONCILE) => (),
                () = reap(&mut tasks) => (),
            }
        }
    }

    async fn reconcile(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let peers = self.peers();
        let tables = self.database.tables();
        let leads = self.share.leads();
        for table in tables.iter().filter(|table| table.document().is_replicated()) {
            let document = table.document();
            if leads {
                self.evict_unheard(&document, &peers).await;
            }
            for peer in peers.iter().filter(|peer| document.replicas.contains_key(&peer.region())) {
                self.settle(&document, peer, &peers, tasks);
            }
        }
        let wanted = self.wanted_links(&tables, &peers);
        self.end_links(&tables, &wanted);
        self.start_links(wanted, tasks);
        if leads {
            join::leave_dropped(&self.database, &peers).await;
            self.come_back(&peers, tasks);
        }
    }

    /// This replicator's share of the links there are to be.
    fn wanted_links(&self, tables: &[Arc<Table<E>>], peers: &[Arc<P>]) -> HashMap<LinkId, Wanted<E, P>> {
        let mut all = HashMap::new();
        for table in tables {
            let document = table.document();
            // A joiner has nothing of its own to send, and others know where its links begin only in the end.
            if !document.is_replicated() || document.status == TableStatus::Creating {
                continue;
            }
            for peer in peers {
                let linked = document.replicas.get(&peer.region()).is_some_and(|replica| {
                    // One that keeps its table is to have everything first.
                    let leaves = replica.status == ReplicaStatus::Deleting && !replica.keeps_table;
                    replica.incarnation.is_some() && !leaves
                });
                for (position, range) in document.partitions.iter().enumerate().filter(|_| linked) {
                    let id = LinkId { partition: document.partition_id(range.number), to: peer.region() };
                    all.insert(
                        id.to_bytes(),
                        (id, Wanted { table: table.clone(), position, peer: peer.clone() }),
                    );
                }
            }
        }
        let names = all.keys().cloned().collect();
        self.share.mine(names).into_iter().filter_map(|name| all.remove(&name)).collect()
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
        let wanted = evict::Wanted::ByTime(self.evict_after);
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
        let sees_to_it = self.share.leads() && sees_to_it(document, replica, self.database.region());
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

    fn start_links(&self, wanted: HashMap<LinkId, Wanted<E, P>>, tasks: &mut JoinSet<()>) {
        let mut links = self.links.lock().expect("no panic while held");
        for (id, Wanted { table, position, peer }) in wanted {
            let name = table.document().name.clone();
            links.entry(id).or_insert_with(|| {
                let (status, published) = watch::channel(LinkStatus::default());
                let sender = Sender {
                    database: self.database.clone(),
                    table,
                    position,
                    peer,
                    log: self.database.change_log(),
                    status,
                    sight: self.sight.clone(),
                    pace: Mutex::default(),
                };
                let abort = tasks.spawn(sender.run());
                Running { table: name, status: published, abort }
            });
        }
    }

    /// Ends the links of tables that are gone, of replicas that left, and those that are another replicator's now.
    fn end_links(&self, tables: &[Arc<Table<E>>], wanted: &HashMap<LinkId, Wanted<E, P>>) {
        let documents: HashMap<_, _> = tables
            .iter()
            .map(|table| table.document())
            .map(|document| (document.incarnation, document))
            .collect();
        let shared = self.share.count() != 1;
        self.links.lock().expect("no panic while held").retain(|id, link| {
            let lives = documents
                .get(&id.partition.incarnation)
                .is_some_and(|document| document.replicas.contains_key(&id.to));
            let stays = lives && (!shared || wanted.contains_key(id));
            if !stays {
                link.abort.abort();
            }
            stays && !link.is_over()
        });
    }

    /// Hears of every region by itself: none is away only because this replicator has no link to it.
    async fn listen(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LISTEN).await;
            for peer in self.peers() {
                let asked = tokio::time::timeout(ASK, peer.ask("", Question::Sight)).await;
                if let Ok(Ok(_) | Err(PeerError::Refused { .. } | PeerError::Busy { .. })) = asked {
                    self.sight.heard(peer.region());
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
