"""Speed of Tradewind beside `benches/echo`, in the same minutes on the same machine: wrk, 64 connections, items of 300 bytes,
durable writes to a folder in target/, signatures verified. Rounds are interleaved; what is printed are medians, and shares
of the echo's puts.

    compare.py [--seconds N] [--rounds N] [--operations put,get] [--unverified] [--endpoint NAME=HOST:PORT] [--strict]

Another endpoint that runs already (Tradewind on PostgreSQL, DynamoDB Local) joins the rounds with --endpoint; it has to
accept the access key of signed.py. One measurement sends its requests within the fifteen minutes for which a signature is good.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import signed

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "tests/speed/requests.lua"
OPERATIONS = ("put", "get", "update", "query", "conditional put")
# What the project holds itself to, embedded.
LEAST_SHARES = {"put": 0.60, "get": 0.80, "update": 0.55, "query": 0.30, "conditional put": 0.30}
# Beyond this a group commit waits for the disk, and more connections are needed to keep the cores busy.
SLOW_SYNC_US = 400
SYNCS = 200

Server = collections.namedtuple("Server", "host pid")


def main():
    settings = arguments()
    built = pathlib.Path(settings.built)
    with tempfile.TemporaryDirectory(prefix="speed-", dir=ROOT / "target") as folder, contextlib.ExitStack() as running:
        folder = pathlib.Path(folder)
        hosts = {"echo": running.enter_context(start_echo(built)).host}
        if not settings.without_dev:
            hosts["tradewind"] = running.enter_context(start_tradewind(built, folder, settings.unverified)).host
        hosts.update(settings.endpoint)
        settings.folder = folder
        settings.connections = settings.connections or (64 if fdatasync_p50_us(folder) <= SLOW_SYNC_US else 256)
        for name, host in hosts.items():
            if name != "echo":
                prepare(settings, host)
        rates, syncs = {}, []
        for number in range(settings.rounds):
            # Measured beside the rates: on a busy disk it is what bounds writes.
            syncs.append(fdatasync_p50_us(folder))
            for operation in settings.operations:
                for name, host in hosts.items():
                    rate = measure(settings, host, operation, settings.seconds)
                    rates.setdefault((name, operation), []).append(rate)
                    print(f"round {number + 1}  {name:<10}  {operation:<16}  {rate:>8,.0f} /s", flush=True)
    return report(settings, rates, statistics.median(syncs))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--operations", default=",".join(OPERATIONS), type=operations)
    parser.add_argument("--connections", type=int, help="64, or 256 where a sync takes more than 0.4 ms")
    parser.add_argument("--unverified", action="store_true", help="do not verify signatures")
    parser.add_argument("--endpoint", action="append", default=[], type=endpoint, help="NAME=HOST:PORT, as often as one likes")
    parser.add_argument("--without-dev", action="store_true", help="only the echo and the given endpoints")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a share is too small")
    parser.add_argument("--built", default=ROOT / "target/release", help="where the programs are")
    return parser.parse_args()


def operations(text):
    names = text.split(",")
    if unknown := set(names) - set(OPERATIONS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: none of {', '.join(OPERATIONS)}")
    return names


def endpoint(text):
    name, _, host = text.partition("=")
    if not name or not re.fullmatch(r"[\w.-]+:\d+", host):
        raise argparse.ArgumentTypeError("NAME=HOST:PORT, please")
    return name, host


def report(settings, rates, sync_us):
    medians = {which: statistics.median(rounds) for which, rounds in rates.items()}
    whole = medians["echo", "put"]
    names = list(dict.fromkeys(name for name, _ in medians))
    print(f"\n{settings.connections} connections; fdatasync of 4 KB: p50 {sync_us:,.0f} µs; {os.cpu_count()} cores, shared with wrk")
    print(f"{'median':<16}" + "".join(f"{name + ' /s':>16}{'share':>8}" for name in names))
    enough = True
    for operation in settings.operations:
        cells = "".join(f"{medians[name, operation]:>16,.0f}{medians[name, operation] / whole:>8.0%}" for name in names)
        wanted = ""
        if ("tradewind", operation) in medians:
            least = LEAST_SHARES[operation]
            enough &= medians["tradewind", operation] / whole >= least
            wanted = f"   (wanted: {least:.0%})"
        print(f"{operation:<16}{cells}{wanted}")
    print("Shares are of the echo's puts.")
    return 0 if enough or not settings.strict else 1


def fdatasync_p50_us(folder):
    """What one durable write costs on this disk."""
    times = []
    with open(folder / "probe", "wb", buffering=0) as probe:
        for _ in range(SYNCS):
            probe.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(probe.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


@contextlib.contextmanager
def process(*command):
    started = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(timeout=30)


@contextlib.contextmanager
def start_echo(built):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with process(built / "tradewind-echo", port) as started:
        until(lambda: answers(port))
        yield Server(f"127.0.0.1:{port}", started.pid)


@contextlib.contextmanager
def start_tradewind(built, folder, unverified):
    ready, credentials = folder / "ready.json", folder / "credentials"
    credentials.write_text(f"[default]\naws_access_key_id = {signed.ACCESS_KEY}\naws_secret_access_key = {signed.SECRET}\n")
    verify = () if unverified else ("--auth", "--credentials", credentials)
    options = ("--port", 0, "--data-dir", folder / "data", "--ready-file", ready, "--regions", signed.REGION, *verify)
    with process(built / "tradewind", "dev", *options) as started:
        until(ready.exists)
        yield Server(f"127.0.0.1:{json.loads(ready.read_text())['ports']['all']}", started.pid)


def until(condition, within_s=30):
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("a server does not start")
        time.sleep(0.01)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def prepare(settings, host):
    """The tables that the operations need, and every item once, so that reads and updates find them; and whatever warms up
    does."""
    strings = lambda *names: [{"AttributeName": name, "AttributeType": "S"} for name in names]
    hashed = lambda name: {"AttributeName": name, "KeyType": "HASH"}
    plain = {"TableName": "plain", "AttributeDefinitions": strings("id"), "KeySchema": [hashed("id")]}
    pages = {
        "TableName": "pages",
        "AttributeDefinitions": [*strings("id"), {"AttributeName": "place", "AttributeType": "N"}],
        "KeySchema": [hashed("id"), {"AttributeName": "place", "KeyType": "RANGE"}],
    }
    full = {
        "TableName": "full",
        "AttributeDefinitions": strings("id", "group"),
        "KeySchema": [hashed("id")],
        "GlobalSecondaryIndexes": [
            {"IndexName": "by-group", "KeySchema": [hashed("group")], "Projection": {"ProjectionType": "ALL"}}
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    }
    kinds = {"query": (pages, signed.page_item), "conditional put": (full, signed.item)}
    # By name, so that each is made once.
    wanted = {table["TableName"]: (table, item) for table, item in (kinds.get(one, (plain, signed.item)) for one in settings.operations)}
    for name, (table, item) in wanted.items():
        call(host, "CreateTable", {**table, "BillingMode": "PAY_PER_REQUEST"})
        for first in range(0, signed.KEYS, 25):
            puts = [{"PutRequest": {"Item": item(number, 0)}} for number in range(first, first + 25)]
            call(host, "BatchWriteItem", {"RequestItems": {name: puts}})
    measure(settings, host, settings.operations[0], 3)


def call(host, operation, body):
    body = json.dumps(body).encode()
    request = urllib.request.Request(f"http://{host}/", body, signed.head(operation, body, host))
    try:
        with urllib.request.urlopen(request, timeout=30):
            pass
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{operation}: {error.read().decode()}") from error


def measure(settings, host, operation, seconds):
    """Requests a second."""
    answered, duration_us = load(settings, host, operation, seconds)
    return answered / (duration_us / 1e6)


def load(settings, host, operation, seconds):
    """How many were answered, in how many µs; a single one that fails makes the whole measurement worthless."""
    requests = settings.folder / "requests"
    signed.write(requests, operation, host)
    command = ["wrk", "-t1", f"-c{settings.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", SCRIPT]
    ran = subprocess.run(
        [*map(str, command), f"http://{host}/", "--", str(requests)], capture_output=True, text=True, check=True
    )
    answered, duration_us, failed = map(int, re.search(r"^RESULT (\d+) (\d+) (\d+)", ran.stdout, re.MULTILINE).groups())
    if failed:
        raise SystemExit(f"{failed} of {answered} requests failed:\n{ran.stdout}")
    return answered, duration_us


if __name__ == "__main__":
    raise SystemExit(main())
