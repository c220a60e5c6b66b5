//! Parts of a table's document from what requests say of them.

use tradewind_model::{Incarnation, KeyAttribute};
use tradewind_wire::request::table::{
    BillingMode, GlobalIndex, LocalIndex, OnDemandThroughput, Throughput as AskedThroughput, WarmThroughput,
};

use crate::table::document::{Capacity, DEFAULT_PARTITIONS, Index, IndexStatus, Throughput};

/// What one partition bears, in units a second. (Developer guide, "Partitions and data distribution".)
const PARTITION_WRITES: u64 = 1000;
const PARTITION_READS: u64 = 3000;
const MAX_PARTITIONS: u64 = 256;

pub fn new_incarnation() -> Incarnation {
    Incarnation(uuid::Uuid::new_v4())
}

/// As many as the table's throughput asks for.
pub fn partition_count(throughput: Option<AskedThroughput>, warm: Option<WarmThroughput>) -> u32 {
    let asked = throughput.unwrap_or_default();
    let warm = warm.unwrap_or_default();
    let writes = asked.write.max(warm.write.unwrap_or(0)).div_ceil(PARTITION_WRITES);
    let reads = asked.read.max(warm.read.unwrap_or(0)).div_ceil(PARTITION_READS);
    writes.max(reads).clamp(u64::from(DEFAULT_PARTITIONS), MAX_PARTITIONS) as u32
}

pub fn capacity(
    billing: BillingMode,
    throughput: Option<AskedThroughput>,
    on_demand: Option<OnDemandThroughput>,
    warm: Option<WarmThroughput>,
) -> Capacity {
    let asked = throughput.unwrap_or_default();
    let (on_demand, warm_asked) = (on_demand.unwrap_or_default(), warm.unwrap_or_default());
    Capacity {
        on_demand: billing == BillingMode::PayPerRequest,
        switched_ms: None,
        provisioned: Throughput { read: asked.read, write: asked.write, ..Throughput::default() },
        max_read: on_demand.read,
        max_write: on_demand.write,
        warm_read: warm_asked.read,
        warm_write: warm_asked.write,
    }
}

pub fn local_index(index: LocalIndex) -> Index {
    Index {
        name: index.name,
        id: new_incarnation(),
        local: true,
        status: IndexStatus::Active,
        hash: vec![index.keys.hash],
        range: index.keys.range.into_iter().collect(),
        projection: index.projection,
        capacity: Capacity::default(),
    }
}

pub fn global_index(index: GlobalIndex, billing: BillingMode, status: IndexStatus) -> Index {
    Index {
        name: index.name,
        id: new_incarnation(),
        local: false,
        status,
        hash: index.keys.hash,
        range: index.keys.range,
        projection: index.projection,
        capacity: capacity(billing, index.throughput, index.on_demand, index.warm),
    }
}

/// Definitions with `new` ones added; a known attribute may be repeated with its type.
pub fn merge_definitions(known: &[KeyAttribute], new: &[KeyAttribute]) -> Vec<KeyAttribute> {
    let added = new.iter().filter(|attribute| !known.iter().any(|known| known.name == attribute.name));
    known.iter().chain(added).cloned().collect()
}
