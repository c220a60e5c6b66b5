//! Answers to requests for tables, before they are rendered. What is `None` or empty is absent from the answer.

use tradewind_model::{KeyAttribute, KeySchema};

use crate::request::table::{
    BillingMode, Consistency, IndexKeys, IndexProjection, OnDemandThroughput, StreamView, TableClass, Tag,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TableStatus {
    Creating,
    Updating,
    Deleting,
    #[default]
    Active,
    InaccessibleEncryptionCredentials,
    Archiving,
    Archived,
}

impl TableStatus {
    pub fn name(self) -> &'static str {
        match self {
            TableStatus::Creating => "CREATING",
            TableStatus::Updating => "UPDATING",
            TableStatus::Deleting => "DELETING",
            TableStatus::Active => "ACTIVE",
            TableStatus::InaccessibleEncryptionCredentials => "INACCESSIBLE_ENCRYPTION_CREDENTIALS",
            TableStatus::Archiving => "ARCHIVING",
            TableStatus::Archived => "ARCHIVED",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IndexStatus {
    Creating,
    Updating,
    Deleting,
    #[default]
    Active,
}

impl IndexStatus {
    pub fn name(self) -> &'static str {
        match self {
            IndexStatus::Creating => "CREATING",
            IndexStatus::Updating => "UPDATING",
            IndexStatus::Deleting => "DELETING",
            IndexStatus::Active => "ACTIVE",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplicaStatus {
    Creating,
    CreationFailed,
    Updating,
    Deleting,
    Active,
    RegionDisabled,
    InaccessibleEncryptionCredentials,
}

impl ReplicaStatus {
    pub fn name(self) -> &'static str {
        match self {
            ReplicaStatus::Creating => "CREATING",
            ReplicaStatus::CreationFailed => "CREATION_FAILED",
            ReplicaStatus::Updating => "UPDATING",
            ReplicaStatus::Deleting => "DELETING",
            ReplicaStatus::Active => "ACTIVE",
            ReplicaStatus::RegionDisabled => "REGION_DISABLED",
            ReplicaStatus::InaccessibleEncryptionCredentials => "INACCESSIBLE_ENCRYPTION_CREDENTIALS",
        }
    }
}

/// Provisioned capacity; zeros where the table is on demand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ThroughputDescription {
    pub read: u64,
    pub write: u64,
    pub increased_ms: Option<u64>,
    pub decreased_ms: Option<u64>,
    pub decreases_today: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WarmThroughputDescription {
    pub read: u64,
    pub write: u64,
    pub active: bool,
}

/// TableDescription. Times are in milliseconds since 1970.
#[derive(Clone, PartialEq, Debug)]
pub struct TableDescription {
    pub name: String,
    pub arn: String,
    /// A UUID.
    pub id: String,
    pub status: TableStatus,
    pub created_ms: u64,
    pub attributes: Vec<KeyAttribute>,
    pub keys: KeySchema,
    /// `None`: provisioned, and never anything else.
    pub billing: Option<BillingMode>,
    pub on_demand_since_ms: Option<u64>,
    pub throughput: ThroughputDescription,
    pub size_bytes: u64,
    pub item_count: u64,
    pub local_indexes: Vec<LocalIndexDescription>,
    pub global_indexes: Vec<GlobalIndexDescription>,
    pub stream: Option<StreamView>,
    /// Of the latest stream, which may be disabled by now.
    pub stream_label: Option<String>,
    pub stream_arn: Option<String>,
    /// "2019.11.21" where the table is global.
    pub global_table_version: Option<&'static str>,
    pub replicas: Vec<ReplicaDescription>,
    pub witnesses: Vec<WitnessDescription>,
    pub encryption: Option<EncryptionDescription>,
    pub class: Option<ClassDescription>,
    pub deletion_protection: Option<bool>,
    pub disassociation_protection: Option<bool>,
    pub on_demand: Option<OnDemandThroughput>,
    pub warm: Option<WarmThroughputDescription>,
    pub consistency: Option<Consistency>,
    pub settings_replication: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct LocalIndexDescription {
    pub name: String,
    pub arn: String,
    pub keys: KeySchema,
    pub projection: IndexProjection,
    pub size_bytes: u64,
    pub item_count: u64,
}

#[derive(Clone, PartialEq, Debug)]
pub struct GlobalIndexDescription {
    pub name: String,
    pub arn: String,
    pub keys: IndexKeys,
    pub projection: IndexProjection,
    pub status: IndexStatus,
    /// Only while the index is added to a table or was not yet.
    pub backfilling: Option<bool>,
    pub throughput: ThroughputDescription,
    pub size_bytes: u64,
    pub item_count: u64,
    pub on_demand: Option<OnDemandThroughput>,
    pub warm: Option<WarmThroughputDescription>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaDescription {
    pub region: String,
    pub arn: Option<String>,
    pub status: ReplicaStatus,
    pub status_description: Option<String>,
    /// 0 to 100, while the replica is created.
    pub percent: Option<u8>,
    pub key: Option<String>,
    pub read_capacity: Option<u64>,
    pub on_demand_read: Option<u64>,
    pub warm: Option<WarmThroughputDescription>,
    pub indexes: Vec<ReplicaIndexDescription>,
    pub inaccessible_ms: Option<u64>,
    pub class: Option<ClassDescription>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaIndexDescription {
    pub name: String,
    pub read_capacity: Option<u64>,
    pub on_demand_read: Option<u64>,
    pub warm: Option<WarmThroughputDescription>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct WitnessDescription {
    pub region: String,
    /// CREATING, DELETING or ACTIVE.
    pub status: &'static str,
}

#[derive(Clone, PartialEq, Debug)]
pub struct EncryptionDescription {
    /// ENABLING, ENABLED, DISABLING, DISABLED or UPDATING.
    pub status: &'static str,
    pub kind: Option<String>,
    pub key_arn: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClassDescription {
    pub class: TableClass,
    pub updated_ms: Option<u64>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TablePage {
    pub names: Vec<String>,
    /// There may be more after this one.
    pub last: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TagPage {
    pub tags: Vec<Tag>,
    pub next_token: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeToLiveStatus {
    Enabling,
    Enabled,
    Disabling,
    Disabled,
}

impl TimeToLiveStatus {
    pub fn name(self) -> &'static str {
        match self {
            TimeToLiveStatus::Enabling => "ENABLING",
            TimeToLiveStatus::Enabled => "ENABLED",
            TimeToLiveStatus::Disabling => "DISABLING",
            TimeToLiveStatus::Disabled => "DISABLED",
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct TimeToLiveDescription {
    pub status: TimeToLiveStatus,
    pub attribute: Option<String>,
}

/// DescribeLimits, in capacity units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub account_read: u64,
    pub account_write: u64,
    pub table_read: u64,
    pub table_write: u64,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ContributorInsights {
    pub table: String,
    pub index: Option<String>,
    /// DISABLED, where there are none.
    pub status: &'static str,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaAutoScaling {
    pub table: String,
    pub status: TableStatus,
    pub replicas: Vec<(String, ReplicaStatus)>,
}

/// A global table of the 2017 version.
#[derive(Clone, PartialEq, Debug)]
pub struct GlobalTableDescription {
    pub name: String,
    pub arn: String,
    pub status: TableStatus,
    pub created_ms: u64,
    pub replicas: Vec<ReplicaDescription>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct GlobalTablePage {
    /// Names with their regions.
    pub tables: Vec<(String, Vec<String>)>,
    pub last: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct GlobalTableSettings {
    pub name: String,
    pub replicas: Vec<GlobalTableReplica>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct GlobalTableReplica {
    pub region: String,
    pub status: ReplicaStatus,
    pub billing: Option<BillingMode>,
    pub on_demand_since_ms: Option<u64>,
    pub read: u64,
    pub write: u64,
    pub indexes: Vec<GlobalTableReplicaIndex>,
    pub class: Option<ClassDescription>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct GlobalTableReplicaIndex {
    pub name: String,
    pub status: IndexStatus,
    pub read: u64,
    pub write: u64,
}
