"""Speed of `tradewind dev` beside `benches/echo`, in the same minutes on the same machine: wrk, 64 connections, items of 300
bytes, durable writes to a folder in target/. Rounds are interleaved; what is printed are medians, and shares of the echo's puts.

    compare.py [--seconds N] [--rounds N]
"""

import argparse
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

ROOT = pathlib.Path(__file__).parents[2]
RELEASE = ROOT / "target/release"
SCRIPT = ROOT / "tests/speed/requests.lua"
CONNECTIONS = 64
OPERATIONS = ("put", "get", "update")
# What the project holds itself to.
LEAST_SHARES = {"put": 0.25, "get": 0.50}
SYNCS = 200


def main():
    settings = arguments()
    with tempfile.TemporaryDirectory(prefix="speed-", dir=ROOT / "target") as folder, contextlib.ExitStack() as running:
        echo = running.enter_context(start_echo())
        tradewind = running.enter_context(start_tradewind(pathlib.Path(folder)))
        create_table(tradewind)
        # Every item once, so that gets and updates find them; and whatever warms up does.
        measure(tradewind, "put", max(settings.seconds / 2, 3))
        rates, syncs = {}, []
        for round_number in range(settings.rounds):
            # Measured beside the rates: on a busy disk it is what bounds writes.
            syncs.append(fdatasync_p50_us(folder))
            for operation in OPERATIONS:
                for name, port in (("echo", echo), ("tradewind", tradewind)):
                    rate = measure(port, operation, settings.seconds)
                    rates.setdefault((name, operation), []).append(rate)
                    print(f"round {round_number + 1}  {name:<9}  {operation:<6}  {rate:>8,.0f} /s", flush=True)
    return report(rates, statistics.median(syncs))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def report(rates, sync_us):
    medians = {which: statistics.median(rounds) for which, rounds in rates.items()}
    whole = medians["echo", "put"]
    print(f"\nfdatasync of 4 KB: p50 {sync_us:,.0f} µs; {os.cpu_count()} cores, shared with wrk")
    print(f"{'median':<8}{'echo':>12}{'tradewind':>12}{'share of echo’s puts':>24}")
    enough = True
    for operation in OPERATIONS:
        echo, ours = medians["echo", operation], medians["tradewind", operation]
        least = LEAST_SHARES.get(operation, 0)
        enough &= ours / whole >= least
        wanted = f"  (at least {least:.0%})" if least else ""
        print(f"{operation:<8}{echo:>12,.0f}{ours:>12,.0f}{ours / whole:>23.0%}{wanted}")
    return 0 if enough else 1


def fdatasync_p50_us(folder):
    """What one durable write costs on this disk."""
    times = []
    with open(pathlib.Path(folder) / "probe", "wb", buffering=0) as probe:
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
        started.wait(timeout=15)


@contextlib.contextmanager
def start_echo():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with process(RELEASE / "tradewind-echo", port):
        until(lambda: answers(port))
        yield port


@contextlib.contextmanager
def start_tradewind(folder):
    ready = folder / "ready.json"
    with process(RELEASE / "tradewind", "dev", "--port", 0, "--data-dir", folder / "data", "--ready-file", ready):
        until(ready.exists)
        yield json.loads(ready.read_text())["ports"]["all"]


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


def create_table(port):
    body = {
        "TableName": "speed",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.CreateTable",
        "X-Amz-Date": "20250101T000000Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=speed/20250101/us-east-1/dynamodb/aws4_request, "
        "SignedHeaders=host, Signature=none",
    }
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10):
        pass


def measure(port, operation, seconds):
    """Requests a second; a single one that fails makes the whole measurement worthless."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(SCRIPT)]
    ran = subprocess.run([*command, f"http://127.0.0.1:{port}/", "--", operation], capture_output=True, text=True, check=True)
    requests, duration_us, failed = map(int, re.search(r"^RESULT (\d+) (\d+) (\d+)", ran.stdout, re.MULTILINE).groups())
    if failed:
        raise SystemExit(f"{failed} of {requests} requests failed:\n{ran.stdout}")
    return requests / (duration_us / 1e6)


if __name__ == "__main__":
    raise SystemExit(main())
