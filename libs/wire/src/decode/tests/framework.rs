//! JSON, types and constraints: what the framework says before any operation does.

use super::{decoded, invalid, mistyped, refused};
use crate::error::Code;
use crate::target::Operation::{
    BatchGetItem, BatchWriteItem, CreateTable, DescribeTable, ExecuteStatement, GetItem, ListTables, PutItem,
    Query, Scan, TransactWriteItems,
};

#[test]
fn a_body_that_is_no_json_object_is_refused_without_a_message() {
    for body in [
        "",
        "{",
        "}}}",
        "}{",
        "7",
        "\"\"",
        "[]",
        "null",
        "{\"\"}",
        "{7}",
        "{,}",
        "{}{}",
        "{\"Limit\":1e999,\"TableName\":1e999}",
        "{\"TableName\":\"\\ud800\"}",
    ] {
        assert_eq!(mistyped(PutItem, body), "", "{body}");
    }
    assert_eq!(refused(PutItem, "{").code, Code::Serialization);
    assert!(
        super::super::decode(PutItem, b"{\"TableName\":\"\xff\"}")
            .is_err_and(|e| e.code == Code::Serialization)
    );
}

#[test]
fn every_prefix_of_a_request_is_bad_syntax() {
    let request = r#"{"TableName":"abc","Item":{"p":{"S":"x"},"c":{"N":"1"}}}"#;
    decoded(PutItem, request);
    for end in 0..request.len() {
        assert_eq!(mistyped(PutItem, &request[..end]), "");
    }
}

#[test]
fn bad_syntax_is_told_before_wrong_types_and_those_before_constraints() {
    assert_eq!(mistyped(PutItem, r#"{"TableName":1,"Item":"#), "");
    assert_eq!(mistyped(PutItem, r#"{"TableName":1}"#), "NUMBER_VALUE cannot be converted to String");
    assert_eq!(
        mistyped(GetItem, r#"{"TableName":"a","Key":{"a":{"N":"x"}},"ConsistentRead":2}"#),
        "NUMBER_VALUE cannot be converted to Boolean"
    );
}

#[test]
fn strings_take_no_other_type() {
    for (value, message) in [
        ("true", "TRUE_VALUE cannot be converted to String"),
        ("false", "FALSE_VALUE cannot be converted to String"),
        ("23", "NUMBER_VALUE cannot be converted to String"),
        ("-2.5", "DECIMAL_VALUE cannot be converted to String"),
        ("[]", "Unrecognized collection type class java.lang.String"),
        ("{}", "Start of structure or map found where not expected"),
    ] {
        assert_eq!(mistyped(PutItem, &format!(r#"{{"TableName":{value}}}"#)), message);
    }
}

#[test]
fn booleans_and_integers_take_what_the_framework_converts() {
    for text in ["true", "\"true\"", "\"1\"", "\"YES\""] {
        let request = format!(r#"{{"TableName":"abc","Key":{{}},"ConsistentRead":{text}}}"#);
        assert!(format!("{:?}", decoded(GetItem, &request)).contains("consistent: true"), "{text}");
    }
    for (value, message) in [
        ("\"maybe\"", "Unexpected token received from parser"),
        ("23", "NUMBER_VALUE cannot be converted to Boolean"),
        ("1.5", "DECIMAL_VALUE cannot be converted to Boolean"),
        ("[]", "Unrecognized collection type class java.lang.Boolean"),
        ("{}", "Start of structure or map found where not expected"),
    ] {
        assert_eq!(mistyped(GetItem, &format!(r#"{{"ConsistentRead":{value}}}"#)), message);
    }
    for (value, message) in [
        ("\"a\"", "STRING_VALUE cannot be converted to Integer"),
        ("true", "TRUE_VALUE cannot be converted to Integer"),
        ("[]", "Unrecognized collection type class java.lang.Integer"),
    ] {
        assert_eq!(mistyped(ListTables, &format!(r#"{{"Limit":{value}}}"#)), message);
    }
    assert!(format!("{:?}", decoded(ListTables, r#"{"Limit":1.9}"#)).contains("limit: 1 "));
}

#[test]
fn collections_and_structures_have_complaints_of_their_own() {
    for (operation, json, message) in [
        (GetItem, r#"{"AttributesToGet":"a"}"#, "Unexpected field type"),
        (GetItem, r#"{"AttributesToGet":{}}"#, "Start of structure or map found where not expected"),
        (GetItem, r#"{"AttributesToGet":[1]}"#, "NUMBER_VALUE cannot be converted to String"),
        (GetItem, r#"{"Key":"a"}"#, "Unexpected field type"),
        (
            GetItem,
            r#"{"Key":[]}"#,
            "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>",
        ),
        (
            GetItem,
            r#"{"ExpressionAttributeNames":[]}"#,
            "Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>",
        ),
        (
            BatchWriteItem,
            r#"{"RequestItems":[]}"#,
            "Unrecognized collection type java.util.Map<java.lang.String, java.util.List<com.amazonaws.dynamodb.v20120810.WriteRequest>>",
        ),
        (
            BatchWriteItem,
            r#"{"RequestItems":{"abc":{}}}"#,
            "Start of structure or map found where not expected",
        ),
        (BatchWriteItem, r#"{"RequestItems":{"abc":["a"]}}"#, "Unexpected value type in payload"),
        (
            BatchWriteItem,
            r#"{"RequestItems":{"abc":[[]]}}"#,
            "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.WriteRequest",
        ),
        (BatchWriteItem, r#"{"RequestItems":{"abc":[{"PutRequest":"a"}]}}"#, "Unexpected field type"),
        (CreateTable, r#"{"ProvisionedThroughput":"a"}"#, "Unexpected field type"),
        (
            CreateTable,
            r#"{"ProvisionedThroughput":[]}"#,
            "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.ProvisionedThroughput",
        ),
    ] {
        assert_eq!(mistyped(operation, json), message, "{json}");
    }
    for json in [r#"{"RequestItems":{"abc":{"Keys":["a"]}}}"#, r#"{"RequestItems":{"abc":{"Keys":[1]}}}"#] {
        assert!(mistyped(BatchGetItem, json).starts_with("class sun.reflect.generics"));
    }
    assert!(
        mistyped(BatchWriteItem, r#"{"RequestItems":{"abc":"a"}}"#).starts_with("class sun.reflect.generics")
    );
}

#[test]
fn values_of_wrong_types_are_told_by_what_they_should_be() {
    for (value, message) in [
        ("1", "Unexpected value type in payload"),
        ("\"a\"", "Unexpected value type in payload"),
        ("[]", "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"),
        (r#"{"S":1}"#, "NUMBER_VALUE cannot be converted to String"),
        (r#"{"N":3}"#, "NUMBER_VALUE cannot be converted to String"),
        (r#"{"N":3.5}"#, "DECIMAL_VALUE cannot be converted to String"),
        (r#"{"S":{}}"#, "Start of structure or map found where not expected"),
        (r#"{"S":[]}"#, "Unrecognized collection type class java.lang.String"),
        (r#"{"B":1}"#, "only base-64-encoded strings are convertible to bytes"),
        (r#"{"B":true}"#, "only base-64-encoded strings are convertible to bytes"),
        (r#"{"B":[]}"#, "Unrecognized collection type class java.nio.ByteBuffer"),
        (r#"{"B":{}}"#, "Start of structure or map found where not expected"),
        (r#"{"B":"1"}"#, "Base64 encoded length is expected a multiple of 4 bytes but found: 1"),
        (r#"{"B":"YQ="}"#, "Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
        (r#"{"B":"YR=="}"#, "Invalid last non-pad Base64 character dectected"),
        (r#"{"B":"b*=="}"#, "Invalid last non-pad Base64 character dectected"),
        (r#"{"BOOL":"a"}"#, "Unexpected token received from parser"),
        (r#"{"NULL":1}"#, "NUMBER_VALUE cannot be converted to Boolean"),
        (r#"{"SS":"a"}"#, "Unexpected field type"),
        (r#"{"SS":{}}"#, "Start of structure or map found where not expected"),
        (r#"{"SS":[1]}"#, "NUMBER_VALUE cannot be converted to String"),
        (r#"{"NS":[1]}"#, "NUMBER_VALUE cannot be converted to String"),
        (r#"{"NS":[[]]}"#, "Unrecognized collection type class java.lang.String"),
        (r#"{"BS":["1"]}"#, "Base64 encoded length is expected a multiple of 4 bytes but found: 1"),
        (r#"{"L":"a"}"#, "Unexpected field type"),
        (r#"{"L":{}}"#, "Start of structure or map found where not expected"),
        (r#"{"L":["a"]}"#, "Unexpected value type in payload"),
        (r#"{"M":"a"}"#, "Unexpected field type"),
        (
            r#"{"M":[]}"#,
            "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>",
        ),
        (
            r#"{"M":{"a":[]}}"#,
            "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue",
        ),
    ] {
        let json = format!(r#"{{"TableName":"abc","Item":{{"k":{value}}}}}"#);
        assert_eq!(mistyped(PutItem, &json), message, "{value}");
    }
    let json = r#"{"Expected":{"a":{"Value":"x"}}}"#;
    assert_eq!(mistyped(PutItem, json), "Unexpected field type");
}

#[test]
fn null_members_are_absent_and_unknown_ones_skipped() {
    decoded(
        PutItem,
        r#"{"TableName":"abc","Item":{"a":{"S":"b","N":null}},"Expected":null,"Other":{"S":[1,{}]}}"#,
    );
    decoded(ListTables, r#"{"Limit":null}"#);
    assert_eq!(
        invalid(PutItem, r#"{"TableName":"abc","Item":null}"#),
        one("Value null at 'item' failed to satisfy constraint: Member must not be null")
    );
}

fn one(complaint: &str) -> String {
    format!("1 validation error detected: {complaint}")
}

#[test]
fn all_constraints_are_told_at_once() {
    let message = invalid(
        PutItem,
        r#"{"TableName":"a;","ReturnConsumedCapacity":"total","ReturnValues":"x","Expected":{"a":{"ComparisonOperator":"b"}}}"#,
    );
    let rest = message.strip_prefix("6 validation errors detected: ").expect("their number");
    assert_eq!(
        rest.split("; ").collect::<Vec<_>>(),
        [
            "Value 'total' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]",
            "Value 'a;' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            "Value 'a;' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3",
            "Value null at 'item' failed to satisfy constraint: Member must not be null",
            "Value 'b' at 'expected.a.member.comparisonOperator' failed to satisfy constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]",
            "Value 'x' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]",
        ]
    );
}

#[test]
fn at_most_ten_complaints_are_told() {
    let indexes = [r#"{"IndexName":"h;"}"#; 10].join(",");
    let message =
        invalid(CreateTable, &format!(r#"{{"TableName":"abc","GlobalSecondaryIndexes":[{indexes}]}}"#));
    assert!(message.starts_with("10 validation errors detected: "), "{message}");
    assert!(message.contains("at 'globalSecondaryIndexes.1.member.indexName' failed"));
}

#[test]
fn values_are_shown_in_the_manner_of_java() {
    for (operation, json, complaint) in [
        (
            GetItem,
            r#"{"TableName":"abc","Key":{},"AttributesToGet":[]}"#,
            "Value '[]' at 'attributesToGet' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            ListTables,
            r#"{"Limit":101}"#,
            "Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100",
        ),
        (
            BatchGetItem,
            r#"{"RequestItems":{}}"#,
            "Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            BatchGetItem,
            r#"{"RequestItems":{"aa":{"Keys":[{}]}}}"#,
            "Value '{aa=KeysAndAttributes(keys=[{}])}' at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]",
        ),
        (
            BatchGetItem,
            r#"{"RequestItems":{"abc":{}}}"#,
            "Value null at 'requestItems.abc.member.keys' failed to satisfy constraint: Member must not be null",
        ),
        (
            BatchGetItem,
            r#"{"RequestItems":{"abc":{"Keys":[null]}}}"#,
            "Value null at 'requestItems.abc.member.keys.1.member' failed to satisfy constraint: Member must not be null",
        ),
        (
            BatchWriteItem,
            r#"{"RequestItems":{"abc":[]}}"#,
            "Value '{abc=[]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater than or equal to 1]",
        ),
        (
            BatchWriteItem,
            r#"{"RequestItems":{"abc":[{"PutRequest":{}}]}}"#,
            "Value null at 'requestItems.abc.member.1.member.putRequest.item' failed to satisfy constraint: Member must not be null",
        ),
        (
            TransactWriteItems,
            r#"{"TransactItems":[]}"#,
            "Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            ExecuteStatement,
            r#"{"Statement":""}"#,
            "Value '' at 'statement' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            Query,
            r#"{"TableName":"abc","KeyConditions":{"a":{}}}"#,
            "Value null at 'keyConditions.a.member.comparisonOperator' failed to satisfy constraint: Member must not be null",
        ),
        (
            Scan,
            r#"{"TableName":"abc","TotalSegments":1000001}"#,
            "Value '1000001' at 'totalSegments' failed to satisfy constraint: Member must have value less than or equal to 1000000",
        ),
    ] {
        assert_eq!(invalid(operation, json), one(complaint));
    }
    let long = format!(r#"{{"TransactItems":[{}]}}"#, vec!["{}"; 101].join(","));
    assert!(
        invalid(TransactWriteItems, &long).ends_with("Member must have length less than or equal to 100")
    );
}

#[test]
fn table_names_are_checked_first_where_tables_are_meant() {
    for (json, message) in [
        ("{}", "The parameter 'TableName' is required but was not present in the request".to_owned()),
        (
            r#"{"TableName":""}"#,
            "TableName must be at least 3 characters long and at most 255 characters long".to_owned(),
        ),
        (
            r#"{"TableName":"ab"}"#,
            "TableName must be at least 3 characters long and at most 255 characters long".to_owned(),
        ),
        (
            r#"{"TableName":"abc;"}"#,
            one(
                "Value 'abc;' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            ),
        ),
    ] {
        assert_eq!(invalid(DescribeTable, json), message);
    }
    let long = format!(r#"{{"TableName":"{}"}}"#, "a".repeat(256));
    assert!(invalid(DescribeTable, &long).starts_with("TableName must be at least 3"));
    assert!(invalid(CreateTable, r#"{"TableName":"ab","KeySchema":[]}"#).starts_with("TableName must be"));
}

#[test]
fn arns_of_tables_stand_for_their_names() {
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/abc";
    for operation in [DescribeTable, GetItem] {
        let request = decoded(operation, &format!(r#"{{"TableName":"{arn}","Key":{{}}}}"#));
        let text = format!("{request:?}");
        assert!(text.contains("name: \"abc\"") && text.contains(arn), "{text}");
    }
    let request = decoded(BatchGetItem, &format!(r#"{{"RequestItems":{{"{arn}":{{"Keys":[{{}}]}}}}}}"#));
    assert!(format!("{request:?}").contains("name: \"abc\""));
    for bad in [
        "arn:aws:dynamodb:us-east-1:0:table/a",
        "arn:aws:s3:us-east-1:0:table/abc",
        "arn:aws:dynamodb::0:table/abc",
    ] {
        assert!(
            invalid(GetItem, &format!(r#"{{"TableName":"{bad}","Key":{{}}}}"#))
                .contains("regular expression pattern")
        );
    }
}
