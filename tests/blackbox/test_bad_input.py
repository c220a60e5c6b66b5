"""Input of any shape gets a 4xx within a second: nothing hangs, nothing dies, nothing is half written.

Each of these has killed or hung a shipped server of this kind: 4,096 nested parentheses, deep documents, huge exponents,
a number of a million digits, null where an object belongs, a 16 MB body of brackets.
"""

import json
import socket
import time
import urllib.parse

import pytest

from marks import hangs
from values import M, N, S

pytestmark = [pytest.mark.not_on_aws("abuse"), hangs("answers 500, hangs or dies")]


@pytest.fixture
def refused(send, table):
    """Sends a body and checks: a 4xx with an error of DynamoDB's, within seconds, and the server lives on."""

    def run(operation, body):
        began = time.monotonic()
        answer = send(operation, body)
        took = time.monotonic() - began
        assert 400 <= answer.status < 500, f"{answer.status}: {answer.body[:300]}"
        if answer.status == 400:
            assert answer.code in (
                "ValidationException",
                "SerializationException",
                "ResourceNotFoundException",
                "TransactionCanceledException",
            )
        assert took < 5, f"took {took:.1f} s"
        assert send("GetItem", {"TableName": table, "Key": {"p": S("x")}}).status == 200
        return answer

    return run


def put(table, pk, value):
    return f'{{"TableName": "{table}", "Item": {{"p": {{"S": "{pk}"}}, "v": {value}}}}}'.encode()


@pytest.mark.parametrize("count", [100, 2000])
@pytest.mark.parametrize("shape", ["(a = :v)", "size(a) = :v", "a = :v"])
def test_nested_parentheses(refused, table, pk, count, shape):
    condition = "(" * count + shape + ")" * count
    refused(
        "PutItem",
        {
            "TableName": table,
            "Item": {"p": S(pk)},
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {":v": N(1)},
        },
    )


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 4096,
        ")" * 4096,
        "a" * 4096 + "b",
        "a." * 2000 + "a = :v",
        "a" + "[0]" * 1300 + " = :v",
        "a[" * 2000,
        "NOT " * 1000,
        ":" * 4000,
        "#" * 4000,
    ],
)
def test_condition_expressions_of_noise(refused, table, pk, condition):
    refused(
        "PutItem",
        {
            "TableName": table,
            "Item": {"p": S(pk)},
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {":v": N(1)},
        },
    )


@pytest.mark.parametrize(
    "expression",
    [
        "SET " + "(" * 4000,
        "SET a = " + "(" * 2000 + ":v" + ")" * 2000,
        "SET " * 1000,
        "REMOVE " + "a." * 2000,
        "REMOVE " + "a[" * 1500,
        "ADD " * 1000,
        "SET a = " + "list_append(" * 300,
        "SET a = " + "if_not_exists(b, " * 200,
    ],
)
def test_update_expressions_of_noise(refused, table, pk, expression):
    refused(
        "UpdateItem",
        {
            "TableName": table,
            "Key": {"p": S(pk)},
            "UpdateExpression": expression,
            "ExpressionAttributeValues": {":v": N(1)},
        },
    )


@pytest.mark.parametrize(
    "projection", ["a." * 2000 + "a", "a" + "[0]" * 1300, "," * 4000, "[" * 4000, "a[" + "9" * 3000 + "]"]
)
def test_projections_of_noise(refused, table, projection):
    refused("GetItem", {"TableName": table, "Key": {"p": S("x")}, "ProjectionExpression": projection})


@pytest.mark.parametrize(
    "statement",
    [
        "(" * 8000,
        "SELECT " * 1000,
        "SELECT * FROM t WHERE " + "(" * 8000,
        "SELECT * FROM t WHERE " + "NOT " * 1900 + "a = 1",
        "INSERT INTO t VALUE " + "{'a':" * 1500,
        "INSERT INTO t VALUE {'p': " + "[" * 8000,
        "'" * 8191,
        '"' * 8191,
        "SELECT * FROM t WHERE p IN [" + "1," * 3900,
    ],
)
def test_statements_of_noise(refused, statement):
    refused("ExecuteStatement", {"Statement": statement})


@pytest.mark.parametrize("depth", [50, 1000, 100_000])
@pytest.mark.parametrize("opening, closing", [('{"L":[', "]}"), ('{"M":{"a":', "}}")], ids=["lists", "maps"])
def test_deep_documents(refused, table, pk, depth, opening, closing):
    refused("PutItem", put(table, pk, opening * depth + '{"S":"x"}' + closing * depth))


@pytest.mark.parametrize(
    "text",
    [
        "1.0e100000000",
        "1e-100000000",
        "1e99999999999999999999",
        "-1e2147483648",
        "0e999999999",
        "9" * 1_000_000,
        "0." + "0" * 1_000_000 + "1",
        "1" + "0" * 1_000_000,
        "1e" + "9" * 100_000,
        "." * 1000,
        "-" * 1000,
    ],
    ids=lambda t: f"{t[:16]}…{len(t)}",
)
def test_monstrous_numbers(refused, table, pk, text):
    refused("PutItem", {"TableName": table, "Item": {"p": S(pk), "v": N(text)}})


@pytest.mark.parametrize("text", ["1.0e100000000", "9" * 100_000])
def test_monstrous_numbers_in_arithmetic(refused, client, table, pk, text):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N(1)})
    refused(
        "UpdateItem",
        {
            "TableName": table,
            "Key": {"p": S(pk)},
            "UpdateExpression": "ADD n :v",
            "ExpressionAttributeValues": {":v": N(text)},
        },
    )


@pytest.mark.parametrize("size", [1_000, 1_000_000, 16 * 1024 * 1024 - 1])
@pytest.mark.parametrize("bracket", ["[", "{", '{"a":', "[[]", '"'])
def test_bodies_of_brackets(refused, size, bracket):
    refused("PutItem", (bracket * (size // len(bracket))).encode())


def test_a_full_body_of_brackets_that_close(refused):
    half = 8 * 1024 * 1024 - 100
    refused("PutItem", b'{"Item":' + b"[" * half + b"]" * half + b"}")


NULLS = [
    ("PutItem", {"TableName": "T", "Item": None}),
    ("PutItem", {"TableName": "T", "Item": {"p": None}}),
    ("PutItem", {"TableName": "T", "Item": {"p": {"S": None}}}),
    ("PutItem", {"TableName": "T", "Item": {"p": {"S": "x"}, "v": {"L": [None]}}}),
    ("PutItem", {"TableName": "T", "Item": {"p": {"S": "x"}, "v": {"M": {"a": None}}}}),
    ("PutItem", {"TableName": "T", "Item": {"p": {"S": "x"}, "v": {"SS": [None]}}}),
    ("PutItem", {"TableName": None}),
    ("GetItem", {"TableName": "T", "Key": None}),
    ("GetItem", {"TableName": "T", "Key": {"p": None}}),
    (
        "UpdateItem",
        {
            "TableName": "T",
            "Key": {"p": {"S": "x"}},
            "UpdateExpression": "SET a = :a",
            "ExpressionAttributeValues": {":a": None},
        },
    ),
    (
        "UpdateItem",
        {
            "TableName": "T",
            "Key": {"p": {"S": "x"}},
            "UpdateExpression": "SET #a = :a",
            "ExpressionAttributeNames": {"#a": None},
        },
    ),
    ("UpdateItem", {"TableName": "T", "Key": {"p": {"S": "x"}}, "AttributeUpdates": {"a": None}}),
    ("PutItem", {"TableName": "T", "Item": {"p": {"S": "x"}}, "Expected": {"a": None}}),
    ("Query", {"TableName": "T", "KeyConditions": {"p": None}}),
    ("Query", {"TableName": "T", "KeyConditions": {"p": {"ComparisonOperator": "EQ", "AttributeValueList": [None]}}}),
    ("BatchGetItem", {"RequestItems": {"T": None}}),
    ("BatchGetItem", {"RequestItems": {"T": {"Keys": [None]}}}),
    ("BatchWriteItem", {"RequestItems": {"T": None}}),
    ("BatchWriteItem", {"RequestItems": {"T": [None]}}),
    ("BatchWriteItem", {"RequestItems": {"T": [{"PutRequest": None}]}}),
    ("BatchWriteItem", {"RequestItems": {"T": [{"PutRequest": {"Item": None}}]}}),
    ("TransactWriteItems", {"TransactItems": [None]}),
    ("TransactWriteItems", {"TransactItems": [{"Put": None}]}),
    ("TransactGetItems", {"TransactItems": [None]}),
    ("TransactGetItems", {"TransactItems": [{"Get": None}]}),
    ("CreateTable", {"TableName": "new", "KeySchema": [None], "AttributeDefinitions": [None]}),
    ("CreateTable", {"TableName": "new", "KeySchema": None, "AttributeDefinitions": None}),
    ("UpdateTable", {"TableName": "T", "GlobalSecondaryIndexUpdates": [None]}),
    ("UpdateTable", {"TableName": "T", "ReplicaUpdates": [None]}),
    ("UpdateTimeToLive", {"TableName": "T", "TimeToLiveSpecification": None}),
    ("TagResource", {"ResourceArn": None, "Tags": [None]}),
    ("ExecuteStatement", {"Statement": None}),
    ("BatchExecuteStatement", {"Statements": [None]}),
    ("ExecuteTransaction", {"TransactStatements": [None]}),
]


@pytest.mark.parametrize("operation, body", NULLS, ids=[f"{op} {body}"[:90] for op, body in NULLS])
def test_null_where_something_belongs(refused, table, operation, body):
    refused(operation, json.loads(json.dumps(body).replace('"T"', f'"{table}"')))


@pytest.mark.parametrize("kind", ["DescribeStream", "GetShardIterator", "GetRecords"])
@pytest.mark.parametrize(
    "body", [{}, {"StreamArn": None}, {"StreamArn": 7}, {"StreamArn": "x" * 5000}, {"ShardIterator": "\x00"}], ids=str
)
def test_streams_refuse_noise(send, kind, body):
    answer = send(kind, body, prefix="DynamoDBStreams_20120810")
    assert answer.status == 400


@pytest.mark.parametrize(
    "raw",
    [
        b'{"TableName":"\xff\xfe"}',
        b'{"TableName":"\\ud800"}',
        b'{"TableName":"a\\u0000b"}',
        b"\x00",
        b"\xef\xbb\xbf{}",
        b'{"a":1,}',
        b'{"a":01}',
        b'{"TableName":"x","TableName":' + b"7}",
    ],
)
def test_bytes_that_are_no_json_or_no_text(refused, raw):
    refused("DescribeTable", raw)


@pytest.mark.parametrize("text", ["\\ud800", "\\udfff\\ud800"])
def test_lone_surrogates_are_refused_or_stored_but_never_a_500(send, table, pk, text):
    assert send("PutItem", put(table, pk, f'{{"S":"{text}"}}')).status in (200, 400)


@pytest.mark.parametrize(
    "text",
    [
        "\x00",
        "a\x00b",
        "\x01\x02\x1f",
        "\u2028\u2029",
        "\ufeff",
        "\uffff",
        "🦀" * 200,
        "\\",
        '"',
        "</script>",
        "'; DROP TABLE items; --",
        "%s%n",
        "../../etc",
    ],
    ids=ascii,
)
def test_strange_text_is_only_text(client, ranged, pk, text):
    item = {"p": S(pk + text), "c": S(text + "c"), text + "name": S(text), "m": M(**{text + "k": S(text)})}
    client.put_item(TableName=ranged, Item=item)
    key = {"p": item["p"], "c": item["c"]}
    assert client.get_item(TableName=ranged, Key=key, ConsistentRead=True)["Item"] == item
    client.delete_item(TableName=ranged, Key=key)


@pytest.mark.parametrize("value", [1e308, -1, 2**63, 2**64, 1.5, "1e3"], ids=str)
def test_limits_of_any_number(send, table, value):
    answer = send("Scan", {"TableName": table, "Limit": value})
    assert answer.status in (200, 400)


def test_many_placeholders(refused, table, pk):
    names = {f"#n{at}": "a" for at in range(20_000)}
    refused(
        "PutItem",
        {
            "TableName": table,
            "Item": {"p": S(pk)},
            "ConditionExpression": "attribute_exists(#n0)",
            "ExpressionAttributeNames": names,
        },
    )


def test_many_attributes_beyond_the_size(refused, table, pk):
    item = {"p": S(pk), **{f"attribute{at}": S("") for at in range(60_000)}}
    refused("PutItem", {"TableName": table, "Item": item})


def test_a_wide_item_within_the_size_is_stored(client, table, pk):
    item = {"p": S(pk), **{f"a{at}": N(at) for at in range(20_000)}}
    client.put_item(TableName=table, Item=item)
    assert len(client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)["Item"]) == 20_001


@pytest.mark.tradewind_only("AWS waits as long, and closes the connection without an answer")
def test_a_body_that_never_comes_does_not_hold_its_connection(endpoint):
    """After twenty seconds of silence in the middle of a body the connection ends."""
    parts = urllib.parse.urlsplit(endpoint.url)
    head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 100\r\n\r\n{"
    with socket.create_connection((parts.hostname, parts.port), timeout=40) as connection:
        connection.sendall(head.encode())
        began = time.monotonic()
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
        waited = time.monotonic() - began
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 15 < waited < 35
