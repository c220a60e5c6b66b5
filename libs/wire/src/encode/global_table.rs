//! Global tables of the 2017 version.

use crate::encode::table::{class, replica};
use crate::json::write::Object;
use crate::response::table::{
    GlobalTableDescription, GlobalTablePage, GlobalTableReplica, GlobalTableSettings,
};

pub(crate) fn describe(table: &GlobalTableDescription, out: &mut Object<'_>) {
    out.objects("ReplicationGroup", &table.replicas, replica);
    out.text("GlobalTableArn", &table.arn);
    out.time("CreationDateTime", table.created_ms);
    out.text("GlobalTableStatus", table.status.name());
    out.text("GlobalTableName", &table.name);
}

pub(crate) fn list(page: &GlobalTablePage, out: &mut Object<'_>) {
    out.objects("GlobalTables", &page.tables, |(name, regions), out| {
        out.text("GlobalTableName", name);
        out.objects("ReplicationGroup", regions, |region, out| out.text("RegionName", region));
    });
    out.maybe_text("LastEvaluatedGlobalTableName", page.last.as_deref());
}

pub(crate) fn settings(settings: &GlobalTableSettings, out: &mut Object<'_>) {
    out.text("GlobalTableName", &settings.name);
    out.objects("ReplicaSettings", &settings.replicas, replica_settings);
}

fn replica_settings(replica: &GlobalTableReplica, out: &mut Object<'_>) {
    out.text("RegionName", &replica.region);
    out.text("ReplicaStatus", replica.status.name());
    if let Some(mode) = replica.billing {
        out.object("ReplicaBillingModeSummary", |out| {
            out.text("BillingMode", mode.name());
            if let Some(since_ms) = replica.on_demand_since_ms {
                out.time("LastUpdateToPayPerRequestDateTime", since_ms);
            }
        });
    }
    out.whole("ReplicaProvisionedReadCapacityUnits", replica.read);
    out.whole("ReplicaProvisionedWriteCapacityUnits", replica.write);
    if !replica.indexes.is_empty() {
        out.objects("ReplicaGlobalSecondaryIndexSettings", &replica.indexes, |index, out| {
            out.text("IndexName", &index.name);
            out.text("IndexStatus", index.status.name());
            out.whole("ProvisionedReadCapacityUnits", index.read);
            out.whole("ProvisionedWriteCapacityUnits", index.write);
        });
    }
    class("ReplicaTableClassSummary", replica.class, out);
}
