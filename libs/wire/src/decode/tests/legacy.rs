//! The parameters of the older API.

use super::{decoded, invalid, ompvi};
use crate::attribute_value::read_item;
use crate::request::Request;
use crate::target::Operation::{GetItem, PutItem, UpdateItem};

fn expecting(expected: &str) -> String {
    format!(r#"{{"TableName":"abc","Item":{{}},"Expected":{{"a":{expected}}}}}"#)
}

#[test]
fn expectations_are_checked_in_themselves() {
    for (expected, message) in [
        (r#"{}"#, ompvi("Value must be provided when Exists is null for Attribute: a")),
        (r#"{"Exists":true}"#, ompvi("Value must be provided when Exists is true for Attribute: a")),
        (r#"{"Exists":false,"Value":{"S":"a"}}"#, ompvi("Value cannot be used when Exists is false for Attribute: a")),
        (
            r#"{"Value":{"S":"a"},"AttributeValueList":[]}"#,
            ompvi("Value and AttributeValueList cannot be used together for Attribute: a"),
        ),
        (
            r#"{"AttributeValueList":[]}"#,
            ompvi("AttributeValueList can only be used with a ComparisonOperator for Attribute: a"),
        ),
        (
            r#"{"ComparisonOperator":"EQ","Exists":true}"#,
            ompvi("Exists and ComparisonOperator cannot be used together for Attribute: a"),
        ),
        (
            r#"{"ComparisonOperator":"EQ"}"#,
            ompvi("Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a"),
        ),
        (
            r#"{"ComparisonOperator":"NULL","Value":{"S":"a"}}"#,
            ompvi("Invalid number of argument(s) for the NULL ComparisonOperator"),
        ),
        (
            r#"{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"S":"a"}]}"#,
            ompvi("Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
        ),
        (
            r#"{"ComparisonOperator":"IN","AttributeValueList":[{"S":"a"},{"N":"1"}]}"#,
            ompvi("AttributeValues inside AttributeValueList must be of same type"),
        ),
        (
            r#"{"ComparisonOperator":"LT","AttributeValueList":[{"SS":["a"]}]}"#,
            ompvi("ComparisonOperator LT is not valid for SS AttributeValue type"),
        ),
        (
            r#"{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"2"},{"N":"1.9"}]}"#,
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound".to_owned(),
        ),
        (
            r#"{"Value":{"N":"x"}}"#,
            "The parameter cannot be converted to a numeric value: x".to_owned(),
        ),
        ("null", ompvi("ExpectedAttributeValue must not be null for Attribute: a")),
    ] {
        assert_eq!(invalid(PutItem, &expecting(expected)), message, "{expected}");
    }
}

#[test]
fn expectations_hold_as_their_operators_say() {
    let item = r#"{"a":{"S":"abc"},"n":{"N":"5"},"l":{"SS":["x","y"]}}"#;
    for (name, expected, holds) in [
        ("a", r#"{"Value":{"S":"abc"}}"#, true),
        ("a", r#"{"Value":{"S":"abd"}}"#, false),
        ("a", r#"{"Exists":false}"#, false),
        ("z", r#"{"Exists":false}"#, true),
        ("z", r#"{"ComparisonOperator":"NULL"}"#, true),
        ("a", r#"{"ComparisonOperator":"NOT_NULL"}"#, true),
        ("n", r#"{"ComparisonOperator":"LE","AttributeValueList":[{"N":"5.0"}]}"#, true),
        ("n", r#"{"ComparisonOperator":"GT","AttributeValueList":[{"N":"5"}]}"#, false),
        ("n", r#"{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"},{"N":"5"}]}"#, true),
        ("n", r#"{"ComparisonOperator":"IN","AttributeValueList":[{"N":"4"},{"N":"5"}]}"#, true),
        ("a", r#"{"ComparisonOperator":"BEGINS_WITH","Value":{"S":"ab"}}"#, true),
        ("l", r#"{"ComparisonOperator":"CONTAINS","Value":{"S":"x"}}"#, true),
        ("l", r#"{"ComparisonOperator":"NOT_CONTAINS","Value":{"S":"z"}}"#, true),
        ("z", r#"{"ComparisonOperator":"NOT_CONTAINS","Value":{"S":"z"}}"#, false),
        ("z", r#"{"ComparisonOperator":"NE","Value":{"S":"z"}}"#, true),
        ("a", r#"{"ComparisonOperator":"NE","Value":{"S":"abc"}}"#, false),
    ] {
        let json = format!(r#"{{"TableName":"abc","Item":{{}},"Expected":{{"{name}":{expected}}}}}"#);
        let Request::PutItem(put) = decoded(PutItem, &json) else { panic!("a put") };
        let item = read_item(item).expect("an item");
        let condition = put.condition.expect("the condition");
        assert_eq!(condition.holds(Some(item.as_ref())), holds, "{name} {expected}");
    }
}

#[test]
fn conditional_operators_join_two_expectations_or_more() {
    let put = |operator: &str, expected: &str| {
        format!(
            r#"{{"TableName":"abc","Item":{{}},"ConditionalOperator":"{operator}","Expected":{expected}}}"#
        )
    };
    let two = r#"{"a":{"Exists":false},"b":{"Value":{"S":"x"}}}"#;
    for (operator, holds) in [("AND", false), ("OR", true)] {
        let Request::PutItem(put) = decoded(PutItem, &put(operator, two)) else { panic!("a put") };
        assert_eq!(put.condition.expect("the condition").holds(None), holds);
    }
    assert_eq!(
        invalid(PutItem, &put("OR", "{}")),
        "ConditionalOperator cannot be used without Filter or Expected"
    );
    assert_eq!(
        invalid(PutItem, &put("OR", r#"{"a":{"Exists":false}}"#)),
        "ConditionalOperator can only be used when Filter or Expected has two or more elements"
    );
}

#[test]
fn attribute_updates_are_checked_and_applied() {
    let update = |entry: &str| {
        format!(r#"{{"TableName":"abc","Key":{{"k":{{"S":"x"}}}},"AttributeUpdates":{{"a":{entry}}}}}"#)
    };
    for (entry, message) in [
        ("{}", ompvi("Only DELETE action is allowed when no attribute value is specified")),
        (r#"{"Action":"ADD"}"#, ompvi("Only DELETE action is allowed when no attribute value is specified")),
        (
            r#"{"Action":"DELETE","Value":{"S":"a"}}"#,
            ompvi("DELETE action with value is not supported for the type S"),
        ),
        (r#"{"Action":"ADD","Value":{"S":"a"}}"#, ompvi("ADD action is not supported for the type S")),
    ] {
        assert_eq!(invalid(UpdateItem, &update(entry)), message);
    }
    for (entry, new) in [
        (r#"{"Value":{"S":"a"}}"#, r#"{"k":{"S":"x"},"a":{"S":"a"}}"#),
        (r#"{"Action":"ADD","Value":{"N":"2"}}"#, r#"{"k":{"S":"x"},"a":{"N":"2"}}"#),
        (r#"{"Action":"ADD","Value":{"L":[{"N":"2"}]}}"#, r#"{"k":{"S":"x"},"a":{"L":[{"N":"2"}]}}"#),
    ] {
        let Request::UpdateItem(request) = decoded(UpdateItem, &update(entry)) else { panic!("an update") };
        let applied = request.update.expect("the update").apply(request.key.as_ref(), None);
        assert_eq!(applied.expect("it applies"), read_item(new), "{entry}");
    }
}

#[test]
fn attributes_to_get_name_each_attribute_once() {
    let json = r#"{"TableName":"abc","Key":{},"AttributesToGet":["a","b","a"]}"#;
    assert_eq!(invalid(GetItem, json), ompvi("Duplicate value in attribute name: a"));
    let Request::GetItem(get) = decoded(GetItem, r#"{"TableName":"abc","Key":{},"AttributesToGet":["b"]}"#)
    else {
        panic!()
    };
    let item = read_item(r#"{"a":{"S":"x"},"b":{"S":"y"}}"#).expect("an item");
    assert_eq!(Some(get.projection.expect("it").project(item.as_ref())), read_item(r#"{"b":{"S":"y"}}"#));
}
