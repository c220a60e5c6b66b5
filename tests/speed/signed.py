"""The requests of the comparison: bodies by operation, signed as AWS's SDKs sign them, as files that wrk sends."""

import datetime
import functools
import hashlib
import hmac
import json
import time

ACCESS_KEY, SECRET = "SPEED", "speed-of-this-machine"
REGION = "us-east-1"
KEYS = 20_000
# Items of a partition of the table that is queried.
PAGE = 10
FILLER = "x" * 240
SIGNED_HEADERS = "content-type;host;x-amz-date;x-amz-target"

TARGETS = {
    "put": "PutItem",
    "get": "GetItem",
    "update": "UpdateItem",
    "query": "Query",
    "conditional put": "PutItem",
}


def key(number):
    return {"id": {"S": f"item-{number:016d}"}}


def item(number, value):
    return {**key(number), "count": {"N": str(value)}, "group": {"S": f"group-{number % 1000:06d}"}, "body": {"S": FILLER}}


def page_item(number, value):
    return {
        "id": {"S": f"page-{number // PAGE:012d}"},
        "place": {"N": str(number % PAGE)},
        "count": {"N": str(value)},
        "body": {"S": FILLER},
    }


def bodies(operation):
    """Every put writes another value than is there: one that changes nothing commits nothing, and would measure that."""
    value = time.time_ns()
    if operation == "put":
        return [{"TableName": "plain", "Item": item(number, value + turn)} for turn in (0, 1) for number in range(KEYS)]
    if operation == "get":
        return [{"TableName": "plain", "Key": key(number)} for number in range(KEYS)]
    if operation == "update":
        change = {
            "UpdateExpression": "SET #c = #c + :one",
            "ExpressionAttributeNames": {"#c": "count"},
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        return [{"TableName": "plain", "Key": key(number), **change} for number in range(KEYS)]
    if operation == "query":
        asked = {"KeyConditionExpression": "id = :p", "Limit": PAGE}
        return [
            {"TableName": "pages", **asked, "ExpressionAttributeValues": {":p": {"S": f"page-{number:012d}"}}}
            for number in range(KEYS // PAGE)
        ]
    condition = {
        "ConditionExpression": "attribute_exists(id) AND #c <> :c",
        "ExpressionAttributeNames": {"#c": "count"},
    }
    return [
        {
            "TableName": "full",
            "Item": item(number, value + turn),
            **condition,
            "ExpressionAttributeValues": {":c": {"N": str(value + turn)}},
        }
        for turn in (0, 1)
        for number in range(KEYS)
    ]


def write(path, operation, host):
    """The file that requests.lua reads."""
    with open(path, "wb") as out:
        for body in bodies(operation):
            request = signed(TARGETS[operation], json.dumps(body, separators=(",", ":")).encode(), host)
            out.write(b"%08d" % len(request) + request)


def signed(operation, body, host):
    headers = head(operation, body, host)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST / HTTP/1.1", *lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def head(operation, body, host):
    now = datetime.datetime.now(datetime.timezone.utc)
    date, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    target = f"DynamoDB_20120810.{operation}"
    canonical = "\n".join(
        [
            "POST",
            "/",
            "",
            "content-type:application/x-amz-json-1.0",
            f"host:{host}",
            f"x-amz-date:{date}",
            f"x-amz-target:{target}",
            "",
            SIGNED_HEADERS,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{day}/{REGION}/dynamodb/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, digest])
    signature = hmac.new(signing_key(day), text.encode(), hashlib.sha256).hexdigest()
    return {
        "Host": host,
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Date": date,
        "X-Amz-Target": target,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={SIGNED_HEADERS}, Signature={signature}",
    }


@functools.cache
def signing_key(day):
    key = ("AWS4" + SECRET).encode()
    for part in (day, REGION, "dynamodb", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
