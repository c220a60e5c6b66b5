//! The counters of a region, resolved once and then only added to.
//!
//! A table's handles are found by the number of its life, in a map of the thread that asks: no text is hashed, no lock is
//! taken. What was handed out is handed out again; tables beyond [`MAX_TABLES`] share one handle, `other`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::declared::{self, Metric};
use crate::insights::Insights;

/// Tables of a region that have numbers of their own; the others share those of `other`.
pub const MAX_TABLES: usize = 100;
const OTHER: &str = "other";
/// More than there are operations.
const MAX_OPERATIONS: usize = 64;

/// From a hit in memory to a time-out, in seconds.
const LATENCY: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const GROUPS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Success,
    UserError,
    SystemError,
    Throttled,
    ConditionFailed,
    TransactionConflict,
}

struct Families {
    registry: Registry,
    latency: HistogramVec,
    errors: [IntCounterVec; 5],
    read: CounterVec,
    write: CounterVec,
    throttled: IntCounterVec,
    expired: IntCounterVec,
    conflicts: IntCounterVec,
    commit_duration: HistogramVec,
    commit_operations: HistogramVec,
}

static FAMILIES: LazyLock<Families> = LazyLock::new(Families::new);

impl Families {
    fn new() -> Families {
        let registry = Registry::new();
        let histogram = |metric: &Metric, buckets: &[f64]| {
            let opts = HistogramOpts::new(metric.name, metric.help).buckets(buckets.to_vec());
            registered(&registry, HistogramVec::new(opts, metric.labels))
        };
        let counter = |metric: &Metric| {
            let opts = Opts::new(metric.name, metric.help);
            registered(&registry, IntCounterVec::new(opts, metric.labels))
        };
        let units = |metric: &Metric| {
            let opts = Opts::new(metric.name, metric.help);
            registered(&registry, CounterVec::new(opts, metric.labels))
        };
        Families {
            latency: histogram(&declared::SUCCESSFUL_REQUEST_LATENCY, LATENCY),
            errors: [
                counter(&declared::USER_ERRORS),
                counter(&declared::SYSTEM_ERRORS),
                counter(&declared::THROTTLED_REQUESTS),
                counter(&declared::CONDITIONAL_CHECK_FAILED),
                counter(&declared::TRANSACTION_CONFLICT),
            ],
            read: units(&declared::CONSUMED_READ),
            write: units(&declared::CONSUMED_WRITE),
            throttled: counter(&declared::THROTTLE_EVENTS),
            expired: counter(&declared::TTL_DELETED),
            conflicts: counter(&declared::CONFLICTS),
            commit_duration: histogram(&declared::COMMIT_DURATION, LATENCY),
            commit_operations: histogram(&declared::COMMIT_OPERATIONS, GROUPS),
            registry,
        }
    }
}

fn registered<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> C {
    let family = family.expect("declared names are valid");
    registry.register(Box::new(family.clone())).expect("each name is registered once");
    family
}

/// What all regions of this process have counted.
pub(super) fn gather() -> Vec<MetricFamily> {
    FAMILIES.registry.gather()
}

struct OperationMeters {
    latency: Histogram,
    errors: [IntCounter; 5],
}

impl OperationMeters {
    fn new(region: &str, operation: &str) -> OperationMeters {
        let labels = [region, operation];
        OperationMeters {
            latency: FAMILIES.latency.with_label_values(&labels),
            errors: std::array::from_fn(|at| FAMILIES.errors[at].with_label_values(&labels)),
        }
    }

    fn errors(&self, outcome: Outcome) -> Option<&IntCounter> {
        match outcome {
            Outcome::Success => None,
            Outcome::UserError => Some(&self.errors[0]),
            Outcome::SystemError => Some(&self.errors[1]),
            Outcome::Throttled => Some(&self.errors[2]),
            Outcome::ConditionFailed => Some(&self.errors[3]),
            Outcome::TransactionConflict => Some(&self.errors[4]),
        }
    }
}

/// What is counted of one table.
pub struct TableMeters {
    pub read_units: Counter,
    pub write_units: Counter,
    pub throttled: IntCounter,
    pub expired: IntCounter,
    pub conflicts: IntCounter,
    /// Its most used partition keys.
    pub keys: Insights,
}

impl TableMeters {
    fn new(region: &str, table: &str) -> TableMeters {
        let labels = [region, table];
        TableMeters {
            read_units: FAMILIES.read.with_label_values(&labels),
            write_units: FAMILIES.write.with_label_values(&labels),
            throttled: FAMILIES.throttled.with_label_values(&labels),
            expired: FAMILIES.expired.with_label_values(&labels),
            conflicts: FAMILIES.conflicts.with_label_values(&labels),
            keys: Insights::default(),
        }
    }

    fn remove(region: &str, table: &str) {
        let labels = [region, table];
        // What is not there is gone already.
        let _ = FAMILIES.read.remove_label_values(&labels);
        let _ = FAMILIES.write.remove_label_values(&labels);
        for family in [&FAMILIES.throttled, &FAMILIES.expired, &FAMILIES.conflicts] {
            let _ = family.remove_label_values(&labels);
        }
    }
}

/// What is counted of one region in this process.
pub struct RegionMeters {
    region: String,
    /// Tells the regions of a process apart where threads keep handles.
    number: u64,
    operations: [OnceLock<OperationMeters>; MAX_OPERATIONS],
    tables: Mutex<HashMap<u128, (String, Arc<TableMeters>)>>,
    other: OnceLock<Arc<TableMeters>>,
    commit_duration: Histogram,
    commit_operations: Histogram,
}

static REGIONS: AtomicU64 = AtomicU64::new(1);
/// Counts tables that went: threads then ask again for every handle.
static FORGOTTEN: AtomicU64 = AtomicU64::new(0);

impl RegionMeters {
    pub fn new(region: &str) -> RegionMeters {
        RegionMeters {
            region: region.to_owned(),
            number: REGIONS.fetch_add(1, Ordering::Relaxed),
            operations: [const { OnceLock::new() }; MAX_OPERATIONS],
            tables: Mutex::default(),
            other: OnceLock::new(),
            commit_duration: FAMILIES.commit_duration.with_label_values(&[region]),
            commit_operations: FAMILIES.commit_operations.with_label_values(&[region]),
        }
    }

    /// A request ended; `operation` is its number, below 64, and always comes with the same name.
    pub fn request(&self, operation: usize, name: &'static str, outcome: Outcome, took: Duration) {
        let Some(slot) = self.operations.get(operation) else { return };
        let meters = slot.get_or_init(|| OperationMeters::new(&self.region, name));
        match meters.errors(outcome) {
            None => meters.latency.observe(took.as_secs_f64()),
            Some(errors) => errors.inc(),
        }
    }

    /// A partition's commit became durable.
    pub fn commit(&self, operations: usize, took: Duration) {
        self.commit_duration.observe(took.as_secs_f64());
        self.commit_operations.observe(operations as f64);
    }

    /// The meters of the table with this life, whose name is `name`.
    pub fn table<T>(&self, life: u128, name: &str, count: impl FnOnce(&TableMeters) -> T) -> T {
        KNOWN.with_borrow_mut(|known| {
            known.renew();
            let found = known.tables.entry((self.number, life));
            count(found.or_insert_with(|| self.find(life, name)))
        })
    }

    fn find(&self, life: u128, name: &str) -> Arc<TableMeters> {
        let mut tables = self.tables.lock().expect("no panic while held");
        if let Some((_, found)) = tables.get(&life) {
            return found.clone();
        }
        if tables.len() >= MAX_TABLES {
            let other = || Arc::new(TableMeters::new(&self.region, OTHER));
            return self.other.get_or_init(other).clone();
        }
        let made = Arc::new(TableMeters::new(&self.region, name));
        tables.insert(life, (name.to_owned(), made.clone()));
        made
    }

    /// The tables that have meters of their own, by name.
    pub fn tables(&self) -> Vec<(u128, String, Arc<TableMeters>)> {
        let tables = self.tables.lock().expect("no panic while held");
        let mut all: Vec<_> =
            tables.iter().map(|(life, (name, meters))| (*life, name.clone(), meters.clone())).collect();
        all.sort_by(|a, b| a.1.cmp(&b.1));
        all
    }

    /// The name under which a table is shown beside the others.
    pub fn label<'a>(&self, life: u128, name: &'a str) -> &'a str {
        let tables = self.tables.lock().expect("no panic while held");
        if tables.contains_key(&life) || tables.len() < MAX_TABLES { name } else { OTHER }
    }

    /// Lets go of tables that are no more, so that others have their place.
    pub fn retain(&self, lives: impl Fn(u128) -> bool) {
        let mut tables = self.tables.lock().expect("no panic while held");
        let gone: Vec<_> = tables.extract_if(|life, _| !lives(*life)).map(|(_, (name, _))| name).collect();
        for name in &gone {
            // One that was made again under the same name keeps counting.
            if !tables.values().any(|(kept, _)| kept == name) {
                TableMeters::remove(&self.region, name);
            }
        }
        if !gone.is_empty() {
            FORGOTTEN.fetch_add(1, Ordering::Relaxed);
        }
    }
}

type Handles = HashMap<(u64, u128), Arc<TableMeters>, BuildHasherDefault<Random>>;

/// The handles a thread has asked for. Bounded by the tables of the process, which share `other` beyond a number.
#[derive(Default)]
struct Known {
    tables: Handles,
    forgotten: u64,
}

/// Handles that a thread keeps; then it asks for all of them again.
const MAX_KNOWN: usize = 4096;

impl Known {
    fn renew(&mut self) {
        let forgotten = FORGOTTEN.load(Ordering::Relaxed);
        if forgotten != self.forgotten || self.tables.len() > MAX_KNOWN {
            self.tables.clear();
            self.forgotten = forgotten;
        }
    }
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Lives are random numbers: mixing their words is hashing enough.
#[derive(Default)]
struct Random(u64);

impl Hasher for Random {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
        self.write_u64((word >> 64) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_beyond_the_bound_share_one_handle() {
        let meters = RegionMeters::new("bound");
        for life in 0..(MAX_TABLES as u128 + 50) {
            meters.table(life, &format!("t{life}"), |table| table.read_units.inc_by(1.0));
        }
        assert_eq!(meters.tables().len(), MAX_TABLES);
        let other = meters.table(MAX_TABLES as u128 + 7, "x", |table| table.read_units.get());
        assert_eq!(other, 50.0);
        assert_eq!(meters.label(3, "t3"), "t3");
        assert_eq!(meters.label(900, "t900"), OTHER);
    }

    #[test]
    fn a_table_that_is_gone_makes_room_and_is_not_shown() {
        let meters = RegionMeters::new("room");
        meters.table(1, "gone", |table| table.write_units.inc_by(2.0));
        meters.table(2, "stays", |table| table.write_units.inc_by(3.0));
        meters.retain(|life| life == 2);
        let text = crate::metrics::render(Vec::new());
        assert!(!text.contains(r#"region="room",table="gone""#), "{text}");
        assert!(text.contains(r#"{region="room",table="stays"} 3"#), "{text}");
        meters.table(1, "gone", |table| table.write_units.inc_by(1.0));
        let text = crate::metrics::render(Vec::new());
        assert!(text.contains(r#"{region="room",table="gone"} 1"#), "it counts from zero: {text}");
    }

    #[test]
    fn a_request_is_counted_by_how_it_ended() {
        let meters = RegionMeters::new("ended");
        meters.request(3, "PutItem", Outcome::Success, Duration::from_millis(2));
        meters.request(3, "PutItem", Outcome::ConditionFailed, Duration::from_millis(2));
        let text = crate::metrics::render(Vec::new());
        let has = |line: &str| assert!(text.contains(line), "{line} in {text}");
        has(r#"tradewind_successful_request_latency_seconds_count{operation="PutItem",region="ended"} 1"#);
        has(
            r#"tradewind_successful_request_latency_seconds_bucket{operation="PutItem",region="ended",le="0.0025"} 1"#,
        );
        has(r#"tradewind_conditional_check_failed_requests_total{operation="PutItem",region="ended"} 1"#);
    }
}
