//! The parts that tables, indexes and updates have in common.

use std::collections::HashSet;

use tradewind_model::{KeyAttribute, Type};

use crate::error::ApiError;
use crate::request::table::{
    BillingMode, Encryption, IndexProjection, KeyElement, KeyType, OnDemandThroughput, StreamUpdate,
    StreamView, TableClass, Throughput, WarmThroughput,
};
use crate::shape::node::Members;

/// Beyond it nobody's hardware goes.
const MAX_UNITS: u64 = 1_000_000_000_000;

/// How settings are synchronized here, whatever is asked: all of one account's replicas share them, with overrides.
pub(crate) fn check_settings_replication(request: &Members<'_>) -> Result<(), ApiError> {
    match request.text("GlobalTableSettingsReplicationMode") {
        None | Some("ENABLED_WITH_OVERRIDES") => Ok(()),
        Some(_) => Err(ApiError::invalid_value(
            "GlobalTableSettingsReplicationMode must be ENABLED_WITH_OVERRIDES for tables of one account",
        )),
    }
}

pub(crate) fn attribute_definitions(request: &mut Members<'_>) -> Vec<KeyAttribute> {
    let definitions = request.structures("AttributeDefinitions").unwrap_or_default();
    let attribute = |members: Members<'_>| KeyAttribute {
        name: members.owned_text("AttributeName").unwrap_or_default(),
        kind: members.text("AttributeType").and_then(Type::from_name).unwrap_or(Type::S),
    };
    definitions.into_iter().map(attribute).collect()
}

/// A KeySchema, whose first element has to be HASH and whose second RANGE; an index may have several of each.
pub(crate) fn key_elements(members: &mut Members<'_>) -> Vec<RawKey> {
    let elements = members.structures("KeySchema").unwrap_or_default();
    let element = |members: Members<'_>| RawKey {
        name: members.owned_text("AttributeName").unwrap_or_default(),
        kind: members.owned_text("KeyType").unwrap_or_default(),
    };
    elements.into_iter().map(element).collect()
}

/// A key schema's element as it came: an index's type may be anything.
#[derive(Clone)]
pub(crate) struct RawKey {
    pub name: String,
    pub kind: String,
}

pub(crate) fn check_key_kinds(keys: &[RawKey], many: bool) -> Result<(), ApiError> {
    let is = |at: usize, kind: &str| keys.get(at).is_none_or(|key| key.kind == kind);
    if !is(0, "HASH") {
        return Err(ApiError::validation(
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ));
    }
    if !many || keys.len() <= 2 {
        if is(1, "RANGE") || (many && is(1, "HASH")) {
            return Ok(());
        }
        return Err(ApiError::validation(
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ));
    }
    let hashes = keys.iter().take_while(|key| key.kind == "HASH").count();
    let ranges = keys[hashes..].iter().take_while(|key| key.kind == "RANGE").count();
    if hashes + ranges < keys.len() || hashes > 4 || ranges > 4 {
        return Err(ApiError::validation(
            "Invalid KeySchema: At most four HASH key types can be followed by at most four RANGE key types",
        ));
    }
    Ok(())
}

pub(crate) fn typed_elements(keys: Vec<RawKey>) -> Vec<KeyElement> {
    let kind = |key: &RawKey| if key.kind == "HASH" { KeyType::Hash } else { KeyType::Range };
    keys.into_iter().map(|key| KeyElement { kind: kind(&key), name: key.name }).collect()
}

/// `[a, b]`
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    format!("[{}]", names.into_iter().collect::<Vec<_>>().join(", "))
}

pub(crate) fn check_defined(keys: &[RawKey], definitions: &[KeyAttribute]) -> Result<(), ApiError> {
    let defined = |key: &RawKey| definitions.iter().any(|attribute| attribute.name == key.name);
    if keys.iter().all(defined) {
        return Ok(());
    }
    Err(ApiError::invalid_value(format_args!(
        "Some index key attributes are not defined in AttributeDefinitions. Keys: {}, AttributeDefinitions: {}",
        listed(keys.iter().map(|key| key.name.as_str())),
        listed(definitions.iter().map(|attribute| attribute.name.as_str())),
    )))
}

pub(crate) fn check_distinct(keys: &[RawKey]) -> Result<(), ApiError> {
    let repeated = |(at, key): (usize, &RawKey)| keys[..at].iter().any(|earlier| earlier.name == key.name);
    if keys.iter().enumerate().any(repeated) {
        return Err(ApiError::validation(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ));
    }
    Ok(())
}

pub(crate) fn projection(index: &mut Members<'_>) -> Result<IndexProjection, ApiError> {
    let mut members = index.members("Projection");
    let kind = members.as_ref().and_then(|members| members.owned_text("ProjectionType"));
    let names = members.as_mut().and_then(|members| members.texts("NonKeyAttributes"));
    match (kind.as_deref(), names) {
        (None, _) => Err(ApiError::invalid_value("Unknown ProjectionType: null")),
        (Some("INCLUDE"), Some(names)) => Ok(IndexProjection::Include(names)),
        (Some("INCLUDE"), None) => {
            Err(ApiError::invalid_value("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"))
        }
        (Some(kind), Some(_)) => Err(ApiError::invalid_value(format_args!(
            "ProjectionType is {kind}, but NonKeyAttributes is specified"
        ))),
        (Some("KEYS_ONLY"), None) => Ok(IndexProjection::KeysOnly),
        (Some(_), None) => Ok(IndexProjection::All),
    }
}

/// An index projects an attribute once.
pub(crate) fn check_names_distinct(names: &[String]) -> Result<(), ApiError> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        None => Ok(()),
        Some(twice) => {
            Err(ApiError::invalid_value(format_args!("Duplicate value in attribute name: {twice}")))
        }
    }
}

pub(crate) fn billing(request: &Members<'_>) -> Option<BillingMode> {
    billing_named(request, "BillingMode")
}

pub(crate) fn billing_named(request: &Members<'_>, member: &str) -> Option<BillingMode> {
    request.text(member).map(|mode| match mode {
        "PAY_PER_REQUEST" => BillingMode::PayPerRequest,
        _ => BillingMode::Provisioned,
    })
}

pub(crate) fn throughput(members: &mut Members<'_>) -> Option<Throughput> {
    let members = members.members("ProvisionedThroughput")?;
    Some(Throughput {
        read: units(&members, "ReadCapacityUnits")?,
        write: units(&members, "WriteCapacityUnits")?,
    })
}

pub(crate) fn check_units(throughput: Throughput) -> Result<(), ApiError> {
    for (units, name) in [(throughput.read, "ReadCapacityUnits"), (throughput.write, "WriteCapacityUnits")] {
        if units > MAX_UNITS {
            return Err(ApiError::validation(format!("Given value {units} for {name} is out of bounds")));
        }
    }
    Ok(())
}

/// `None` where it is not given; -1 is below all units, and stands for no bound.
pub(crate) fn units(members: &Members<'_>, name: &str) -> Option<u64> {
    members.int(name).and_then(|units| u64::try_from(units).ok())
}

pub(crate) fn on_demand(members: &mut Members<'_>) -> Result<Option<OnDemandThroughput>, ApiError> {
    let index = members.owned_text("IndexName");
    let Some(members) = members.members("OnDemandThroughput") else { return Ok(None) };
    let bound = |name: &str| match members.int(name) {
        None | Some(-1) => Ok(None),
        Some(units @ 1..) => Ok(Some(units as u64)),
        Some(_) => {
            let of = index.as_ref().map_or("table".into(), |index| format!("index : {index}"));
            Err(ApiError::invalid_value(format_args!(
                "Requested {name} for OnDemandThroughput for {of} is outside of valid range"
            )))
        }
    };
    Ok(Some(OnDemandThroughput {
        read: bound("MaxReadRequestUnits")?,
        write: bound("MaxWriteRequestUnits")?,
    }))
}

pub(crate) fn warm(members: &mut Members<'_>) -> Option<WarmThroughput> {
    let members = members.members("WarmThroughput")?;
    Some(WarmThroughput {
        read: units(&members, "ReadUnitsPerSecond"),
        write: units(&members, "WriteUnitsPerSecond"),
    })
}

pub(crate) fn stream(request: &mut Members<'_>) -> Result<Option<StreamUpdate>, ApiError> {
    let Some(members) = request.members("StreamSpecification") else { return Ok(None) };
    let view = members.text("StreamViewType").map(|view| match view {
        "NEW_IMAGE" => StreamView::NewImage,
        "OLD_IMAGE" => StreamView::OldImage,
        "NEW_AND_OLD_IMAGES" => StreamView::NewAndOldImages,
        _ => StreamView::KeysOnly,
    });
    match (members.bool("StreamEnabled"), view) {
        (Some(true), Some(view)) => Ok(Some(StreamUpdate::Enable(view))),
        (Some(true), None) => Err(ApiError::validation(
            "Invalid StreamViewType: Stream ViewType must not be null or empty when enabling streams.",
        )),
        (_, Some(_)) => Err(ApiError::validation(
            "Invalid StreamViewType: Stream StreamEnabled was false but a StreamViewType was present.",
        )),
        (_, None) => Ok(Some(StreamUpdate::Disable)),
    }
}

pub(crate) fn encryption(request: &mut Members<'_>) -> Option<Encryption> {
    let members = request.members("SSESpecification")?;
    Some(Encryption {
        enabled: members.bool("Enabled").unwrap_or(false),
        kind: members.owned_text("SSEType"),
        key: members.owned_text("KMSMasterKeyId"),
    })
}

pub(crate) fn class(members: &Members<'_>, name: &str) -> Option<TableClass> {
    members.text(name).map(|class| match class {
        "STANDARD_INFREQUENT_ACCESS" => TableClass::StandardInfrequentAccess,
        _ => TableClass::Standard,
    })
}
