//! What joins the nodes: calls that get lost on either way, nodes that freeze and die, and who believes whom to be alive.
//!
//! Everything that crosses is encoded and decoded, as between real nodes.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::timeout;
use tradewind_database::cluster::{
    Cluster, Done, ForwardError, Forwarded, Hold, Inquiry, NodeId, Outcome, Pending, Release, RemoteHold,
    Seat, Spent,
};
use tradewind_database::{CATCH_UP_SHARE, Database, Parts, Regions, Settings};
use tradewind_engine::memory::{MemoryDisk, MemoryEngine};
use tradewind_model::{Clock, PartitionId, Region, SystemClock};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::node::{Gate, Life, Store, live};

/// Far more than a call takes where nobody is frozen or dead.
const CALL: Duration = Duration::from_millis(500);

/// The fate of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Arrives,
    /// It does not arrive; the caller does not know that.
    RequestLost,
    /// It arrives when the caller has given up.
    Late,
    /// It is carried out, and the caller does not hear of it.
    AnswerLost,
    /// The same, and the node that carried it out dies.
    OwnerDies,
}

pub struct Node {
    pub id: NodeId,
    pub life: watch::Sender<Life>,
    lease: AtomicBool,
    members: Mutex<Vec<NodeId>>,
    changed: watch::Sender<u64>,
    database: OnceLock<Weak<Database<Gate>>>,
}

pub struct Network {
    pub nodes: Vec<Arc<Node>>,
    fates: Mutex<VecDeque<Fate>>,
}

impl Network {
    /// The fates of the next operations that are forwarded; later ones arrive.
    pub fn plan(&self, fates: impl IntoIterator<Item = Fate>) {
        self.fates.lock().unwrap().extend(fates);
    }

    /// What was planned and has not come to pass does not.
    pub fn forget_plan(&self) {
        self.fates.lock().unwrap().clear();
    }

    fn fate(&self) -> Fate {
        self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Arrives)
    }

    fn node(&self, id: NodeId) -> &Arc<Node> {
        self.nodes.iter().find(|node| node.id == id).expect("nodes are known")
    }

    /// Everybody who lives knows these members; who is none of them has no lease.
    pub fn set_members(&self, members: &[usize]) {
        let ids: Vec<_> = members.iter().map(|at| self.nodes[*at].id).collect();
        for node in self.nodes.iter().filter(|node| *node.life.borrow() == Life::Live) {
            node.learn(&ids);
        }
    }

    /// Who leaves as planned may forward what it is still asked.
    pub fn keep_leases(&self) {
        for node in &self.nodes {
            node.lease.store(true, Ordering::SeqCst);
        }
    }

    /// The node ends; the others hear of it when its lease has expired.
    pub fn kill(&self, at: usize) {
        self.nodes[at].life.send_replace(Life::Dead);
    }

    pub fn freeze(&self, at: usize) {
        self.nodes[at].life.send_replace(Life::Frozen);
    }

    /// It wakes without a lease, and with the members it knew.
    pub fn wake(&self, at: usize) {
        self.nodes[at].lease.store(false, Ordering::SeqCst);
        self.nodes[at].life.send_replace(Life::Live);
    }
}

impl Node {
    fn learn(&self, members: &[NodeId]) {
        self.lease.store(members.contains(&self.id), Ordering::SeqCst);
        *self.members.lock().unwrap() = members.to_vec();
        self.changed.send_modify(|count| *count += 1);
    }

    fn is_dead(&self) -> bool {
        *self.life.borrow() == Life::Dead
    }

    fn database(&self) -> Store {
        self.database.get().and_then(Weak::upgrade).expect("the node was opened")
    }
}

/// The network as one node has it.
struct Link {
    me: Arc<Node>,
    network: Arc<Network>,
}

impl Link {
    /// A call in bounded time. What the other node does goes on when the caller has given up.
    async fn call<T: Send + 'static>(
        &self,
        to: NodeId,
        fate: Fate,
        serve: impl Future<Output = Result<T, ForwardError>> + Send + 'static,
    ) -> Result<T, ForwardError> {
        live(self.me.life.subscribe()).await;
        let node = self.network.node(to).clone();
        if node.is_dead() {
            return Err(ForwardError::NotSent("the node is dead".to_owned()));
        }
        let lost = || ForwardError::Unknown(format!("{fate:?}"));
        let life = node.life.subscribe();
        let serving = async move {
            live(life.clone()).await;
            let answer = serve.await;
            live(life).await;
            answer
        };
        match fate {
            Fate::RequestLost => return Err(lost()),
            Fate::Late => {
                tokio::spawn(async move {
                    tokio::time::sleep(CALL * 3).await;
                    serving.await
                });
                return Err(lost());
            }
            _ => (),
        }
        let served = timeout(CALL, tokio::spawn(serving)).await;
        if fate == Fate::OwnerDies {
            node.life.send_replace(Life::Dead);
        }
        match (fate, served) {
            (Fate::Arrives, Ok(Ok(answer))) => answer,
            _ => Err(lost()),
        }
    }
}

/// What arrives is what was sent.
fn over_the_wire<T: Serialize + DeserializeOwned>(sent: &T) -> T {
    let bytes = rmp_serde::to_vec_named(sent).expect("it can be encoded");
    rmp_serde::from_slice(&bytes).expect("it can be decoded")
}

impl Cluster for Link {
    fn seat(&self, partition: PartitionId) -> Seat {
        if !self.holds_lease() {
            return Seat::Nowhere;
        }
        let members = self.me.members.lock().unwrap();
        let rank = |id: &NodeId| xxh3_64(&[&id.0.as_bytes()[..], &partition.to_bytes()].concat());
        match members.iter().max_by_key(|id| rank(id)) {
            Some(id) if *id == self.me.id => Seat::Here,
            Some(id) => Seat::At(*id),
            None => Seat::Nowhere,
        }
    }

    fn holds_lease(&self) -> bool {
        self.me.lease.load(Ordering::SeqCst)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.me.changed.subscribe()
    }

    fn suspect(&self) {}

    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn submit<'a>(
        &'a self,
        node: NodeId,
        forwarded: &'a Forwarded,
    ) -> Pending<'a, Result<Done, ForwardError>> {
        let fate = if forwarded.op.is_repeatable() { Fate::Arrives } else { self.network.fate() };
        let (forwarded, to) = (over_the_wire(forwarded), self.network.node(node).clone());
        Box::pin(self.call(
            node,
            fate,
            async move { over_the_wire(&to.database().serve_submit(forwarded).await) },
        ))
    }

    fn hold<'a>(&'a self, node: NodeId, hold: &'a Hold) -> Pending<'a, Result<RemoteHold, ForwardError>> {
        let (hold, to) = (over_the_wire(hold), self.network.node(node).clone());
        let fate = self.network.fate();
        Box::pin(self.call(node, fate, async move { over_the_wire(&to.database().serve_hold(hold).await) }))
    }

    fn release(&self, node: NodeId, release: Release) -> Pending<'static, ()> {
        let (release, to) = (over_the_wire(&release), self.network.node(node).clone());
        let lost = matches!(self.network.fate(), Fate::RequestLost | Fate::Late);
        let life = self.me.life.subscribe();
        let sending = tokio::spawn(async move {
            live(life).await;
            live(to.life.subscribe()).await;
            if !lost {
                to.database().serve_release(release);
            }
        });
        Box::pin(async move { _ = timeout(CALL, sending).await })
    }

    fn inquire<'a>(
        &'a self,
        node: NodeId,
        inquiry: &'a Inquiry,
    ) -> Pending<'a, Result<Outcome, ForwardError>> {
        let (inquiry, to) = (over_the_wire(inquiry), self.network.node(node).clone());
        Box::pin(self.call(node, Fate::Arrives, async move {
            over_the_wire(&to.database().serve_inquiry(inquiry).await)
        }))
    }

    fn spend(&self, spent: Spent) -> Pending<'_, ()> {
        for node in self.network.nodes.iter().filter(|node| node.id != self.me.id && !node.is_dead()) {
            node.database().serve_spent(&over_the_wire(&spent));
        }
        Box::pin(std::future::ready(()))
    }

    fn announce(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let others = self.network.nodes.iter().filter(|node| node.id != self.me.id && !node.is_dead());
            let looked = others.map(|node| {
                let database = node.database();
                timeout(CALL, async move { database.refresh_catalogue().await })
            });
            futures_util::future::join_all(looked).await;
        })
    }
}

struct NoRegions;

impl Regions for NoRegions {
    fn ensure(&self, _region: Region) -> bool {
        false
    }

    fn has_table(&self, _region: Region, _table: &str) -> bool {
        false
    }
}

/// A region of three nodes that all know each other.
pub struct Three {
    pub network: Arc<Network>,
    pub stores: Vec<Store>,
}

pub async fn three() -> Three {
    let node = |at: u128| {
        Arc::new(Node {
            id: NodeId(Uuid::from_u128(at + 1)),
            life: watch::Sender::new(Life::Live),
            lease: AtomicBool::new(true),
            members: Mutex::default(),
            changed: watch::Sender::new(0),
            database: OnceLock::new(),
        })
    };
    let network = Arc::new(Network { nodes: (0..3).map(node).collect(), fates: Mutex::default() });
    network.set_members(&[0, 1, 2]);
    let disk = MemoryDisk::default();
    let mut stores = Vec::new();
    for me in &network.nodes {
        let clock = Arc::new(SystemClock::new(true));
        let engine_clock = clock.clone();
        let engine = MemoryEngine::open(&disk, Arc::new(move || engine_clock.now_ms()));
        let parts = Parts {
            engine: Arc::new(Gate::new(engine, me.life.subscribe())),
            clock,
            region: Region::new("us-east-1").unwrap(),
            settings: Settings {
                account: "000000000000".to_owned(),
                throttle: false,
                catch_up_share: CATCH_UP_SHARE,
            },
            regions: Arc::new(NoRegions),
            data: Arc::new([tokio::runtime::Handle::current()]),
        };
        let link = Link { me: me.clone(), network: network.clone() };
        let store = Arc::new(Database::open_in(parts, Arc::new(link)).await.unwrap());
        me.database.set(Arc::downgrade(&store)).unwrap();
        tokio::spawn(store.clone().follow());
        tokio::spawn(store.clone().keep_house());
        stores.push(store);
    }
    Three { network, stores }
}
