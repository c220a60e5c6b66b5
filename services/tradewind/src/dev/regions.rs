//! The regions of the process. Where the command line names none, a region exists from its first use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock, Weak};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_database::Database;
use tradewind_model::Region;
use tradewind_replication::{Chaos, LocalPeer};
use tradewind_storage::Regions as ServedRegions;

use super::admin::Admin;
use super::region::{Plan, RegionProcess, Store};
use crate::arguments::Dev;

/// More regions than any real deployment has; each costs memory and files.
const MAX_REGIONS: usize = 40;

pub struct RegionSet {
    settings: Dev,
    data: Arc<[Handle]>,
    background: Handle,
    /// Where functions keep code and logs when data is kept in memory.
    work_dir: PathBuf,
    endpoint_url: String,
    function_credentials: tradewind_streams::Credentials,
    pub chaos: Chaos,
    stop: CancellationToken,
    open: RwLock<BTreeMap<Region, Arc<RegionProcess>>>,
    /// Held while a region is opened, so that nobody opens it twice.
    opening: Mutex<Vec<JoinHandle<()>>>,
    first: Region,
    this: Weak<RegionSet>,
}

impl RegionSet {
    #[expect(clippy::too_many_arguments, reason = "made in one place, of what that place has")]
    pub fn new(
        settings: Dev,
        data: Arc<[Handle]>,
        background: Handle,
        work_dir: PathBuf,
        endpoint_url: String,
        function_credentials: tradewind_streams::Credentials,
        first: Region,
        stop: CancellationToken,
    ) -> Arc<RegionSet> {
        Arc::new_cyclic(|this| RegionSet {
            settings,
            data,
            background,
            work_dir,
            endpoint_url,
            function_credentials,
            chaos: Chaos::default(),
            stop,
            open: RwLock::default(),
            opening: Mutex::default(),
            first,
            this: this.clone(),
        })
    }

    /// Where data lies, if it is kept.
    pub fn data_dir(&self) -> Option<&Path> {
        (!self.settings.in_memory).then_some(&*self.settings.data_dir)
    }

    /// Whether metrics name hot keys as they are.
    pub fn shows_keys(&self) -> bool {
        self.settings.insights_keys
    }

    pub fn all(&self) -> Vec<Arc<RegionProcess>> {
        self.open.read().expect("no panic while held").values().cloned().collect()
    }

    /// The runtime of what runs beside requests.
    pub fn background(&self) -> &Handle {
        &self.background
    }

    pub fn get(&self, region: Region) -> Option<Arc<RegionProcess>> {
        self.open.read().expect("no panic while held").get(&region).cloned()
    }

    /// Opens the regions, all at the same time, and makes them peers of each other.
    pub fn open_all(&self, regions: &[Region]) -> anyhow::Result<()> {
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                regions.iter().map(|region| scope.spawn(|| self.open_process(*region))).collect();
            threads.into_iter().map(|thread| thread.join().expect("opening does not panic")).collect()
        });
        let mut tasks = self.opening.lock().expect("no panic while held");
        for process in opened {
            tasks.push(self.admit(process?));
        }
        Ok(())
    }

    /// Opens a region that was not named at the start, if that is allowed.
    fn open_more(&self, region: Region) -> Option<Arc<RegionProcess>> {
        let mut tasks = self.opening.lock().expect("no panic while held");
        if let Some(process) = self.get(region) {
            return Some(process);
        }
        let allowed = self.settings.regions.is_none() && self.all().len() < MAX_REGIONS;
        if !allowed || self.stop.is_cancelled() {
            return None;
        }
        // Blocking: a region's first use is rare and takes some milliseconds.
        let opened = std::thread::scope(|scope| scope.spawn(|| self.open_process(region)).join());
        match opened.expect("opening does not panic") {
            Ok(process) => tasks.push(self.admit(process)),
            Err(error) => tracing::error!(%region, "a region cannot be opened: {error:#}"),
        }
        self.get(region)
    }

    fn open_process(&self, region: Region) -> anyhow::Result<RegionProcess> {
        let plan = Plan {
            region,
            account: self.settings.account_id.clone(),
            throttle: self.settings.throttle,
            ttl_pace: self.settings.ttl_pace,
            data_dir: (!self.settings.in_memory).then(|| self.settings.data_dir.clone()),
            work_dir: self.work_dir.clone(),
            endpoint_url: self.endpoint_url.clone(),
            function_credentials: self.function_credentials.clone(),
            python: self.settings.python.clone(),
            node: self.settings.node.clone(),
        };
        let _inside = self.background.enter();
        self.background.block_on(RegionProcess::open(
            plan,
            self.data.clone(),
            Arc::new(KnownRegions(self.this.clone())),
        ))
    }

    /// Makes the region a peer of all others, both ways, and starts it.
    fn admit(&self, process: RegionProcess) -> JoinHandle<()> {
        let process = Arc::new(process);
        let here = process.database.region();
        for other in self.all() {
            let there = other.database.region();
            let peer =
                |from, database: &Arc<_>| LocalPeer::new(from, Arc::clone(database), self.chaos.clone());
            process.replicator.add_peer(peer(here, &other.database));
            other.replicator.add_peer(peer(there, &process.database));
        }
        let _inside = self.background.enter();
        let running = process.start(&self.stop);
        self.open.write().expect("no panic while held").insert(here, process);
        running
    }

    /// The tasks that end by themselves once the process stops.
    pub fn running(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.opening.lock().expect("no panic while held"))
    }

    fn found(&self, name: &str) -> Option<Arc<RegionProcess>> {
        let region = Region::new(name).ok()?;
        self.get(region).or_else(|| self.open_more(region))
    }

    fn served(&self, process: &Arc<RegionProcess>) -> tradewind_storage::Region<Store> {
        let regions = self.this.upgrade().expect("it is served by itself");
        let other = Arc::new(Admin { regions, process: process.clone() });
        tradewind_storage::Region { database: process.database.clone(), other }
    }
}

impl ServedRegions<Store> for RegionSet {
    fn find(&self, name: &str) -> Option<tradewind_storage::Region<Store>> {
        self.found(name).map(|process| self.served(&process))
    }

    fn database(&self, name: &str) -> Option<Arc<Database<Store>>> {
        self.found(name).map(|process| process.database.clone())
    }

    fn first(&self) -> tradewind_storage::Region<Store> {
        let process = self.get(self.first).expect("the first region is opened at the start");
        self.served(&process)
    }
}

/// The regions as a database sees them. Weak, as they hold the databases: those are closed when the process ends, and with
/// `--in-memory` their folders removed.
struct KnownRegions(Weak<RegionSet>);

impl tradewind_database::Regions for KnownRegions {
    fn ensure(&self, region: Region) -> bool {
        let regions = self.0.upgrade();
        regions.is_some_and(|regions| regions.get(region).or_else(|| regions.open_more(region)).is_some())
    }

    fn has_table(&self, region: Region, table: &str) -> bool {
        let process = self.0.upgrade().and_then(|regions| regions.get(region));
        process.is_some_and(|process| process.database.table(table).is_some())
    }
}
