//! `tradewind streams`: one node of a region that runs functions, composed on this page.
//!
//! It owns no partition: items are read from the store and written through the storage nodes. Its own functions call it
//! back on a port of the loopback, with a key that only this process knows.

mod front;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_changelog::Log;
use tradewind_changelog_kafka::KafkaLog;
use tradewind_database::region::Parts;
use tradewind_database::{CATCH_UP_SHARE, Database};
use tradewind_iam::{Credentials, Secret};
use tradewind_model::{Clock, SystemClock};
use tradewind_rpc::{Authority, Identity, Serving};
use tradewind_storage::node::{Advertise, FUNCTIONS_GROUP, visit};
use tradewind_storage::{Server, serve};
use tradewind_streams::{Node, Settings};

use crate::arguments::streams::Streams;
use crate::storage::settings::{advertised, tls};
use crate::storage::{announce, stop_on_signals};
use crate::store::{self, Store};
use crate::threads::DataThreads;

use self::front::{Answers, Beside, OneRegion, OwnRegion};

/// Requests under way may take so long to end; running invocations end by themselves.
const DRAIN: Duration = Duration::from_secs(8);

pub fn run(arguments: Streams) -> anyhow::Result<()> {
    let background = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let exporting = background.block_on(async { arguments.telemetry.start("tradewind-streams") })?;
    let data = DataThreads::start()?;
    let outcome = background.block_on(run_in(arguments, data.handles.clone(), background.handle().clone()));
    data.stop();
    drop(exporting);
    background.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run_in(arguments: Streams, data: Arc<[Handle]>, background: Handle) -> anyhow::Result<()> {
    let stop = stop_on_signals()?;
    let ports = Ports::bind(&arguments, &data).await?;
    let name = arguments.name.clone().unwrap_or_else(|| ports.node_address.clone());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(true));
    let opened = stop.run_until_cancelled(store::open(&arguments.database, &name, clock.clone()));
    let Some(engine) = opened.await else { return Ok(()) };
    let engine = Arc::new(engine?);
    let identity = Authority::of(&*engine).await?.issue()?;
    // What answers and what is asked ends after what runs.
    let last = CancellationToken::new();
    let region = Region { arguments: &arguments, engine, clock, data, background };
    let database = region.database(&identity, &last).await?;
    let following = tokio::spawn(database.clone().follow());
    let work_dir = WorkDir::of(arguments.work_dir.as_deref())?;
    let node = region.node(&database, &ports, &work_dir, &name).await?;
    let fronts = region.serve(&node, database, ports, identity, &stop, &last).await?;
    let running = node.node.clone();
    announce::say(&region.facts(&name, &node), arguments.ready_file.as_deref())?;
    running.run(stop).await;
    if tokio::time::timeout(DRAIN, fronts).await.is_err() {
        tracing::warn!("requests that were still under way were ended");
    }
    last.cancel();
    following.abort();
    Ok(())
}

/// The sockets of the process, bound before anything is opened.
struct Ports {
    clients: Server,
    /// Where functions of this process call.
    functions: Server,
    nodes: TcpListener,
    node_address: String,
}

impl Ports {
    async fn bind(arguments: &Streams, data: &Arc<[Handle]>) -> anyhow::Result<Ports> {
        let tls = tls(
            arguments.listen,
            arguments.tls_cert.as_deref(),
            arguments.tls_key.as_deref(),
            arguments.insecure,
        )?;
        let clients = bind(arguments.listen, data).await.context("--listen")?;
        let clients = match tls {
            Some(tls) => clients.with_tls(tls),
            None => clients,
        };
        let functions = bind((Ipv4Addr::LOCALHOST, 0).into(), data).await?;
        let node_listen = arguments.node_listen.unwrap_or_else(|| SocketAddr::new(arguments.listen.ip(), 0));
        let nodes = TcpListener::bind(node_listen).await;
        let nodes = nodes.with_context(|| format!("--node-listen {node_listen}"))?;
        let Advertise { host, port } =
            advertised(arguments.advertise.as_ref(), node_listen, &arguments.database.postgres)?;
        let port = port.unwrap_or(nodes.local_addr()?.port());
        let node_address = Advertise { host, port: None }.address(port);
        Ok(Ports { clients, functions, nodes, node_address })
    }
}

/// A port is served where it was bound.
async fn bind(address: SocketAddr, data: &Arc<[Handle]>) -> io::Result<Server> {
    data[0].spawn(Server::bind(address)).await.map_err(io::Error::other)?
}

struct Region<'a> {
    arguments: &'a Streams,
    engine: Arc<Store>,
    clock: Arc<dyn Clock>,
    data: Arc<[Handle]>,
    background: Handle,
}

/// What runs functions, and what its functions sign their calls with.
struct Running {
    node: Arc<Node<Store>>,
    own_key: Credentials,
    client_port: u16,
    work_dir: PathBuf,
}

impl Region<'_> {
    /// A view that owns no partition, and has the changes from Kafka where storage nodes publish them there.
    async fn database(
        &self,
        identity: &Identity,
        stop: &CancellationToken,
    ) -> anyhow::Result<Arc<Database<Store>>> {
        let cluster = visit(self.engine.clone(), identity, self.background.clone(), stop.clone()).await?;
        let region = self.arguments.database.region;
        let settings = tradewind_database::Settings {
            account: self.arguments.account_id.clone(),
            throttle: true,
            catch_up_share: CATCH_UP_SHARE,
        };
        let parts = Parts {
            engine: self.engine.clone(),
            clock: self.clock.clone(),
            region,
            settings,
            regions: Arc::new(OwnRegion(region)),
            data: self.data.clone(),
        };
        let database = Arc::new(Database::open_in(parts, cluster).await?);
        if let Some(kafka) = self.arguments.kafka.settings() {
            let log = KafkaLog::new(&kafka, self.engine.clone()).context("--kafka")?;
            database.publish_to(Log::new(log), None);
        }
        Ok(database)
    }

    async fn node(
        &self,
        database: &Arc<Database<Store>>,
        ports: &Ports,
        work_dir: &WorkDir,
        name: &str,
    ) -> anyhow::Result<Running> {
        let secret = uuid::Uuid::new_v4().simple().to_string();
        // Of its own for each process: a function that outlives it cannot sign as another's.
        let key = format!("TRADEWIND{}", &uuid::Uuid::new_v4().simple().to_string()[..11]).to_uppercase();
        let settings = Settings {
            folder: work_dir.path().to_owned(),
            endpoint_url: format!("http://127.0.0.1:{}", ports.functions.port()?),
            credentials: tradewind_streams::Credentials {
                access_key_id: key.clone(),
                secret_access_key: secret.clone(),
                session_token: None,
            },
            python: self.arguments.python.clone(),
            node: self.arguments.node.clone(),
        };
        let node = Node::new(database.clone(), settings, FUNCTIONS_GROUP, name, &ports.node_address)?;
        let own_key = Credentials::new(&*key, Secret::new(&*secret));
        let (node, work_dir) = (Arc::new(node), work_dir.path().to_owned());
        Ok(Running { node, own_key, client_port: ports.clients.port()?, work_dir })
    }

    /// Takes requests, of clients, of functions and of the other nodes; the answer ends when the fronts have drained.
    async fn serve(
        &self,
        running: &Running,
        database: Arc<Database<Store>>,
        ports: Ports,
        identity: Identity,
        stop: &CancellationToken,
        last: &CancellationToken,
    ) -> anyhow::Result<JoinHandle<()>> {
        let region = self.arguments.database.region;
        let own = vec![running.own_key.clone()];
        let keys = tradewind_storage::credentials::access(&self.engine, &self.clock, region, own, stop);
        let access = keys.await?;
        let node = running.node.clone();
        let other =
            Arc::new(Beside { node: node.clone(), stop: stop.clone(), work_dir: running.work_dir.clone() });
        let served = tradewind_storage::Region { database, other };
        let front = |port| tradewind_storage::Front {
            fixed: Some(region.to_string()),
            regions: Arc::new(OneRegion(served.clone())),
            access: access.clone(),
            address: SocketAddr::new(self.arguments.listen.ip(), port).to_string(),
            claims_encryption: false,
        };
        let (clients, functions) = (front(ports.clients.port()?), front(ports.functions.port()?));
        let serving = Serving { listener: ports.nodes, identity };
        tokio::spawn(tradewind_rpc::serve(serving, Arc::new(Answers(node)), last.clone()));
        // Functions that are still running may call until the last of them has ended.
        self.data[0].spawn(serve(ports.functions, functions, self.data.clone(), last.clone()));
        Ok(self.data[0].spawn(serve(ports.clients, clients, self.data.clone(), stop.clone())))
    }

    fn facts(&self, name: &str, running: &Running) -> announce::Facts {
        announce::Facts {
            region: self.arguments.database.region,
            is_tls: self.arguments.tls_cert.is_some(),
            name: name.to_owned(),
            address: SocketAddr::new(self.arguments.listen.ip(), running.client_port),
            node_address: running.node.member.address.clone(),
        }
    }
}

/// Where code is unpacked.
enum WorkDir {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl WorkDir {
    fn of(given: Option<&Path>) -> anyhow::Result<WorkDir> {
        let Some(folder) = given else {
            let temporary = tempfile::Builder::new().prefix("tradewind-streams-").tempdir();
            return Ok(WorkDir::Temporary(temporary.context("--work-dir: the system's temporary folder")?));
        };
        let made = std::fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
        Ok(WorkDir::Kept(made.with_context(|| format!("--work-dir {}", folder.display()))?))
    }

    fn path(&self) -> &Path {
        match self {
            WorkDir::Kept(path) => path,
            WorkDir::Temporary(folder) => folder.path(),
        }
    }
}
