//! The AWS SDK for Rust against the endpoint of the environment (AWS_ENDPOINT_URL; TRADEWIND_FLAKY_ENDPOINT is the same
//! behind a proxy that fails every other request). It checks what this SDK does by itself: types, paginators, error
//! variants and retries.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, Delete, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, KeysAndAttributes, Projection, ProjectionType, Put, PutRequest, ReturnValue,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, StreamSpecification, StreamViewType,
    TableStatus, TransactWriteItem, WriteRequest,
};
use aws_sdk_dynamodbstreams::types::{OperationType, ShardIteratorType};

type Item = HashMap<String, AttributeValue>;

async fn settings() -> aws_config::SdkConfig {
    let http = aws_smithy_http_client::Builder::new().build_http();
    aws_config::from_env().http_client(http).retry_config(RetryConfig::disabled()).load().await
}

fn s(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn key(p: &str, c: usize) -> Item {
    Item::from([("p".to_owned(), s(p)), ("c".to_owned(), n(c))])
}

/// A client and a table of one test, gone at its end.
struct Table {
    client: Client,
    name: String,
}

impl Table {
    async fn create(name: &str) -> Table {
        let client = Client::new(&settings().await);
        let name = format!("rust-{name}-{}", std::process::id());
        let attribute = |name: &str, kind: ScalarAttributeType| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
        };
        let element = |name: &str, kind: KeyType| {
            KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
        };
        let index = GlobalSecondaryIndex::builder()
            .index_name("by-kind")
            .key_schema(element("kind", KeyType::Hash))
            .key_schema(element("c", KeyType::Range))
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build();
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewAndOldImages)
            .build();
        client
            .create_table()
            .table_name(&name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("p", ScalarAttributeType::S))
            .attribute_definitions(attribute("c", ScalarAttributeType::N))
            .attribute_definitions(attribute("kind", ScalarAttributeType::S))
            .key_schema(element("p", KeyType::Hash))
            .key_schema(element("c", KeyType::Range))
            .global_secondary_indexes(index.unwrap())
            .stream_specification(stream.unwrap())
            .send()
            .await
            .unwrap();
        let table = Table { client, name };
        table.wait_until_active().await;
        table
    }

    async fn wait_until_active(&self) {
        for _ in 0..300 {
            let described = self.client.describe_table().table_name(&self.name).send().await.unwrap();
            if described.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} does not become active", self.name);
    }

    async fn put(&self, item: Item) {
        self.client.put_item().table_name(&self.name).set_item(Some(item)).send().await.unwrap();
    }

    async fn get(&self, key: Item) -> Option<Item> {
        let got = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        got.send().await.unwrap().item
    }

    async fn fill(&self, p: &str, count: usize) {
        let writes = (0..count).map(|c| {
            let mut item = key(p, c);
            item.insert("kind".to_owned(), s(&format!("{p}-{}", c % 2)));
            let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        let done = self.client.batch_write_item().request_items(&self.name, writes.collect());
        assert!(done.send().await.unwrap().unprocessed_items.unwrap().is_empty());
    }

    async fn drop(self) {
        self.client.delete_table().table_name(&self.name).send().await.unwrap();
    }
}

fn sorts(items: &[Item]) -> Vec<usize> {
    items.iter().map(|item| item["c"].as_n().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn tables_are_described_and_listed() {
    let table = Table::create("tables").await;
    let pages: Result<Vec<_>, _> =
        table.client.list_tables().limit(1).into_paginator().items().send().collect().await;
    assert!(pages.unwrap().contains(&table.name));
    table.drop().await;
}

#[tokio::test]
async fn items_keep_every_type() {
    let table = Table::create("items").await;
    let mut item = key("types", 1);
    item.extend([
        ("text".to_owned(), s("tränen 🌊")),
        ("number".to_owned(), n("-12.5")),
        ("bytes".to_owned(), AttributeValue::B(Blob::new([0, 1, 255]))),
        ("yes".to_owned(), AttributeValue::Bool(true)),
        ("nothing".to_owned(), AttributeValue::Null(true)),
        ("list".to_owned(), AttributeValue::L(vec![n(1), s("two")])),
        ("map".to_owned(), AttributeValue::M(key("inner", 2))),
        ("texts".to_owned(), AttributeValue::Ss(vec!["a".to_owned(), "b".to_owned()])),
    ]);
    table.put(item.clone()).await;
    assert_eq!(table.get(key("types", 1)).await, Some(item));
    let gone = table.client.delete_item().table_name(&table.name).set_key(Some(key("types", 1)));
    gone.send().await.unwrap();
    assert_eq!(table.get(key("types", 1)).await, None);
    table.drop().await;
}

#[tokio::test]
async fn expressions_decide_and_change() {
    let table = Table::create("expressions").await;
    let mut item = key("e", 1);
    item.insert("n".to_owned(), n(1));
    table.put(item).await;
    let update = table.client.update_item().table_name(&table.name).set_key(Some(key("e", 1)));
    let updated = update
        .update_expression("SET n = n + :one, #s = :s")
        .condition_expression("n BETWEEN :zero AND :one")
        .expression_attribute_names("#s", "size")
        .expression_attribute_values(":one", n(1))
        .expression_attribute_values(":zero", n(0))
        .expression_attribute_values(":s", s("large"))
        .return_values(ReturnValue::UpdatedNew)
        .send()
        .await
        .unwrap();
    let expected = Item::from([("n".to_owned(), n(2)), ("size".to_owned(), s("large"))]);
    assert_eq!(updated.attributes, Some(expected));
    table.drop().await;
}

#[tokio::test]
async fn queries_and_scans_page() {
    let table = Table::create("pages").await;
    table.fill("pages", 25).await;
    let query = || {
        let query =
            table.client.query().table_name(&table.name).expression_attribute_values(":p", s("pages"));
        query.key_condition_expression("p = :p AND c >= :from").expression_attribute_values(":from", n(5))
    };
    let found: Result<Vec<_>, _> = query().limit(7).into_paginator().items().send().collect().await;
    assert_eq!(sorts(&found.unwrap()), (5..25).collect::<Vec<_>>());
    let last = query().scan_index_forward(false).limit(2).send().await.unwrap();
    assert_eq!(sorts(last.items()), [24, 23]);
    let index = table.client.query().table_name(&table.name).index_name("by-kind");
    let index = index.key_condition_expression("kind = :k").expression_attribute_values(":k", s("pages-1"));
    assert_eq!(index.send().await.unwrap().count, 12);
    let scan: Result<Vec<_>, _> =
        table.client.scan().table_name(&table.name).limit(4).into_paginator().items().send().collect().await;
    assert_eq!(scan.unwrap().len(), 25);
    table.drop().await;
}

#[tokio::test]
async fn batches_read_what_they_wrote() {
    let table = Table::create("batches").await;
    table.fill("batch", 10).await;
    let keys = [3, 4, 99].map(|c| key("batch", c));
    let keys = KeysAndAttributes::builder().set_keys(Some(keys.to_vec())).build().unwrap();
    let got = table.client.batch_get_item().request_items(&table.name, keys).send().await.unwrap();
    assert_eq!(got.responses.unwrap()[&table.name].len(), 2);
    table.drop().await;
}

#[tokio::test]
async fn transactions_are_all_or_nothing() {
    let table = Table::create("transactions").await;
    let put = |c, condition: Option<&str>| {
        let put = Put::builder().table_name(&table.name).set_item(Some(key("t", c)));
        let put = put.set_condition_expression(condition.map(str::to_owned)).build().unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    let write = || table.client.transact_write_items();
    write().transact_items(put(1, None)).transact_items(put(2, None)).send().await.unwrap();
    let failing =
        write().transact_items(put(3, None)).transact_items(put(1, Some("attribute_not_exists(p)")));
    let error = failing.send().await.unwrap_err().into_service_error();
    let reasons = match &error {
        aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
            canceled,
        ) => canceled.cancellation_reasons(),
        other => panic!("{other:?}"),
    };
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    assert_eq!(table.get(key("t", 3)).await, None);
    let delete = Delete::builder().table_name(&table.name).set_key(Some(key("t", 1))).build().unwrap();
    write().transact_items(TransactWriteItem::builder().delete(delete).build()).send().await.unwrap();
    assert_eq!(table.get(key("t", 1)).await, None);
    table.drop().await;
}

#[tokio::test]
async fn streams_show_every_change_in_order() {
    let table = Table::create("streams").await;
    table.put(key("s", 1)).await;
    let mut changed = key("s", 1);
    changed.insert("n".to_owned(), n(2));
    table.put(changed).await;
    table.client.delete_item().table_name(&table.name).set_key(Some(key("s", 1))).send().await.unwrap();
    let described = table.client.describe_table().table_name(&table.name).send().await.unwrap();
    let arn = described.table.unwrap().latest_stream_arn.unwrap();
    let streams = aws_sdk_dynamodbstreams::Client::new(&settings().await);
    let shards = streams.describe_stream().stream_arn(&arn).send().await.unwrap().stream_description.unwrap();
    let mut kinds = Vec::new();
    for shard in shards.shards() {
        let start = streams.get_shard_iterator().stream_arn(&arn).set_shard_id(shard.shard_id.clone());
        let start = start.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
        let page = streams.get_records().set_shard_iterator(start.shard_iterator).send().await.unwrap();
        kinds.extend(page.records.unwrap().into_iter().filter_map(|record| record.event_name));
    }
    assert_eq!(kinds, [OperationType::Insert, OperationType::Modify, OperationType::Remove]);
    table.drop().await;
}

#[tokio::test]
async fn errors_are_of_their_kinds() {
    let table = Table::create("errors").await;
    let missing = table.client.describe_table().table_name("no-such-table").send().await.unwrap_err();
    let missing = missing.into_service_error();
    assert!(missing.is_resource_not_found_exception());
    assert_eq!(missing.message(), Some("Requested resource not found: Table: no-such-table not found"));
    table.put(key("e", 1)).await;
    let put = table.client.put_item().table_name(&table.name).set_item(Some(key("e", 1)));
    let put = put.condition_expression("attribute_not_exists(p)");
    let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let failed = put.send().await.unwrap_err().into_service_error();
    match failed {
        aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failed) => {
            assert_eq!(failed.item, Some(key("e", 1)));
        }
        other => panic!("{other:?}"),
    }
    let wrong = table.client.get_item().table_name(&table.name).key("p", s("x")).send().await.unwrap_err();
    assert_eq!(wrong.code(), Some("ValidationException"));
    table.drop().await;
}

#[tokio::test]
async fn failed_requests_are_tried_again() {
    let Ok(url) = std::env::var("TRADEWIND_FLAKY_ENDPOINT") else { return };
    let settings = settings().await;
    let flaky = |retries| {
        let config = aws_sdk_dynamodb::config::Builder::from(&settings).endpoint_url(&url);
        Client::from_conf(config.retry_config(retries).build())
    };
    let patient = flaky(RetryConfig::standard().with_max_attempts(6));
    for _ in 0..6 {
        patient.list_tables().send().await.unwrap();
    }
    let impatient = flaky(RetryConfig::disabled());
    let mut failures = 0;
    for _ in 0..6 {
        failures += usize::from(impatient.list_tables().send().await.is_err());
    }
    assert!(failures > 0, "the proxy fails nothing");
}
