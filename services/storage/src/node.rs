//! A storage node: one process of a region, composed on this page.
//!
//! Everything that can be wrong with its settings is found before it listens. It is a member only while it can answer, and
//! leaves before it stops: the others take its partitions over while it still answers what it has begun.

mod answers;
mod beside;
pub mod functions;
mod health;
mod lease;
pub mod membership;
mod neighbours;
mod operate;
mod placement;
mod publish;
mod replicators;
mod roster;
mod together;
mod view;
mod visitor;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tradewind_database::question::Neighbours;
use tradewind_database::region::Parts;
use tradewind_database::{Database, Regions};
use tradewind_engine::{Documents, Engine, Error, Member, Members};
use tradewind_model::{Clock, Region};
use tradewind_replication::{RegionLinks, RemotePeer};
use tradewind_rpc::{Authority, AuthorityError, Destination, LinkServer, LinkTls, Nodes, Serving};
use uuid::Uuid;

pub use functions::GROUP as FUNCTIONS_GROUP;
pub use membership::MembershipError;
pub use replicators::{GROUP as REPLICATORS, Replicators, tell_raised};
pub use roster::Roster;
pub use together::{decode, encode};
pub use view::{ViewSettings, view};
pub use visitor::visit;

use self::answers::Answers;
use self::beside::Beside;
use self::functions::Functions;
use self::health::{Health, Report, Samples, Troubles};
use self::neighbours::OtherRegions;
use self::operate::Operators;
use self::publish::Publishing;
use self::together::{Together, tell_all};
use crate::access::Access;
use crate::credentials;
use crate::front::{Front, Region as ServedRegion, Regions as ServedRegions};
use crate::server::{Server, serve};

/// Requests under way may take so long to end.
const DRAIN: Duration = Duration::from_secs(8);
/// And the last groups of its partitions so long.
const HAND_OVER: Duration = Duration::from_secs(3);

/// What a node is told.
pub struct Settings {
    pub region: Region,
    /// Twelve digits.
    pub account: String,
    /// What old changes of other regions may take of the commits while clients write, in percent.
    pub catch_up_share: u8,
    /// Of its own in the region; `None`: its address.
    pub name: Option<String>,
    /// Where clients reach it.
    pub listen: SocketAddr,
    pub tls: Option<TlsAcceptor>,
    /// Where the other nodes reach it.
    pub node_listen: SocketAddr,
    pub advertise: Advertise,
    /// Where the other regions' links arrive; `None`: there is no replication.
    pub link: Option<LinkPort>,
    /// The regions beside this one.
    pub peers: BTreeMap<Region, Destination>,
    /// Where changes are published; `None`: their readers have them from the database.
    pub kafka: Option<tradewind_changelog_kafka::Settings>,
}

/// A port for other regions; without TLS for those of this machine only.
pub struct LinkPort {
    pub listen: SocketAddr,
    pub tls: Option<LinkTls>,
}

/// By which host the others come, and by which port if it is another than the one listened on.
#[derive(Clone, Debug)]
pub struct Advertise {
    pub host: String,
    pub port: Option<u16>,
}

impl Advertise {
    /// `host:port`.
    pub fn address(&self, port: u16) -> String {
        match self.host.parse() {
            Ok(IpAddr::V6(host)) => format!("[{host}]:{port}"),
            _ => format!("{}:{port}", self.host),
        }
    }
}

/// The threads a node runs on.
#[derive(Clone)]
pub struct Runtimes {
    /// Requests and partitions: current-thread runtimes.
    pub data: Arc<[Handle]>,
    /// Everything else.
    pub background: Handle,
}

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Engine(#[from] Error),
    #[error("--kafka: {0}")]
    Kafka(#[from] tradewind_changelog_kafka::KafkaError),
    #[error("--peer {region}: {cause}")]
    Peer { region: Region, cause: String },
}

/// The regions beside `here`, as its processes ask them. Must be called inside a Tokio runtime.
///
/// # Errors
/// A certificate or an address cannot be used.
pub fn peers(
    here: Region,
    destinations: &BTreeMap<Region, Destination>,
) -> Result<BTreeMap<Region, RemotePeer>, NodeError> {
    let peer = |(region, destination): (&Region, &Destination)| {
        let made = RemotePeer::new(here, *region, destination);
        let made = made.map_err(|cause| NodeError::Peer { region: *region, cause })?;
        Ok((*region, made))
    };
    destinations.iter().map(peer).collect()
}

/// What a node says once it serves.
#[derive(Clone, Debug)]
pub struct Started {
    pub name: String,
    /// Where clients are served.
    pub address: SocketAddr,
    /// As the other nodes know it.
    pub node_address: String,
    /// Where other regions' links arrive.
    pub link_address: Option<SocketAddr>,
}

/// Runs a node until `stop`, then hands its partitions over and drains. `started` hears of it once requests are taken.
///
/// # Errors
/// It could not start, or another node has taken its name: one line for the operator.
pub async fn run<E: Engine + Documents + Members>(
    engine: Arc<E>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    runtimes: Runtimes,
    started: impl FnOnce(&Started) -> io::Result<()>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let server = bind(settings.listen, settings.tls.clone(), &runtimes).await?;
    let listener = listen("--node-listen", settings.node_listen).await?;
    let links = match &settings.link {
        Some(port) => Some(link_port(port).await?),
        None => None,
    };
    let me = member(&settings, &listener)?;
    let identity = Authority::of(&*engine).await?.issue()?;
    let nodes = Arc::new(Nodes::new(&identity, runtimes.background.clone()));
    let roster = Arc::new(Roster::new(membership::GROUP, me));
    let functions = Nodes::new(&identity, runtimes.background.clone());
    let functions = Functions::new(engine.clone(), functions);
    let replicators = Nodes::new(&identity, runtimes.background.clone());
    let replicators = Arc::new(Replicators::new(engine.clone(), Arc::new(replicators)));
    let node = Node { engine, clock, roster, nodes, runtimes, settings };
    let ports = Ports { server, serving: Serving { listener, identity }, links };
    node.run(ports, functions, replicators, started, stop).await
}

/// What a node listens on.
struct Ports {
    server: Server,
    serving: Serving,
    links: Option<(SocketAddr, LinkServer)>,
}

struct Node<E: 'static> {
    engine: Arc<E>,
    clock: Arc<dyn Clock>,
    roster: Arc<Roster>,
    nodes: Arc<Nodes>,
    runtimes: Runtimes,
    settings: Settings,
}

impl<E: Engine + Documents + Members> Node<E> {
    async fn run(
        self,
        ports: Ports,
        functions: Functions<E>,
        replicators: Arc<Replicators<E>>,
        started: impl FnOnce(&Started) -> io::Result<()>,
        stop: CancellationToken,
    ) -> Result<(), NodeError> {
        let Ports { server, serving, links } = ports;
        let database = self.database().await?;
        let others = self.other_regions(&database)?;
        let publishing = self.publishing(&database)?;
        let access =
            credentials::access(&self.engine, &self.clock, self.settings.region, Vec::new(), &stop).await?;
        let facts = Started {
            name: self.roster.me.name.clone(),
            address: SocketAddr::new(self.settings.listen.ip(), server.port()?),
            node_address: self.roster.me.address.clone(),
            link_address: links.as_ref().map(|(address, _)| *address),
        };
        // The others can ask as soon as they see this node among the members, and so it answers before.
        let last = CancellationToken::new();
        let answers = Answers { database: database.clone(), roster: self.roster.clone() };
        let answering = tokio::spawn(tradewind_rpc::serve(serving, Arc::new(answers), last.clone()));
        membership::join(&*self.engine, &self.roster).await?;
        let mut member = self.stay_member(&stop);
        self.spread_news();
        tokio::spawn(membership::watch(self.roster.clone(), stop.clone()));
        let beside = [tokio::spawn(database.clone().follow()), tokio::spawn(database.clone().keep_house())];
        let published = publishing.clone().map(|publishing| tokio::spawn(publishing.run(stop.clone())));
        tokio::spawn(others.listen(replicators.clone(), stop.clone()));
        tokio::spawn(tell_raised(database.clone(), replicators.clone(), stop.clone()));
        let linked = links.map(|(_, links)| {
            tokio::spawn(links.serve(Arc::new(RegionLinks::new(database.clone())), stop.clone()))
        });
        let health = self.health(&database, &stop, publishing.clone());
        let operators = Operators { database: database.clone(), replicators };
        let front =
            self.front(&database, access, facts.address.port(), Beside { health, functions, operators });
        let data = self.runtimes.data.clone();
        let fronts = data[0].spawn(serve(server, front, data.clone(), stop.clone()));
        started(&facts)?;
        let expelled = tokio::select! {
            ended = &mut member => Some(joined(ended)),
            () = stop.cancelled() => None,
        };
        stop.cancel();
        let left = match expelled {
            Some(expelled) => expelled,
            None => joined(member.await),
        };
        self.hand_over(&database).await;
        if let (Some(publishing), Some(published)) = (publishing, published) {
            // What it found to be owned meanwhile would stay.
            let _ = published.await;
            publishing.close().await;
        }
        if tokio::time::timeout(DRAIN, fronts).await.is_err() {
            tracing::warn!("requests that were still under way were ended");
        }
        if let Some(linked) = linked {
            // Its calls are repeated wherever they did not come to an end.
            linked.abort();
        }
        beside.iter().for_each(JoinHandle::abort);
        last.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(1), answering).await;
        Ok(left?)
    }

    /// What this node owned goes to those who are members now, with what waits for it.
    async fn hand_over(&self, database: &Database<E>) {
        if tokio::time::timeout(HAND_OVER, database.leave()).await.is_err() {
            tracing::warn!("some partitions were not handed over in time; the others take them all the same");
        }
        tell_all(&self.nodes, &self.roster).await;
    }

    async fn database(&self) -> Result<Arc<Database<E>>, Error> {
        let together = Together {
            roster: self.roster.clone(),
            nodes: self.nodes.clone(),
            runtime: self.runtimes.background.clone(),
        };
        let peers = self.settings.peers.keys().copied().collect();
        let known = KnownRegions { here: self.settings.region, peers };
        let settings = tradewind_database::Settings {
            account: self.settings.account.clone(),
            throttle: true,
            catch_up_share: self.settings.catch_up_share,
        };
        let parts = Parts {
            engine: self.engine.clone(),
            clock: self.clock.clone(),
            region: self.settings.region,
            settings,
            regions: Arc::new(known),
            data: self.runtimes.data.clone(),
        };
        Ok(Arc::new(Database::open_in(parts, Arc::new(together)).await?))
    }

    /// For control operations; what follows from them is the replicators' to do.
    fn other_regions(&self, database: &Database<E>) -> Result<Arc<OtherRegions>, NodeError> {
        let others = Arc::new(OtherRegions::new(peers(self.settings.region, &self.settings.peers)?));
        let neighbours: Arc<dyn Neighbours> = others.clone();
        database.set_neighbours(Arc::downgrade(&neighbours));
        Ok(others)
    }

    fn publishing(
        &self,
        database: &Arc<Database<E>>,
    ) -> Result<Option<Arc<Publishing<E>>>, tradewind_changelog_kafka::KafkaError> {
        let Some(settings) = &self.settings.kafka else { return Ok(None) };
        Publishing::start(settings, database).map(|publishing| Some(Arc::new(publishing)))
    }

    fn stay_member(&self, stop: &CancellationToken) -> JoinHandle<Result<(), MembershipError>> {
        let (nodes, roster) = (self.nodes.clone(), self.roster.clone());
        let news = move || {
            let others = roster.others();
            nodes.keep(others.iter().map(|node| node.address.as_str()));
        };
        tokio::spawn(membership::keep(self.engine.clone(), self.roster.clone(), news, stop.clone()))
    }

    /// The others give this node its partitions now, and not when they look next.
    fn spread_news(&self) {
        let (nodes, roster) = (self.nodes.clone(), self.roster.clone());
        tokio::spawn(async move { tell_all(&nodes, &roster).await });
    }

    fn health(
        &self,
        database: &Arc<Database<E>>,
        stop: &CancellationToken,
        publishing: Option<Arc<Publishing<E>>>,
    ) -> Health {
        let samples = samples(database.clone(), publishing.clone());
        let publishing = publishing.map(|publishing| Box::new(move || publishing.report()) as Report);
        let (roster, stop) = (self.roster.clone(), stop.clone());
        Health { roster, stop, troubles: self.troubles(), publishing, samples }
    }

    fn troubles(&self) -> Troubles {
        let engine = self.engine.clone();
        Box::new(move || {
            let engine = engine.clone();
            Box::pin(async move { engine.troubles().await })
        })
    }

    fn front(
        &self,
        database: &Arc<Database<E>>,
        access: Arc<Access>,
        port: u16,
        beside: Beside<E>,
    ) -> Front<E> {
        let region = ServedRegion { database: database.clone(), other: Arc::new(beside) };
        Front {
            fixed: Some(self.settings.region.to_string()),
            regions: Arc::new(OneRegion(region)),
            access,
            address: self.settings.advertise.address(port),
            claims_encryption: false,
        }
    }
}

fn samples<E: Engine + Documents>(
    database: Arc<Database<E>>,
    publishing: Option<Arc<Publishing<E>>>,
) -> Samples {
    Box::new(move |out| {
        database.samples(false, out);
        publishing.iter().for_each(|publishing| publishing.samples(out));
    })
}

async fn bind(address: SocketAddr, tls: Option<TlsAcceptor>, runtimes: &Runtimes) -> io::Result<Server> {
    // A port is served where it was bound.
    let bound = runtimes.data[0].spawn(Server::bind(address)).await;
    let server = bound.map_err(io::Error::other)?.map_err(|error| named("--listen", &error))?;
    Ok(match tls {
        Some(tls) => server.with_tls(tls),
        None => server,
    })
}

/// The port for other regions, and where it is.
async fn link_port(port: &LinkPort) -> io::Result<(SocketAddr, LinkServer)> {
    let listener = listen("--link-listen", port.listen).await?;
    let address = listener.local_addr()?;
    let server = LinkServer::new(listener, port.tls.as_ref());
    Ok((address, server.map_err(|error| named("--link-cert, --link-key, --link-ca", &error))?))
}

/// Binds a port that a setting names.
///
/// # Errors
/// One line with the setting and the address.
pub async fn listen(setting: &str, address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        let error = io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
        named(setting, &error)
    })
}

fn named(setting: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{setting}: {error}"))
}

fn member(settings: &Settings, listener: &TcpListener) -> io::Result<Member> {
    let port = settings.advertise.port.unwrap_or(listener.local_addr()?.port());
    let address = settings.advertise.address(port);
    Ok(Member { name: settings.name.clone().unwrap_or_else(|| address.clone()), id: Uuid::new_v4(), address })
}

fn joined<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    match ended {
        Ok(ended) => ended,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A node serves one region.
struct OneRegion<E>(ServedRegion<E>);

impl<E: Engine + Documents> ServedRegions<E> for OneRegion<E> {
    fn find(&self, name: &str) -> Option<ServedRegion<E>> {
        (name == self.0.database.region().as_str()).then(|| self.0.clone())
    }

    fn database(&self, name: &str) -> Option<Arc<Database<E>>> {
        (name == self.0.database.region().as_str()).then(|| self.0.database.clone())
    }

    fn first(&self) -> ServedRegion<E> {
        self.0.clone()
    }
}

struct KnownRegions {
    here: Region,
    peers: BTreeSet<Region>,
}

impl Regions for KnownRegions {
    fn ensure(&self, region: Region) -> bool {
        region == self.here || self.peers.contains(&region)
    }

    fn has_table(&self, _: Region, _: &str) -> bool {
        false
    }
}
