//! UpdateTable.

use std::collections::HashSet;

use crate::decode::item::table;
use crate::decode::table::settings::{
    attribute_definitions, billing, check_distinct, check_key_kinds, check_names_distinct,
    check_settings_replication, check_units, class, encryption, key_elements, on_demand, projection, stream,
    throughput, typed_elements, units, warm,
};
use crate::error::ApiError;
use crate::request::table::{
    BillingMode, Consistency, IndexProjection, IndexUpdate, NewIndex, ReplicaIndexSettings, ReplicaSettings,
    ReplicaUpdate, UpdateTable, WitnessUpdate,
};
use crate::shape::node::Members;

/// Any of these makes an update.
const CHANGES: &[&str] = &[
    "ProvisionedThroughput",
    "BillingMode",
    "StreamSpecification",
    "SSESpecification",
    "ReplicaUpdates",
    "TableClass",
    "DeletionProtectionEnabled",
    "MultiRegionConsistency",
    "GlobalTableWitnessUpdates",
    "OnDemandThroughput",
    "WarmThroughput",
    "GlobalTableSettingsReplicationMode",
    "DisassociationProtectionEnabled",
];

/// What the service says of an index's throughput that is out of bounds.
const BLOCKED: &str = "This operation cannot be performed with given input values. Please contact DynamoDB service team \
    for more info: Action Blocked: IndexUpdate";

pub(crate) fn update(mut request: Members<'_>) -> Result<UpdateTable, ApiError> {
    let indexes = request.structures("GlobalSecondaryIndexUpdates").unwrap_or_default();
    if indexes.is_empty() && !CHANGES.iter().any(|change| request.has(change)) {
        return Err(ApiError::validation(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates \
             or SSESpecification or ReplicaUpdates is required",
        ));
    }
    let (billing, throughput) = (billing(&request), throughput(&mut request));
    if billing == Some(BillingMode::Provisioned) && throughput.is_none() {
        return Err(ApiError::invalid_value(
            "ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
        ));
    }
    if billing == Some(BillingMode::PayPerRequest) && throughput.is_some() {
        return Err(ApiError::invalid_value(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        ));
    }
    throughput.map_or(Ok(()), check_units)?;
    check_settings_replication(&request)?;
    Ok(UpdateTable {
        table: Some(table(&request)),
        attributes: attribute_definitions(&mut request),
        billing,
        throughput,
        on_demand: on_demand(&mut request)?,
        warm: warm(&mut request),
        indexes: index_updates(indexes)?,
        stream: stream(&mut request)?,
        encryption: encryption(&mut request),
        replicas: replica_updates(&mut request)?,
        witnesses: witness_updates(&mut request)?,
        class: class(&request, "TableClass"),
        deletion_protection: request.bool("DeletionProtectionEnabled"),
        disassociation_protection: request.bool("DisassociationProtectionEnabled"),
        consistency: consistency(&request),
        settings_replication: request.owned_text("GlobalTableSettingsReplicationMode"),
    })
}

fn consistency(request: &Members<'_>) -> Option<Consistency> {
    request.text("MultiRegionConsistency").map(|name| match name {
        "STRONG" => Consistency::Strong,
        _ => Consistency::Eventual,
    })
}

fn index_updates(updates: Vec<Members<'_>>) -> Result<Vec<IndexUpdate>, ApiError> {
    let mut names = HashSet::new();
    let mut all = Vec::with_capacity(updates.len());
    for update in updates {
        let update = index_update(update)?;
        if !names.insert(update.name().to_owned()) {
            return Err(ApiError::invalid_value(format_args!(
                "Only one global secondary index update per index is allowed simultaneously. Index: {}",
                update.name()
            )));
        }
        all.push(update);
    }
    Ok(all)
}

fn index_update(mut update: Members<'_>) -> Result<IndexUpdate, ApiError> {
    if let Some(mut index) = update.members("Update") {
        let throughput = throughput(&mut index);
        if throughput.is_some_and(|throughput| check_units(throughput).is_err()) {
            return Err(ApiError::validation(BLOCKED));
        }
        return Ok(IndexUpdate::Update {
            name: index.owned_text("IndexName").unwrap_or_default(),
            throughput,
            on_demand: on_demand(&mut index)?,
            warm: warm(&mut index),
        });
    }
    if let Some(index) = update.members("Create") {
        return new_index(index).map(IndexUpdate::Create);
    }
    if let Some(index) = update.members("Delete") {
        return Ok(IndexUpdate::Delete { name: index.owned_text("IndexName").unwrap_or_default() });
    }
    Err(ApiError::invalid_value(
        "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, \
         GlobalSecondaryIndexUpdate.Delete must not be null",
    ))
}

fn new_index(mut index: Members<'_>) -> Result<NewIndex, ApiError> {
    let raw = key_elements(&mut index);
    check_distinct(&raw)?;
    check_key_kinds(&raw, true)?;
    let throughput = throughput(&mut index);
    throughput.map_or(Ok(()), check_units)?;
    let projection = projection(&mut index)?;
    if let IndexProjection::Include(names) = &projection {
        check_names_distinct(names)?;
    }
    Ok(NewIndex {
        name: index.owned_text("IndexName").unwrap_or_default(),
        keys: typed_elements(raw),
        projection,
        throughput,
        on_demand: on_demand(&mut index)?,
        warm: warm(&mut index),
    })
}

fn replica_updates(request: &mut Members<'_>) -> Result<Vec<ReplicaUpdate>, ApiError> {
    let updates = request.structures("ReplicaUpdates").unwrap_or_default();
    updates.into_iter().map(replica_update).collect()
}

fn replica_update(mut update: Members<'_>) -> Result<ReplicaUpdate, ApiError> {
    let region = |members: Members<'_>| members.owned_text("RegionName").unwrap_or_default();
    let mut given = Vec::new();
    if let Some(members) = update.members("Create") {
        given.push(ReplicaUpdate::Create(replica_settings(members)));
    }
    if let Some(members) = update.members("Update") {
        given.push(ReplicaUpdate::Update(replica_settings(members)));
    }
    given.extend(update.members("Delete").map(|members| ReplicaUpdate::Delete { region: region(members) }));
    let disassociate = update.members("Disassociate");
    given.extend(disassociate.map(|members| ReplicaUpdate::Disassociate { region: region(members) }));
    match (given.pop(), given.is_empty()) {
        (Some(update), true) => Ok(update),
        _ => Err(ApiError::invalid_value(
            "One of ReplicationGroupUpdate.Create, ReplicationGroupUpdate.Update, ReplicationGroupUpdate.Delete, \
             ReplicationGroupUpdate.Disassociate must be given",
        )),
    }
}

fn replica_settings(mut members: Members<'_>) -> ReplicaSettings {
    let indexes = members.structures("GlobalSecondaryIndexes").unwrap_or_default();
    let index = |mut index: Members<'_>| ReplicaIndexSettings {
        name: index.owned_text("IndexName").unwrap_or_default(),
        read_capacity: read_capacity(&mut index),
        on_demand_read: on_demand_read(&mut index),
    };
    ReplicaSettings {
        region: members.owned_text("RegionName").unwrap_or_default(),
        key: members.owned_text("KMSMasterKeyId"),
        read_capacity: read_capacity(&mut members),
        on_demand_read: on_demand_read(&mut members),
        class: class(&members, "TableClassOverride"),
        indexes: indexes.into_iter().map(index).collect(),
    }
}

fn read_capacity(members: &mut Members<'_>) -> Option<u64> {
    units(&members.members("ProvisionedThroughputOverride")?, "ReadCapacityUnits")
}

fn on_demand_read(members: &mut Members<'_>) -> Option<u64> {
    units(&members.members("OnDemandThroughputOverride")?, "MaxReadRequestUnits")
}

fn witness_updates(request: &mut Members<'_>) -> Result<Vec<WitnessUpdate>, ApiError> {
    let updates = request.structures("GlobalTableWitnessUpdates").unwrap_or_default();
    let region = |members: Members<'_>| members.owned_text("RegionName").unwrap_or_default();
    let update = |mut update: Members<'_>| match (update.members("Create"), update.members("Delete")) {
        (Some(members), None) => Ok(WitnessUpdate::Create { region: region(members) }),
        (None, Some(members)) => Ok(WitnessUpdate::Delete { region: region(members) }),
        _ => Err(ApiError::invalid_value(
            "One of GlobalTableWitnessGroupUpdate.Create, GlobalTableWitnessGroupUpdate.Delete must be given",
        )),
    };
    updates.into_iter().map(update).collect()
}
