"""The HTTP surface: order of checks, content types, targets, sizes, health, CORS, checksums, request ids, compression.

SDKs depend on headers and status codes before they ever see an item, and proxies and load balancers on the rest.
"""

import gzip
import http.client
import json
import re
import urllib.parse
import zlib

import pytest

from endpoints import JSON_1_0
from marks import differs_often
from values import S, unique

pytestmark = differs_often("has a front end of its own")


def list_tables(send, **more):
    return send("ListTables", b"{}", **more)


# Answers


def test_an_answer_says_what_it_is(send):
    answer = list_tables(send)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == JSON_1_0
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert answer.headers["Date"]


def test_every_answer_has_its_own_request_id(send):
    ids = {list_tables(send).headers["x-amzn-RequestId"] for _ in range(5)}
    assert len(ids) == 5


def test_request_ids_look_like_those_of_aws(send):
    assert re.fullmatch(r"[A-Z0-9]{52}", list_tables(send).headers["x-amzn-RequestId"])


def test_answers_carry_their_checksum(send):
    answer = list_tables(send)
    assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(answer.body)


def test_errors_carry_their_checksum_and_id(send):
    answer = send("DescribeTable", {"TableName": unique("nowhere")})
    assert answer.status == 400
    assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(answer.body)
    assert answer.headers["x-amzn-RequestId"]
    assert answer.headers["Content-Type"] == JSON_1_0


def test_errors_name_their_type_in_full(send):
    answer = send("DescribeTable", {"TableName": unique("nowhere")})
    assert answer.json()["__type"] == "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"


def test_validation_errors_end_in_their_name(send):
    answer = send("PutItem", {"TableName": "ab", "Item": {}})
    assert answer.status == 400
    assert answer.json()["__type"].endswith("#ValidationException")


def test_errors_spell_message_small(send):
    assert "message" in send("DescribeTable", {"TableName": unique("nowhere")}).json()


# Methods, targets, content types


def test_get_is_a_health_check(send, endpoint):
    answer = send(None, b"", method="GET", sign=False)
    assert answer.status == 200
    assert re.fullmatch(rb"healthy: dynamodb\.[a-z0-9-]+\.amazonaws\.com ", answer.body)
    assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(answer.body)


UNKNOWN = b"<UnknownOperationException/>\n"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_unknown_operations(send, method):
    answer = send("ListTables", method=method)
    assert (answer.status, answer.body) == (404, UNKNOWN)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-amz-json-1.1",
        "application/x-amz-json-2.0",
        "application/xml",
        "",
        "application/x-www-form-urlencoded",
    ],
)
def test_other_content_types_are_unknown_operations(send, content_type):
    answer = list_tables(send, headers={"Content-Type": content_type})
    assert (answer.status, answer.body) == (404, UNKNOWN)
    assert answer.headers["x-amz-crc32"] == "3552371480"


def test_a_missing_content_type_is_an_unknown_operation(send):
    answer = list_tables(send, headers={"Content-Type": None})
    assert (answer.status, answer.body) == (404, UNKNOWN)


@pytest.mark.parametrize("content_type", [JSON_1_0, "application/json"])
def test_json_content_types_are_accepted(send, content_type):
    answer = list_tables(send, headers={"Content-Type": content_type})
    assert answer.status == 200


def test_plain_json_is_answered_with_plain_json(send):
    answer = list_tables(send, headers={"Content-Type": "application/json"})
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("target", ["NoSuchOperation", "listtables", "ListTables2", ""])
def test_unknown_targets_are_named_so(send, target):
    answer = send(target)
    assert answer.status == 400
    assert answer.json()["__type"] == "com.amazon.coral.service#UnknownOperationException"


@pytest.mark.parametrize("prefix", ["DynamoDB_20111205", "DynamoDB", "dynamodb_20120810", "Kinesis_20131202"])
def test_unknown_services_are_unknown_operations(send, prefix):
    answer = send("ListTables", prefix=prefix)
    assert answer.status == 400
    assert answer.code == "UnknownOperationException"


def test_a_missing_target_is_an_unknown_operation(send):
    answer = send(None)
    assert (answer.status, answer.code) == (400, "UnknownOperationException")


@pytest.mark.parametrize("operation", ["CreateBackupp", "ExecuteQuery"])
def test_operations_that_no_model_has_are_unknown(send, operation):
    assert send(operation).code == "UnknownOperationException"


# Bodies


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b'{"TableName":}', b"\xff\xfe", b"{'a':1}", b"{}{}"], ids=repr
)
def test_what_is_no_json_does_not_deserialize(send, body):
    answer = send("ListTables", body)
    assert answer.status == 400
    assert answer.json()["__type"] == "com.amazon.coral.service#SerializationException"
    assert answer.message is None


@pytest.mark.parametrize("body", [b"[]", b"7", b'"text"', b"true"], ids=repr)
def test_a_body_is_an_object(send, body):
    answer = send("ListTables", body)
    assert (answer.status, answer.code) == (400, "SerializationException")


def test_bad_json_comes_before_a_bad_target(send):
    assert send("NoSuchOperation", b"{").code == "SerializationException"


TYPES = [
    ("ListTables", {"Limit": "ten"}, "STRING_VALUE cannot be converted to Integer"),
    ("ListTables", {"Limit": {}}, "Start of structure or map found where not expected"),
    ("ListTables", {"ExclusiveStartTableName": 7}, "NUMBER_VALUE cannot be converted to String"),
    ("ListTables", {"ExclusiveStartTableName": 7.5}, "DECIMAL_VALUE cannot be converted to String"),
    ("ListTables", {"ExclusiveStartTableName": True}, "TRUE_VALUE cannot be converted to String"),
    ("ListTables", {"ExclusiveStartTableName": False}, "FALSE_VALUE cannot be converted to String"),
    ("ListTables", {"Limit": True}, "TRUE_VALUE cannot be converted to Integer"),
    ("ListTables", {"ExclusiveStartTableName": {}}, "Start of structure or map found where not expected"),
    ("PutItem", {"TableName": "abc", "Item": {"a": {"S": 7}}}, "NUMBER_VALUE cannot be converted to String"),
    ("PutItem", {"TableName": "abc", "Item": {"a": {"N": 7}}}, "NUMBER_VALUE cannot be converted to String"),
    ("PutItem", {"TableName": "abc", "Item": {"a": {"SS": [True]}}}, "TRUE_VALUE cannot be converted to String"),
]


@pytest.mark.parametrize("operation, body, message", TYPES, ids=[str(t[1]) for t in TYPES])
def test_members_of_the_wrong_type_are_named(send, operation, body, message):
    answer = send(operation, body)
    assert answer.status == 400
    assert answer.json()["__type"] == "com.amazon.coral.service#SerializationException"
    assert answer.json()["Message"] == message


@pytest.mark.parametrize(
    "operation, body",
    [
        ("PutItem", {"TableName": "abc", "Item": "x"}),
        ("PutItem", {"TableName": "abc", "Item": []}),
        ("PutItem", {"TableName": "abc", "Item": {"a": "x"}}),
        ("PutItem", {"TableName": "abc", "Item": {"a": {"L": {}}}}),
        ("PutItem", {"TableName": "abc", "Item": {"a": {"B": 7}}}),
        ("PutItem", {"TableName": ["abc"], "Item": {}}),
        ("BatchGetItem", {"RequestItems": []}),
        ("BatchGetItem", {"RequestItems": {"abc": []}}),
        ("BatchWriteItem", {"RequestItems": {"abc": {}}}),
        ("CreateTable", {"TableName": "abc", "KeySchema": {}}),
        ("CreateTable", {"TableName": "abc", "AttributeDefinitions": "x"}),
        ("CreateTable", {"TableName": "abc", "ProvisionedThroughput": []}),
        ("UpdateItem", {"TableName": "abc", "Key": 7}),
        ("TransactWriteItems", {"TransactItems": {}}),
    ],
    ids=str,
)
def test_structures_of_the_wrong_type_do_not_deserialize(send, operation, body):
    answer = send(operation, body)
    assert (answer.status, answer.code) == (400, "SerializationException")


@pytest.mark.parametrize("text", ["true", "1", "yes"])
def test_booleans_may_be_spelled_as_strings(call, table, text):
    assert call("GetItem", {"TableName": table, "Key": {"p": S("x")}, "ConsistentRead": text}) == {}


def test_null_members_are_absent(call, table):
    request = {"TableName": table, "Key": {"p": S("x")}, "ConsistentRead": None, "ProjectionExpression": None}
    assert call("GetItem", request) == {}


def test_unknown_members_are_ignored(call, table):
    assert call("GetItem", {"TableName": table, "Key": {"p": S("x")}, "NoSuchMember": {"a": 1}}) == {}


def test_a_type_error_comes_before_a_constraint(send):
    answer = send("PutItem", {"TableName": "a", "Item": {"a": {"S": 7}}, "ReturnValues": "BAD"})
    assert answer.code == "SerializationException"


# Sizes


@pytest.mark.not_on_aws("sends 16 MB")
def test_more_than_16_mb_is_too_large(send):
    answer = send("PutItem", b'{"TableName":"' + b"x" * (16 * 1024 * 1024) + b'"}', sign=True)
    assert answer.status == 413


@pytest.mark.not_on_aws("sends 17 MB")
def test_a_chunked_body_is_measured_too(endpoint):
    parts = urllib.parse.urlsplit(endpoint.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    headers = endpoint.signed(
        "POST", "/", b"{}", {"Content-Type": JSON_1_0, "X-Amz-Target": "DynamoDB_20120810.ListTables"}, "us-east-1"
    )
    headers.pop("Content-Length", None)
    connection.request("POST", "/", body=iter([b" " * 1_048_576] * 17), headers=headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_connection_is_kept_alive(endpoint):
    parts = urllib.parse.urlsplit(endpoint.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=30)
    headers = endpoint.signed(
        "POST", "/", b"{}", {"Content-Type": JSON_1_0, "X-Amz-Target": "DynamoDB_20120810.ListTables"}, "us-east-1"
    )
    for _ in range(3):
        connection.request("POST", "/", body=b"{}", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
        assert connection.sock is not None
    connection.close()


@pytest.mark.not_on_aws("huge headers")
def test_headers_beyond_16_kb_are_refused(send):
    answer = list_tables(send, headers={"X-Filler": "x" * 20_000})
    assert answer.status in (400, 431)


# Browsers


def test_a_preflight_is_answered(send):
    asked = {
        "Origin": "https://example.org",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-amz-target,authorization",
        "Content-Type": None,
    }
    answer = send(None, b"", method="OPTIONS", headers=asked, sign=False)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Max-Age"] == "172800"
    assert answer.headers["Access-Control-Allow-Headers"] == "x-amz-target,authorization"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]


def test_an_origin_is_welcome(send):
    answer = list_tables(send, headers={"Origin": "https://example.org"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_without_an_origin_there_is_no_cors(send):
    assert list_tables(send).headers["Access-Control-Allow-Origin"] is None


# Signatures by shape only


def test_an_unsigned_request_is_refused(send):
    answer = list_tables(send, sign=False)
    assert (answer.status, answer.code) == (400, "MissingAuthenticationTokenException")
    assert answer.message == "Request is missing Authentication Token"
    assert answer.json()["__type"].startswith("com.amazon.coral.service#")


def test_a_missing_signature_is_told_before_a_missing_body(send):
    """A body that is no JSON comes first, one that is not there does not."""
    assert send("ListTables", b"", sign=False).code == "MissingAuthenticationTokenException"
    assert send("ListTables", b"{", sign=False).code == "SerializationException"
    assert send("ListTables", b"").code == "SerializationException"


@pytest.mark.parametrize("value", ["Basic abc", "Bearer x", "nonsense"])
def test_other_schemes_are_refused(send, value):
    answer = list_tables(send, sign=False, headers={"Authorization": value})
    assert answer.code == "MissingAuthenticationTokenException"


def test_an_incomplete_header_is_refused(send):
    answer = list_tables(send, sign=False, headers={"Authorization": "AWS4-HMAC-SHA256 Nothing=here"})
    assert answer.code == "IncompleteSignatureException"
    for part in ("'Credential'", "'Signature'", "'SignedHeaders'"):
        assert f"Authorization header requires {part} parameter." in answer.message


# Compression


def packed(send, body, encoding, pack):
    return send("ListTables", pack(body), headers={"Content-Encoding": encoding})


@pytest.mark.parametrize("encoding, pack", [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_requests_may_be_compressed(send, encoding, pack):
    answer = packed(send, b'{"Limit": 1}', encoding, pack)
    assert answer.status == 200
    assert len(answer.json()["TableNames"]) <= 1


def test_gzip_may_have_several_members(send):
    answer = packed(send, b"{}", "gzip", lambda body: gzip.compress(body[:1]) + gzip.compress(body[1:]))
    assert answer.status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_corrupt_packed_body_is_refused(send, encoding):
    answer = send("ListTables", b"no such thing", headers={"Content-Encoding": encoding})
    assert answer.status >= 400


def test_an_unknown_encoding_is_refused(send):
    answer = send("ListTables", b'{"Limit":1', headers={"Content-Encoding": "br"})
    assert answer.status >= 400


@pytest.mark.not_on_aws("a compression bomb")
def test_a_small_body_that_unpacks_beyond_16_mb_is_refused(send):
    bomb = gzip.compress(b'{"TableName":"' + b"x" * (20 * 1024 * 1024) + b'"}')
    answer = send("DescribeTable", bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status in (400, 413, 500)


@pytest.fixture(scope="module")
def large(client, table):
    key = {"p": S(unique())}
    client.put_item(TableName=table, Item={**key, "v": S("x" * 20_000)})
    return {"TableName": table, "Key": key}


@pytest.mark.parametrize("encoding, unpack", [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_large_answers_are_compressed_on_request(send, large, encoding, unpack):
    answer = send("GetItem", large, headers={"Accept-Encoding": encoding})
    assert answer.headers["Content-Encoding"] == encoding
    assert json.loads(unpack(answer.body))["Item"]["v"] == S("x" * 20_000)
    assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(answer.body)


def test_small_answers_are_never_compressed(send, table):
    answer = send("GetItem", {"TableName": table, "Key": {"p": S("x")}}, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] is None
    assert answer.json() == {}


def test_nothing_is_compressed_unasked(send, large):
    answer = send("GetItem", large)
    assert answer.headers["Content-Encoding"] is None
    assert len(answer.body) > 20_000


def test_endpoints_are_described(call):
    endpoints = call("DescribeEndpoints", {})["Endpoints"]
    assert endpoints[0]["Address"] and endpoints[0]["CachePeriodInMinutes"] > 0
