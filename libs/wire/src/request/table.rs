//! Requests for tables: plain settings, consistent in themselves. What depends on the table as it is, is left to check.

use serde::{Deserialize, Serialize};
use tradewind_model::{KeyAttribute, KeySchema};

use crate::request::item::TableRef;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum BillingMode {
    #[default]
    Provisioned,
    PayPerRequest,
}

impl BillingMode {
    pub fn name(self) -> &'static str {
        match self {
            BillingMode::Provisioned => "PROVISIONED",
            BillingMode::PayPerRequest => "PAY_PER_REQUEST",
        }
    }
}

/// Capacity units a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Throughput {
    pub read: u64,
    pub write: u64,
}

/// Bounds of an on-demand table; `None`: no bound. -1 in a request means none, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OnDemandThroughput {
    pub read: Option<u64>,
    pub write: Option<u64>,
}

/// What a table is asked to bear at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WarmThroughput {
    pub read: Option<u64>,
    pub write: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum KeyType {
    Hash,
    Range,
}

impl KeyType {
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Hash => "HASH",
            KeyType::Range => "RANGE",
        }
    }
}

/// One element of a KeySchema whose attribute's type is not looked up yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyElement {
    pub name: String,
    pub kind: KeyType,
}

/// The keys of an index: one to four partition key attributes, none to four sort key attributes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IndexKeys {
    pub hash: Vec<KeyAttribute>,
    pub range: Vec<KeyAttribute>,
}

impl IndexKeys {
    /// With the types of `definitions`; `None` if one is not defined there.
    pub fn resolve(elements: &[KeyElement], definitions: &[KeyAttribute]) -> Option<IndexKeys> {
        let mut keys = IndexKeys { hash: Vec::new(), range: Vec::new() };
        for element in elements {
            let attribute = definitions.iter().find(|attribute| attribute.name == element.name)?.clone();
            match element.kind {
                KeyType::Hash => keys.hash.push(attribute),
                KeyType::Range => keys.range.push(attribute),
            }
        }
        Some(keys)
    }

    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        self.hash.iter().chain(&self.range)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IndexProjection {
    All,
    KeysOnly,
    /// With the keys, these attributes.
    Include(Vec<String>),
}

impl IndexProjection {
    pub fn name(&self) -> &'static str {
        match self {
            IndexProjection::All => "ALL",
            IndexProjection::KeysOnly => "KEYS_ONLY",
            IndexProjection::Include(_) => "INCLUDE",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocalIndex {
    pub name: String,
    /// The table's partition key and another sort key.
    pub keys: KeySchema,
    pub projection: IndexProjection,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GlobalIndex {
    pub name: String,
    pub keys: IndexKeys,
    pub projection: IndexProjection,
    pub throughput: Option<Throughput>,
    pub on_demand: Option<OnDemandThroughput>,
    pub warm: Option<WarmThroughput>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StreamView {
    KeysOnly,
    NewImage,
    OldImage,
    NewAndOldImages,
}

impl StreamView {
    pub fn name(self) -> &'static str {
        match self {
            StreamView::KeysOnly => "KEYS_ONLY",
            StreamView::NewImage => "NEW_IMAGE",
            StreamView::OldImage => "OLD_IMAGE",
            StreamView::NewAndOldImages => "NEW_AND_OLD_IMAGES",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum TableClass {
    #[default]
    Standard,
    StandardInfrequentAccess,
}

impl TableClass {
    pub fn name(self) -> &'static str {
        match self {
            TableClass::Standard => "STANDARD",
            TableClass::StandardInfrequentAccess => "STANDARD_INFREQUENT_ACCESS",
        }
    }
}

/// Server-side encryption with a key of the key service.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Encryption {
    pub enabled: bool,
    /// SSEType as given: AES256 or KMS.
    pub kind: Option<String>,
    pub key: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Consistency {
    Eventual,
    Strong,
}

impl Consistency {
    pub fn name(self) -> &'static str {
        match self {
            Consistency::Eventual => "EVENTUAL",
            Consistency::Strong => "STRONG",
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct CreateTable {
    pub table: TableRef,
    /// All key attributes, in the order they were defined.
    pub attributes: Vec<KeyAttribute>,
    pub keys: KeySchema,
    pub local_indexes: Vec<LocalIndex>,
    pub global_indexes: Vec<GlobalIndex>,
    pub billing: BillingMode,
    /// Of a provisioned table.
    pub throughput: Option<Throughput>,
    pub on_demand: Option<OnDemandThroughput>,
    pub warm: Option<WarmThroughput>,
    pub stream: Option<StreamView>,
    pub encryption: Option<Encryption>,
    pub tags: Vec<Tag>,
    pub class: Option<TableClass>,
    pub deletion_protection: bool,
    /// GlobalTableSettingsReplicationMode as given.
    pub settings_replication: Option<String>,
}

/// Every member is a change; `None` or empty: none.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UpdateTable {
    pub table: Option<TableRef>,
    /// Of the keys of new indexes, and possibly those there already.
    pub attributes: Vec<KeyAttribute>,
    pub billing: Option<BillingMode>,
    pub throughput: Option<Throughput>,
    pub on_demand: Option<OnDemandThroughput>,
    pub warm: Option<WarmThroughput>,
    pub indexes: Vec<IndexUpdate>,
    pub stream: Option<StreamUpdate>,
    pub encryption: Option<Encryption>,
    pub replicas: Vec<ReplicaUpdate>,
    pub witnesses: Vec<WitnessUpdate>,
    pub class: Option<TableClass>,
    pub deletion_protection: Option<bool>,
    pub disassociation_protection: Option<bool>,
    pub consistency: Option<Consistency>,
    pub settings_replication: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum IndexUpdate {
    Create(NewIndex),
    Update {
        name: String,
        throughput: Option<Throughput>,
        on_demand: Option<OnDemandThroughput>,
        warm: Option<WarmThroughput>,
    },
    Delete {
        name: String,
    },
}

impl IndexUpdate {
    pub fn name(&self) -> &str {
        match self {
            IndexUpdate::Create(index) => &index.name,
            IndexUpdate::Update { name, .. } | IndexUpdate::Delete { name } => name,
        }
    }
}

/// A global index that is added to a table: types may be defined in the request or known of the table.
#[derive(Clone, PartialEq, Debug)]
pub struct NewIndex {
    pub name: String,
    pub keys: Vec<KeyElement>,
    pub projection: IndexProjection,
    pub throughput: Option<Throughput>,
    pub on_demand: Option<OnDemandThroughput>,
    pub warm: Option<WarmThroughput>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamUpdate {
    Enable(StreamView),
    Disable,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ReplicaUpdate {
    Create(ReplicaSettings),
    Update(ReplicaSettings),
    Delete {
        region: String,
    },
    /// Keeps the replica's data as a table of its own, once it has caught up.
    Disassociate {
        region: String,
    },
}

/// A replica, and where it differs from the others.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ReplicaSettings {
    pub region: String,
    pub key: Option<String>,
    pub read_capacity: Option<u64>,
    pub on_demand_read: Option<u64>,
    pub class: Option<TableClass>,
    pub indexes: Vec<ReplicaIndexSettings>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaIndexSettings {
    pub name: String,
    pub read_capacity: Option<u64>,
    pub on_demand_read: Option<u64>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum WitnessUpdate {
    Create { region: String },
    Delete { region: String },
}

#[derive(Clone, PartialEq, Debug)]
pub struct ListTables {
    /// Names after this one.
    pub start: Option<String>,
    /// 1 to 100.
    pub limit: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub struct TagResource {
    pub table: TableRef,
    pub tags: Vec<Tag>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct UntagResource {
    pub table: TableRef,
    pub keys: Vec<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ListTagsOfResource {
    pub table: TableRef,
    pub next_token: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct UpdateTimeToLive {
    pub table: TableRef,
    pub attribute: String,
    pub enabled: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct DescribeContributorInsights {
    pub table: TableRef,
    pub index: Option<String>,
}
