//! The operations on tables.

use tradewind_model::Type;

use super::{decoded, invalid, ompvi, refused};
use crate::error::Code;
use crate::request::Request;
use crate::request::table::{
    BillingMode, IndexProjection, IndexUpdate, ReplicaUpdate, StreamUpdate, StreamView, TableClass,
};
use crate::target::Operation::{
    CreateGlobalTable, CreateTable, DescribeLimits, ListTagsOfResource, TagResource, UntagResource,
    UpdateGlobalTable, UpdateTable, UpdateTimeToLive,
};

/// A table of one partition key `a`, with more or other members.
fn table(keys: &str, attributes: &str, rest: &str) -> String {
    let pairs = |list: &str, name: &str| {
        let each = list.split(',').filter(|pair| !pair.is_empty()).map(|pair| {
            let (attribute, value) = pair.split_once(':').expect("a pair");
            format!(r#"{{"AttributeName":"{attribute}","{name}":"{value}"}}"#)
        });
        each.collect::<Vec<_>>().join(",")
    };
    format!(
        r#"{{"TableName":"abc","KeySchema":[{}],"AttributeDefinitions":[{}],{rest}}}"#,
        pairs(keys, "KeyType"),
        pairs(attributes, "AttributeType")
    )
}

const ON_DEMAND: &str = r#""BillingMode":"PAY_PER_REQUEST""#;

fn index(keys: &str, projection: &str) -> String {
    let keys: Vec<_> = keys
        .split(',')
        .map(|pair| pair.split_once(':').expect("a pair"))
        .map(|(name, kind)| format!(r#"{{"AttributeName":"{name}","KeyType":"{kind}"}}"#))
        .collect();
    format!(r#"{{"IndexName":"idx","KeySchema":[{}],"Projection":{projection}}}"#, keys.join(","))
}

#[test]
fn billing_and_throughput_fit() {
    let units = r#""ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":1000000000001}"#;
    for (rest, message) in [
        (
            r#""BillingMode":"PROVISIONED""#.to_owned(),
            ompvi(
                "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
            ),
        ),
        (
            format!("{ON_DEMAND},{units}"),
            ompvi(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
            ),
        ),
        (units.to_owned(), "Given value 1000000000001 for WriteCapacityUnits is out of bounds".to_owned()),
        (
            format!(r#"{ON_DEMAND},"OnDemandThroughput":{{"MaxReadRequestUnits":0}}"#),
            ompvi("Requested MaxReadRequestUnits for OnDemandThroughput for table is outside of valid range"),
        ),
    ] {
        assert_eq!(invalid(CreateTable, &table("a:HASH", "a:S", &rest)), message);
    }
}

#[test]
fn keys_and_attribute_definitions_fit() {
    for (keys, attributes, message) in [
        ("a:HASH", "", "Invalid KeySchema: Some index key attribute have no definition".to_owned()),
        (
            "a:HASH",
            "b:S",
            ompvi(
                "Some index key attributes are not defined in AttributeDefinitions. Keys: [a], AttributeDefinitions: [b]",
            ),
        ),
        (
            "a:HASH,a:RANGE",
            "a:S,b:S",
            "Both the Hash Key and the Range Key element in the KeySchema have the same name".to_owned(),
        ),
        ("a:RANGE", "a:S", "Invalid KeySchema: The first KeySchemaElement is not a HASH key type".to_owned()),
        (
            "a:HASH,b:HASH",
            "a:S,b:S",
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type".to_owned(),
        ),
        (
            "a:HASH",
            "a:S,b:S",
            ompvi(
                "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
            ),
        ),
    ] {
        assert_eq!(invalid(CreateTable, &table(keys, attributes, ON_DEMAND)), message, "{keys} {attributes}");
    }
    let message = invalid(CreateTable, &table("a:HASH,b:RANGE,c:RANGE", "a:S,b:S,c:S", ON_DEMAND));
    assert!(message.ends_with(
        "at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2"
    ));
}

#[test]
fn local_indexes_fit_their_table() {
    let all = r#"{"ProjectionType":"ALL"}"#;
    let local =
        |indexes: &[String]| format!(r#"{ON_DEMAND},"LocalSecondaryIndexes":[{}]"#, indexes.join(","));
    for (keys, indexes, message) in [
        ("a:HASH,b:RANGE", vec![], ompvi("List of LocalSecondaryIndexes is empty")),
        (
            "a:HASH",
            vec![index("a:HASH,c:RANGE", all)],
            ompvi(
                "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
            ),
        ),
        (
            "a:HASH,b:RANGE",
            vec![index("a:HASH,d:RANGE", all)],
            ompvi(
                "Some index key attributes are not defined in AttributeDefinitions. Keys: [a, d], AttributeDefinitions: [a, b, c]",
            ),
        ),
        (
            "a:HASH,b:RANGE",
            vec![index("a:HASH", all)],
            ompvi("Index KeySchema does not have a range key for index: idx"),
        ),
        (
            "a:HASH,b:RANGE",
            vec![index("b:HASH,c:RANGE", all)],
            ompvi(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: idx. index hash key: b, table hash key: a",
            ),
        ),
        ("a:HASH,b:RANGE", vec![index("a:HASH,c:RANGE", "{}")], ompvi("Unknown ProjectionType: null")),
        (
            "a:HASH,b:RANGE",
            vec![index("a:HASH,c:RANGE", r#"{"ProjectionType":"ALL","NonKeyAttributes":["x"]}"#)],
            ompvi("ProjectionType is ALL, but NonKeyAttributes is specified"),
        ),
        (
            "a:HASH,b:RANGE",
            vec![index("a:HASH,c:RANGE", r#"{"ProjectionType":"INCLUDE"}"#)],
            ompvi("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"),
        ),
        (
            "a:HASH,b:RANGE",
            vec![index("a:HASH,c:RANGE", all), index("a:HASH,c:RANGE", all)],
            ompvi("Duplicate index name: idx"),
        ),
        (
            "a:HASH,b:RANGE",
            (0..6).map(|i| index("a:HASH,c:RANGE", all).replace("idx", &format!("idx{i}"))).collect(),
            ompvi("Number of LocalSecondaryIndexes exceeds per-table limit of 5"),
        ),
    ] {
        assert_eq!(invalid(CreateTable, &table(keys, "a:S,b:S,c:S", &local(&indexes))), message);
    }
}

#[test]
fn global_indexes_fit_their_table() {
    let all = r#"{"ProjectionType":"ALL"}"#;
    let global = |billing: &str, indexes: &[String]| {
        format!(r#"{billing},"GlobalSecondaryIndexes":[{}]"#, indexes.join(","))
    };
    let units = r#""ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}"#;
    let provisioned = index("b:HASH", &format!("{all},{units}"));
    for (billing, indexes, message) in [
        (ON_DEMAND, vec![], ompvi("List of GlobalSecondaryIndexes is empty")),
        (
            ON_DEMAND,
            vec![index("c:HASH", all)],
            ompvi(
                "Some index key attributes are not defined in AttributeDefinitions. Keys: [c], AttributeDefinitions: [a, b]",
            ),
        ),
        (
            ON_DEMAND,
            vec![index("b:FOO", all)],
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type".to_owned(),
        ),
        (
            ON_DEMAND,
            vec![provisioned],
            ompvi(
                "ProvisionedThroughput should not be specified for index: idx when BillingMode is PAY_PER_REQUEST",
            ),
        ),
        (units, vec![index("b:HASH", all)], ompvi("ProvisionedThroughput must be specified for index: idx")),
        (ON_DEMAND, vec![index("b:HASH", all), index("b:HASH", all)], ompvi("Duplicate index name: idx")),
        (
            ON_DEMAND,
            (0..21).map(|i| index("b:HASH", all).replace("idx", &format!("idx{i}"))).collect(),
            ompvi("GlobalSecondaryIndex count exceeds the per-table limit of 20"),
        ),
        (
            ON_DEMAND,
            vec![index("a:HASH", all)],
            ompvi("Some AttributeDefinitions are not used. AttributeDefinitions: [a, b], keys used: [a]"),
        ),
    ] {
        assert_eq!(invalid(CreateTable, &table("a:HASH", "a:S,b:S", &global(billing, &indexes))), message);
    }
}

#[test]
fn a_whole_table_is_read() {
    let rest = format!(
        r#"{ON_DEMAND},"GlobalSecondaryIndexes":[{}],"LocalSecondaryIndexes":[{}],
        "StreamSpecification":{{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}},"SSESpecification":{{"Enabled":true,"SSEType":"KMS"}},
        "Tags":[{{"Key":"k","Value":"v"}}],"TableClass":"STANDARD_INFREQUENT_ACCESS","DeletionProtectionEnabled":true,
        "OnDemandThroughput":{{"MaxReadRequestUnits":-1,"MaxWriteRequestUnits":7}},"WarmThroughput":{{"ReadUnitsPerSecond":9}}"#,
        index("b:HASH,c:HASH,d:RANGE", r#"{"ProjectionType":"INCLUDE","NonKeyAttributes":["x"]}"#),
        index("a:HASH,c:RANGE", r#"{"ProjectionType":"KEYS_ONLY"}"#).replace("idx", "local"),
    );
    let Request::CreateTable(create) =
        decoded(CreateTable, &table("a:HASH,b:RANGE", "a:S,b:N,c:B,d:S", &rest))
    else {
        panic!("a table")
    };
    assert_eq!((create.table.name.as_str(), create.billing), ("abc", BillingMode::PayPerRequest));
    assert_eq!(
        (create.keys.hash.kind, create.keys.range.as_ref().map(|key| key.kind)),
        (Type::S, Some(Type::N))
    );
    let global = &create.global_indexes[0];
    assert_eq!((global.keys.hash.len(), global.keys.range.len()), (2, 1));
    assert_eq!(global.projection, IndexProjection::Include(vec!["x".into()]));
    assert_eq!(create.local_indexes[0].keys.range.as_ref().map(|key| key.kind), Some(Type::B));
    assert_eq!(
        (create.stream, create.class),
        (Some(StreamView::NewImage), Some(TableClass::StandardInfrequentAccess))
    );
    assert_eq!(create.on_demand.map(|bounds| (bounds.read, bounds.write)), Some((None, Some(7))));
    assert_eq!(create.warm.and_then(|warm| warm.read), Some(9));
    assert!(create.deletion_protection && create.encryption.is_some_and(|encryption| encryption.enabled));
    assert_eq!(create.tags[0].key, "k");
}

#[test]
fn streams_are_enabled_with_a_view_and_disabled_without() {
    let stream = |specification: &str| {
        table("a:HASH", "a:S", &format!(r#"{ON_DEMAND},"StreamSpecification":{specification}"#))
    };
    assert_eq!(
        invalid(CreateTable, &stream(r#"{"StreamEnabled":true}"#)),
        "Invalid StreamViewType: Stream ViewType must not be null or empty when enabling streams."
    );
    assert_eq!(
        invalid(CreateTable, &stream(r#"{"StreamEnabled":false,"StreamViewType":"KEYS_ONLY"}"#)),
        "Invalid StreamViewType: Stream StreamEnabled was false but a StreamViewType was present."
    );
    let Request::CreateTable(create) = decoded(CreateTable, &stream(r#"{"StreamEnabled":false}"#)) else {
        panic!()
    };
    assert_eq!(create.stream, None);
}

fn update(rest: &str) -> String {
    format!(r#"{{"TableName":"abc",{rest}}}"#)
}

#[test]
fn an_update_changes_something() {
    let nothing = "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required";
    for rest in [r#""GlobalSecondaryIndexUpdates":[]"#, r#""AttributeDefinitions":[]"#] {
        assert_eq!(invalid(UpdateTable, &update(rest)), nothing);
    }
    assert_eq!(invalid(UpdateTable, r#"{"TableName":"abc"}"#), nothing);
}

#[test]
fn updates_are_consistent_in_themselves() {
    for (rest, message) in [
        (
            r#""BillingMode":"PROVISIONED""#,
            ompvi("ProvisionedThroughput must be specified when BillingMode is PROVISIONED"),
        ),
        (
            r#""ProvisionedThroughput":{"ReadCapacityUnits":1000000000001,"WriteCapacityUnits":1}"#,
            "Given value 1000000000001 for ReadCapacityUnits is out of bounds".to_owned(),
        ),
        (
            r#""GlobalSecondaryIndexUpdates":[{"Update":{"IndexName":"idx","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1000000000001}}}]"#,
            "This operation cannot be performed with given input values. Please contact DynamoDB service team for more info: Action Blocked: IndexUpdate".to_owned(),
        ),
        (
            r#""GlobalSecondaryIndexUpdates":[{}]"#,
            ompvi(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null",
            ),
        ),
        (
            r#""GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"idx"}},{"Delete":{"IndexName":"idx"}}]"#,
            ompvi("Only one global secondary index update per index is allowed simultaneously. Index: idx"),
        ),
    ] {
        assert_eq!(invalid(UpdateTable, &update(rest)), message);
    }
}

#[test]
fn every_kind_of_update_is_read() {
    let rest = format!(
        r#""AttributeDefinitions":[{{"AttributeName":"b","AttributeType":"N"}}],
        "GlobalSecondaryIndexUpdates":[{{"Create":{}}},{{"Delete":{{"IndexName":"old"}}}},
          {{"Update":{{"IndexName":"upd","ProvisionedThroughput":{{"ReadCapacityUnits":1,"WriteCapacityUnits":2}}}}}}],
        "StreamSpecification":{{"StreamEnabled":false}},"DeletionProtectionEnabled":false,"MultiRegionConsistency":"STRONG",
        "ReplicaUpdates":[{{"Create":{{"RegionName":"eu-west-1","TableClassOverride":"STANDARD",
            "GlobalSecondaryIndexes":[{{"IndexName":"idx","ProvisionedThroughputOverride":{{"ReadCapacityUnits":3}}}}]}}}},
          {{"Delete":{{"RegionName":"eu-west-2"}}}},
          {{"Disassociate":{{"RegionName":"eu-west-3","DisassociationMode":"WAIT_FOR_REPLICATION"}}}}]"#,
        index("b:HASH", r#"{"ProjectionType":"ALL"}"#)
    );
    let Request::UpdateTable(update) = decoded(UpdateTable, &update(&rest)) else { panic!("an update") };
    assert!(matches!(
        update.indexes[..],
        [IndexUpdate::Create(_), IndexUpdate::Delete { .. }, IndexUpdate::Update { .. }]
    ));
    assert_eq!((update.stream, update.deletion_protection), (Some(StreamUpdate::Disable), Some(false)));
    let [ReplicaUpdate::Create(create), ReplicaUpdate::Delete { region }, ReplicaUpdate::Disassociate { .. }] =
        &update.replicas[..]
    else {
        panic!("{:?}", update.replicas)
    };
    assert_eq!((create.region.as_str(), region.as_str()), ("eu-west-1", "eu-west-2"));
    assert_eq!(create.indexes[0].read_capacity, Some(3));
}

#[test]
fn tags_are_checked_after_their_arn() {
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/abc";
    for operation in [TagResource, UntagResource, ListTagsOfResource] {
        assert_eq!(invalid(operation, "{}"), "Invalid TableArn");
        let error = refused(operation, r#"{"ResourceArn":"abcd"}"#);
        assert_eq!(error.code, Code::AccessDenied);
        assert!(error.message.ends_with(&format!("dynamodb:{} on resource: abcd", operation.name())));
        let json = r#"{"ResourceArn":"a:b:c:d:e:f/g","Tags":[],"TagKeys":[]}"#;
        assert_eq!(
            invalid(operation, json),
            "Invalid TableArn: Invalid ResourceArn provided as input a:b:c:d:e:f/g"
        );
    }
    let resource = |rest: &str| format!(r#"{{"ResourceArn":"{arn}"{rest}}}"#);
    assert!(
        invalid(TagResource, &resource(""))
            .ends_with("Value null at 'tags' failed to satisfy constraint: Member must not be null")
    );
    assert_eq!(
        invalid(TagResource, &resource(r#","Tags":[]"#)),
        "Atleast one Tag needs to be provided as Input."
    );
    assert_eq!(
        invalid(UntagResource, &resource(r#","TagKeys":[]"#)),
        "Atleast one Tag Key needs to be provided as Input."
    );
    let Request::TagResource(tag) = decoded(TagResource, &resource(r#","Tags":[{"Key":"k","Value":""}]"#))
    else {
        panic!()
    };
    assert_eq!((tag.table.name.as_str(), tag.tags.len()), ("abc", 1));
}

#[test]
fn smaller_operations_are_read() {
    let json = r#"{"TableName":"abc","TimeToLiveSpecification":{"Enabled":true,"AttributeName":"ttl"}}"#;
    let Request::UpdateTimeToLive(ttl) = decoded(UpdateTimeToLive, json) else { panic!() };
    assert_eq!((ttl.attribute.as_str(), ttl.enabled), ("ttl", true));
    assert!(invalid(UpdateTimeToLive, r#"{"TableName":"abc"}"#).contains("'timeToLiveSpecification'"));
    decoded(DescribeLimits, "{}");
    let json = r#"{"GlobalTableName":"abc","ReplicationGroup":[{"RegionName":"eu-west-1"}]}"#;
    let Request::CreateGlobalTable(create) = decoded(CreateGlobalTable, json) else { panic!() };
    assert_eq!(create.regions, ["eu-west-1"]);
    let json = r#"{"GlobalTableName":"abc","ReplicaUpdates":[{"Create":{"RegionName":"r"}},{"Delete":{"RegionName":"s"}}]}"#;
    let Request::UpdateGlobalTable(update) = decoded(UpdateGlobalTable, json) else { panic!() };
    assert_eq!((update.create, update.delete), (vec!["r".to_owned()], vec!["s".to_owned()]));
}
