//! One region of the process: its engine, database, replicator and functions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tradewind_database::{CATCH_UP_SHARE, Database, Regions};
use tradewind_engine::fjall::{FjallEngine, Settings};
use tradewind_model::{Clock, Region, SystemClock};
use tradewind_replication::{LocalPeer, Replicator};
use tradewind_streams::Streams;

pub type Store = FjallEngine;
pub type LocalReplicator = Replicator<Store, LocalPeer<Store>>;

/// What a region is made of.
pub struct Plan {
    pub region: Region,
    pub account: String,
    pub throttle: bool,
    pub ttl_pace: u32,
    /// `None`: kept in memory.
    pub data_dir: Option<PathBuf>,
    /// For what functions need, also when data is kept in memory.
    pub work_dir: PathBuf,
    pub endpoint_url: String,
    pub function_credentials: tradewind_streams::Credentials,
    pub python: String,
    pub node: String,
}

pub struct RegionProcess {
    pub clock: Arc<SystemClock>,
    pub database: Arc<Database<Store>>,
    pub replicator: Arc<LocalReplicator>,
    pub streams: Arc<Streams<Store>>,
}

impl RegionProcess {
    /// Opens the region's data. Partitions live on `data`, everything else on the current runtime.
    pub async fn open(
        plan: Plan,
        data: Arc<[Handle]>,
        regions: Arc<dyn Regions>,
    ) -> anyhow::Result<RegionProcess> {
        let clock = Arc::new(SystemClock::new(true));
        let settings = match &plan.data_dir {
            Some(dir) => Settings::new(dir.join(plan.region.as_str())),
            None => Settings::in_memory(),
        };
        let engine_clock = clock.clone();
        let engine = Arc::new(FjallEngine::open(&settings, Arc::new(move || engine_clock.now_ms()))?);
        let settings = tradewind_database::Settings {
            account: plan.account,
            throttle: plan.throttle,
            catch_up_share: CATCH_UP_SHARE,
        };
        let database = Database::open(engine, clock.clone(), plan.region, settings, regions, data);
        let database = Arc::new(database.await.with_context(|| format!("region {}", plan.region))?);
        database.pace.set(plan.ttl_pace);
        let replicator = Arc::new(Replicator::new(database.clone()));
        let streams = tradewind_streams::Settings {
            folder: functions_dir(&plan.work_dir, plan.region),
            endpoint_url: plan.endpoint_url,
            credentials: plan.function_credentials,
            python: plan.python,
            node: plan.node,
        };
        let streams = Arc::new(Streams::new(database.clone(), streams)?);
        Ok(RegionProcess { clock, database, replicator, streams })
    }

    /// Starts what runs beside requests, on the current runtime.
    pub fn start(&self, stop: &CancellationToken) -> tokio::task::JoinHandle<()> {
        for background in
            [tokio::spawn(self.database.clone().keep_house()), tokio::spawn(self.replicator.clone().run())]
        {
            tokio::spawn(end_with_process(background, stop.clone()));
        }
        let (streams, stop) = (self.streams.clone(), stop.clone());
        tokio::spawn(async move { streams.run(stop).await })
    }
}

/// A background task that panics has lost its invariants: the process ends, and whatever starts it starts it again.
async fn end_with_process(task: tokio::task::JoinHandle<()>, stop: CancellationToken) {
    let abort = task.abort_handle();
    tokio::select! {
        ended = task => if ended.is_err_and(|error| error.is_panic()) {
            tracing::error!("a background task panicked; the process ends");
            std::process::abort();
        },
        () = stop.cancelled() => abort.abort(),
    }
}

fn functions_dir(work_dir: &Path, region: Region) -> PathBuf {
    work_dir.join("functions").join(region.as_str())
}
