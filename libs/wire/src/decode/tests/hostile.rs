//! Bodies that mean harm: none panics, none costs more than its size.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{invalid, mistyped};
use crate::decode::decode;
use crate::http::MAX_BODY_BYTES;
use crate::target::Operation;
use crate::target::Operation::{BatchGetItem, GetItem, PutItem, UpdateItem};

/// Far more than any of these takes, far less than one that is not linear.
const SOON: Duration = Duration::from_secs(5);

fn within<T>(act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = act();
    assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
    result
}

#[test]
fn bodies_of_brackets_are_refused() {
    for bracket in ["[", "{", "{\"a\":", "{\"Item\":", "[[", "{\"M\":{\"a\":"] {
        let body = bracket.repeat(MAX_BODY_BYTES / bracket.len());
        assert_eq!(within(|| mistyped(PutItem, &body)), "");
    }
}

#[test]
fn deep_values_are_refused_at_any_depth() {
    for (open, close) in [(r#"{"L":["#, "]}"), (r#"{"M":{"a":"#, "}}")] {
        for levels in [100, 1_000_000] {
            let body = format!(
                r#"{{"TableName":"abc","Item":{{"a":{}{{"S":"x"}}{}}}}}"#,
                open.repeat(levels),
                close.repeat(levels)
            );
            assert!(within(|| invalid(PutItem, &body)).starts_with("Nesting Levels"));
        }
    }
    let body =
        format!(r#"{{"TableName":"abc","Other":{}1{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(within(|| invalid(PutItem, &body)).contains("'item'"));
}

#[test]
fn monstrous_numbers_are_refused() {
    let put = |number: &str| format!(r#"{{"TableName":"abc","Item":{{"a":{{"N":"{number}"}}}}}}"#);
    let message = within(|| invalid(PutItem, &put("1.0e100000000")));
    assert!(message.starts_with("Number overflow"));
    let message = within(|| invalid(PutItem, &put(&"1".repeat(1_000_000))));
    assert!(message.len() < 5000, "a message of {} bytes", message.len());
    let long = format!(r#"{{"TableName":"abc","Limit":{}}}"#, "1".repeat(1_000_000));
    within(|| mistyped(PutItem, &format!("{long}}}")));
    assert!(decode(Operation::Scan, long.as_bytes()).is_err());
}

#[test]
fn many_members_cost_no_more_than_their_bytes() {
    let names: Vec<_> = (0..700_000).map(|i| format!(r##""#a{i}":"b""##)).collect();
    let body = format!(
        r#"{{"TableName":"abc","Key":{{}},"ProjectionExpression":"a","ExpressionAttributeNames":{{{}}}}}"#,
        names.join(",")
    );
    within(|| invalid(GetItem, &body));
    let members: Vec<_> = (0..1_000_000).rev().map(|i| format!(r#""{i}":1"#)).collect();
    within(|| decode(PutItem, format!("{{{}}}", members.join(",")).as_bytes())).unwrap_err();
    let strings: Vec<_> = (0..500_000).map(|i| format!(r#""{i}""#)).collect();
    let body = format!(
        r#"{{"TableName":"abc","Key":{{}},"UpdateExpression":"SET a=:a","ExpressionAttributeValues":{{":a":{{"SS":[{},"1"]}}}}}}"#,
        strings.join(",")
    );
    assert!(within(|| invalid(UpdateItem, &body)).contains("contains duplicates"));
    let tables: Vec<_> = (0..400_000).map(|i| format!(r#""t{i}":{{"Keys":[{{}}]}}"#)).collect();
    within(|| invalid(BatchGetItem, &format!(r#"{{"RequestItems":{{{}}}}}"#, tables.join(","))));
}

/// JSON that may be anything, with names and texts that requests use.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let names = prop::sample::select(vec![
        "TableName",
        "Item",
        "Key",
        "S",
        "N",
        "B",
        "SS",
        "NS",
        "BS",
        "L",
        "M",
        "BOOL",
        "NULL",
        "Expected",
        "AttributeValueList",
        "ComparisonOperator",
        "Value",
        "KeySchema",
        "AttributeName",
        "RequestItems",
        "Keys",
        "TransactItems",
        "Put",
        "Update",
        "UpdateExpression",
        "ExpressionAttributeNames",
        "#a",
        "ExpressionAttributeValues",
        ":a",
        "KeyConditions",
        "Limit",
        "Statement",
        "Parameters",
        "StreamArn",
        "GlobalSecondaryIndexes",
        "Projection",
        "abc",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
        prop::sample::select(vec!["abc", "EQ", "SET a = :a", "1e5", "YQ==", "NONE"]).prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|entries| entries
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..Operation::ALL.len()) {
        let _ = decode(Operation::ALL[at], &bytes);
    }

    #[test]
    fn arbitrary_json_never_panics(json in any_json()) {
        let body = json.to_string();
        for operation in Operation::ALL {
            if let Err(error) = decode(*operation, body.as_bytes()) {
                let mut out = Vec::new();
                prop_assert_eq!(crate::encode_error(&error, &mut out), 400);
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
            }
        }
    }
}
