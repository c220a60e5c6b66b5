//! A table as the catalogue keeps it: one JSON document per life of a table, readable by people.
//!
//! Nothing here is about requests or answers; [`crate::control`] translates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tradewind_model::key::IndexId;
use tradewind_model::{Incarnation, KeyAttribute, KeySchema, PartitionId, Region, Sequence, Version};
use tradewind_wire::request::table::{Encryption, IndexProjection, StreamView, TableClass};

/// Partitions of a table that asked for no throughput.
pub const DEFAULT_PARTITIONS: u32 = 4;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TableDocument {
    pub name: String,
    pub incarnation: Incarnation,
    pub created_ms: u64,
    pub status: TableStatus,
    /// AttributeDefinitions, in the order they were given.
    pub attributes: Vec<KeyAttribute>,
    pub keys: KeySchema,
    pub capacity: Capacity,
    pub indexes: Vec<Index>,
    /// Every stream the table has had that can still be read; the last may be enabled.
    pub streams: Vec<Stream>,
    pub ttl: Option<Ttl>,
    /// Every region that has a replica, this one included; empty for a table of one region.
    pub replicas: BTreeMap<Region, Replica>,
    pub partitions: Vec<Range>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub settings: Settings,
    /// When the settings that replicas share were changed last, and where.
    #[serde(default)]
    pub shared: Option<Version>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TableStatus {
    Creating,
    Active,
    Updating,
    Deleting,
}

/// What is stored and described and has no effect on data.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub deletion_protection: bool,
    pub class: Option<TableClass>,
    pub encryption: Option<Encryption>,
    /// Unix milliseconds when TTL was switched last.
    pub ttl_changed_ms: Option<u64>,
    /// The TTL attribute by which it is recorded when items expire; `None` from when TTL is switched until all items that
    /// were there are recorded.
    pub expiry_noted: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capacity {
    pub on_demand: bool,
    /// Whether the table has ever been switched: BillingModeSummary then shows.
    pub switched_ms: Option<u64>,
    pub provisioned: Throughput,
    pub max_read: Option<u64>,
    pub max_write: Option<u64>,
    pub warm_read: Option<u64>,
    pub warm_write: Option<u64>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Throughput {
    pub read: u64,
    pub write: u64,
    pub increased_ms: Option<u64>,
    pub decreased_ms: Option<u64>,
    pub decreases_today: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Index {
    pub name: String,
    /// Of this life of the index: its rows begin with it.
    pub id: IndexId,
    pub local: bool,
    pub status: IndexStatus,
    /// One to four attributes each; a local index has the table's partition key and one sort key.
    pub hash: Vec<KeyAttribute>,
    pub range: Vec<KeyAttribute>,
    pub projection: IndexProjection,
    #[serde(default)]
    pub capacity: Capacity,
}

impl Index {
    pub fn keys(&self) -> impl Iterator<Item = &KeyAttribute> {
        self.hash.iter().chain(&self.range)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IndexStatus {
    /// Kept by writes, and being filled with the items there were.
    Backfilling,
    Active,
    Deleting,
}

/// A stream: what the table's log shows from where it was enabled to where it was disabled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Stream {
    /// ISO 8601 UTC with milliseconds; the end of the stream's ARN.
    pub label: String,
    pub view: StreamView,
    /// Per partition number: the last sequence before the stream began.
    pub begins_after: BTreeMap<u32, Sequence>,
    /// Per partition number: the stream's last sequence, once it is disabled.
    pub ends_at: Option<BTreeMap<u32, Sequence>>,
    pub disabled_ms: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ttl {
    pub attribute: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Replica {
    pub status: ReplicaStatus,
    /// The life of the table in that region, once it is known here.
    pub incarnation: Option<Incarnation>,
    /// The region that was asked for the replica, or to remove it, and sees to it.
    #[serde(default)]
    pub seen_to_by: Option<Region>,
    #[serde(default)]
    pub class: Option<TableClass>,
    #[serde(default)]
    pub read_override: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReplicaStatus {
    Creating,
    Active,
    Deleting,
}

/// A partition: the keys whose hash is in `from..=to`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Range {
    pub number: u32,
    pub from: u64,
    pub to: u64,
}

impl Range {
    pub fn contains(&self, hash: u64) -> bool {
        (self.from..=self.to).contains(&hash)
    }

    pub fn overlaps(&self, from: u64, to: u64) -> bool {
        self.from <= to && from <= self.to
    }

    /// `count` equal ranges over all hashes, numbered from 0.
    pub fn split_evenly(count: u32) -> Vec<Range> {
        let width = (u64::MAX / u64::from(count)).saturating_add(1);
        (0..count)
            .map(|number| {
                let from = u64::from(number) * width;
                let to = if number + 1 == count { u64::MAX } else { from + (width - 1) };
                Range { number, from, to }
            })
            .collect()
    }
}

impl TableDocument {
    pub fn partition_id(&self, number: u32) -> PartitionId {
        PartitionId { incarnation: self.incarnation, number }
    }

    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// The enabled stream.
    pub fn stream(&self) -> Option<&Stream> {
        self.streams.last().filter(|stream| stream.ends_at.is_none())
    }

    pub fn is_replicated(&self) -> bool {
        !self.replicas.is_empty()
    }

    pub fn has_local_indexes(&self) -> bool {
        self.indexes.iter().any(|index| index.local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_hash_once() {
        for count in [1, 2, 3, 4, 7, 256] {
            let ranges = Range::split_evenly(count);
            assert_eq!(ranges[0].from, 0);
            assert_eq!(ranges[ranges.len() - 1].to, u64::MAX);
            ranges.windows(2).for_each(|pair| assert_eq!(pair[0].to + 1, pair[1].from, "{count}"));
        }
    }
}
