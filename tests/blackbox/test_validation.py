"""The framework's constraint checks: "N validation errors detected", all of them, before anything else is looked at.

Their texts hold the member's path and the rejected value; frameworks above DynamoDB parse them.
"""

import re

import pytest

from marks import differs_often
from rejections import invalid, rejected
from schemas import keyed_by
from values import N, S, unique

pytestmark = differs_often("checks in another order and in other words")


def one(path, value, constraint):
    return f"1 validation error detected: Value {value} at '{path}' failed to satisfy constraint: {constraint}"


NOT_NULL = "Member must not be null"
KEY = {"p": {"S": "x"}}

SINGLE = [
    ("GetItem", {"TableName": "abc"}, one("key", "null", NOT_NULL)),
    ("PutItem", {"TableName": "abc"}, one("item", "null", NOT_NULL)),
    ("DeleteItem", {"TableName": "abc"}, one("key", "null", NOT_NULL)),
    ("UpdateItem", {"TableName": "abc"}, one("key", "null", NOT_NULL)),
    ("BatchGetItem", {}, one("requestItems", "null", NOT_NULL)),
    ("BatchWriteItem", {}, one("requestItems", "null", NOT_NULL)),
    ("TransactGetItems", {}, one("transactItems", "null", NOT_NULL)),
    ("TransactWriteItems", {}, one("transactItems", "null", NOT_NULL)),
    ("ExecuteStatement", {}, one("statement", "null", NOT_NULL)),
    ("BatchExecuteStatement", {}, one("statements", "null", NOT_NULL)),
    ("ExecuteTransaction", {}, one("transactStatements", "null", NOT_NULL)),
    ("UpdateTimeToLive", {"TableName": "abc"}, one("timeToLiveSpecification", "null", NOT_NULL)),
    (
        "PutItem",
        {"TableName": "abc", "Item": KEY, "ReturnValues": "SOME"},
        one("returnValues", "'SOME'", "Member must satisfy enum value set: ["),
    ),
    (
        "PutItem",
        {"TableName": "abc", "Item": KEY, "ReturnConsumedCapacity": "SOME"},
        one("returnConsumedCapacity", "'SOME'", "Member must satisfy enum value set: ["),
    ),
    (
        "PutItem",
        {"TableName": "abc", "Item": KEY, "ReturnItemCollectionMetrics": "SOME"},
        one("returnItemCollectionMetrics", "'SOME'", "Member must satisfy enum value set: ["),
    ),
    (
        "Query",
        {"TableName": "abc", "Limit": 0},
        one("limit", "'0'", "Member must have value greater than or equal to 1"),
    ),
    (
        "Scan",
        {"TableName": "abc", "Limit": -1},
        one("limit", "'-1'", "Member must have value greater than or equal to 1"),
    ),
    (
        "Scan",
        {"TableName": "abc", "Segment": -1, "TotalSegments": 1},
        one("segment", "'-1'", "Member must have value greater than or equal to 0"),
    ),
    (
        "Scan",
        {"TableName": "abc", "Segment": 0, "TotalSegments": 0},
        one("totalSegments", "'0'", "Member must have value greater than or equal to 1"),
    ),
    (
        "Scan",
        {"TableName": "abc", "Segment": 0, "TotalSegments": 1000001},
        one("totalSegments", "'1000001'", "Member must have value less than or equal to 1000000"),
    ),
    ("ListTables", {"Limit": 0}, one("limit", "'0'", "Member must have value greater than or equal to 1")),
    ("ListTables", {"Limit": 101}, one("limit", "'101'", "Member must have value less than or equal to 100")),
    (
        "TransactWriteItems",
        {"TransactItems": []},
        one("transactItems", "'[]'", "Member must have length greater than or equal to 1"),
    ),
    (
        "TransactGetItems",
        {"TransactItems": []},
        one("transactItems", "'[]'", "Member must have length greater than or equal to 1"),
    ),
    (
        "BatchGetItem",
        {"RequestItems": {}},
        one("requestItems", "'{}'", "Member must have length greater than or equal to 1"),
    ),
    (
        "BatchWriteItem",
        {"RequestItems": {}},
        one("requestItems", "'{}'", "Member must have length greater than or equal to 1"),
    ),
]


def paths(message):
    """The members that a rejection names."""
    return sorted(re.findall(r"at '([^']+)'", message))


@pytest.mark.parametrize("operation, body, message", SINGLE, ids=[f"{op} {body}" for op, body, _ in SINGLE])
def test_one_violation_is_reported_in_full(call, operation, body, message):
    with invalid(has=message):
        call(operation, body)


def test_violations_come_together(call):
    with invalid(has="2 validation errors detected: ") as seen:
        call("PutItem", {"TableName": "abc", "ReturnValues": "SOME"})
    assert paths(seen.message) == ["item", "returnValues"]
    assert "; " in seen.message


def test_four_violations_come_together(call):
    body = {"TableName": "abc", "Limit": 0, "Select": "x", "ReturnConsumedCapacity": "y", "Segment": -1}
    with invalid(has="4 validation errors detected: ") as seen:
        call("Scan", body)
    assert paths(seen.message) == ["limit", "returnConsumedCapacity", "segment", "select"]


def test_at_most_ten_violations_are_listed(call):
    definitions = [{"AttributeName": "a", "AttributeType": "WRONG"} for _ in range(12)]
    body = {
        "TableName": "abc",
        "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
        "AttributeDefinitions": definitions,
    }
    with invalid(has="validation errors detected: ") as seen:
        call("CreateTable", body)
    assert len(paths(seen.message)) == 10


@pytest.mark.parametrize(
    "body, path",
    [
        ({"KeySchema": [{"AttributeName": "a", "KeyType": "WRONG"}]}, "keySchema.1.member.keyType"),
        ({"KeySchema": [{"KeyType": "HASH"}]}, "keySchema.1.member.attributeName"),
        ({"KeySchema": [{"AttributeName": "a"}]}, "keySchema.1.member.keyType"),
        ({"KeySchema": [{"AttributeName": "", "KeyType": "HASH"}]}, "keySchema.1.member.attributeName"),
        ({"KeySchema": [{"AttributeName": "x" * 256, "KeyType": "HASH"}]}, "keySchema.1.member.attributeName"),
        (
            {"AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "X"}]},
            "attributeDefinitions.1.member.attributeType",
        ),
        ({"AttributeDefinitions": [{"AttributeName": "a"}]}, "attributeDefinitions.1.member.attributeType"),
        ({"ProvisionedThroughput": {"ReadCapacityUnits": 1}}, "provisionedThroughput.writeCapacityUnits"),
        (
            {"ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 1}},
            "provisionedThroughput.readCapacityUnits",
        ),
        ({"BillingMode": "FREE"}, "billingMode"),
        (
            {
                "GlobalSecondaryIndexes": [
                    {"IndexName": "ab", "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}], "Projection": {}}
                ]
            },
            "globalSecondaryIndexes.1.member.indexName",
        ),
        (
            {"GlobalSecondaryIndexes": [{"IndexName": "abc", "Projection": {}}]},
            "globalSecondaryIndexes.1.member.keySchema",
        ),
        (
            {
                "GlobalSecondaryIndexes": [
                    {"IndexName": "abc", "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}]}
                ]
            },
            "globalSecondaryIndexes.1.member.projection",
        ),
        ({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "X"}}, "streamSpecification.streamViewType"),
        ({"StreamSpecification": {"StreamViewType": "KEYS_ONLY"}}, "streamSpecification.streamEnabled"),
        ({"TableClass": "CHEAP"}, "tableClass"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_paths_lead_into_create_table(call, body, path):
    base = {
        "TableName": "abc",
        "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    with invalid(has=f"at '{path}' failed to satisfy constraint: Member must"):
        call("CreateTable", {**base, **body})


@pytest.mark.parametrize(
    "operation, body, path",
    [
        ("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "abc"}}]}, "transactItems.1.member.put.item"),
        (
            "TransactWriteItems",
            {"TransactItems": [{"Update": {"TableName": "abc", "Key": KEY}}]},
            "transactItems.1.member.update.updateExpression",
        ),
        (
            "TransactWriteItems",
            {"TransactItems": [{"ConditionCheck": {"TableName": "abc", "Key": KEY}}]},
            "transactItems.1.member.conditionCheck.conditionExpression",
        ),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "abc"}}]}, "transactItems.1.member.get.key"),
        ("TransactGetItems", {"TransactItems": [{}]}, "transactItems.1.member.get"),
        ("BatchGetItem", {"RequestItems": {"abc": {}}}, "requestItems.abc.member.keys"),
        ("BatchGetItem", {"RequestItems": {"abc": {"Keys": []}}}, "requestItems.abc.member.keys"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_paths_lead_into_lists_and_maps(call, operation, body, path):
    with invalid(has=f"at '{path}"):
        call(operation, body)


# Table names


@pytest.mark.parametrize("operation", ["DescribeTable", "DeleteTable", "CreateTable"])
def test_a_table_name_is_required_of_operations_on_tables(call, operation):
    with invalid(has="The parameter 'TableName' is required but was not present in the request"):
        call(operation, {"Key": KEY, "Item": KEY})


@pytest.mark.parametrize("operation", ["GetItem", "PutItem", "Query", "Scan"])
def test_a_table_name_is_required_of_operations_on_items(call, operation):
    with invalid():
        call(operation, {"Key": KEY, "Item": KEY})


@pytest.mark.parametrize("operation", ["GetItem", "DescribeTable", "DeleteTable", "Scan"])
@pytest.mark.parametrize("name", ["ab", "x" * 1025, "with space", "slash/name", "ünï"], ids=lambda n: n[:10])
def test_bad_table_names_come_before_their_absence(call, operation, name):
    with invalid():
        call(operation, {"TableName": name, "Key": KEY})


@pytest.mark.parametrize("operation", ["CreateTable"])
@pytest.mark.parametrize("name", ["ab", "x" * 256, "with space", "slash/name", "a", "ünïcode"], ids=lambda n: n[:10])
def test_bad_table_names_are_never_created(call, operation, name):
    with invalid():
        call(operation, {"TableName": name, **keyed_by("p:S")})


def test_a_constraint_comes_before_the_table(call):
    with invalid():
        call("GetItem", {"TableName": unique("nowhere"), "Key": KEY, "ReturnConsumedCapacity": "SOME"})


def test_a_bad_expression_comes_before_the_table(call):
    with invalid(has="Invalid ProjectionExpression"):
        call("GetItem", {"TableName": unique("nowhere"), "Key": KEY, "ProjectionExpression": "a,,"})


def test_the_table_comes_before_its_key(call):
    with rejected("ResourceNotFoundException"):
        call("GetItem", {"TableName": unique("nowhere"), "Key": {"any": S("x"), "many": S("y"), "keys": N("1")}})


def test_a_bad_value_comes_before_the_table(call):
    with invalid():
        call("PutItem", {"TableName": unique("nowhere"), "Item": {"a": {"N": "x"}}})
