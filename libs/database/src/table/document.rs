//! A table as the catalogue keeps it: one JSON document per life of a table, readable by people.
//!
//! Nothing here is about requests or answers; [`crate::control`] translates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tradewind_model::key::IndexId;
use tradewind_model::{Incarnation, KeyAttribute, KeySchema, PartitionId, Region, Sequence};
use tradewind_wire::request::table::{Encryption, IndexProjection, StreamView, TableClass};

use super::global::Global;

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
    /// What holds the replicas of a table together.
    #[serde(default)]
    pub global: Global,
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
    /// As UpdateTable was asked; it keeps nothing.
    pub disassociation_protection: Option<bool>,
    /// GlobalTableSettingsReplicationMode, as it was asked.
    pub settings_replication: Option<String>,
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

impl Capacity {
    fn with(&self, own: ReadOverride) -> Capacity {
        let mut capacity = self.clone();
        capacity.max_read = own.max_read.or(capacity.max_read);
        if !capacity.on_demand {
            capacity.provisioned.read = own.read.unwrap_or(capacity.provisioned.read);
        }
        capacity
    }
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
    /// A bound of its own for reads on demand.
    #[serde(default)]
    pub max_read_override: Option<u64>,
    /// By index name.
    #[serde(default)]
    pub index_overrides: BTreeMap<String, ReadOverride>,
    /// While it is being deleted: its table stays, as one of its own.
    #[serde(default)]
    pub keeps_table: bool,
    /// Of its snapshot, in percent, while it is created.
    #[serde(default)]
    pub progress: Option<u8>,
}

impl Replica {
    /// One that is to be made, by the region that was asked for it.
    pub fn new(seen_to_by: Option<Region>) -> Replica {
        Replica {
            status: ReplicaStatus::Creating,
            incarnation: None,
            seen_to_by,
            class: None,
            read_override: None,
            max_read_override: None,
            index_overrides: BTreeMap::new(),
            keeps_table: false,
            progress: None,
        }
    }
}

/// Where one replica's reads of an index are bounded otherwise than the others'.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadOverride {
    pub read: Option<u64>,
    pub max_read: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReplicaStatus {
    Creating,
    Active,
    Deleting,
    /// Away too long: the others take nothing from it any more, and level what they have of it.
    Evicting,
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

impl Stream {
    /// Whether it is known where the stream ends, in each of the table's partitions.
    pub fn is_ended(&self, table: &TableDocument) -> bool {
        let ends_at = self.ends_at.as_ref();
        ends_at.is_some_and(|ends| table.partitions.iter().all(|range| ends.contains_key(&range.number)))
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

    /// Whether its changes have readers, or had some that may still come.
    pub fn is_logged(&self) -> bool {
        self.is_replicated() || !self.streams.is_empty()
    }

    /// What is set for this region's replica alone.
    pub fn own_replica(&self) -> Option<&Replica> {
        self.replicas.values().find(|replica| replica.incarnation == Some(self.incarnation))
    }

    /// The table's capacity as it is in this region.
    pub fn local_capacity(&self) -> Capacity {
        let own = self.own_replica();
        let (read, max_read) = own.map_or((None, None), |own| (own.read_override, own.max_read_override));
        self.capacity.with(ReadOverride { read, max_read })
    }

    pub fn local_index_capacity(&self, index: &Index) -> Capacity {
        let own = self.own_replica().and_then(|own| own.index_overrides.get(&index.name));
        index.capacity.with(own.copied().unwrap_or_default())
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
