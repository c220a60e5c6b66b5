//! Throttling: token buckets of provisioned tables and indexes, and of on-demand ones with a maximum.
//!
//! A bucket holds up to 300 seconds of its rate. A request is admitted while its bucket is not empty and then pays what it
//! really used, so a bucket may go into debt once. (Developer guide, "Burst and adaptive capacity".) Of several nodes each
//! also pays what the others used (`spent.rs`).

mod spent;

use std::collections::HashMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tradewind_model::Incarnation;
use tradewind_wire::ApiError;
use tradewind_wire::error::{Code, ThrottlingReason};
use tradewind_wire::response::item::Capacity as Used;

use self::spent::Ledger;
pub use self::spent::Spent;
use crate::cluster::NodeId;
use crate::table::document::{Capacity, Index, TableDocument};

const BURST_S: f64 = 300.0;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
enum Kind {
    Read,
    Write,
}

/// A table's or an index's tokens for reading or writing.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at_ms: u64,
}

#[derive(Default)]
pub struct Throttle {
    /// By the life of a table or index.
    buckets: Mutex<HashMap<(Incarnation, Kind), Bucket>>,
    /// `None`: there are no others to tell.
    ledger: Option<Mutex<Ledger>>,
}

/// What a request runs into where a bucket is empty.
struct Bound<'a> {
    id: Incarnation,
    capacity: Capacity,
    /// `None`: the table itself.
    index: Option<&'a str>,
}

impl Throttle {
    /// For one node of several, which is told what the others take, and tells them.
    pub fn shared() -> Throttle {
        Throttle { ledger: Some(Mutex::default()), ..Throttle::default() }
    }

    /// What this node has taken, for the others; nothing if they know it.
    pub fn tell(&self, by: NodeId) -> Option<Spent> {
        let sums = self.ledger.as_ref()?.lock().expect("no panic while held").tell();
        (!sums.is_empty()).then_some(Spent { by, sums })
    }

    /// Takes what another node has taken.
    pub fn hear(&self, spent: &Spent, now_ms: u64) {
        let Some(ledger) = &self.ledger else { return };
        let mut ledger = ledger.lock().expect("no panic while held");
        ledger.forget_silent(now_ms);
        let mut buckets = self.buckets.lock().expect("no panic while held");
        for sum in spent.sums.iter().filter(|sum| sum.is_sound()) {
            let units = ledger.hear(spent.by, sum, now_ms);
            let bucket = buckets.entry((sum.of, sum.kind)).or_insert_with(|| full(sum.rate, now_ms));
            bucket.refill(sum.rate, now_ms);
            bucket.tokens -= units;
        }
    }

    /// Admits a read of the table, or of the index it names.
    pub fn admit_read(
        &self,
        table: &TableDocument,
        index: Option<&Index>,
        arn: &str,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let global = index.filter(|index| !index.local);
        let bound = global.map_or_else(|| of_table(table), |index| of_index(table, index));
        self.admit(&bound, Kind::Read, arn, now_ms)
    }

    /// Admits a write of the table: an index without capacity throttles it too.
    pub fn admit_write(&self, table: &TableDocument, arn: &str, now_ms: u64) -> Result<(), ApiError> {
        self.admit(&of_table(table), Kind::Write, arn, now_ms)?;
        let global = table.indexes.iter().filter(|index| !index.local);
        global
            .map(|index| of_index(table, index))
            .try_for_each(|bound| self.admit(&bound, Kind::Write, arn, now_ms))
    }

    /// Takes what a request used. Local indexes share the table's capacity.
    pub fn charge(&self, table: &TableDocument, used: &Used, now_ms: u64) {
        let local = used.local_indexes.values();
        let (read, write) = local
            .fold((used.read, used.write), |(read, write), units| (read + units.read, write + units.write));
        self.take(&of_table(table), Kind::Read, read, now_ms);
        self.take(&of_table(table), Kind::Write, write, now_ms);
        for index in &table.indexes {
            if let Some(units) = used.global_indexes.get(&index.name) {
                self.take(&of_index(table, index), Kind::Read, units.read, now_ms);
                self.take(&of_index(table, index), Kind::Write, units.write, now_ms);
            }
        }
    }

    /// Of tables and indexes that are no more.
    pub fn forget(&self, lives: impl Iterator<Item = Incarnation>) {
        let lives: Vec<_> = lives.collect();
        if let Some(ledger) = &self.ledger {
            let mut ledger = ledger.lock().expect("no panic while held");
            lives.iter().for_each(|life| ledger.forget(*life));
        }
        let mut buckets = self.buckets.lock().expect("no panic while held");
        for life in lives {
            buckets.remove(&(life, Kind::Read));
            buckets.remove(&(life, Kind::Write));
        }
    }

    fn admit(&self, bound: &Bound<'_>, kind: Kind, arn: &str, now_ms: u64) -> Result<(), ApiError> {
        let Some(rate) = rate(&bound.capacity, kind) else { return Ok(()) };
        let mut buckets = self.buckets.lock().expect("no panic while held");
        let bucket = buckets.entry((bound.id, kind)).or_insert_with(|| full(rate, now_ms));
        bucket.refill(rate, now_ms);
        if bucket.tokens > 0.0 { Ok(()) } else { Err(throttled(bound, kind, arn)) }
    }

    fn take(&self, bound: &Bound<'_>, kind: Kind, units: f64, now_ms: u64) {
        let Some(rate) = rate(&bound.capacity, kind).filter(|_| units > 0.0) else { return };
        if let Some(ledger) = &self.ledger {
            ledger.lock().expect("no panic while held").take(bound.id, kind, rate, units);
        }
        let mut buckets = self.buckets.lock().expect("no panic while held");
        let bucket = buckets.entry((bound.id, kind)).or_insert_with(|| full(rate, now_ms));
        bucket.refill(rate, now_ms);
        bucket.tokens -= units;
    }
}

impl Bucket {
    fn refill(&mut self, rate: f64, now_ms: u64) {
        let seconds = now_ms.saturating_sub(self.at_ms) as f64 / 1000.0;
        self.tokens = (self.tokens + seconds * rate).min(BURST_S * rate);
        self.at_ms = now_ms.max(self.at_ms);
    }
}

fn full(rate: f64, now_ms: u64) -> Bucket {
    Bucket { tokens: BURST_S * rate, at_ms: now_ms }
}

fn of_table(table: &TableDocument) -> Bound<'_> {
    Bound { id: table.incarnation, capacity: table.local_capacity(), index: None }
}

fn of_index<'a>(table: &TableDocument, index: &'a Index) -> Bound<'a> {
    Bound { id: index.id, capacity: table.local_index_capacity(index), index: Some(&index.name) }
}

/// Units a second; `None`: not bounded.
fn rate(capacity: &Capacity, kind: Kind) -> Option<f64> {
    let units = match (capacity.on_demand, kind) {
        (true, Kind::Read) => capacity.max_read?,
        (true, Kind::Write) => capacity.max_write?,
        (false, Kind::Read) => capacity.provisioned.read,
        (false, Kind::Write) => capacity.provisioned.write,
    };
    Some(units as f64)
}

fn throttled(bound: &Bound<'_>, kind: Kind, table_arn: &str) -> ApiError {
    let on_demand = bound.capacity.on_demand;
    let reason = match (bound.index.is_some(), kind, on_demand) {
        (false, Kind::Read, false) => "TableReadProvisionedThroughputExceeded",
        (false, Kind::Write, false) => "TableWriteProvisionedThroughputExceeded",
        (true, Kind::Read, false) => "IndexReadProvisionedThroughputExceeded",
        (true, Kind::Write, false) => "IndexWriteProvisionedThroughputExceeded",
        (false, Kind::Read, true) => "TableReadMaxOnDemandThroughputExceeded",
        (false, Kind::Write, true) => "TableWriteMaxOnDemandThroughputExceeded",
        (true, Kind::Read, true) => "IndexReadMaxOnDemandThroughputExceeded",
        (true, Kind::Write, true) => "IndexWriteMaxOnDemandThroughputExceeded",
    };
    let resource = match bound.index {
        Some(index) => format!("{table_arn}/index/{index}"),
        None => table_arn.to_owned(),
    };
    let (code, message) = match (on_demand, bound.index) {
        (true, _) => (
            Code::Throttling,
            "Throughput exceeds the maximum OnDemandThroughput configured on table or index",
        ),
        (false, None) => (
            Code::ProvisionedThroughputExceeded,
            "The level of configured provisioned throughput for the table was exceeded. Consider increasing your \
             provisioning level with the UpdateTable API.",
        ),
        (false, Some(_)) => (
            Code::ProvisionedThroughputExceeded,
            "The level of configured provisioned throughput for one or more global secondary indexes of the table was \
             exceeded. Consider increasing your provisioning level for the under-provisioned global secondary indexes \
             with the UpdateTable API",
        ),
    };
    ApiError {
        throttling: vec![ThrottlingReason { reason: reason.into(), resource }],
        ..ApiError::new(code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whichever node serves, the region's buckets pay.
    #[test]
    fn what_one_node_takes_is_gone_at_the_others() {
        let (here, there) = (Throttle::shared(), Throttle::shared());
        let (by, of) = (NodeId(uuid::Uuid::from_u128(1)), Incarnation(uuid::Uuid::from_u128(2)));
        let capacity = Capacity {
            provisioned: crate::table::document::Throughput { write: 5, ..Default::default() },
            ..Capacity::default()
        };
        let bound = Bound { id: of, capacity, index: None };
        here.take(&bound, Kind::Write, 1499.0, 0);
        assert!(there.admit(&bound, Kind::Write, "arn", 0).is_ok());
        there.hear(&here.tell(by).expect("there is news"), 0);
        assert!(there.admit(&bound, Kind::Write, "arn", 0).is_ok(), "one unit is left");
        here.take(&bound, Kind::Write, 1.0, 0);
        there.hear(&here.tell(by).expect("there is news"), 0);
        let refused = there.admit(&bound, Kind::Write, "arn", 0).expect_err("all is spent");
        assert_eq!(refused.code, Code::ProvisionedThroughputExceeded);
        assert!(there.admit(&bound, Kind::Write, "arn", 1000).is_ok(), "it fills again");
    }

    #[test]
    fn a_bucket_keeps_300_seconds_and_no_more() {
        let mut bucket = full(5.0, 0);
        assert_eq!(bucket.tokens, 1500.0);
        bucket.tokens = 0.0;
        bucket.refill(5.0, 2_000);
        assert_eq!(bucket.tokens, 10.0);
        bucket.refill(5.0, 10_000_000);
        assert_eq!(bucket.tokens, 1500.0);
    }
}
