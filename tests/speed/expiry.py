"""What deleting a million items that expire at once costs everybody else: latency of puts and gets before and meanwhile,
how long the backlog takes, and how late items are deleted that expire behind it.

    cargo build --profile quick -p tradewind
    python3 tests/speed/expiry.py target/quick/tradewind --items 1000000 --pace 4000
"""

import argparse
import http.client
import json
import multiprocessing
import pathlib
import subprocess
import tempfile
import time

HEADERS = {
    "X-Amz-Date": "20260101T000000Z",
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
}
LOADERS = 4
FRESH = 200


class Caller:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def __call__(self, operation, body):
        headers = {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        self.connection.request("POST", "/", json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text or b"{}")


def load(port, first, count, expires):
    call = Caller(port)
    for start in range(first, first + count, 25):
        puts = [
            {"PutRequest": {"Item": {"p": {"S": f"old{at}"}, "ttl": {"N": str(expires)}, "text": {"S": "x" * 200}}}}
            for at in range(start, min(start + 25, first + count))
        ]
        call("BatchWriteItem", {"RequestItems": {"expiring": puts}})


def latencies(port, seconds):
    """Milliseconds of puts and gets, one after another, some hundred a second."""
    call = Caller(port)
    puts, gets = [], []
    until = time.monotonic() + seconds
    at = 0
    while time.monotonic() < until:
        at += 1
        puts.append(
            timed(
                call,
                "PutItem",
                {"TableName": "expiring", "Item": {"p": {"S": f"now{at % 1000}"}, "text": {"S": "x" * 200}}},
            )
        )
        gets.append(timed(call, "GetItem", {"TableName": "expiring", "Key": {"p": {"S": f"now{at % 1000}"}}}))
        time.sleep(0.005)
    return puts, gets


def timed(call, operation, body):
    began = time.perf_counter()
    call(operation, body)
    return (time.perf_counter() - began) * 1000


def show(what, samples):
    ordered = sorted(samples)
    at = lambda share: ordered[min(int(len(ordered) * share), len(ordered) - 1)]
    print(
        f"{what:<28} p50 {at(0.5):6.2f} ms   p95 {at(0.95):6.2f} ms   p99 {at(0.99):6.2f} ms   max {ordered[-1]:6.1f} ms",
        flush=True,
    )


def count(call):
    total, start = 0, None
    while True:
        more = {"ExclusiveStartKey": start} if start else {}
        page = call(
            "Scan",
            {
                "TableName": "expiring",
                "Select": "COUNT",
                "FilterExpression": "attribute_exists(#t)",
                "ExpressionAttributeNames": {"#t": "ttl"},
                **more,
            },
        )
        total, start = total + page["Count"], page.get("LastEvaluatedKey")
        if start is None:
            return total


def lateness(call):
    """Seconds after their time at which items are gone that expire while the backlog is there."""
    expires = int(time.time()) + 2
    for at in range(FRESH):
        call("PutItem", {"TableName": "expiring", "Item": {"p": {"S": f"fresh{at}"}, "ttl": {"N": str(expires)}}})
    while any(
        "Item" in call("GetItem", {"TableName": "expiring", "Key": {"p": {"S": f"fresh{at}"}}})
        for at in (0, FRESH // 2, FRESH - 1)
    ):
        time.sleep(0.1)
    return time.time() - expires


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("binary")
    arguments.add_argument("--items", type=int, default=1_000_000)
    arguments.add_argument("--pace", type=int, default=4_000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="tradewind-expiry-") as folder:
        ready = pathlib.Path(folder) / "ready"
        command = [given.binary, "dev", "--port", "0", "--data-dir", f"{folder}/data", "--ready-file", str(ready)]
        server = subprocess.Popen([*command, "--ttl-pace", str(given.pace)], stdout=subprocess.DEVNULL)
        try:
            while not ready.exists() or not ready.read_text():
                time.sleep(0.01)
            run(json.loads(ready.read_text())["ports"]["us-east-1"], given.items)
        finally:
            server.terminate()
            server.wait(timeout=30)


def run(port, items):
    call = Caller(port)
    key = [{"AttributeName": "p", "KeyType": "HASH"}]
    definitions = [{"AttributeName": "p", "AttributeType": "S"}]
    call(
        "CreateTable",
        {
            "TableName": "expiring",
            "KeySchema": key,
            "AttributeDefinitions": definitions,
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    call(
        "UpdateTimeToLive",
        {"TableName": "expiring", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ttl"}},
    )
    # Time enough to load them all before they expire.
    expires = int(time.time()) + 60 + items // 3000
    began = time.monotonic()
    share = items // LOADERS
    with multiprocessing.Pool(LOADERS) as pool:
        pool.starmap(load, [(port, at * share, share, expires) for at in range(LOADERS)])
    print(f"{share * LOADERS} items loaded in {time.monotonic() - began:.0f} s", flush=True)
    puts, gets = latencies(port, 10)
    show("puts before", puts)
    show("gets before", gets)
    assert time.time() < expires, "loading took too long: the items expire already"
    time.sleep(expires - time.time() + 2)
    # The server closes connections that were idle for so long.
    call = Caller(port)
    began, left = time.monotonic(), count(call)
    puts, gets = latencies(port, 15)
    show("puts meanwhile", puts)
    show("gets meanwhile", gets)
    now = count(call)
    print(f"deleted per second: {(left - now) / (time.monotonic() - began):.0f}; {now} left", flush=True)
    print(f"items that expire behind the backlog are gone {lateness(call):.1f} s after their time", flush=True)
    while count(call):
        time.sleep(1)
    print(f"the backlog was gone after {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
