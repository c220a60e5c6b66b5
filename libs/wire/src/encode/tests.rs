//! Answers and errors as they are sent.

use std::collections::BTreeMap;

use tradewind_model::{KeyAttribute, KeySchema, Type};

use super::{encode, encode_error, render_event};
use crate::attribute_value::read_item;
use crate::error::{ApiError, CancellationReason, Code, ThrottlingReason};
use crate::request::item::BatchWrite;
use crate::request::table::{BillingMode, IndexKeys, IndexProjection, StreamView, Tag};
use crate::response::Answer;
use crate::response::item::{
    BatchGetOutput, BatchWriteOutput, Capacity, CollectionMetrics, GetOutput, PageOutput,
    StatementBatchOutput, StatementOutput, TransactGetOutput, Units, WriteOutput,
};
use crate::response::stream::{
    EventName, RecordPage, ShardDescription, StreamDescription, StreamRecord, StreamStatus,
};
use crate::response::table::{
    GlobalIndexDescription, IndexStatus, Limits, ReplicaDescription, ReplicaStatus, TableDescription,
    TablePage, TableStatus, TagPage, ThroughputDescription, TimeToLiveDescription, TimeToLiveStatus,
};
use tradewind_model::Item;

fn sent(answer: &Answer) -> String {
    let mut out = Vec::new();
    encode(answer, &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn item(json: &str) -> Item {
    read_item(json).unwrap_or_else(|| panic!("{json} is no item"))
}

fn capacity() -> Capacity {
    Capacity { table_name: "abc".into(), write: 1.0, ..Capacity::default() }
}

#[test]
fn nothing_asked_for_is_an_empty_object_and_a_tagging_no_body() {
    assert_eq!(sent(&Answer::Write(WriteOutput::default())), "{}");
    assert_eq!(sent(&Answer::Get(GetOutput::default())), "{}");
    assert_eq!(sent(&Answer::Get(GetOutput { item: Some(Item::empty()), capacity: None })), r#"{"Item":{}}"#);
    assert_eq!(sent(&Answer::Tagged), "");
}

#[test]
fn capacity_is_shown_as_far_as_it_was_asked_for() {
    let shown = |capacity: Capacity| {
        sent(&Answer::Write(WriteOutput { capacity: Some(capacity), ..WriteOutput::default() }))
    };
    assert_eq!(shown(capacity()), r#"{"ConsumedCapacity":{"TableName":"abc","CapacityUnits":1.0}}"#);
    let mut indexed = Capacity { by_index: true, ..capacity() };
    assert_eq!(
        shown(indexed.clone()),
        r#"{"ConsumedCapacity":{"TableName":"abc","CapacityUnits":1.0,"Table":{"CapacityUnits":1.0}}}"#
    );
    indexed.global_indexes = BTreeMap::from([("gsi".to_owned(), Units { read: 0.0, write: 2.0 })]);
    indexed.local_indexes = BTreeMap::from([("lsi".to_owned(), Units { read: 0.5, write: 0.0 })]);
    assert_eq!(
        shown(indexed.clone()),
        r#"{"ConsumedCapacity":{"TableName":"abc","CapacityUnits":3.5,"Table":{"CapacityUnits":1.0},"LocalSecondaryIndexes":{"lsi":{"CapacityUnits":0.5}},"GlobalSecondaryIndexes":{"gsi":{"CapacityUnits":2.0}}}}"#
    );
    assert_eq!(
        shown(Capacity { split: true, by_index: false, ..indexed }),
        r#"{"ConsumedCapacity":{"TableName":"abc","CapacityUnits":3.5,"ReadCapacityUnits":0.5,"WriteCapacityUnits":3.0}}"#
    );
}

#[test]
fn pages_count_even_without_items() {
    let page = PageOutput { count: 2, scanned: 3, ..PageOutput::default() };
    assert_eq!(sent(&Answer::Page(page.clone())), r#"{"Count":2,"ScannedCount":3}"#);
    let page = PageOutput {
        items: Some(vec![item(r#"{"a":{"N":"1"}}"#)]),
        last_key: Some(item(r#"{"a":{"N":"1"}}"#)),
        ..page
    };
    assert_eq!(
        sent(&Answer::Page(page)),
        r#"{"Items":[{"a":{"N":"1"}}],"Count":2,"ScannedCount":3,"LastEvaluatedKey":{"a":{"N":"1"}}}"#
    );
}

#[test]
fn batches_repeat_what_they_did_not_do() {
    let answer = Answer::BatchGet(BatchGetOutput {
        responses: vec![("abc".into(), vec![])],
        unprocessed: vec![
            ("abc".into(), vec![item(r#"{"a":{"S":"x"}}"#)], r#""ConsistentRead":true"#.into()),
            ("abd".into(), vec![Item::empty()], String::new()),
        ],
        capacity: vec![capacity()],
    });
    assert_eq!(
        sent(&answer),
        r#"{"Responses":{"abc":[]},"UnprocessedKeys":{"abc":{"Keys":[{"a":{"S":"x"}}],"ConsistentRead":true},"abd":{"Keys":[{}]}},"ConsumedCapacity":[{"TableName":"abc","CapacityUnits":1.0}]}"#
    );
    let answer = Answer::BatchWrite(BatchWriteOutput {
        unprocessed: vec![(
            "abc".into(),
            vec![BatchWrite::Put(Item::empty()), BatchWrite::Delete(Item::empty())],
        )],
        metrics: vec![(
            "abc".into(),
            vec![CollectionMetrics { key: item(r#"{"a":{"S":"x"}}"#), size_gb: (0.0, 1.0) }],
        )],
        capacity: vec![],
        tokens: tradewind_model::Tokens::default(),
    });
    assert_eq!(
        sent(&answer),
        r#"{"UnprocessedItems":{"abc":[{"PutRequest":{"Item":{}}},{"DeleteRequest":{"Key":{}}}]},"ItemCollectionMetrics":{"abc":[{"ItemCollectionKey":{"a":{"S":"x"}},"SizeEstimateRangeGB":[0.0,1.0]}]}}"#
    );
}

#[test]
fn missing_items_of_transactions_and_errors_of_statements_have_their_places() {
    let answer = Answer::TransactGet(TransactGetOutput {
        items: vec![None, Some(Item::empty())],
        ..TransactGetOutput::default()
    });
    assert_eq!(sent(&answer), r#"{"Responses":[{},{"Item":{}}]}"#);
    let failed = ApiError::condition_failed(Some(Item::empty()));
    let answer = Answer::StatementBatch(StatementBatchOutput {
        responses: vec![
            StatementOutput { table: Some("abc".into()), result: Ok(None) },
            StatementOutput { table: None, result: Err(failed) },
        ],
        capacity: vec![],
        tokens: tradewind_model::Tokens::default(),
    });
    assert_eq!(
        sent(&answer),
        r#"{"Responses":[{"TableName":"abc"},{"Error":{"Code":"ConditionalCheckFailed","Message":"The conditional request failed","Item":{}}}]}"#
    );
}

fn attribute(name: &str, kind: Type) -> KeyAttribute {
    KeyAttribute { name: name.into(), kind }
}

fn description() -> TableDescription {
    TableDescription {
        name: "abc".into(),
        arn: "arn".into(),
        id: "id".into(),
        status: TableStatus::Active,
        created_ms: 1_363_729_002_358,
        attributes: vec![attribute("a", Type::S)],
        keys: KeySchema { hash: attribute("a", Type::S), range: None },
        billing: None,
        on_demand_since_ms: None,
        throughput: ThroughputDescription { read: 5, write: 6, ..ThroughputDescription::default() },
        size_bytes: 7,
        item_count: 8,
        local_indexes: vec![],
        global_indexes: vec![],
        stream: None,
        stream_label: None,
        stream_arn: None,
        global_table_version: None,
        replicas: vec![],
        witnesses: vec![],
        encryption: None,
        class: None,
        deletion_protection: None,
        disassociation_protection: None,
        on_demand: None,
        warm: None,
        consistency: None,
        settings_replication: None,
    }
}

#[test]
fn descriptions_have_no_members_that_do_not_apply() {
    assert_eq!(
        sent(&Answer::DescribeTable(Box::new(description()))),
        r#"{"Table":{"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],"TableName":"abc","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"TableStatus":"ACTIVE","CreationDateTime":1363729002.358,"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":5,"WriteCapacityUnits":6},"TableSizeBytes":7,"ItemCount":8,"TableArn":"arn","TableId":"id"}}"#
    );
}

#[test]
fn descriptions_tell_of_billing_indexes_streams_and_replicas() {
    let table = TableDescription {
        billing: Some(BillingMode::PayPerRequest),
        on_demand_since_ms: Some(5),
        global_indexes: vec![GlobalIndexDescription {
            name: "idx".into(),
            arn: "arn/index/idx".into(),
            keys: IndexKeys { hash: vec![attribute("b", Type::N), attribute("c", Type::S)], range: vec![] },
            projection: IndexProjection::Include(vec!["x".into()]),
            status: IndexStatus::Creating,
            backfilling: Some(true),
            throughput: ThroughputDescription::default(),
            size_bytes: 0,
            item_count: 0,
            on_demand: None,
            warm: None,
        }],
        stream: Some(StreamView::NewAndOldImages),
        stream_label: Some("label".into()),
        global_table_version: Some("2019.11.21"),
        replicas: vec![ReplicaDescription {
            region: "eu-west-1".into(),
            arn: None,
            status: ReplicaStatus::Creating,
            status_description: None,
            percent: Some(40),
            key: None,
            read_capacity: Some(3),
            on_demand_read: None,
            warm: None,
            indexes: vec![],
            inaccessible_ms: None,
            class: None,
        }],
        deletion_protection: Some(false),
        ..description()
    };
    let json = sent(&Answer::TableChanged(Box::new(table)));
    for part in [
        r#""BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST","LastUpdateToPayPerRequestDateTime":0.005}"#,
        r#""GlobalSecondaryIndexes":[{"IndexName":"idx","KeySchema":[{"AttributeName":"b","KeyType":"HASH"},{"AttributeName":"c","KeyType":"HASH"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["x"]},"IndexStatus":"CREATING","Backfilling":true"#,
        r#""StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"},"LatestStreamLabel":"label""#,
        r#""GlobalTableVersion":"2019.11.21","Replicas":[{"RegionName":"eu-west-1","ReplicaStatus":"CREATING","ReplicaStatusPercentProgress":"40","ProvisionedThroughputOverride":{"ReadCapacityUnits":3}}]"#,
        r#""DeletionProtectionEnabled":false"#,
    ] {
        assert!(json.contains(part), "{part} in {json}");
    }
    assert!(json.starts_with(r#"{"TableDescription":{"#));
}

#[test]
fn smaller_answers_have_their_members() {
    for (answer, json) in [
        (
            Answer::ListTables(TablePage { names: vec!["a".into(), "b".into()], last: Some("b".into()) }),
            r#"{"TableNames":["a","b"],"LastEvaluatedTableName":"b"}"#,
        ),
        (
            Answer::Tags(TagPage {
                tags: vec![Tag { key: "k".into(), value: "v".into() }],
                next_token: None,
            }),
            r#"{"Tags":[{"Key":"k","Value":"v"}]}"#,
        ),
        (
            Answer::TimeToLive(TimeToLiveDescription { status: TimeToLiveStatus::Disabled, attribute: None }),
            r#"{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}"#,
        ),
        (
            Answer::TimeToLiveUpdated { attribute: "t".into(), enabled: true },
            r#"{"TimeToLiveSpecification":{"AttributeName":"t","Enabled":true}}"#,
        ),
        (
            Answer::Limits(Limits { account_read: 1, account_write: 2, table_read: 3, table_write: 4 }),
            r#"{"AccountMaxReadCapacityUnits":1,"AccountMaxWriteCapacityUnits":2,"TableMaxReadCapacityUnits":3,"TableMaxWriteCapacityUnits":4}"#,
        ),
        (
            Answer::Endpoints(vec!["localhost:8000".into()]),
            r#"{"Endpoints":[{"Address":"localhost:8000","CachePeriodInMinutes":1440}]}"#,
        ),
        (
            Answer::ContinuousBackups,
            r#"{"ContinuousBackupsDescription":{"ContinuousBackupsStatus":"ENABLED","PointInTimeRecoveryDescription":{"PointInTimeRecoveryStatus":"DISABLED"}}}"#,
        ),
        (
            Answer::KinesisStreamingDestination { table: "abc".into() },
            r#"{"TableName":"abc","KinesisDataStreamDestinations":[]}"#,
        ),
        (Answer::ShardIterator("i".into()), r#"{"ShardIterator":"i"}"#),
    ] {
        assert_eq!(sent(&answer), json);
    }
}

fn record() -> StreamRecord {
    StreamRecord {
        event_id: "c4ca4238a0b923820dcc509a6f75849b".into(),
        event: EventName::Remove,
        region: "us-east-1".into(),
        created_ms: 1_479_499_740_999,
        keys: item(r#"{"Id":{"N":"101"}}"#),
        new_image: None,
        old_image: Some(item(r#"{"Id":{"N":"101"}}"#)),
        sequence: 42,
        size_bytes: 26,
        view: StreamView::NewAndOldImages,
        expired: true,
    }
}

#[test]
fn records_spell_identities_differently_for_streams_and_functions() {
    let head = r#"{"eventID":"c4ca4238a0b923820dcc509a6f75849b","eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"ApproximateCreationDateTime":1479499740,"Keys":{"Id":{"N":"101"}},"OldImage":{"Id":{"N":"101"}},"SequenceNumber":"000000000000000000042","SizeBytes":26,"StreamViewType":"NEW_AND_OLD_IMAGES"}"#;
    let page = RecordPage { records: vec![record()], next_iterator: None };
    assert_eq!(
        sent(&Answer::Records(page)),
        format!(
            r#"{{"Records":[{head},"userIdentity":{{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}}}}]}}"#
        )
    );
    let mut out = Vec::new();
    render_event(&record(), "arn:stream", &mut out);
    assert_eq!(
        String::from_utf8_lossy(&out),
        format!(
            r#"{head},"userIdentity":{{"type":"Service","principalId":"dynamodb.amazonaws.com"}},"eventSourceARN":"arn:stream"}}"#
        )
    );
}

#[test]
fn only_closed_shards_have_a_last_sequence_number() {
    let shard = |last| ShardDescription { id: "shard".into(), parent: Some("parent".into()), first: 1, last };
    let answer = Answer::DescribeStream(StreamDescription {
        arn: "arn".into(),
        label: "label".into(),
        status: StreamStatus::Enabled,
        view: StreamView::KeysOnly,
        created_ms: 1500,
        table: "abc".into(),
        keys: KeySchema { hash: attribute("a", Type::S), range: Some(attribute("b", Type::N)) },
        shards: vec![shard(Some(9)), shard(None)],
        last_shard: None,
    });
    let json = sent(&answer);
    assert!(json.contains(r#"{"StartingSequenceNumber":"000000000000000000001","EndingSequenceNumber":"000000000000000000009"},"ParentShardId":"parent""#));
    assert!(json.contains(r#"{"StartingSequenceNumber":"000000000000000000001"}"#));
    assert!(json.contains(
        r#""KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"b","KeyType":"RANGE"}]"#
    ));
}

fn refusal(error: &ApiError) -> (u16, String) {
    let mut out = Vec::new();
    let status = encode_error(error, &mut out);
    (status, String::from_utf8(out).expect("JSON is UTF-8"))
}

#[test]
fn errors_have_the_prefixes_statuses_and_members_of_their_kind() {
    for (error, status, json) in [
        (
            ApiError::validation("no"),
            400,
            r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"no"}"#,
        ),
        (ApiError::serialization(""), 400, r#"{"__type":"com.amazon.coral.service#SerializationException"}"#),
        (
            ApiError::serialization("no"),
            400,
            r#"{"__type":"com.amazon.coral.service#SerializationException","Message":"no"}"#,
        ),
        (
            ApiError::new(Code::UnknownOperation, ""),
            400,
            r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#,
        ),
        (
            ApiError::resource_not_found("no"),
            400,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no"}"#,
        ),
        (
            ApiError::new(Code::IdempotentParameterMismatch, "no"),
            400,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException","Message":"no"}"#,
        ),
        (
            ApiError::internal("no"),
            500,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"no"}"#,
        ),
        (
            ApiError::unavailable("no"),
            503,
            r#"{"__type":"com.amazon.coral.service#ServiceUnavailable","message":"no"}"#,
        ),
        (
            ApiError::condition_failed(Some(Item::empty())),
            400,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed","Item":{}}"#,
        ),
    ] {
        assert_eq!(refusal(&error), (status, json.to_owned()));
    }
}

#[test]
fn cancelled_transactions_tell_a_reason_for_each_action() {
    let failed = CancellationReason {
        code: Some("ConditionalCheckFailed".into()),
        message: Some("The conditional request failed".into()),
        item: Some(Item::empty()),
    };
    let error = ApiError::transaction_canceled(vec![CancellationReason::default(), failed]);
    assert_eq!(
        refusal(&error).1,
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed]","CancellationReasons":[{"Code":"None"},{"Code":"ConditionalCheckFailed","Message":"The conditional request failed","Item":{}}]}"#
    );
}

#[test]
fn throttled_requests_are_told_what_they_ran_into() {
    for (code, member) in [
        (Code::ProvisionedThroughputExceeded, "ThrottlingReasons"),
        (Code::RequestLimitExceeded, "ThrottlingReasons"),
        (Code::Throttling, "throttlingReasons"),
    ] {
        let reason =
            ThrottlingReason { reason: "TableReadAccountLimitExceeded".into(), resource: "arn".into() };
        let error = ApiError { throttling: vec![reason], ..ApiError::new(code, "slow") };
        let expected =
            format!(r#""{member}":[{{"reason":"TableReadAccountLimitExceeded","resource":"arn"}}]"#);
        assert!(refusal(&error).1.contains(&expected), "{code:?}");
    }
}
