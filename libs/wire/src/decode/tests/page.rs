//! Query and Scan.

use tradewind_expression::KeyTest;

use super::{decoded, invalid, ompvi};
use crate::request::Request;
use crate::request::item::{Segment, Select};
use crate::target::Operation::{Query, Scan};

fn query(rest: &str) -> String {
    format!(r#"{{"TableName":"abc",{rest}}}"#)
}

#[test]
fn a_query_needs_key_conditions_of_one_kind() {
    assert_eq!(
        invalid(Query, r#"{"TableName":"abc"}"#),
        "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
    );
    for (rest, message) in [
        (
            r#""KeyConditions":{},"KeyConditionExpression":"""#,
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {KeyConditions} Expression parameters: {KeyConditionExpression}",
        ),
        (
            r#""QueryFilter":{},"AttributesToGet":["a"],"ConditionalOperator":"OR","ProjectionExpression":"","FilterExpression":"""#,
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributesToGet, QueryFilter, ConditionalOperator} Expression parameters: {ProjectionExpression, FilterExpression}",
        ),
        (
            r#""KeyConditions":{},"ExpressionAttributeValues":{}"#,
            "ExpressionAttributeValues can only be specified when using expressions: FilterExpression and KeyConditionExpression are null",
        ),
        (r#""KeyConditions":{}"#, "Conditions can be of length 1 or 2 only"),
        (
            r#""KeyConditions":{"a":{"ComparisonOperator":"NULL"},"b":{"ComparisonOperator":"NULL"},"c":{"ComparisonOperator":"NULL"}}"#,
            "Conditions can be of length 1 or 2 only",
        ),
        (
            r#""KeyConditions":{"a":{"ComparisonOperator":"NE","AttributeValueList":[{"S":"a"}]}}"#,
            "Attempted conditional constraint is not an indexable operation",
        ),
    ] {
        assert_eq!(invalid(Query, &query(rest)), message);
    }
}

#[test]
fn key_conditions_of_both_kinds_become_the_same() {
    let older = r#""KeyConditions":{"p":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"x"}]},"s":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"},{"N":"2"}]}}"#;
    let newer = r#""KeyConditionExpression":"p = :p AND s BETWEEN :a AND :b","ExpressionAttributeValues":{":p":{"S":"x"},":a":{"N":"1"},":b":{"N":"2"}}"#;
    let conditions = [older, newer].map(|rest| match decoded(Query, &query(rest)) {
        Request::Query(query) => query.key_condition,
        other => panic!("{other:?}"),
    });
    assert_eq!(conditions[0], conditions[1]);
    assert_eq!(conditions[0].terms[1].name, "s");
    assert!(matches!(conditions[0].terms[1].test, KeyTest::Between(..)));
}

#[test]
fn key_condition_expressions_are_refused_in_their_own_words() {
    for (text, message) in [
        ("", "Invalid KeyConditionExpression: The expression can not be empty;"),
        ("a = :a OR b = :a", "Invalid operator used in KeyConditionExpression: OR"),
        ("a = :a AND a = :a", "KeyConditionExpressions must only contain one condition per key"),
        ("a.b = :a", "KeyConditionExpressions cannot have conditions on nested attributes"),
        ("a = :a AND b = :a AND c = :a", "Conditions can be of length 1 or 2 only"),
    ] {
        let rest =
            format!(r#""KeyConditionExpression":"{text}","ExpressionAttributeValues":{{":a":{{"S":"x"}}}}"#);
        assert_eq!(invalid(Query, &query(&rest)), message, "{text}");
    }
}

#[test]
fn an_index_may_have_more_than_two_key_conditions() {
    let rest = r#""IndexName":"idx","KeyConditionExpression":"a = :a AND b = :a AND c = :a","ExpressionAttributeValues":{":a":{"S":"x"}}"#;
    let Request::Query(query) = decoded(Query, &query(rest)) else { panic!("a query") };
    assert_eq!(query.key_condition.terms.len(), 3);
}

#[test]
fn starting_keys_are_told_with_a_prefix_where_the_service_does() {
    for (value, message) in [
        (
            r#"{}"#,
            "The provided starting key is invalid: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".to_owned(),
        ),
        (
            r#"{"NULL":false}"#,
            format!("The provided starting key is invalid: {}", ompvi("Null attribute value types must have the value of true")),
        ),
        (r#"{"NS":[]}"#, ompvi("An number set  may not be empty")),
        (r#"{"N":"x"}"#, "The parameter cannot be converted to a numeric value: x".to_owned()),
    ] {
        assert_eq!(invalid(Scan, &query(&format!(r#""ExclusiveStartKey":{{"a":{value}}}"#))), message);
    }
}

#[test]
fn segments_come_with_their_number_and_below_it() {
    for (rest, message) in [
        (
            r#""Segment":1"#,
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        ),
        (
            r#""TotalSegments":1"#,
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
        ),
        (
            r#""Segment":2,"TotalSegments":2"#,
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2",
        ),
    ] {
        assert_eq!(invalid(Scan, &query(rest)), message);
    }
    let Request::Scan(scan) = decoded(Scan, &query(r#""Segment":1,"TotalSegments":3,"Limit":7"#)) else {
        panic!("a scan")
    };
    assert_eq!((scan.segment, scan.limit), (Some(Segment { segment: 1, total: 3 }), Some(7)));
}

#[test]
fn select_fits_the_projection() {
    for (rest, message) in [
        (
            r#""Select":"ALL_PROJECTED_ATTRIBUTES""#,
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
        (
            r#""Select":"SPECIFIC_ATTRIBUTES""#,
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            r#""Select":"COUNT","ProjectionExpression":"b""#,
            "Cannot specify the ProjectionExpression when choosing to get only the Count",
        ),
        (
            r#""Select":"ALL_ATTRIBUTES","AttributesToGet":["b"]"#,
            "Cannot specify the AttributesToGet when choosing to get ALL_ATTRIBUTES",
        ),
    ] {
        assert_eq!(invalid(Scan, &query(rest)), message);
    }
    let Request::Scan(scan) = decoded(Scan, &query(r#""Select":"COUNT""#)) else { panic!("a scan") };
    assert_eq!(scan.select, Some(Select::Count));
}

#[test]
fn filters_of_the_older_kind_are_checked_like_key_conditions() {
    for (filter, message) in [
        (
            r#"{"ComparisonOperator":"EQ"}"#,
            ompvi("Invalid number of argument(s) for the EQ ComparisonOperator"),
        ),
        (
            r#"{"ComparisonOperator":"BEGINS_WITH","AttributeValueList":[{"N":"1"}]}"#,
            ompvi("ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type"),
        ),
        (
            r#"{"ComparisonOperator":"EQ","AttributeValueList":[{"SS":[]}]}"#,
            ompvi("An string set  may not be empty"),
        ),
        ("null", "The filter condition for an attribute cannot be null: a".to_owned()),
    ] {
        assert_eq!(invalid(Scan, &query(&format!(r#""ScanFilter":{{"a":{filter}}}"#))), message);
    }
}
