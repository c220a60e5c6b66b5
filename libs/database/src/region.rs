//! One region's database: its tables by name, and everything they share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tradewind_changelog::{Embedded, Log, Tail};
use tradewind_engine::{Documents, Engine, Error};
use tradewind_model::{Clock, Incarnation, PartitionId, Region, Version};
use tradewind_telemetry::metrics::RegionMeters;
use tradewind_wire::ApiError;
use tradewind_wire::request::item::TableRef;
use tradewind_wire::response::item::Capacity;

use crate::cluster::{Alone, Cluster, Seat};
use crate::expire::Pace;
use crate::partition::owner::explain;
use crate::partition::rows::Recent;
use crate::partition::state::State;
use crate::question::Neighbours;
use crate::requests::Requests;
use crate::serve::Holds;
use crate::sizes::Counted;
use crate::table::Table;
use crate::table::document::{Index, TableDocument, TableStatus};
use crate::throttle::Throttle;

/// Raised tables that a slow reader misses none of; beyond, it misses the oldest.
const RAISED: usize = 256;

/// What every part of a region's database works with.
pub struct Shared<E> {
    pub engine: Arc<E>,
    pub clock: Arc<dyn Clock>,
    pub tail: Tail,
    pub region: Region,
    pub account: String,
    pub regions: Arc<dyn Regions>,
    /// The runtimes that partitions live on.
    pub data: Arc<[Handle]>,
    /// `None`: nothing is throttled.
    pub throttle: Option<Throttle>,
    pub(crate) catch_up_share: u8,
    pub(crate) meters: Arc<RegionMeters>,
    pub(crate) recent: Recent,
    pub cluster: Arc<dyn Cluster>,
    /// What keeps the change log for its readers, if it is not the engine.
    pub(crate) outlet: OnceLock<(Log, Option<Arc<dyn Outlet>>)>,
    /// Whether there can be no other node, so that what it would take to reach one is spared.
    pub alone: bool,
    pub(crate) requests: Requests,
    pub(crate) holds: Holds,
    /// Counts owners that start or end at this node.
    pub(crate) owned: watch::Sender<u64>,
}

/// How a region's database behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Twelve digits.
    pub account: String,
    /// Whether tables and indexes are bounded by their throughput.
    pub throttle: bool,
    /// What old changes of other regions may take of a partition's commits while clients write, in percent: 1 to 100.
    pub catch_up_share: u8,
}

/// The regions there are.
pub trait Regions: Send + Sync {
    /// Whether there is such a region, or is one from now on.
    fn ensure(&self, region: Region) -> bool;

    /// Whether the region has a table of that name.
    fn has_table(&self, region: Region, table: &str) -> bool;
}

/// Where changes are published, as far as the engine's log and dropped tables are concerned.
pub trait Outlet: Send + Sync + 'static {
    /// The engine's log may be trimmed before this (Unix milliseconds) as far as these partitions go; `None`: all of it.
    fn published_before(&self, partitions: Vec<PartitionId>) -> BoxFuture<'_, Result<Option<u64>, Error>>;

    /// Nobody can read the changes of this dropped table any more.
    fn remove(&self, table: Arc<TableDocument>) -> BoxFuture<'_, Result<(), Error>>;
}

/// What a region's database is made of.
pub struct Parts<E> {
    pub engine: Arc<E>,
    pub clock: Arc<dyn Clock>,
    pub region: Region,
    pub settings: Settings,
    pub regions: Arc<dyn Regions>,
    /// The runtimes that partitions live on, at least one.
    pub data: Arc<[Handle]>,
}

pub struct Database<E> {
    pub(crate) shared: Arc<Shared<E>>,
    pub(crate) tables: ArcSwap<HashMap<String, Arc<Table<E>>>>,
    /// Which generation of the catalogue `tables` shows. Held while that changes, here or by what was read.
    pub(crate) followed: tokio::sync::Mutex<Option<u64>>,
    /// When the catalogue was looked at last.
    pub(crate) looked_at: Mutex<Option<Instant>>,
    pub(crate) catalogue_is_away: AtomicBool,
    /// Of deletions by TTL.
    pub pace: Pace,
    /// Held while the catalogue changes, so that its copy in memory follows it in order.
    pub(crate) control: tokio::sync::Mutex<()>,
    /// Counts changes of the catalogue, for those who follow it.
    generation: watch::Sender<u64>,
    pub(crate) counted: Counted,
    /// Which settings each replica is known to have.
    pub(crate) settings_shared: Mutex<HashMap<(Incarnation, Region), BTreeMap<String, Version>>>,
    /// How other regions are asked, once there is a way.
    pub(crate) neighbours: Mutex<Option<Weak<dyn Neighbours>>>,
    /// Tables whose clocks this process raised.
    pub(crate) raised: broadcast::Sender<String>,
}

/// The collection of table documents, by name.
pub(crate) const TABLES: &str = "tables";
/// Rows of dropped tables and indexes that are still to be removed.
pub(crate) const TRASH: &str = "trash";
/// Tables that were dropped and whose streams can still be read, by incarnation.
pub(crate) const DROPPED: &str = "dropped";

impl<E: Engine + Documents> Database<E> {
    /// Reads the catalogue. No partition is opened yet; they will live on the runtimes of `data`, of which there is at
    /// least one.
    pub async fn open(
        engine: Arc<E>,
        clock: Arc<dyn Clock>,
        region: Region,
        settings: Settings,
        regions: Arc<dyn Regions>,
        data: Arc<[Handle]>,
    ) -> Result<Database<E>, Error> {
        let parts = Parts { engine, clock, region, settings, regions, data };
        Self::assemble(parts, Arc::new(Alone::default()), true).await
    }

    /// The same as one node of several, or as a process that owns no partition. [`Database::follow`] has to run beside it.
    pub async fn open_in(parts: Parts<E>, cluster: Arc<dyn Cluster>) -> Result<Database<E>, Error> {
        Self::assemble(parts, cluster, false).await
    }

    async fn assemble(parts: Parts<E>, cluster: Arc<dyn Cluster>, alone: bool) -> Result<Database<E>, Error> {
        let Parts { engine, clock, region, settings, regions, data } = parts;
        let Settings { account, throttle, catch_up_share } = settings;
        let shared = Arc::new(Shared {
            engine,
            clock,
            tail: Tail::default(),
            region,
            account,
            regions,
            data,
            throttle: throttle.then(|| if alone { Throttle::default() } else { Throttle::shared() }),
            catch_up_share,
            meters: Arc::new(RegionMeters::new(region.as_str())),
            recent: Recent::default(),
            cluster,
            outlet: OnceLock::new(),
            alone,
            requests: Requests::default(),
            holds: Holds::default(),
            owned: watch::Sender::new(0),
        });
        let database = Database {
            shared,
            tables: ArcSwap::default(),
            followed: tokio::sync::Mutex::default(),
            looked_at: Mutex::new(None),
            catalogue_is_away: AtomicBool::new(false),
            pace: Pace::default(),
            control: tokio::sync::Mutex::new(()),
            generation: watch::Sender::new(0),
            counted: Counted::default(),
            settings_shared: Mutex::new(HashMap::new()),
            neighbours: Mutex::new(None),
            raised: broadcast::Sender::new(RAISED),
        };
        database.refresh_catalogue().await?;
        Ok(database)
    }

    pub fn region(&self) -> Region {
        self.shared.region
    }

    pub fn account(&self) -> &str {
        &self.shared.account
    }

    pub fn engine(&self) -> &Arc<E> {
        &self.shared.engine
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The region's change log, wherever it is kept.
    pub fn change_log(&self) -> Log {
        match self.shared.outlet.get() {
            Some((log, _)) => log.clone(),
            None => Log::new(self.engine_log()),
        }
    }

    /// The engine's own log, which its tails follow where the owners are.
    pub fn engine_log(&self) -> Embedded<E> {
        Embedded::new(self.shared.engine.clone(), self.shared.tail.clone())
    }

    /// From now on readers have the changes from `log`, to which owners publish them; once, before anybody reads. A process
    /// that keeps house says by `outlet` what of the engine's log is still to be published.
    pub fn publish_to(&self, log: Log, outlet: Option<Arc<dyn Outlet>>) {
        // A second one would split the readers.
        assert!(self.shared.outlet.set((log, outlet)).is_ok(), "the change log is chosen once");
    }

    /// Whether readers have the changes from elsewhere than the engine.
    pub fn is_published(&self) -> bool {
        self.shared.outlet.get().is_some()
    }

    pub(crate) fn outlet(&self) -> Option<&Arc<dyn Outlet>> {
        self.shared.outlet.get()?.1.as_ref()
    }

    pub fn table(&self, name: &str) -> Option<Arc<Table<E>>> {
        self.tables.load().get(name).cloned()
    }

    pub fn tables(&self) -> Vec<Arc<Table<E>>> {
        self.tables.load().values().cloned().collect()
    }

    pub fn table_of(&self, incarnation: Incarnation) -> Option<Arc<Table<E>>> {
        self.tables.load().values().find(|table| table.document().incarnation == incarnation).cloned()
    }

    /// The table of a data request.
    pub(crate) fn find(&self, table: &TableRef) -> Result<Arc<Table<E>>, ApiError> {
        self.table(&table.name)
            // A replica that joins does not serve yet.
            .filter(|table| table.document().status != TableStatus::Creating)
            .ok_or_else(|| ApiError::resource_not_found("Requested resource not found"))
    }

    /// The partitions that are to be owned by this node, by table and position. Where something has to run at the owner,
    /// [`Table::owner`] starts it.
    pub fn owned(&self) -> Vec<(Arc<Table<E>>, usize)> {
        let mut owned = Vec::new();
        for table in self.tables().into_iter().filter(|table| !table.is_gone()) {
            let here = (0..table.partition_count()).filter(|position| table.sits_here(*position));
            owned.extend(here.map(|position| (table.clone(), position)));
        }
        owned
    }

    /// Changes when [`Database::owned`] may have changed, or an owner at this node has started or ended.
    pub fn watch_owned(&self) -> watch::Receiver<u64> {
        self.shared.owned.subscribe()
    }

    /// The partition's durable state, from whichever node it is asked.
    pub async fn partition_state(&self, table: &Table<E>, position: usize) -> Result<Arc<State>, ApiError> {
        table.state(position).await.map_err(|error| explain(&error))
    }

    /// Whether this node is the one of the region that keeps house for a table, or, by the nil incarnation, for what
    /// belongs to none.
    pub(crate) fn keeps_house_for(&self, incarnation: Incarnation) -> bool {
        let nobodys = PartitionId { incarnation, number: u32::MAX };
        self.shared.cluster.seat(nobodys) == Seat::Here
    }

    /// Changes whenever a table is made, changed or dropped.
    pub fn watch_catalogue(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    pub(crate) fn announce(&self) {
        self.generation.send_modify(|generation| *generation += 1);
        self.shared.owned.send_modify(|count| *count += 1);
    }

    pub(crate) fn admit_read(&self, table: &TableDocument, index: Option<&Index>) -> Result<(), ApiError> {
        let Some(throttle) = &self.shared.throttle else { return Ok(()) };
        let admitted =
            throttle.admit_read(table, index, &self.table_arn(&table.name), self.shared.clock.now_ms());
        self.count_throttled(table, admitted)
    }

    pub(crate) fn admit_write(&self, table: &TableDocument) -> Result<(), ApiError> {
        let Some(throttle) = &self.shared.throttle else { return Ok(()) };
        let admitted = throttle.admit_write(table, &self.table_arn(&table.name), self.shared.clock.now_ms());
        self.count_throttled(table, admitted)
    }

    /// Takes what a request used, where anything is throttled, and counts it.
    pub(crate) fn charge(&self, table: &TableDocument, used: impl FnOnce() -> Capacity) {
        let used = used();
        self.count_used(table, &used);
        if let Some(throttle) = &self.shared.throttle {
            throttle.charge(table, &used, self.shared.clock.now_ms());
        }
    }
}
