//! Single items, their values, and the placeholders of expressions.

use super::{decoded, invalid, ompvi};
use crate::attribute_value::read_item;
use crate::request::Request;
use crate::request::item::{ReturnCapacity, ReturnValues};
use crate::target::Operation::{DeleteItem, GetItem, PutItem, UpdateItem};

fn put(value: &str) -> String {
    format!(r#"{{"TableName":"abc","Item":{{"k":{value}}}}}"#)
}

#[test]
fn values_that_the_data_model_does_not_have_are_refused() {
    for (value, message) in [
        ("{}", "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".to_owned()),
        (
            r#"{"S":null}"#,
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".to_owned(),
        ),
        (
            r#"{"X":"a"}"#,
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".to_owned(),
        ),
        (
            r#"{"S":"a","N":"1"}"#,
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
                .to_owned(),
        ),
        ("null", "The supplied Item contains a null AttributeValue".to_owned()),
        (r#"{"NULL":false}"#, ompvi("Null attribute value types must have the value of true")),
        (r#"{"NULL":"no"}"#, ompvi("Null attribute value types must have the value of true")),
        (r#"{"SS":[]}"#, ompvi("An string set  may not be empty")),
        (r#"{"NS":[]}"#, ompvi("An number set  may not be empty")),
        (r#"{"BS":[]}"#, ompvi("Binary sets should not be empty")),
        (r#"{"SS":["a","b","a"]}"#, ompvi("Input collection [a, b, a] contains duplicates.")),
        (r#"{"BS":["Yg==","Yg=="]}"#, ompvi("Input collection [Yg==, Yg==]of type BS contains duplicates.")),
        (r#"{"NS":["1","1.0"]}"#, "Input collection contains duplicates".to_owned()),
        (r#"{"N":""}"#, "The parameter cannot be converted to a numeric value".to_owned()),
        (r#"{"N":"b"}"#, "The parameter cannot be converted to a numeric value: b".to_owned()),
        (r#"{"NS":["1","b"]}"#, "The parameter cannot be converted to a numeric value: b".to_owned()),
        (
            r#"{"N":"123456789012345678901234567890123456789"}"#,
            "Attempting to store more than 38 significant digits in a Number".to_owned(),
        ),
        (
            r#"{"N":"-1e126"}"#,
            "Number overflow. Attempting to store a number with magnitude larger than supported range".to_owned(),
        ),
        (
            r#"{"N":"1e-131"}"#,
            "Number underflow. Attempting to store a number with magnitude smaller than supported range".to_owned(),
        ),
    ] {
        assert_eq!(invalid(PutItem, &put(value)), message, "{value}");
        assert_eq!(invalid(PutItem, &put(&format!(r#"{{"L":[{value}]}}"#))), message, "in a list: {value}");
        assert_eq!(invalid(PutItem, &put(&format!(r#"{{"M":{{"a":{value}}}}}"#))), message, "in a map: {value}");
    }
}

#[test]
fn the_first_fault_of_an_item_is_told() {
    let json = r#"{"TableName":"abc","Item":{"a":{"S":"x"},"b":{"N":"y"},"c":{"SS":[]}}}"#;
    assert_eq!(invalid(PutItem, json), "The parameter cannot be converted to a numeric value: y");
}

#[test]
fn names_have_between_1_and_65535_bytes() {
    let item = |name: &str| format!(r#"{{"TableName":"abc","Item":{{"{name}":{{"S":"x"}}}}}}"#);
    assert_eq!(invalid(PutItem, &item("")), "Empty attribute name");
    assert_eq!(
        invalid(PutItem, &item(&"a".repeat(65_536))),
        "Attribute name is too large, must be less than 65536 bytes"
    );
    decoded(PutItem, &item(&"a".repeat(65_535)));
}

#[test]
fn items_nest_32_levels_of_lists_and_maps() {
    let nested = |levels: usize, open: &str, core: &str, close: &str| {
        put(&format!("{}{core}{}", open.repeat(levels), close.repeat(levels)))
    };
    for (open, close, empty) in [(r#"{"L":["#, "]}", r#"{"L":[]}"#), (r#"{"M":{"a":"#, "}}", r#"{"M":{}}"#)] {
        decoded(PutItem, &nested(31, open, r#"{"S":"x"}"#, close));
        decoded(PutItem, &nested(30, open, empty, close));
        for request in [nested(32, open, r#"{"S":"x"}"#, close), nested(31, open, empty, close)] {
            assert!(invalid(PutItem, &request).starts_with("Nesting Levels have exceeded supported limits"));
        }
    }
}

#[test]
fn a_put_becomes_its_stored_item() {
    let json = r#"{"TableName":"abc","Item":{"b":{"N":"1.0"},"a":{"S":"x"}},"ReturnValues":"ALL_OLD",
        "ReturnConsumedCapacity":"TOTAL","ReturnItemCollectionMetrics":"SIZE",
        "ReturnValuesOnConditionCheckFailure":"ALL_OLD","ConditionExpression":"attribute_not_exists(a)"}"#;
    let Request::PutItem(put) = decoded(PutItem, json) else { panic!("a put") };
    assert_eq!(put.table.name, "abc");
    assert_eq!(Some(put.item), read_item(r#"{"a":{"S":"x"},"b":{"N":"1"}}"#));
    assert_eq!((put.returns.values, put.returns.capacity), (ReturnValues::AllOld, ReturnCapacity::Total));
    assert!(put.returns.metrics && put.returns.item_on_failure);
    assert!(put.condition.expect("the condition").holds(None));
}

#[test]
fn an_update_becomes_its_expressions() {
    let json = r##"{"TableName":"abc","Key":{"a":{"S":"x"}},"UpdateExpression":"SET #b = :b REMOVE c",
        "ConditionExpression":"attribute_exists(a)","ExpressionAttributeNames":{"#b":"b"},
        "ExpressionAttributeValues":{":b":{"N":"5"}},"ReturnValues":"UPDATED_NEW"}"##;
    let Request::UpdateItem(update) = decoded(UpdateItem, json) else { panic!("an update") };
    let new = update.update.expect("the update").apply(update.key.as_ref(), None);
    assert_eq!(new.expect("it applies"), read_item(r#"{"a":{"S":"x"},"b":{"N":"5"}}"#));
    assert_eq!(update.returns.values, ReturnValues::UpdatedNew);
    let Request::UpdateItem(bare) = decoded(UpdateItem, r#"{"TableName":"abc","Key":{}}"#) else { panic!() };
    assert!(bare.update.is_none() && bare.condition.is_none());
}

#[test]
fn puts_and_deletes_return_old_items_only() {
    for (operation, rest) in [(PutItem, r#""Item":{}"#), (DeleteItem, r#""Key":{}"#)] {
        let json = format!(r#"{{"TableName":"abc","ReturnValues":"UPDATED_NEW",{rest}}}"#);
        assert_eq!(invalid(operation, &json), "ReturnValues can only be ALL_OLD or NONE");
    }
}

#[test]
fn items_have_at_most_400_kb() {
    let sized = |bytes: usize| put(&format!(r#"{{"S":"{}"}}"#, "a".repeat(bytes)));
    decoded(PutItem, &sized(400 * 1024 - 1));
    assert_eq!(invalid(PutItem, &sized(400 * 1024)), "Item size has exceeded the maximum allowed size");
}

#[test]
fn expressions_exclude_the_older_parameters() {
    for (operation, rest, message) in [
        (
            GetItem,
            r#""Key":{"a":{}},"AttributesToGet":["a"],"ProjectionExpression":"""#,
            "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
        (
            PutItem,
            r#""Item":{"a":{}},"Expected":{},"ConditionalOperator":"AND","ConditionExpression":"""#,
            "Non-expression parameters: {Expected, ConditionalOperator} Expression parameters: {ConditionExpression}",
        ),
        (
            UpdateItem,
            r#""Key":{"a":{}},"Expected":{},"AttributeUpdates":{},"ConditionExpression":"","UpdateExpression":"""#,
            "Non-expression parameters: {AttributeUpdates, Expected} Expression parameters: {UpdateExpression, ConditionExpression}",
        ),
        (
            DeleteItem,
            r#""Key":{"a":{}},"Expected":{},"ConditionExpression":"""#,
            "Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}",
        ),
    ] {
        assert_eq!(
            invalid(operation, &format!(r#"{{"TableName":"abc",{rest}}}"#)),
            format!(
                "Can not use both expression and non-expression parameters in the same request: {message}"
            )
        );
    }
}

#[test]
fn placeholders_need_an_expression() {
    for (operation, rest, message) in [
        (
            GetItem,
            r#""ExpressionAttributeNames":{}"#,
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            PutItem,
            r#""Item":{},"ExpressionAttributeValues":{}"#,
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        ),
        (
            UpdateItem,
            r#""ExpressionAttributeValues":{}"#,
            "ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null",
        ),
    ] {
        assert_eq!(
            invalid(operation, &format!(r#"{{"TableName":"abc","Key":{{"a":{{}}}},{rest}}}"#)),
            message
        );
    }
}

#[test]
fn placeholders_have_a_form_and_a_value() {
    let long = "a".repeat(255);
    for (rest, message) in [
        (r#""ExpressionAttributeNames":{}"#.to_owned(), "ExpressionAttributeNames must not be empty".to_owned()),
        (r#""ExpressionAttributeValues":{}"#.to_owned(), "ExpressionAttributeValues must not be empty".to_owned()),
        (
            r#""ExpressionAttributeNames":{"a":"b"}"#.to_owned(),
            r#"ExpressionAttributeNames contains invalid key: Syntax error; key: "a""#.to_owned(),
        ),
        (
            r##""ExpressionAttributeNames":{"#":"b"}"##.to_owned(),
            r##"ExpressionAttributeNames contains invalid key: Syntax error; key: "#""##.to_owned(),
        ),
        (
            r#""ExpressionAttributeNames":{"":"b"}"#.to_owned(),
            "ExpressionAttributeNames contains invalid key: The expression attribute map contains an empty key;".to_owned(),
        ),
        (
            format!(r##""ExpressionAttributeNames":{{"#{long}":"b"}}"##),
            "ExpressionAttributeNames contains invalid key: The expression attribute map contains a key that is too long; size of key: 256".to_owned(),
        ),
        (
            r##""ExpressionAttributeNames":{"#a":""}"##.to_owned(),
            "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a".to_owned(),
        ),
        (
            r##""ExpressionAttributeNames":{"#a":null}"##.to_owned(),
            "ExpressionAttributeNames contains invalid value: null for key #a".to_owned(),
        ),
        (
            r#""ExpressionAttributeValues":{"a":{"S":"b"}}"#.to_owned(),
            r#"ExpressionAttributeValues contains invalid key: Syntax error; key: "a""#.to_owned(),
        ),
        (
            r#""ExpressionAttributeValues":{":a-b":{"S":"b"}}"#.to_owned(),
            r#"ExpressionAttributeValues contains invalid key: Syntax error; key: ":a-b""#.to_owned(),
        ),
        (
            r#""ExpressionAttributeValues":{":a":{}}"#.to_owned(),
            "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes for key :a".to_owned(),
        ),
        (
            r#""ExpressionAttributeValues":{":a":null}"#.to_owned(),
            "ExpressionAttributeValues contains invalid value: The supplied Item contains a null AttributeValue for key :a".to_owned(),
        ),
        (
            r#""ExpressionAttributeValues":{":a":{"NS":[]}}"#.to_owned(),
            format!("ExpressionAttributeValues contains invalid value: {} for key :a", ompvi("An number set  may not be empty")),
        ),
    ] {
        let json = format!(r#"{{"TableName":"abc","Key":{{}},"UpdateExpression":"SET",{rest}}}"#);
        assert_eq!(invalid(UpdateItem, &json), message);
    }
}

#[test]
fn what_placeholders_stand_for_is_bounded() {
    let value = format!(r#"{{"S":"{}"}}"#, "a".repeat(2 * 1024 * 1024 + 1));
    let json = |value: &str| {
        format!(
            r#"{{"TableName":"abc","Key":{{}},"UpdateExpression":"SET a=:a","ExpressionAttributeValues":{{":a":{value}}}}}"#
        )
    };
    assert_eq!(invalid(UpdateItem, &json(&value)), "ExpressionAttributeValues exceeds max size");
}

#[test]
fn expressions_are_told_with_their_names_and_unused_placeholders_after_them() {
    let json = |rest: &str| format!(r#"{{"TableName":"abc","Key":{{}},{rest}}}"#);
    let message = invalid(UpdateItem, &json(r#""UpdateExpression":"""#));
    assert_eq!(message, "Invalid UpdateExpression: The expression can not be empty;");
    let message =
        invalid(UpdateItem, &json(r#""UpdateExpression":"SET a = :a","ConditionExpression":"(((""#));
    assert_eq!(
        message,
        "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :a"
    );
    let rest = r##""ProjectionExpression":"a","ExpressionAttributeNames":{"#b":"b","#a":"a"}"##;
    assert_eq!(
        invalid(GetItem, &json(rest)),
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}"
    );
    let rest = r#""ConditionExpression":"attribute_exists(a)","ExpressionAttributeValues":{":a":{"S":"b"}}"#;
    assert_eq!(
        invalid(DeleteItem, &json(rest)),
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a}"
    );
}

#[test]
fn keys_are_checked_before_expressions_and_those_before_tables() {
    let json = r#"{"TableName":"abc","Key":{"a":{"N":"x"}},"UpdateExpression":"(("}"#;
    assert_eq!(invalid(UpdateItem, json), "The parameter cannot be converted to a numeric value: x");
    let json = r#"{"TableName":"missing","Key":{"a":{"N":"1"}},"UpdateExpression":"(("}"#;
    assert!(invalid(UpdateItem, json).starts_with("Invalid UpdateExpression: Syntax error; "));
}
