//! One region's database: its tables by name, and everything they share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tradewind_changelog::{Embedded, Tail};
use tradewind_engine::{Documents, Engine, Error};
use tradewind_model::{Clock, Incarnation, Region, Version};
use tradewind_wire::ApiError;
use tradewind_wire::request::item::TableRef;
use tradewind_wire::response::item::Capacity;

use crate::sizes::Counted;
use crate::table::Table;
use crate::table::document::{Index, TableDocument, TableStatus};
use crate::throttle::Throttle;

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
}

/// How a region's database behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Twelve digits.
    pub account: String,
    /// Whether tables and indexes are bounded by their throughput.
    pub throttle: bool,
}

/// The regions there are.
pub trait Regions: Send + Sync {
    /// Whether there is such a region, or is one from now on.
    fn ensure(&self, region: Region) -> bool;

    /// Whether the region has a table of that name.
    fn has_table(&self, region: Region, table: &str) -> bool;
}

pub struct Database<E> {
    pub(crate) shared: Arc<Shared<E>>,
    tables: ArcSwap<HashMap<String, Arc<Table<E>>>>,
    /// Held while the catalogue changes, so that its copy in memory follows it in order.
    pub(crate) control: tokio::sync::Mutex<()>,
    /// Counts changes of the catalogue, for those who follow it.
    generation: watch::Sender<u64>,
    pub(crate) counted: Counted,
    /// Which settings each replica is known to have.
    pub(crate) settings_shared: Mutex<HashMap<(Incarnation, Region), Version>>,
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
        let Settings { account, throttle } = settings;
        let throttle = throttle.then(Throttle::default);
        let tail = Tail::default();
        let shared = Arc::new(Shared { engine, clock, tail, region, account, regions, data, throttle });
        let mut tables = HashMap::new();
        for (name, document) in shared.engine.list(TABLES).await? {
            let document: TableDocument = serde_json::from_slice(&document.body)
                .map_err(|error| Error::Corrupt(format!("the document of table {name}: {error}")))?;
            tables.insert(name, Arc::new(Table::new(document, shared.clone())));
        }
        Ok(Database {
            shared,
            tables: ArcSwap::from_pointee(tables),
            control: tokio::sync::Mutex::new(()),
            generation: watch::Sender::new(0),
            counted: Counted::default(),
            settings_shared: Mutex::new(HashMap::new()),
        })
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

    /// The region's change log.
    pub fn change_log(&self) -> Embedded<E> {
        Embedded::new(self.shared.engine.clone(), self.shared.tail.clone())
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

    /// Changes whenever a table is made, changed or dropped.
    pub fn watch_catalogue(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Makes the table in memory what the catalogue says it is: `None` for one that was dropped.
    pub(crate) fn publish(&self, name: &str, table: Option<Arc<Table<E>>>) {
        self.tables.rcu(|tables| {
            let mut tables = HashMap::clone(tables);
            match &table {
                Some(table) => tables.insert(name.to_owned(), table.clone()),
                None => tables.remove(name),
            };
            tables
        });
        self.announce();
    }

    pub(crate) fn announce(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    pub(crate) fn admit_read(&self, table: &TableDocument, index: Option<&Index>) -> Result<(), ApiError> {
        let Some(throttle) = &self.shared.throttle else { return Ok(()) };
        throttle.admit_read(table, index, &self.table_arn(&table.name), self.shared.clock.now_ms())
    }

    pub(crate) fn admit_write(&self, table: &TableDocument) -> Result<(), ApiError> {
        let Some(throttle) = &self.shared.throttle else { return Ok(()) };
        throttle.admit_write(table, &self.table_arn(&table.name), self.shared.clock.now_ms())
    }

    /// Takes what a request used, where anything is throttled.
    pub(crate) fn charge(&self, table: &TableDocument, used: impl FnOnce() -> Capacity) {
        if let Some(throttle) = &self.shared.throttle {
            throttle.charge(table, &used(), self.shared.clock.now_ms());
        }
    }
}
