#!/usr/bin/env python3
"""What the scripts beside this ask of the regions' data.

    create | load FILE [--strict] [REGION…] | equal | contest REGION REGION… | unequal
    add REGION | remove REGION | works | refused

A load goes on for as long as FILE is there, and writes into it once every writer has written; with `--strict` no request of it
may fail. What was acknowledged is kept in a file among the system's temporary files, so that every step checks the writes of
all steps before it, too."""

import json
import pathlib
import secrets
import sys
import tempfile
import threading
import time

from ask import PORTS, Refused, call, eventually

TABLE = "check"
KEPT = pathlib.Path(tempfile.gettempdir()) / "tradewind-check.json"
# Written in several regions at once: who wins is the regions' affair, but they must agree.
CONTESTED = "contested"
WRITERS = 3
KEYS = 20
# A client gives up after this; longer than any fail-over takes.
PATIENCE_SECONDS = 120


def kept():
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def keep(written):
    KEPT.write_text(json.dumps(kept() | written))


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
        add(region)


def add(region):
    first = next(iter(PORTS))
    replica = {"TableName": TABLE, "ReplicaUpdates": [{"Create": {"RegionName": region}}]}
    eventually(lambda: call(first, "UpdateTable", replica), 60, f"{region} can be added")
    described = {"TableName": TABLE}
    eventually(
        lambda: call(region, "DescribeTable", described)["Table"]["TableStatus"] == "ACTIVE",
        120,
        f"the replica in {region} is active",
    )


def remove(region):
    first = next(iter(PORTS))
    replica = {"TableName": TABLE, "ReplicaUpdates": [{"Delete": {"RegionName": region}}]}
    eventually(lambda: call(first, "UpdateTable", replica), 60, f"{region} can be removed")

    def replicas():
        return [one["RegionName"] for one in call(first, "DescribeTable", {"TableName": TABLE})["Table"]["Replicas"]]

    eventually(lambda: region not in replicas(), 120, f"{first} counts {region} no more")


def put(region, key, value, more=None):
    item = {"id": {"S": key}, "value": {"S": value}, "by": {"S": region}}
    call(region, "PutItem", {"TableName": TABLE, "Item": item}, more)


def delete(region, key):
    call(region, "DeleteItem", {"TableName": TABLE, "Key": {"id": {"S": key}}})


class Writer:
    """Writes keys that are its own, one request at a time, so that the last one acknowledged is what all regions must have."""

    def __init__(self, region):
        self.region = region
        self.keys = [self.fresh() for _ in range(KEYS)]
        self.written = {}
        self.count = 0
        self.failures = []

    def fresh(self):
        return f"{self.region}-{secrets.token_hex(6)}"

    def run(self, going):
        while going.exists():
            place = self.count % KEYS
            attempts = self.write(self.keys[place])
            if not attempts:
                return
            self.count += 1
            # An attempt that was given up may still be under way: nothing else is written over it.
            if attempts > 1:
                self.keys[place] = self.fresh()
            time.sleep(0.03)

    def write(self, key):
        """Tries until it is acknowledged, as a client would; each attempt is the same. The attempts, 0: given up."""
        value = secrets.token_hex(8) if self.count % 10 else None
        end = time.monotonic() + PATIENCE_SECONDS
        attempts = 0
        while time.monotonic() < end:
            attempts += 1
            try:
                put(self.region, key, value) if value else delete(self.region, key)
                self.written[key] = value
                return attempts
            except (OSError, Refused) as error:
                self.failures.append(f"{time.strftime('%X')} {self.region}: {error!r}")
                time.sleep(0.2)
        self.failures.append(f"{self.region}: given up after {PATIENCE_SECONDS} s")
        return 0


def load(going, *rest):
    strict = "--strict" in rest
    regions = [region for region in rest if region != "--strict"] or list(PORTS)
    writers = [Writer(region) for region in regions for _ in range(WRITERS)]
    threads = [threading.Thread(target=writer.run, args=(pathlib.Path(going),)) for writer in writers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if all(writer.count for writer in writers) and pathlib.Path(going).exists():
            pathlib.Path(going).write_text("writing")
            break
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    for writer in writers:
        keep(writer.written)
    failures = [failure for writer in writers for failure in writer.failures]
    given_up = [failure for failure in failures if "given up" in failure]
    count = sum(writer.count for writer in writers)
    print(f"{count} writes acknowledged in {', '.join(regions)}; {len(failures)} requests failed and were tried again")
    if given_up or (strict and failures) or not count:
        print(*(failures[:10] + given_up), sep="\n  ")
        sys.exit("writes were given up" if given_up else "requests failed that had to succeed")


def items(region):
    found, start = {}, None
    while True:
        page = {"TableName": TABLE, "ConsistentRead": True} | ({"ExclusiveStartKey": start} if start else {})
        answer = call(region, "Scan", page)
        found |= {item["id"]["S"]: item["value"]["S"] for item in answer["Items"]}
        start = answer.get("LastEvaluatedKey")
        if not start:
            return found


def differences():
    """What regions have that they should not, or have not that they should: (region, key) at most, a few."""
    held = {region: items(region) for region in PORTS}
    contested = {found.get(CONTESTED) for found in held.values()}
    wanted = {key: value for key, value in kept().items() if value is not None}
    wrong = [("all", CONTESTED, sorted(map(str, contested)))] if len(contested) > 1 else []
    for region, found in held.items():
        found.pop(CONTESTED, None)
        keys = {key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)}
        wrong += [(region, key, f"has {found.get(key)}, not {wanted.get(key)}") for key in sorted(keys)[:5]]
    return wrong


def equal():
    last = []

    def none():
        last[:] = differences()
        return not last

    begun = time.monotonic()
    while True:
        try:
            if none():
                break
        except (OSError, Refused) as error:
            last[:] = [error]
        if time.monotonic() > begun + PATIENCE_SECONDS:
            print(*last, sep="\n  ")
            sys.exit(f"not equal after {PATIENCE_SECONDS} s")
        time.sleep(0.5)
    there = [key for key, value in kept().items() if value is not None]
    print(f"all of {', '.join(PORTS)} have the same {len(there)} items, after {time.monotonic() - begun:.1f} s")


def unequal():
    if not differences():
        sys.exit("the regions are equal although one is cut off: nothing was tested")


def contest(*regions):
    for region in regions:
        put(region, CONTESTED, secrets.token_hex(8))


def works():
    for region in PORTS:
        eventually(lambda: call(region, "ListTables", {}), 30, f"the key works in {region}")
    print(f"the key works in {', '.join(PORTS)}")


def refused():
    def is_refused(region):
        try:
            call(region, "ListTables", {})
        except Refused as error:
            return error.kind in ("UnrecognizedClientException", "InvalidSignatureException", "AccessDeniedException")
        return False

    for region in PORTS:
        eventually(lambda: is_refused(region), 60, f"the key is refused in {region}")
    print(f"the key is refused in {', '.join(PORTS)}")


COMMANDS = (create, load, equal, contest, unequal, add, remove, works, refused)

if __name__ == "__main__":
    {command.__name__: command for command in COMMANDS}[sys.argv[1]](*sys.argv[2:])
