//! The streams service of a region: functions that run on the changes of its tables, and the API that manages them.
//!
//! [`Streams`] is all of it in one process, beside the database. [`Node`] is one process of several: each shard of each
//! mapping runs at one of them, by a lease in the region's store, and moves when they come, go or die.

mod lease;
mod meters;
mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tradewind_database::Database;
use tradewind_engine::{Documents, Engine, Member, Members};
use tradewind_function::catalogue::Catalogue;
use tradewind_function::code::{CodeStore, Packages};
use tradewind_function::invoke::{Functions, Handler};
use tradewind_function::lambda::{LambdaApi, Parts};
use tradewind_function::mapping::failed::FailedLog;
use tradewind_function::mapping::{Mappings, RunnerSettings, Seats};
use tradewind_function::metrics::Metrics;
use tradewind_function::runtime::{Environments, Settings as RuntimeSettings};
use uuid::Uuid;

pub use source::Shards;
pub use tradewind_function::lambda::{Request, Response};
pub use tradewind_function::runtime::Credentials;

/// What a region's functions need to know.
#[derive(Clone)]
pub struct Settings {
    /// For code, bootstraps and failed batches.
    pub folder: PathBuf,
    /// Where functions find this region.
    pub endpoint_url: String,
    /// With what their own calls are signed.
    pub credentials: Credentials,
    /// The Python interpreter that runs python functions; a name is searched in PATH.
    pub python: String,
    pub node: String,
}

/// Environments that one function may have at once.
const MAX_ENVIRONMENTS: usize = 16;
const KEEP_IDLE: Duration = Duration::from_secs(300);
/// Lambda's own bound.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Running invocations may end when the service stops.
const DRAIN: Duration = Duration::from_secs(5);

type Api<E> = LambdaApi<E, Functions<E>, Shards<E>>;

pub struct Streams<E> {
    region: tradewind_model::Region,
    api: Api<E>,
    functions: Arc<Functions<E>>,
    mappings: Arc<Mappings<E, Functions<E>, Shards<E>>>,
}

impl<E: Engine + Documents> Streams<E> {
    /// All functions of a region in this process. Must be called inside a Tokio runtime.
    pub fn new(database: Arc<Database<E>>, settings: Settings) -> anyhow::Result<Streams<E>> {
        let seats = Seats::alone(database.region().as_str());
        let source = Shards::new(database.clone());
        Streams::assemble(database, settings, source, seats, false)
    }

    fn assemble(
        database: Arc<Database<E>>,
        settings: Settings,
        source: Shards<E>,
        seats: Arc<Seats>,
        is_shared: bool,
    ) -> anyhow::Result<Streams<E>> {
        let region = database.region();
        let clock = database.clock().clone();
        let clock: tradewind_function::Clock = Arc::new(move || clock.now_ms());
        let catalogue = Arc::new(Catalogue::new(database.engine().clone()));
        let code = Arc::new(CodeStore::open(settings.folder.join("code"))?);
        let packages = Arc::new(Packages::new(database.engine().clone(), code, is_shared));
        let runtime = runtime_settings(&database, &settings);
        let environments = Environments::new(catalogue.clone(), packages.clone(), runtime, clock.clone())?;
        let functions = Arc::new(Functions::new(environments));
        let source = Arc::new(source);
        let failed = Arc::new(FailedLog::new(database.engine().clone()));
        let account = database.account().to_owned();
        let journal = functions.environments().journal().clone();
        let runner = RunnerSettings { region, account: account.clone(), seats, drain: DRAIN };
        let mappings = Mappings::new(
            catalogue.clone(),
            functions.clone(),
            source.clone(),
            failed.clone(),
            journal.metrics().clone(),
            clock.clone(),
            runner,
        );
        let api = LambdaApi::new(Parts {
            region: region.to_string(),
            account,
            catalogue,
            code: packages,
            invoker: functions.clone(),
            source,
            failed,
            journal,
            clock,
        });
        Ok(Streams { region, api, functions, mappings })
    }

    /// The Lambda API.
    pub async fn handle(&self, request: Request<'_>) -> Response {
        self.api.handle(request).await
    }

    /// Runs the event source mappings until `stop`, then lets running invocations end.
    pub async fn run(&self, stop: CancellationToken) {
        self.mappings.run(stop).await;
        self.functions.environments().shutdown();
    }

    pub fn functions(&self) -> &Arc<Functions<E>> {
        &self.functions
    }

    /// A function of this process: registered, and in the catalogue so that it can be mapped and invoked by its name.
    pub async fn serve(&self, name: &str, handler: Handler) -> anyhow::Result<()> {
        Ok(self.functions.serve(name, handler).await?)
    }

    /// All numbers under Lambda's names.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.functions.environments().journal().metrics().clone()
    }
}

/// One process of any number that run a region's functions: leased, each shard at one of them.
pub struct Node<E> {
    pub streams: Arc<Streams<E>>,
    pub member: Member,
    group: &'static str,
    seats: Arc<Seats>,
    engine: Arc<E>,
}

impl<E: Engine + Documents + Members> Node<E> {
    /// `group` is that of all processes of its kind, `name` this one's in it, `address` where its Lambda API is reached.
    /// The database is a view of the region that owns no partition. Must be called inside a Tokio runtime.
    pub fn new(
        database: Arc<Database<E>>,
        settings: Settings,
        group: &'static str,
        name: &str,
        address: &str,
    ) -> anyhow::Result<Node<E>> {
        let member = Member { name: name.to_owned(), id: Uuid::new_v4(), address: address.to_owned() };
        let engine = database.engine().clone();
        let seats = Seats::of(lease::name(&member), lease::roll(engine.clone(), group));
        let source = Shards::remote(database.clone());
        let streams = Arc::new(Streams::assemble(database, settings, source, seats.clone(), true)?);
        Ok(Node { streams, member, group, seats, engine })
    }

    /// Whether this process may run anything: its lease has been renewed in time.
    pub fn holds_lease(&self) -> bool {
        self.seats.holds()
    }

    /// Runs this process's share until `shutdown`: then running invocations end, every shard is let go of, and the lease is
    /// given back last, so that the others begin where this one has saved.
    pub async fn run(&self, shutdown: CancellationToken) {
        let stopped = CancellationToken::new();
        // Whoever drops this has given up: the lease is renewed no more, and ends by itself.
        let _given_up = stopped.clone().drop_guard();
        let lease = lease::Keeping {
            members: self.engine.clone(),
            group: self.group,
            member: self.member.clone(),
            seats: self.seats.clone(),
        };
        let lease = tokio::spawn(lease.keep(stopped.clone()));
        self.streams.run(shutdown).await;
        stopped.cancel();
        if let Err(error) = lease.await {
            tracing::error!(%error, "keeping the lease of the streams service");
        }
        lease::leave(&*self.engine, self.group, &self.member, &self.seats).await;
    }
}

fn runtime_settings<E: Engine + Documents>(database: &Database<E>, settings: &Settings) -> RuntimeSettings {
    RuntimeSettings {
        region: database.region().to_string(),
        account: database.account().to_owned(),
        endpoint_url: settings.endpoint_url.clone(),
        credentials: settings.credentials.clone(),
        path: std::env::join_paths(["/usr/local/bin", "/usr/bin", "/bin"])
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default(),
        python: settings.python.clone(),
        node: settings.node.clone(),
        use_aws_runtimes: true,
        folder: settings.folder.join("bootstrap"),
        max_environments: MAX_ENVIRONMENTS,
        keep_idle: KEEP_IDLE,
        init_timeout: INIT_TIMEOUT,
    }
}
