//! What a typical UpdateItem costs in CPU time besides I/O: body to request, request and item to new item, answer to body.
//! Together they have to stay under 15 µs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{json, to_value};
use tradewind_database::partition::decide::{Action, Decision, Write, decide};
use tradewind_database::table::document::{Range, TableDocument};
use tradewind_model::{Incarnation, Item, ItemKey, KeyAttribute, KeySchema, Type};
use tradewind_wire::attribute_value::read_item;
use tradewind_wire::request::item::UpdateItem;
use tradewind_wire::response::item::WriteOutput;
use tradewind_wire::{Answer, Operation, Request, decode as decoded, encode};

const BODY: &[u8] = br##"{"TableName":"orders","Key":{"customer":{"S":"customer#0123456789"},"placed":{"S":"2026-02-28T12:00:00Z"}},
    "UpdateExpression":"SET #status = :shipped, parcels = if_not_exists(parcels, :none) + :one, changed = :now REMOVE draft",
    "ConditionExpression":"attribute_exists(customer) AND #status <> :shipped","ReturnValues":"ALL_NEW",
    "ExpressionAttributeNames":{"#status":"status"},
    "ExpressionAttributeValues":{":shipped":{"S":"shipped"},":none":{"N":"0"},":one":{"N":"1"},":now":{"N":"1772280000"}}}"##;
/// About 300 bytes, as an application's record has them.
const ITEM: &str = r#"{"customer":{"S":"customer#0123456789"},"placed":{"S":"2026-02-28T12:00:00Z"},"status":{"S":"packed"},
    "address":{"S":"1 Long Street, Some Town, A Country far away, 12345"},"draft":{"BOOL":false},"parcels":{"N":"2"},
    "total":{"N":"1234.56"},"tags":{"SS":["red","green","blue"]},
    "lines":{"L":[{"M":{"sku":{"S":"A-1"},"count":{"N":"3"}}},{"M":{"sku":{"S":"B-2"},"count":{"N":"1"}}}]}}"#;

fn table() -> TableDocument {
    let attribute = |name: &str| KeyAttribute { name: name.to_owned(), kind: Type::S };
    let keys = KeySchema { hash: attribute("customer"), range: Some(attribute("placed")) };
    let plain = |value| to_value(value).expect("plain data");
    let document = json!({
        "name": "orders", "incarnation": to_value(Incarnation(uuid::Uuid::nil())).expect("plain data"), "created_ms": 0,
        "status": "ACTIVE", "attributes": plain(vec![keys.hash.clone(), attribute("placed")]),
        "keys": to_value(&keys).expect("plain data"), "capacity": {"on_demand": true}, "indexes": [], "streams": [],
        "ttl": null, "replicas": {}, "partitions": to_value(Range::split_evenly(4)).expect("plain data"),
    });
    serde_json::from_value(document).expect("a table's document")
}

fn request() -> UpdateItem {
    match decoded(Operation::UpdateItem, BODY) {
        Ok(Request::UpdateItem(request)) => request,
        other => panic!("not an UpdateItem: {other:?}"),
    }
}

fn write(request: UpdateItem) -> Write {
    let key = |name| request.key.get(name).and_then(|value| value.key_bytes()).expect("a key attribute");
    Write {
        key: ItemKey::new(key("customer"), key("placed")),
        action: Action::Update { key: request.key.clone(), update: request.update },
        condition: request.condition,
        item_on_failure: false,
        request: None,
        trace: None,
    }
}

fn new_item(table: &TableDocument, write: &Write, old: &Item) -> Item {
    match decide(table, write, Some(old.as_ref())) {
        Ok(Decision::Set(Some(item))) => item,
        other => panic!("no update: {other:?}"),
    }
}

fn answer(item: Item) -> Vec<u8> {
    let output = WriteOutput { attributes: Some(item), ..WriteOutput::default() };
    let mut out = Vec::with_capacity(256);
    encode(&Answer::Write(output), &mut out);
    out
}

fn update_item(criterion: &mut Criterion) {
    let (table, old) = (table(), read_item(ITEM).expect("an item"));
    let decided = write(request());
    let new = new_item(&table, &decided, &old);
    let mut group = criterion.benchmark_group("UpdateItem");
    group.bench_function("decode", |bench| bench.iter(|| black_box(request())));
    group.bench_function("decide", |bench| bench.iter(|| black_box(new_item(&table, &decided, &old))));
    group.bench_function("encode", |bench| bench.iter(|| black_box(answer(new.clone()))));
    group.bench_function("all three", |bench| {
        bench.iter(|| black_box(answer(new_item(&table, &write(request()), &old))));
    });
    group.finish();
}

criterion_group!(benches, update_item);
criterion_main!(benches);
