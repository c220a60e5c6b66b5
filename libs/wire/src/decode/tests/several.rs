//! Batches, transactions and statements.

use super::{decoded, invalid, ompvi, refused};
use crate::error::Code;
use crate::request::Request;
use crate::request::item::{BatchWrite, TransactAction};
use crate::target::Operation::{
    BatchExecuteStatement, BatchGetItem, BatchWriteItem, ExecuteStatement, ExecuteTransaction,
    TransactGetItems, TransactWriteItems,
};

#[test]
fn batch_gets_have_at_most_100_keys_over_all_tables() {
    let keys =
        |count: usize| (0..count).map(|i| format!(r#"{{"a":{{"S":"{i}"}}}}"#)).collect::<Vec<_>>().join(",");
    let json = |a: usize, b: usize| {
        format!(r#"{{"RequestItems":{{"aaa":{{"Keys":[{}]}},"bbb":{{"Keys":[{}]}}}}}}"#, keys(a), keys(b))
    };
    decoded(BatchGetItem, &json(99, 1));
    assert_eq!(invalid(BatchGetItem, &json(99, 2)), "Too many items requested for the BatchGetItem call");
    assert!(invalid(BatchGetItem, &json(101, 1)).contains("'requestItems.aaa.member.keys' failed to satisfy constraint: Member must have length less than or equal to 100"));
}

#[test]
fn unprocessed_keys_can_repeat_all_a_table_was_asked_with() {
    let json = r##"{"RequestItems":{"aaa":{"Keys":[{"a":{"S":"x"}}],"ConsistentRead":true,"ProjectionExpression":"#b, c","ExpressionAttributeNames":{"#b":"b\""}}}}"##;
    let Request::BatchGetItem(batch) = decoded(BatchGetItem, json) else { panic!("a batch") };
    assert_eq!(
        batch.tables[0].rest,
        r##""ConsistentRead":true,"ProjectionExpression":"#b, c","ExpressionAttributeNames":{"#b":"b\""}"##
    );
    assert!(batch.tables[0].consistent);
}

#[test]
fn batch_gets_are_checked_table_by_table() {
    for (table, message) in [
        (r#"{"Keys":[{"a":{}}],"AttributesToGet":["a","a"]}"#, ompvi("Duplicate value in attribute name: a")),
        (
            r#"{"Keys":[{"a":{}}],"ProjectionExpression":""}"#,
            "Invalid ProjectionExpression: The expression can not be empty;".to_owned(),
        ),
        (
            r#"{"Keys":[{"a":{}}]}"#,
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
                .to_owned(),
        ),
        (
            r#"{"Keys":[{"a":{"N":"1"},"b":{"S":"x"}},{"a":{"N":"2"}},{"b":{"S":"x"},"a":{"N":"1.0"}}]}"#,
            "Provided list of item keys contains duplicates".to_owned(),
        ),
    ] {
        assert_eq!(invalid(BatchGetItem, &format!(r#"{{"RequestItems":{{"abc":{table}}}}}"#)), message);
    }
}

#[test]
fn batch_writes_are_one_put_or_delete_each_and_at_most_25() {
    let json = |writes: &str| format!(r#"{{"RequestItems":{{"abc":[{writes}]}}}}"#);
    let two_types = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";
    let late = r#"{"PutRequest":{"Item":{"a":{"N":"x"}}}},{}"#;
    for writes in ["{}", r#"{"PutRequest":{"Item":{}},"DeleteRequest":{"Key":{}}}"#, late] {
        assert_eq!(invalid(BatchWriteItem, &json(writes)), two_types);
    }
    let puts = |count: usize| vec![r#"{"PutRequest":{"Item":{"a":{"S":"x"}}}}"#; count].join(",");
    let json = format!(r#"{{"RequestItems":{{"abc":[{}],"abd":[{}]}}}}"#, puts(25), puts(1));
    assert_eq!(invalid(BatchWriteItem, &json), "Too many items requested for the BatchWriteItem call");
    let json = format!(
        r#"{{"RequestItems":{{"abc":[{},{{"DeleteRequest":{{"Key":{{}}}}}}]}},"ReturnItemCollectionMetrics":"SIZE"}}"#,
        puts(24)
    );
    let Request::BatchWriteItem(batch) = decoded(BatchWriteItem, &json) else { panic!("a batch") };
    assert!(
        matches!(batch.tables[0].1[..], [BatchWrite::Put(_), .., BatchWrite::Delete(_)]) && batch.metrics
    );
    let large = format!(
        r#"{{"RequestItems":{{"abc":[{{"PutRequest":{{"Item":{{"a":{{"S":"{}"}}}}}}}}]}}}}"#,
        "x".repeat(409_600)
    );
    assert_eq!(invalid(BatchWriteItem, &large), "Item size has exceeded the maximum allowed size");
}

fn transaction(items: &str) -> String {
    format!(r#"{{"TransactItems":[{items}]}}"#)
}

#[test]
fn transactions_consist_of_one_action_per_item() {
    for (items, message) in [
        ("{}", "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"),
        (
            r#"{"Put":{"TableName":"abc","Item":{}},"Delete":{"TableName":"abc","Key":{}}}"#,
            "TransactItems can only contain one of Check, Put, Update or Delete",
        ),
        (
            r#"{"ConditionCheck":{"TableName":"abc","Key":{}}}"#,
            "1 validation error detected: Value null at 'transactItems.1.member.conditionCheck.conditionExpression' failed to satisfy constraint: Member must not be null",
        ),
        (
            r#"{"Update":{"TableName":"abc","Key":{}}}"#,
            "1 validation error detected: Value null at 'transactItems.1.member.update.updateExpression' failed to satisfy constraint: Member must not be null",
        ),
        (
            "null",
            "1 validation error detected: Value null at 'transactItems.1.member' failed to satisfy constraint: Member must not be null",
        ),
        (
            r#"{"Put":{"TableName":"abc","Item":{"a":{"N":"x"}}}}"#,
            "The parameter cannot be converted to a numeric value: x",
        ),
        (
            r#"{"Put":{"TableName":"abc","Item":{},"ExpressionAttributeValues":{":a":{"S":"a"}}}}"#,
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        ),
        (
            r#"{"Update":{"TableName":"abc","Key":{},"UpdateExpression":""}}"#,
            "Invalid UpdateExpression: The expression can not be empty;",
        ),
    ] {
        assert_eq!(invalid(TransactWriteItems, &transaction(items)), message);
    }
    let items = r#"{"Put":{"TableName":"abc","Item":{"a":{"S":"x"}}}},
        {"Update":{"TableName":"abc","Key":{},"UpdateExpression":"REMOVE b"}},
        {"Delete":{"TableName":"abc","Key":{},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}},
        {"ConditionCheck":{"TableName":"abc","Key":{},"ConditionExpression":"attribute_exists(a)"}}"#;
    let Request::TransactWriteItems(write) = decoded(TransactWriteItems, &transaction(items)) else {
        panic!()
    };
    let actions: Vec<_> = write.actions.iter().map(|write| &write.action).collect();
    assert!(matches!(
        actions[..],
        [
            TransactAction::Put { .. },
            TransactAction::Update { .. },
            TransactAction::Delete { .. },
            TransactAction::Check { .. }
        ]
    ));
    assert!(write.actions[2].item_on_failure && write.actions[3].condition.is_some());
}

#[test]
fn nesting_too_deep_cancels_a_transaction_and_only_the_first_is_blamed() {
    let deep = format!(
        r#"{{"Put":{{"TableName":"abc","Item":{{"a":{}{{"S":"x"}}{}}}}}}}"#,
        r#"{"L":["#.repeat(40),
        "]}".repeat(40)
    );
    let fine = r#"{"Put":{"TableName":"abc","Item":{}}}"#;
    let error = refused(TransactWriteItems, &transaction(&format!("{fine},{deep},{deep}")));
    assert_eq!(error.code, Code::TransactionCanceled);
    assert_eq!(
        error.message,
        "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError, None]"
    );
    assert!(error.cancellation[1].message.as_deref().is_some_and(|text| text.starts_with("Nesting Levels")));
}

#[test]
fn digests_tell_actions_apart_and_nothing_else() {
    let digest = |json: &str| match decoded(TransactWriteItems, json) {
        Request::TransactWriteItems(write) => (write.digest, write.token),
        other => panic!("{other:?}"),
    };
    let put = |rest: &str, item: &str| {
        format!(r#"{{"TransactItems":[{{"Put":{{"TableName":"abc","Item":{item}}}}}]{rest}}}"#)
    };
    let (first, token) = digest(&put(r#","ClientRequestToken":"t""#, r#"{"a":{"N":"1"},"b":{"S":"x"}}"#));
    assert_eq!(token.as_deref(), Some("t"));
    let repeat = r#","ClientRequestToken":"u","ReturnConsumedCapacity":"TOTAL""#;
    assert_eq!(digest(&put(repeat, r#"{"b":{"S":"x"},"a":{"N":"1.0"}}"#)).0, first);
    assert_ne!(digest(&put("", r#"{"a":{"N":"2"},"b":{"S":"x"}}"#)).0, first);
    let delete = r#"{"TransactItems":[{"Delete":{"TableName":"abc","Key":{"a":{"N":"1"},"b":{"S":"x"}}}}]}"#;
    assert_ne!(digest(delete).0, first);
}

#[test]
fn transact_gets_need_a_get() {
    assert_eq!(
        invalid(TransactGetItems, &transaction("{}")),
        "1 validation error detected: Value null at 'transactItems.1.member.get' failed to satisfy constraint: Member must not be null"
    );
    let get = r#"{"Get":{"TableName":"abc","Key":{"a":{"S":"x"}},"ProjectionExpression":"b"}}"#;
    let Request::TransactGetItems(request) = decoded(TransactGetItems, &transaction(get)) else {
        panic!("gets")
    };
    assert!(request.gets[0].projection.is_some());
}

#[test]
fn statements_keep_their_parameters_as_stored_values() {
    let json = r#"{"Statement":"SELECT * FROM abc WHERE a=?","Parameters":[{"N":"1.0"}],"Limit":5,"NextToken":"n","ConsistentRead":true}"#;
    let Request::ExecuteStatement(execute) = decoded(ExecuteStatement, json) else { panic!("a statement") };
    assert_eq!(
        Some(&execute.statement.parameters[0]),
        crate::attribute_value::read_value(r#"{"N":"1"}"#).as_ref()
    );
    assert_eq!((execute.limit, execute.next_token.as_deref()), (Some(5), Some("n")));
    assert!(execute.statement.consistent);
    let json = r#"{"Statements":[{"Statement":"SELECT"},{"Statement":"DELETE","Parameters":[{"S":"x"}]}]}"#;
    let Request::BatchExecuteStatement(batch) = decoded(BatchExecuteStatement, json) else {
        panic!("a batch")
    };
    assert_eq!(batch.statements.len(), 2);
    let json = r#"{"TransactStatements":[{"Statement":"SELECT"}],"ClientRequestToken":"t"}"#;
    let Request::ExecuteTransaction(transaction) = decoded(ExecuteTransaction, json) else { panic!() };
    assert_eq!((transaction.statements.len(), transaction.token.as_deref()), (1, Some("t")));
    assert_eq!(
        invalid(ExecuteStatement, r#"{"Statement":"S","Parameters":[{"N":"x"}]}"#),
        "The parameter cannot be converted to a numeric value: x"
    );
}
