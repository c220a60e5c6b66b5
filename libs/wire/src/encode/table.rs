//! Descriptions of tables.

use tradewind_model::{KeyAttribute, KeySchema};

use crate::json::write::Object;
use crate::request::table::{BillingMode, IndexKeys, IndexProjection, OnDemandThroughput, StreamView};
use crate::response::table::{
    ClassDescription, EncryptionDescription, GlobalIndexDescription, LocalIndexDescription,
    ReplicaDescription, ReplicaIndexDescription, TableDescription, ThroughputDescription,
    WarmThroughputDescription,
};

/// What an on-demand bound that is not set is said to be.
const NO_BOUND: &[u8] = b"-1";

pub(crate) fn describe(table: &TableDescription, out: &mut Object<'_>) {
    out.objects("AttributeDefinitions", &table.attributes, |attribute, out| {
        out.text("AttributeName", &attribute.name);
        out.text("AttributeType", attribute.kind.name());
    });
    out.text("TableName", &table.name);
    key_schema(&table.keys, out);
    out.text("TableStatus", table.status.name());
    out.time("CreationDateTime", table.created_ms);
    throughput(&table.throughput, out);
    out.whole("TableSizeBytes", table.size_bytes);
    out.whole("ItemCount", table.item_count);
    out.text("TableArn", &table.arn);
    out.text("TableId", &table.id);
    if let Some(mode) = table.billing {
        billing(mode, table.on_demand_since_ms, out);
    }
    if !table.local_indexes.is_empty() {
        out.objects("LocalSecondaryIndexes", &table.local_indexes, local_index);
    }
    if !table.global_indexes.is_empty() {
        out.objects("GlobalSecondaryIndexes", &table.global_indexes, global_index);
    }
    stream(table.stream, out);
    out.maybe_text("LatestStreamLabel", table.stream_label.as_deref());
    out.maybe_text("LatestStreamArn", table.stream_arn.as_deref());
    global(table, out);
    if let Some(encryption) = &table.encryption {
        out.object("SSEDescription", |out| encrypted(encryption, out));
    }
    class("TableClassSummary", table.class, out);
    maybe_bool("DeletionProtectionEnabled", table.deletion_protection, out);
    on_demand(table.on_demand, out);
    warm(table.warm, out);
}

fn global(table: &TableDescription, out: &mut Object<'_>) {
    out.maybe_text("GlobalTableVersion", table.global_table_version);
    if !table.replicas.is_empty() {
        out.objects("Replicas", &table.replicas, replica);
    }
    if !table.witnesses.is_empty() {
        out.objects("GlobalTableWitnesses", &table.witnesses, |witness, out| {
            out.text("RegionName", &witness.region);
            out.text("WitnessStatus", witness.status);
        });
    }
    out.maybe_text("GlobalTableSettingsReplicationMode", table.settings_replication.as_deref());
    maybe_bool("DisassociationProtectionEnabled", table.disassociation_protection, out);
    out.maybe_text("MultiRegionConsistency", table.consistency.map(|consistency| consistency.name()));
}

fn maybe_bool(name: &str, value: Option<bool>, out: &mut Object<'_>) {
    if let Some(value) = value {
        out.bool(name, value);
    }
}

fn maybe_time(name: &str, epoch_ms: Option<u64>, out: &mut Object<'_>) {
    if let Some(epoch_ms) = epoch_ms {
        out.time(name, epoch_ms);
    }
}

pub(crate) fn key_schema(keys: &KeySchema, out: &mut Object<'_>) {
    let range = keys.range.iter().map(|attribute| (attribute, "RANGE"));
    key_elements(std::iter::once((&keys.hash, "HASH")).chain(range), out);
}

fn index_key_schema(keys: &IndexKeys, out: &mut Object<'_>) {
    let hash = keys.hash.iter().map(|attribute| (attribute, "HASH"));
    key_elements(hash.chain(keys.range.iter().map(|attribute| (attribute, "RANGE"))), out);
}

fn key_elements<'k>(elements: impl Iterator<Item = (&'k KeyAttribute, &'static str)>, out: &mut Object<'_>) {
    out.objects("KeySchema", elements, |(attribute, kind), out| {
        out.text("AttributeName", &attribute.name);
        out.text("KeyType", kind);
    });
}

fn throughput(throughput: &ThroughputDescription, out: &mut Object<'_>) {
    out.object("ProvisionedThroughput", |out| {
        maybe_time("LastIncreaseDateTime", throughput.increased_ms, out);
        maybe_time("LastDecreaseDateTime", throughput.decreased_ms, out);
        out.whole("NumberOfDecreasesToday", throughput.decreases_today);
        out.whole("ReadCapacityUnits", throughput.read);
        out.whole("WriteCapacityUnits", throughput.write);
    });
}

/// The same twice, under an older name too.
fn billing(mode: BillingMode, since_ms: Option<u64>, out: &mut Object<'_>) {
    for (summary, member) in
        [("BillingModeSummary", "BillingMode"), ("TableThroughputModeSummary", "TableThroughputMode")]
    {
        out.object(summary, |out| {
            out.text(member, mode.name());
            maybe_time("LastUpdateToPayPerRequestDateTime", since_ms, out);
        });
    }
}

fn projection(projection: &IndexProjection, out: &mut Object<'_>) {
    out.object("Projection", |out| {
        out.text("ProjectionType", projection.name());
        if let IndexProjection::Include(names) = projection {
            out.texts("NonKeyAttributes", names.iter().map(String::as_str));
        }
    });
}

fn local_index(index: &LocalIndexDescription, out: &mut Object<'_>) {
    out.text("IndexName", &index.name);
    key_schema(&index.keys, out);
    projection(&index.projection, out);
    out.whole("IndexSizeBytes", index.size_bytes);
    out.whole("ItemCount", index.item_count);
    out.text("IndexArn", &index.arn);
}

fn global_index(index: &GlobalIndexDescription, out: &mut Object<'_>) {
    out.text("IndexName", &index.name);
    index_key_schema(&index.keys, out);
    projection(&index.projection, out);
    out.text("IndexStatus", index.status.name());
    maybe_bool("Backfilling", index.backfilling, out);
    throughput(&index.throughput, out);
    out.whole("IndexSizeBytes", index.size_bytes);
    out.whole("ItemCount", index.item_count);
    out.text("IndexArn", &index.arn);
    on_demand(index.on_demand, out);
    warm(index.warm, out);
}

fn stream(view: Option<StreamView>, out: &mut Object<'_>) {
    if let Some(view) = view {
        out.object("StreamSpecification", |out| {
            out.bool("StreamEnabled", true);
            out.text("StreamViewType", view.name());
        });
    }
}

fn encrypted(encryption: &EncryptionDescription, out: &mut Object<'_>) {
    out.text("Status", encryption.status);
    out.maybe_text("SSEType", encryption.kind.as_deref());
    out.maybe_text("KMSMasterKeyArn", encryption.key_arn.as_deref());
}

pub(crate) fn class(name: &str, class: Option<ClassDescription>, out: &mut Object<'_>) {
    if let Some(class) = class {
        out.object(name, |out| {
            out.text("TableClass", class.class.name());
            maybe_time("LastUpdateDateTime", class.updated_ms, out);
        });
    }
}

fn on_demand(throughput: Option<OnDemandThroughput>, out: &mut Object<'_>) {
    let Some(throughput) = throughput else { return };
    out.object("OnDemandThroughput", |out| {
        for (name, bound) in
            [("MaxReadRequestUnits", throughput.read), ("MaxWriteRequestUnits", throughput.write)]
        {
            match bound {
                Some(units) => out.whole(name, units),
                None => out.member(name).extend_from_slice(NO_BOUND),
            }
        }
    });
}

fn warm(throughput: Option<WarmThroughputDescription>, out: &mut Object<'_>) {
    let Some(throughput) = throughput else { return };
    out.object("WarmThroughput", |out| {
        out.whole("ReadUnitsPerSecond", throughput.read);
        out.whole("WriteUnitsPerSecond", throughput.write);
        out.text("Status", if throughput.active { "ACTIVE" } else { "UPDATING" });
    });
}

pub(crate) fn replica(replica: &ReplicaDescription, out: &mut Object<'_>) {
    out.text("RegionName", &replica.region);
    out.text("ReplicaStatus", replica.status.name());
    out.maybe_text("ReplicaArn", replica.arn.as_deref());
    out.maybe_text("ReplicaStatusDescription", replica.status_description.as_deref());
    out.maybe_text("ReplicaStatusPercentProgress", replica.percent.map(|p| p.to_string()).as_deref());
    out.maybe_text("KMSMasterKeyId", replica.key.as_deref());
    overrides(replica.read_capacity, replica.on_demand_read, out);
    warm(replica.warm, out);
    if !replica.indexes.is_empty() {
        out.objects("GlobalSecondaryIndexes", &replica.indexes, |index: &ReplicaIndexDescription, out| {
            out.text("IndexName", &index.name);
            overrides(index.read_capacity, index.on_demand_read, out);
            warm(index.warm, out);
        });
    }
    maybe_time("ReplicaInaccessibleDateTime", replica.inaccessible_ms, out);
    class("ReplicaTableClassSummary", replica.class, out);
}

fn overrides(read_capacity: Option<u64>, on_demand_read: Option<u64>, out: &mut Object<'_>) {
    if let Some(units) = read_capacity {
        out.object("ProvisionedThroughputOverride", |out| out.whole("ReadCapacityUnits", units));
    }
    if let Some(units) = on_demand_read {
        out.object("OnDemandThroughputOverride", |out| out.whole("MaxReadRequestUnits", units));
    }
}
