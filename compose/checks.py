#!/usr/bin/env python3
"""What compose/check asks the regions: plain HTTP with signatures, nothing beside Python's own library.

    create | load COUNT [REGION…] | equal | unequal | trace | queries

The writes that were acknowledged are kept in a file beside the system's temporary files, so that every step checks those of
the steps before it, too."""

import concurrent.futures
import datetime
import glob
import hashlib
import hmac
import json
import os
import pathlib
import random
import secrets
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

PORTS = {"us-east-1": 8101, "eu-west-1": 8102, "ap-southeast-1": 8103}
TABLE = "check"
KEPT = pathlib.Path(tempfile.gettempdir()) / "tradewind-check.json"
HERE = pathlib.Path(__file__).parent


class Refused(Exception):
    pass


def sign(region, body, headers):
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {**headers, "host": f"localhost:{PORTS[region]}", "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    canonical = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    digest = hashlib.sha256(body).hexdigest()
    request = f"POST\n/\n\n{canonical}\n{names}\n{digest}"
    scope = f"{day}/{region}/dynamodb/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in (*scope.split("/"),):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    identity = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={identity}, SignedHeaders={names}, Signature={signature}"
    return headers


def call(region, operation, body, more=None):
    body = json.dumps(body).encode()
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"DynamoDB_20120810.{operation}"}
    headers = sign(region, body, headers) | (more or {})
    request = urllib.request.Request(f"http://localhost:{PORTS[region]}/", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refused(f"{operation} in {region}: {error.code} {error.read()[:300]}") from error


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def eventually(probe, within, saying):
    end, last = time.monotonic() + within, None
    while time.monotonic() < end:
        try:
            found = probe()
            if found:
                return found
        except (OSError, Refused) as error:
            last = error
        time.sleep(0.5)
    sys.exit(f"not within {within} s: {saying}; last: {last}")


def create():
    KEPT.unlink(missing_ok=True)
    first, *others = PORTS
    call(
        first,
        "CreateTable",
        {
            "TableName": TABLE,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        },
    )
    for region in others:
        replica = {"TableName": TABLE, "ReplicaUpdates": [{"Create": {"RegionName": region}}]}
        eventually(lambda: call(first, "UpdateTable", replica), 60, f"{region} can be added")
        described = {"TableName": TABLE}
        eventually(
            lambda: call(region, "DescribeTable", described)["Table"]["TableStatus"] == "ACTIVE",
            120,
            f"the replica in {region} is active",
        )


def write(region, key):
    """Tries until it is acknowledged, as a client would; each attempt writes the same."""
    value = secrets.token_hex(8)
    item = {"TableName": TABLE, "Item": {"id": {"S": key}, "value": {"S": value}, "by": {"S": region}}}
    end = time.monotonic() + 60
    while True:
        try:
            call(region, "PutItem", item)
            return key, value
        except (OSError, Refused):
            if time.monotonic() > end:
                raise
            time.sleep(random.uniform(0.05, 0.3))


def load(count, regions):
    """Every key is written by one region, so that the last acknowledged value is what all must have."""
    keys = [(region, f"{region}-{number}") for region in regions for number in range(count)]
    random.shuffle(keys)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        written = dict(pool.map(lambda one: write(*one), keys))
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    KEPT.write_text(json.dumps(kept | written))
    print(f"{len(written)} writes acknowledged in {', '.join(regions)}")


def items(region):
    found, start = {}, None
    while True:
        page = {"TableName": TABLE, "ConsistentRead": True} | ({"ExclusiveStartKey": start} if start else {})
        answer = call(region, "Scan", page)
        found |= {item["id"]["S"]: item["value"]["S"] for item in answer["Items"]}
        start = answer.get("LastEvaluatedKey")
        if not start:
            return found


def is_equal():
    kept = json.loads(KEPT.read_text())
    return all(items(region) == kept for region in PORTS)


def equal():
    eventually(is_equal, 120, "every region has every acknowledged write, and nothing else")
    print(f"all regions have the same {len(json.loads(KEPT.read_text()))} items")


def unequal():
    if is_equal():
        sys.exit("the regions are equal although one is cut off: nothing was tested")


def trace():
    trace_id = secrets.token_hex(16)
    traceparent = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    key, value = "us-east-1-traced", secrets.token_hex(8)
    item = {"TableName": TABLE, "Item": {"id": {"S": key}, "value": {"S": value}, "by": {"S": "us-east-1"}}}
    call("us-east-1", "PutItem", item, traceparent)
    kept = json.loads(KEPT.read_text())
    KEPT.write_text(json.dumps(kept | {key: value}))
    wanted = {"PutItem", "commit", f"publish {TABLE}", f"send {TABLE}", f"apply {TABLE}"}

    def spans():
        found = get(f"http://localhost:16686/api/traces/{trace_id}")["data"]
        spans = found[0]["spans"] if found else []
        regions = {tag["value"] for span in spans for tag in span["tags"] if tag["key"] == "cloud.region"}
        names = [span["operationName"] for span in spans]
        return wanted <= set(names) and set(PORTS) <= regions and names

    names = eventually(spans, 60, f"the trace {trace_id} shows {sorted(wanted)} in all regions")
    print(f"trace {trace_id}: {', '.join(sorted(names))}")


def expressions():
    for board in sorted(glob.glob(str(HERE / "observability/grafana/dashboards/*.json"))):
        for panel in json.loads(pathlib.Path(board).read_text())["panels"]:
            for target in panel["targets"]:
                yield panel["title"], target["expr"].replace("$region", ".*")
    for line in (HERE / "observability/alerts.yml").read_text().splitlines():
        if line.strip().startswith("expr: "):
            yield "alert", line.strip().removeprefix("expr: ")


def ask(expression):
    query = urllib.parse.urlencode({"query": expression})
    answer = get(f"http://localhost:9090/api/v1/query?{query}")
    if answer["status"] != "success":
        sys.exit(f"Prometheus refuses {expression}: {answer}")
    return answer["data"]["result"]


def queries():
    """Alerts answer nothing while all is well; a dashboard's queries answer something, but for those of what did not happen."""
    answered, silent = 0, []
    for title, expression in expressions():
        if ask(expression):
            answered += 1
        elif title != "alert":
            silent.append(f"{title}: {expression}")
    print(f"{answered} queries answered")
    if silent:
        print("without data, as nothing of it happened:", *silent, sep="\n  ")
    rules = get("http://localhost:9090/api/v1/rules")["data"]["groups"]
    broken = [rule["name"] for group in rules for rule in group["rules"] if rule["health"] == "err"]
    if broken or not rules:
        sys.exit(f"alerts that cannot be evaluated: {broken}")


def main():
    what, *rest = sys.argv[1:]
    if what == "load":
        load(int(rest[0]), rest[1:] or list(PORTS))
    else:
        {"create": create, "equal": equal, "unequal": unequal, "trace": trace, "queries": queries}[what]()


if __name__ == "__main__":
    main()
