//! The streams service of a region: functions that run on the changes of its tables, and the API that manages them.

mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tradewind_database::Database;
use tradewind_engine::{Documents, Engine};
use tradewind_function::catalogue::Catalogue;
use tradewind_function::code::CodeStore;
use tradewind_function::invoke::Functions;
use tradewind_function::lambda::LambdaApi;
use tradewind_function::mapping::failed::FailedLog;
use tradewind_function::mapping::{Mappings, RunnerSettings};
use tradewind_function::runtime::{Environments, Settings as RuntimeSettings};

pub use source::Shards;
pub use tradewind_function::lambda::{Request, Response, is_lambda_path};
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
    api: Api<E>,
    functions: Arc<Functions<E>>,
    mappings: Arc<Mappings<E, Functions<E>, Shards<E>, FailedLog>>,
}

impl<E: Engine + Documents> Streams<E> {
    /// Must be called inside a Tokio runtime.
    pub fn new(database: Arc<Database<E>>, settings: Settings) -> anyhow::Result<Streams<E>> {
        let region = database.region();
        let clock = database.clock().clone();
        let clock: tradewind_function::Clock = Arc::new(move || clock.now_ms());
        let catalogue = Arc::new(Catalogue::new(database.engine().clone()));
        let code = Arc::new(CodeStore::open(settings.folder.join("code"))?);
        let runtime = runtime_settings(&database, &settings);
        let environments = Environments::new(catalogue.clone(), code.clone(), runtime, clock.clone())?;
        let functions = Arc::new(Functions::new(environments));
        let source = Arc::new(Shards::new(database.clone()));
        let failed = Arc::new(FailedLog::open(settings.folder.join("failed"))?);
        let account = database.account().to_owned();
        let runner =
            RunnerSettings { region, account: account.clone(), owner: region.to_string(), drain: DRAIN };
        let mappings = Mappings::new(
            catalogue.clone(),
            functions.clone(),
            source.clone(),
            failed,
            clock.clone(),
            runner,
        );
        let api = LambdaApi::new(region.as_str(), account, catalogue, code, functions.clone(), source, clock);
        Ok(Streams { api, functions, mappings })
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
        use_awslambdaric: true,
        folder: settings.folder.join("bootstrap"),
        max_environments: MAX_ENVIRONMENTS,
        keep_idle: KEEP_IDLE,
        init_timeout: INIT_TIMEOUT,
    }
}
