#!/usr/bin/env python3
"""What the scripts beside this ask of what observes the regions: traces, and the queries of dashboards and alerts.

    trace | happen | queries

`happen` makes everything happen once that dashboards show, so that a query without data is one that is wrong."""

import base64
import glob
import io
import json
import pathlib
import secrets
import sys
import threading
import time
import urllib.parse
import zipfile

from ask import PORTS, Refused, call, call_lambda, eventually, get
from checks import TABLE, keep, put

HERE = pathlib.Path(__file__).parent
HOME = next(iter(PORTS))
# So that it may run again.
RUN = secrets.token_hex(3)
SMALL = f"check-small-{RUN}"
ROLE = "arn:aws:iam::000000000000:role/any"
# Fails for what is marked so; the one that is told of failures fails too when it is told of `worse`.
HANDLER = """
def handler(event, context):
    if '"bad"' in __import__("json").dumps(event):
        raise ValueError("asked to")
"""


def trace():
    trace_id = secrets.token_hex(16)
    traceparent = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    key, value = f"{HOME}-traced-{trace_id[:6]}", secrets.token_hex(8)
    put(HOME, key, value, traceparent)
    keep({key: value})
    wanted = {"PutItem", "commit", f"publish {TABLE}", f"send {TABLE}", f"apply {TABLE}"}

    def spans():
        found = get(f"http://localhost:16686/api/traces/{trace_id}")["data"]
        spans = found[0]["spans"] if found else []
        regions = {tag["value"] for span in spans for tag in span["tags"] if tag["key"] == "cloud.region"}
        names = [span["operationName"] for span in spans]
        return wanted <= set(names) and set(PORTS) <= regions and names

    names = eventually(spans, 60, f"the trace {trace_id} shows {sorted(wanted)} in all regions")
    print(f"trace {trace_id}: {', '.join(sorted(names))}")


def refused(kind, operation, body):
    """Whether the operation is refused in this way."""
    try:
        call(HOME, operation, body)
    except Refused as error:
        if error.kind != kind and kind not in str(error):
            raise
        return True
    return False


def small_table():
    call(
        HOME,
        "CreateTable",
        {
            "TableName": SMALL,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        },
    )
    described = {"TableName": SMALL}
    eventually(
        lambda: call(HOME, "DescribeTable", described)["Table"]["TableStatus"] == "ACTIVE", 60, "a small table"
    )
    expires = {"Enabled": True, "AttributeName": "until"}
    call(HOME, "UpdateTimeToLive", {"TableName": SMALL, "TimeToLiveSpecification": expires})


def requests_are_refused():
    item = {"id": {"S": "a"}}
    call(HOME, "PutItem", {"TableName": SMALL, "Item": item})
    unless = {"TableName": SMALL, "Item": item, "ConditionExpression": "attribute_not_exists(id)"}
    refused("ConditionalCheckFailedException", "PutItem", unless)
    refused("ValidationException", "PutItem", {"TableName": SMALL, "Item": {"other": {"S": "a"}}})
    large = {"TableName": SMALL, "Item": {"id": {"S": "large"}, "text": {"S": "x" * 390_000}}}
    eventually(
        lambda: refused("ProvisionedThroughputExceededException", "PutItem", large), 60, "a write is throttled"
    )
    expired = {"id": {"S": "old"}, "until": {"N": str(int(time.time()) - 60)}}
    eventually(lambda: call(HOME, "PutItem", {"TableName": SMALL, "Item": expired}) or True, 120, "an item to expire")


def transactions_meet():
    """Two that want the same items again and again, until one is in the other's way."""
    met = threading.Event()
    puts = [{"Put": {"TableName": TABLE, "Item": {"id": {"S": f"met-{n}"}, "value": {"S": "x"}}}} for n in range(20)]
    keep({f"met-{n}": "x" for n in range(20)})

    def collide():
        end = time.monotonic() + 60
        while not met.is_set() and time.monotonic() < end:
            if refused("TransactionC", "TransactWriteItems", {"TransactItems": puts}):
                met.set()

    threads = [threading.Thread(target=collide) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    call(HOME, "TransactWriteItems", {"TransactItems": puts})
    if not met.is_set():
        sys.exit("transactions never met")


def function(name):
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", HANDLER)
    code = {"ZipFile": base64.b64encode(package.getvalue()).decode()}
    body = {"FunctionName": name, "Runtime": "python3.12", "Role": ROLE, "Handler": "app.handler", "Code": code}
    return call_lambda(HOME, "POST", "/functions", body)["FunctionArn"]


def mapping(name, told, stream, **more):
    body = {
        "FunctionName": name,
        "EventSourceArn": stream,
        "StartingPosition": "LATEST",
        "BatchSize": 1,
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnFailure": {"Destination": told}},
        **more,
    }
    made = call_lambda(HOME, "POST", "/event-source-mappings", body)["UUID"]
    eventually(
        lambda: call_lambda(HOME, "GET", f"/event-source-mappings/{made}")["State"] == "Enabled", 60, "a mapping"
    )


def functions_run():
    """One works and fails, one is told of failures, one is throttled, and one that was to be told is gone."""
    runs, unheard, told, gone = (f"check-{name}-{RUN}" for name in ("runs", "unheard", "told", "gone"))
    arns = {name: function(name) for name in (runs, unheard, told, gone)}
    stream = call(HOME, "DescribeTable", {"TableName": SMALL})["Table"]["LatestStreamArn"]
    pattern = json.dumps({"dynamodb": {"NewImage": {"kind": {"S": ["good", "bad"]}}}})
    mapping(runs, arns[told], stream, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    mapping(unheard, arns[gone], stream)
    call_lambda(HOME, "DELETE", f"/functions/{gone}")
    for kind in ("good", "bad", "other"):
        call(HOME, "PutItem", {"TableName": SMALL, "Item": {"id": {"S": kind}, "kind": {"S": kind}}})
    is_throttled(unheard)


def is_throttled(name):
    path, version = f"/functions/{name}/concurrency", "2017-10-31"
    call_lambda(HOME, "PUT", path, {"ReservedConcurrentExecutions": 0}, version)
    try:
        call_lambda(HOME, "POST", f"/functions/{name}/invocations", {"kind": "good"})
    except Refused as error:
        if ": 429 " not in str(error):
            raise
    finally:
        call_lambda(HOME, "DELETE", path, version=version)


def happen():
    small_table()
    functions_run()
    requests_are_refused()
    transactions_meet()


def expressions():
    for board in sorted(glob.glob(str(HERE / "observability/grafana/dashboards/*.json"))):
        for panel in json.loads(pathlib.Path(board).read_text())["panels"]:
            for target in panel["targets"]:
                yield panel["title"], target["expr"].replace("$region", ".*")


def ask(expression):
    """What it was in the last quarter of an hour, as a dashboard shows it."""
    end = time.time()
    query = urllib.parse.urlencode({"query": expression, "start": end - 900, "end": end, "step": 5})
    answer = get(f"http://localhost:9090/api/v1/query_range?{query}")
    if answer["status"] != "success":
        sys.exit(f"Prometheus refuses {expression}: {answer}")
    return answer["data"]["result"]


def alerts():
    """How many were evaluated; the process ends if one cannot be."""
    rules = [rule for group in get("http://localhost:9090/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
    broken = [rule["name"] for rule in rules if rule["health"] == "err"]
    if broken or not rules:
        sys.exit(f"alerts that cannot be evaluated: {broken}")
    return len(rules)


def queries():
    """What a dashboard asks is answered with data; alerts can be evaluated, whether or not they say something."""
    asked = list(expressions())
    silent = []

    def answered():
        silent[:] = [f"{title}: {expression}" for title, expression in asked if not ask(expression)]
        return not silent

    end = time.monotonic() + 60
    while not answered() and time.monotonic() < end:
        time.sleep(2)
    print(f"{len(asked) - len(silent)} of {len(asked)} queries of dashboards have data; {alerts()} alerts are evaluated")
    if silent:
        print("without data:", *silent, sep="\n  ")
        sys.exit("queries without data")


COMMANDS = (trace, happen, queries)

if __name__ == "__main__":
    {command.__name__: command for command in COMMANDS}[sys.argv[1]](*sys.argv[2:])
