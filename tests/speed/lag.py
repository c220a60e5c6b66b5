"""Lag of changes between regions: from the acknowledgement of a write in one to its being read in another, beside writes at a
fixed rate that waits for nobody (an open loop). All on this machine; `tradewind loadtest` writes, reads and measures.

    lag.py embedded [--rate 5000] [--seconds 30]    `tradewind dev`, on disk
    lag.py cluster  [--rate 1000] [--seconds 30]    real processes on one PostgreSQL and one Kafka
    lag.py embedded --highest                       also the highest rate that keeps p99 below a second
    lag.py …        --strict                        exit with 1 where a figure is above what the project wants

Writes go to as many regions as `--regions` says (2), the rate is of all of them together; what is shown is the worst pair.
    --built DIR names the programs (default: target/release).
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
NAMES = ("us-east-1", "eu-west-1", "ap-southeast-1")
# Writes a second, and what their lag may be in milliseconds at p50 and p99.
WANTED = {"embedded": (5_000, 5, 50), "cluster": (1_000, 20, 150)}
# Every pair is probed so often: enough for a p99 of a short run.
PROBE = "20ms"
# A rate is kept while the lag's p99 is below this, and nearly all writes that were planned are acknowledged.
MOST_P99_MS = 1_000
LEAST_SHARE = 0.97
# The highest rate is known to this part.
CLOSE = 0.1
MOST_RATE = 200_000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(WANTED))
    parser.add_argument("--rate", type=float, help="writes a second over all regions")
    parser.add_argument("--seconds", type=float, default=30, help="of one measurement, after five seconds that warm up")
    parser.add_argument("--regions", type=int, default=2, choices=[2, 3], help="that write and read")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--highest", action="store_true", help="look for the highest rate with a p99 below a second, too")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--built", type=pathlib.Path, default=ROOT / "target/release")
    settings = parser.parse_args()
    wanted_rate, *wanted_ms = WANTED[settings.what]
    settings.rate = settings.rate or wanted_rate
    os.environ["TRADEWIND_BIN"] = str(settings.built.absolute() / "tradewind")
    sys.path.insert(0, str(ROOT / "tests/blackbox"))
    with contextlib.ExitStack() as running:
        settings.folder = pathlib.Path(running.enter_context(tempfile.TemporaryDirectory(prefix="lag-", dir=ROOT / "target")))
        start = {"embedded": embedded, "cluster": cluster}[settings.what]
        settings.targets = running.enter_context(start(settings))
        figures = measure(settings, settings.rate)
        if settings.highest:
            print(f"highest rate with a p99 below {MOST_P99_MS} ms: {highest(settings):,.0f} writes/s", flush=True)
    within = all(figure <= wanted for figure, wanted in zip(figures["lag"], wanted_ms, strict=True))
    print(f"wanted at {wanted_rate:,} writes/s: p50 {wanted_ms[0]} ms, p99 {wanted_ms[1]} ms")
    return 0 if figures["kept"] and (within or not settings.strict) else 1


@contextlib.contextmanager
def embedded(settings):
    from server import Server

    options = ("--data-dir", str(settings.folder / "data"), "--regions", ",".join(NAMES))
    with Server(*options) as server:
        yield [f"{name}=http://127.0.0.1:{server.port(name)}" for name in NAMES[: settings.regions]]


@contextlib.contextmanager
def cluster(settings):
    from broker import Broker
    from postgres import Postgres
    from regions import Regions

    with Postgres() as postgres, Broker() as broker:
        urls = {name: postgres.create_database() for name in NAMES}
        regions = Regions(settings.folder, urls, broker.address)
        try:
            regions.start()
            places = [(name, regions.by_name[name].place.nodes[0]) for name in NAMES[: settings.regions]]
            yield [f"{name}=http://127.0.0.1:{port}" for name, port in places]
        finally:
            regions.close()


def measure(settings, rate):
    """The lag's p50 and p99 in the worst pair, and whether the rate was kept."""
    report = loadtest(settings, rate)
    writes = sum(one["per_second"] for one in report["operations"])
    pairs = [pair["latency"] for pair in report["lags"]]
    lag = [max(pair[figure] for pair in pairs) for figure in ("p50_ms", "p99_ms")]
    seen = min(pair["count"] for pair in pairs)
    errors = sum(sum(one["errors"].values()) for one in report["operations"])
    failed = [check["name"] for check in report["checks"] if check["verdict"] == "failed"]
    kept = seen > 0 and errors == 0 and not failed and writes >= LEAST_SHARE * rate
    print(
        f"{settings.what}  {rate:>8,.0f} writes/s wanted  {writes:>8,.0f} done  {errors} errors  "
        f"lag p50 {lag[0]:>7.1f} ms  p99 {lag[1]:>7.1f} ms  (of {seen} probes in the worst pair)  {', '.join(failed)}",
        flush=True,
    )
    return {"lag": lag, "kept": kept}


def loadtest(settings, rate):
    from endpoints import ACCESS_KEY, SECRET_KEY

    workload = settings.folder / "lag.toml"
    workload.write_text(f'about = "lag of changes"\nprobe = "{PROBE}"\nsettle = "120s"\nmix = {{ put = 1 }}\n')
    command = [os.environ["TRADEWIND_BIN"], "loadtest", "run", workload, "--replace", "--report", settings.folder / "report"]
    command += ["--rate", rate, "--connections", settings.connections, "--warm-up", "5s", "--duration", f"{settings.seconds:g}s"]
    for target in settings.targets:
        command += ["--target", target]
    signs = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    report = settings.folder / "report/report.json"
    report.unlink(missing_ok=True)
    ended = subprocess.run([str(word) for word in command], env={**os.environ, **signs}, capture_output=True, text=True)
    # What it has checked and found wrong, writes that were lost or regions that stay unequal, is in the report.
    if not report.exists():
        raise SystemExit(f"the load test ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return json.loads(report.read_text())


def highest(settings):
    """Doubled until it is not kept, then halved between the two."""
    keeps = lambda rate: (figures := measure(settings, rate))["kept"] and figures["lag"][1] < MOST_P99_MS
    kept, broken = 0.0, settings.rate
    while broken < MOST_RATE and keeps(broken):
        kept, broken = broken, broken * 2
    while broken - kept > CLOSE * broken:
        middle = (kept + broken) / 2
        kept, broken = (middle, broken) if keeps(middle) else (kept, middle)
    return kept


if __name__ == "__main__":
    sys.exit(main())
