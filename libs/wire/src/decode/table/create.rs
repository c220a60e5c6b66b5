//! CreateTable: keys, attribute definitions and indexes have to fit each other.

use std::collections::HashSet;

use tradewind_model::{KeyAttribute, KeySchema};

use crate::decode::item::table;
use crate::decode::table::settings::{
    RawKey, attribute_definitions, billing, check_defined, check_distinct, check_key_kinds,
    check_names_distinct, check_settings_replication, check_units, class, encryption, key_elements, listed,
    on_demand, projection, stream, throughput, typed_elements, warm,
};
use crate::decode::table::tag::{check_tags, tags};
use crate::error::ApiError;
use crate::request::table::{
    BillingMode, CreateTable, GlobalIndex, IndexKeys, IndexProjection, LocalIndex, StreamUpdate, Throughput,
};
use crate::shape::node::Members;

const MAX_LOCAL_INDEXES: usize = 5;
const MAX_GLOBAL_INDEXES: usize = 20;
/// NonKeyAttributes over all indexes.
const MAX_PROJECTED: usize = 100;
const MAX_TAGS: usize = 50;

pub(crate) fn create(mut request: Members<'_>) -> Result<CreateTable, ApiError> {
    let billing = billing(&request).unwrap_or_default();
    let throughput = throughput(&mut request);
    check_throughput(billing, throughput)?;
    let attributes = attribute_definitions(&mut request);
    let raw = key_elements(&mut request);
    check_table_keys(&raw, &attributes)?;
    let has_indexes = request.has("LocalSecondaryIndexes") || request.has("GlobalSecondaryIndexes");
    if !has_indexes && raw.len() != attributes.len() {
        return Err(ApiError::invalid_value(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ));
    }
    let keys = table_keys(&raw, &attributes)?;
    let mut names = HashSet::new();
    let local_indexes = local_indexes(&mut request, &keys, &attributes, &mut names)?;
    let global_indexes = global_indexes(&mut request, billing, &attributes, &mut names)?;
    check_attributes_distinct(&attributes)?;
    check_all_used(&attributes, &keys, &local_indexes, &global_indexes)?;
    check_projected(&local_indexes, &global_indexes)?;
    let stream = match stream(&mut request)? {
        Some(StreamUpdate::Enable(view)) => Some(view),
        _ => None,
    };
    check_promises(&request)?;
    let on_demand = on_demand(&mut request)?;
    if billing == BillingMode::Provisioned && on_demand.is_some() {
        return Err(ApiError::invalid_value(
            "OnDemandThroughput cannot be specified when BillingMode is PROVISIONED",
        ));
    }
    Ok(CreateTable {
        table: table(&request),
        attributes,
        keys,
        local_indexes,
        global_indexes,
        billing,
        throughput,
        on_demand,
        warm: warm(&mut request),
        stream,
        encryption: encryption(&mut request),
        tags: new_tags(&mut request)?,
        class: class(&request, "TableClass"),
        deletion_protection: request.bool("DeletionProtectionEnabled").unwrap_or(false),
        settings_replication: request.owned_text("GlobalTableSettingsReplicationMode"),
    })
}

/// What would be accepted without being kept.
fn check_promises(request: &Members<'_>) -> Result<(), ApiError> {
    if request.has("ResourcePolicy") {
        return Err(ApiError::validation(
            "Resource-based policies are not supported: ResourcePolicy cannot be specified",
        ));
    }
    if request.has("GlobalTableSourceArn") {
        return Err(ApiError::validation(
            "Global tables of several accounts are not supported: GlobalTableSourceArn cannot be specified",
        ));
    }
    check_settings_replication(request)
}

fn check_throughput(billing: BillingMode, throughput: Option<Throughput>) -> Result<(), ApiError> {
    match (billing, throughput) {
        (BillingMode::PayPerRequest, Some(_)) => Err(ApiError::invalid_value(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        (BillingMode::Provisioned, None) => Err(ApiError::invalid_value(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
        (BillingMode::Provisioned, Some(throughput)) => check_units(throughput),
        (BillingMode::PayPerRequest, None) => Ok(()),
    }
}

fn check_table_keys(keys: &[RawKey], attributes: &[KeyAttribute]) -> Result<(), ApiError> {
    if keys.len() > attributes.len() {
        return Err(ApiError::validation("Invalid KeySchema: Some index key attribute have no definition"));
    }
    check_defined(keys, attributes)?;
    check_distinct(keys)?;
    check_key_kinds(keys, false)
}

/// `raw` has one or two elements, which are defined.
fn table_keys(raw: &[RawKey], attributes: &[KeyAttribute]) -> Result<KeySchema, ApiError> {
    let mut found =
        raw.iter().filter_map(|key| attributes.iter().find(|attribute| attribute.name == key.name)).cloned();
    let hash = found.next().ok_or_else(|| ApiError::validation("Invalid KeySchema: No hash key"))?;
    Ok(KeySchema { hash, range: found.next() })
}

fn local_indexes(
    request: &mut Members<'_>,
    keys: &KeySchema,
    attributes: &[KeyAttribute],
    names: &mut HashSet<String>,
) -> Result<Vec<LocalIndex>, ApiError> {
    let Some(indexes) = request.structures("LocalSecondaryIndexes") else { return Ok(Vec::new()) };
    if indexes.is_empty() {
        return Err(ApiError::invalid_value("List of LocalSecondaryIndexes is empty"));
    }
    if keys.range.is_none() {
        return Err(ApiError::invalid_value(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        ));
    }
    let count = indexes.len();
    let indexes = indexes.into_iter().map(|index| local_index(index, keys, attributes, names));
    let indexes = indexes.collect::<Result<Vec<_>, _>>()?;
    if count > MAX_LOCAL_INDEXES {
        return Err(ApiError::invalid_value("Number of LocalSecondaryIndexes exceeds per-table limit of 5"));
    }
    Ok(indexes)
}

fn local_index(
    mut index: Members<'_>,
    table: &KeySchema,
    attributes: &[KeyAttribute],
    names: &mut HashSet<String>,
) -> Result<LocalIndex, ApiError> {
    let name = index.owned_text("IndexName").unwrap_or_default();
    let raw = key_elements(&mut index);
    check_defined(&raw, attributes)?;
    check_distinct(&raw)?;
    check_key_kinds(&raw, false)?;
    if raw.len() != 2 {
        return Err(ApiError::invalid_value(format_args!(
            "Index KeySchema does not have a range key for index: {name}"
        )));
    }
    let keys = table_keys(&raw, attributes)?;
    if keys.hash.name != table.hash.name {
        return Err(ApiError::invalid_value(format_args!(
            "Index KeySchema does not have the same leading hash key as table KeySchema for index: {name}. \
             index hash key: {}, table hash key: {}",
            keys.hash.name, table.hash.name
        )));
    }
    let projection = projection(&mut index)?;
    check_new_name(&name, names)?;
    Ok(LocalIndex { name, keys, projection })
}

fn check_new_name(name: &str, names: &mut HashSet<String>) -> Result<(), ApiError> {
    if names.insert(name.to_owned()) {
        return Ok(());
    }
    Err(ApiError::invalid_value(format_args!("Duplicate index name: {name}")))
}

fn global_indexes(
    request: &mut Members<'_>,
    billing: BillingMode,
    attributes: &[KeyAttribute],
    names: &mut HashSet<String>,
) -> Result<Vec<GlobalIndex>, ApiError> {
    let Some(indexes) = request.structures("GlobalSecondaryIndexes") else { return Ok(Vec::new()) };
    if indexes.is_empty() {
        return Err(ApiError::invalid_value("List of GlobalSecondaryIndexes is empty"));
    }
    let count = indexes.len();
    let indexes = indexes.into_iter().map(|index| global_index(index, billing, attributes, names));
    let indexes = indexes.collect::<Result<Vec<_>, _>>()?;
    if count > MAX_GLOBAL_INDEXES {
        return Err(ApiError::invalid_value("GlobalSecondaryIndex count exceeds the per-table limit of 20"));
    }
    let bare = indexes.iter().find(|index| billing == BillingMode::Provisioned && index.throughput.is_none());
    if let Some(index) = bare {
        return Err(ApiError::invalid_value(format_args!(
            "ProvisionedThroughput must be specified for index: {}",
            index.name
        )));
    }
    Ok(indexes)
}

fn global_index(
    mut index: Members<'_>,
    billing: BillingMode,
    attributes: &[KeyAttribute],
    names: &mut HashSet<String>,
) -> Result<GlobalIndex, ApiError> {
    let name = index.owned_text("IndexName").unwrap_or_default();
    let raw = key_elements(&mut index);
    check_defined(&raw, attributes)?;
    check_distinct(&raw)?;
    check_key_kinds(&raw, true)?;
    let projection = projection(&mut index)?;
    let throughput = throughput(&mut index);
    if billing == BillingMode::PayPerRequest && throughput.is_some() {
        return Err(ApiError::invalid_value(format_args!(
            "ProvisionedThroughput should not be specified for index: {name} when BillingMode is PAY_PER_REQUEST"
        )));
    }
    check_new_name(&name, names)?;
    let keys = IndexKeys::resolve(&typed_elements(raw), attributes).ok_or_else(|| {
        ApiError::validation("Invalid KeySchema: Some index key attribute have no definition")
    })?;
    let (on_demand, warm) = (on_demand(&mut index)?, warm(&mut index));
    Ok(GlobalIndex { name, keys, projection, throughput, on_demand, warm })
}

fn check_attributes_distinct(attributes: &[KeyAttribute]) -> Result<(), ApiError> {
    let mut names = HashSet::new();
    match attributes.iter().find(|attribute| !names.insert(&attribute.name)) {
        Some(twice) => Err(ApiError::invalid_value(format_args!(
            "Duplicate attribute name in attribute definition list: {}",
            twice.name
        ))),
        None => Ok(()),
    }
}

fn check_all_used(
    attributes: &[KeyAttribute],
    keys: &KeySchema,
    local: &[LocalIndex],
    global: &[GlobalIndex],
) -> Result<(), ApiError> {
    let of_local = local.iter().flat_map(|index| index.keys.attributes());
    let of_global = global.iter().flat_map(|index| index.keys.attributes());
    let mut used: Vec<&str> = Vec::new();
    for attribute in keys.attributes().chain(of_local).chain(of_global) {
        if !used.contains(&attribute.name.as_str()) {
            used.push(&attribute.name);
        }
    }
    if attributes.iter().all(|attribute| used.contains(&attribute.name.as_str())) {
        return Ok(());
    }
    Err(ApiError::invalid_value(format_args!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: {}, keys used: {}",
        listed(attributes.iter().map(|attribute| attribute.name.as_str())),
        listed(used),
    )))
}

fn check_projected(local: &[LocalIndex], global: &[GlobalIndex]) -> Result<(), ApiError> {
    let projections =
        || local.iter().map(|index| &index.projection).chain(global.iter().map(|index| &index.projection));
    let projected: usize = projections()
        .map(|projection| if let IndexProjection::Include(names) = projection { names.len() } else { 0 })
        .sum();
    if projected > MAX_PROJECTED {
        return Err(ApiError::invalid_value(format_args!(
            "Number of projected attributes in all indexes exceeds the per-table limit of {MAX_PROJECTED}"
        )));
    }
    let mut included = projections().filter_map(|projection| match projection {
        IndexProjection::Include(names) => Some(names),
        _ => None,
    });
    included.try_for_each(|names| check_names_distinct(names))
}

fn new_tags(request: &mut Members<'_>) -> Result<Vec<crate::request::table::Tag>, ApiError> {
    let tags = tags(request).unwrap_or_default();
    if tags.len() > MAX_TAGS {
        return Err(ApiError::invalid_value(format_args!("Number of Tags exceeds the limit of {MAX_TAGS}")));
    }
    check_tags(&tags)?;
    Ok(tags)
}
