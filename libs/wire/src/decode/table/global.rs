//! The 2017 version of global tables.

use crate::decode::table::settings::{billing_named, class, units};
use crate::error::ApiError;
use crate::request::global_table::{
    CreateGlobalTable, GlobalTableReplicaSettings, ListGlobalTables, UpdateGlobalTable,
    UpdateGlobalTableSettings,
};
use crate::shape::node::Members;

pub(crate) fn name(request: &Members<'_>) -> String {
    request.owned_text("GlobalTableName").unwrap_or_default()
}

pub(crate) fn create(mut request: Members<'_>) -> Result<CreateGlobalTable, ApiError> {
    let replicas = request.structures("ReplicationGroup").unwrap_or_default();
    let regions: Vec<_> = replicas.iter().filter_map(|replica| replica.owned_text("RegionName")).collect();
    if regions.is_empty() {
        return Err(ApiError::invalid_value("ReplicationGroup cannot be empty"));
    }
    Ok(CreateGlobalTable { name: name(&request), regions })
}

pub(crate) fn update(mut request: Members<'_>) -> Result<UpdateGlobalTable, ApiError> {
    let (mut create, mut delete) = (Vec::new(), Vec::new());
    for mut update in request.structures("ReplicaUpdates").unwrap_or_default() {
        let mut region = |action| update.members(action).and_then(|members| members.owned_text("RegionName"));
        match (region("Create"), region("Delete")) {
            (Some(region), None) => create.push(region),
            (None, Some(region)) => delete.push(region),
            _ => {
                return Err(ApiError::invalid_value(
                    "One of ReplicaUpdate.Create, ReplicaUpdate.Delete must be given",
                ));
            }
        }
    }
    Ok(UpdateGlobalTable { name: name(&request), create, delete })
}

pub(crate) fn list(request: &Members<'_>) -> ListGlobalTables {
    ListGlobalTables {
        start: request.owned_text("ExclusiveStartGlobalTableName"),
        limit: request.int("Limit").and_then(|limit| usize::try_from(limit).ok()),
        region: request.owned_text("RegionName"),
    }
}

pub(crate) fn update_settings(mut request: Members<'_>) -> UpdateGlobalTableSettings {
    let indexes = request.structures("GlobalTableGlobalSecondaryIndexSettingsUpdate").unwrap_or_default();
    let replicas = request.structures("ReplicaSettingsUpdate").unwrap_or_default();
    UpdateGlobalTableSettings {
        name: name(&request),
        billing: billing_named(&request, "GlobalTableBillingMode"),
        write_capacity: units(&request, "GlobalTableProvisionedWriteCapacityUnits"),
        index_write_capacity: by_index(indexes, "ProvisionedWriteCapacityUnits"),
        replicas: replicas.into_iter().map(replica_settings).collect(),
    }
}

fn replica_settings(mut members: Members<'_>) -> GlobalTableReplicaSettings {
    let indexes = members.structures("ReplicaGlobalSecondaryIndexSettingsUpdate").unwrap_or_default();
    GlobalTableReplicaSettings {
        region: members.owned_text("RegionName").unwrap_or_default(),
        read_capacity: units(&members, "ReplicaProvisionedReadCapacityUnits"),
        index_read_capacity: by_index(indexes, "ProvisionedReadCapacityUnits"),
        class: class(&members, "ReplicaTableClass"),
    }
}

fn by_index(indexes: Vec<Members<'_>>, member: &str) -> Vec<(String, Option<u64>)> {
    let settings =
        |index: Members<'_>| (index.owned_text("IndexName").unwrap_or_default(), units(&index, member));
    indexes.into_iter().map(settings).collect()
}
