//! Times decoding and encoding of the requests on the hot path: `cargo run --profile quick -p tradewind-wire --example
//! timing [-- NAME]`. Prints nanoseconds per call, the best of several rounds.

use std::hint::black_box;
use std::time::Instant;

use tradewind_wire::request::Request;
use tradewind_wire::response::Answer;
use tradewind_wire::response::item::GetOutput;
use tradewind_wire::{Operation, decode, encode};

const CALLS: u32 = 20_000;
const ROUNDS: u32 = 15;

fn main() {
    let put = format!(
        r#"{{"TableName":"orders","Item":{{"pk":{{"S":"customer#000123"}},"sk":{{"S":"order#2024-05-01"}},"total":{{"N":"129.95"}},"state":{{"S":"paid"}},"note":{{"S":"{}"}}}}}}"#,
        "x".repeat(140)
    );
    let get = r#"{"TableName":"orders","Key":{"pk":{"S":"customer#000123"},"sk":{"S":"order#2024-05-01"}}}"#;
    let update = r##"{"TableName":"orders","Key":{"pk":{"S":"customer#000123"},"sk":{"S":"order#2024-05-01"}},"UpdateExpression":"SET #s = :s, total = total + :d REMOVE note","ConditionExpression":"#s = :old","ExpressionAttributeNames":{"#s":"state"},"ExpressionAttributeValues":{":s":{"S":"shipped"},":d":{"N":"1"},":old":{"S":"paid"}}}"##;
    let query = r#"{"TableName":"orders","KeyConditionExpression":"pk = :p AND begins_with(sk, :s)","ExpressionAttributeValues":{":p":{"S":"customer#000123"},":s":{"S":"order#"}},"Limit":10}"#;
    time("decode PutItem", put.len(), || decode(Operation::PutItem, black_box(put.as_bytes())));
    time("decode GetItem", get.len(), || decode(Operation::GetItem, black_box(get.as_bytes())));
    time("decode UpdateItem", update.len(), || decode(Operation::UpdateItem, black_box(update.as_bytes())));
    time("decode Query", query.len(), || decode(Operation::Query, black_box(query.as_bytes())));
    let Ok(Request::PutItem(request)) = decode(Operation::PutItem, put.as_bytes()) else { return };
    let answer = Answer::Get(GetOutput { item: Some(request.item), capacity: None });
    let mut out = Vec::with_capacity(1024);
    time("encode GetItem", put.len(), || {
        out.clear();
        encode(black_box(&answer), &mut out);
        out.len()
    });
}

fn time<T>(name: &str, bytes: usize, mut call: impl FnMut() -> T) {
    if std::env::args().nth(1).is_some_and(|only| !name.contains(&only)) {
        return;
    }
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    println!("{name:<18} {bytes:>4} bytes {best:>7.0} ns");
}
