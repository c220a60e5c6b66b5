"""Speed of a region on PostgreSQL, all on this machine: a private PostgreSQL that syncs, storage nodes, wrk. Needs what the
black-box tests need.

    cluster.py shares [--rounds N] [--seconds N] [--nodes N]   beside the echo's puts, by compare.py
    cluster.py nodes [--quota 0.25]                            puts of one and of three nodes, each with a part of a core
    cluster.py idle [--connections 10000]                      what idle keep-alive connections cost a node

    --built DIR names the programs (default: target/release).
"""

import argparse
import contextlib
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import signed

ROOT = pathlib.Path(__file__).parents[2]
# An idle connection may cost this much, and may not slow the others down by more than noise does.
MOST_PER_CONNECTION_KB = 20
IDLE_CONNECTIONS = 10_000
CONNECTIONS = 64
CGROUP_1, CGROUP_2 = pathlib.Path("/sys/fs/cgroup/cpu"), pathlib.Path("/sys/fs/cgroup")
PERIOD_US = 20_000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["shares", "nodes", "idle"])
    parser.add_argument("--built", type=pathlib.Path, default=ROOT / "target/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--quota", type=float, default=0.25, help="cores that each node may use")
    parser.add_argument("--connections", type=int, default=IDLE_CONNECTIONS)
    settings = parser.parse_args()
    os.environ["TRADEWIND_BIN"] = str(settings.built.absolute() / "tradewind")
    sys.path.insert(0, str(ROOT / "tests/blackbox"))
    return {"shares": shares, "nodes": nodes, "idle": idle}[settings.what](settings)


@contextlib.contextmanager
def region(nodes):
    """A cluster that accepts the key of `signed`."""
    import cluster

    cluster.ACCESS_KEY, cluster.SECRET_KEY = signed.ACCESS_KEY, signed.SECRET
    with cluster.Cluster(cluster.Shape(nodes=nodes)) as running:
        yield running


def host(node):
    return f"127.0.0.1:{node.ready['ports']['all']}"


def shares(settings):
    with region(settings.nodes) as running:
        command = [sys.executable, ROOT / "tests/speed/compare.py", "--without-dev", "--built", settings.built]
        command += ["--rounds", settings.rounds, "--seconds", settings.seconds]
        for node in running.nodes:
            command += ["--endpoint", f"{node.name}={host(node)}"]
        return subprocess.run([str(word) for word in command]).returncode


@contextlib.contextmanager
def limited(pids, cores):
    """Each process in a control group of its own, with a part of a core; by cgroups of version 1 or 2."""
    folders = []
    try:
        for pid in pids:
            if CGROUP_1.exists():
                folder = CGROUP_1 / f"tradewind-speed-{pid}"
                folder.mkdir()
                (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (folder / "cpu.cfs_quota_us").write_text(str(round(cores * PERIOD_US)))
            else:
                folder = CGROUP_2 / f"tradewind-speed-{pid}"
                folder.mkdir()
                (folder / "cpu.max").write_text(f"{round(cores * PERIOD_US)} {PERIOD_US}")
            folders.append(folder)
            (folder / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for folder in folders:
            for pid in (folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    (folder.parent / "cgroup.procs").write_text(pid)
            folder.rmdir()


def nodes(settings):
    """Every node gets the same share of the connections, and the same part of a core."""
    rates = {}
    for count in (1, 3):
        with region(count) as running, tempfile.TemporaryDirectory() as folder:
            hosts = [host(node) for node in running.nodes]
            prepare(pathlib.Path(folder), hosts[0])
            with limited([node.process.pid for node in running.nodes], settings.quota):
                rounds = [together(pathlib.Path(folder), hosts, settings.seconds) for _ in range(settings.rounds)]
        rates[count] = statistics.median(rounds)
        print(f"{count} node(s) of {settings.quota:g} cores: {rates[count]:,.0f} puts/s", flush=True)
    print(f"three nodes do {rates[3] / rates[1]:.2f} times what one does")
    return 0


def prepare(folder, first):
    import compare

    made = argparse.Namespace(operations=["put"], folder=folder, connections=CONNECTIONS)
    compare.prepare(made, first)


def together(folder, hosts, seconds):
    """Puts a second over all hosts, each with its part of the connections."""
    runs = []
    for nth, one in enumerate(hosts):
        requests = folder / f"requests-{nth}"
        signed.write(requests, "put", one)
        command = ["wrk", "-t1", f"-c{CONNECTIONS // len(hosts)}", f"-d{round(seconds)}s", "--timeout", "30s"]
        command += ["-s", ROOT / "tests/speed/requests.lua", f"http://{one}/", "--", requests]
        runs.append(subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True))
    rate = 0
    for run in runs:
        said = run.communicate()[0]
        answered, duration_us, failed = map(int, re.search(r"^RESULT (\d+) (\d+) (\d+)", said, re.MULTILINE).groups())
        if failed:
            raise SystemExit(f"{failed} of {answered} requests failed:\n{said}")
        rate += answered / (duration_us / 1e6)
    return rate


def idle(settings):
    """Puts and memory before, with and after so many connections that have sent one request each and then rest."""
    with region(1) as running, tempfile.TemporaryDirectory() as folder:
        folder, node = pathlib.Path(folder), running.nodes[0]
        prepare(folder, host(node))
        rate = lambda: statistics.median(together(folder, [host(node)], settings.seconds) for _ in range(settings.rounds))
        alone, before_kb = rate(), resident_kb(node.process.pid)
        with contextlib.ExitStack() as opened:
            for _ in range(settings.connections):
                opened.enter_context(kept_alive(host(node)))
            after_kb = resident_kb(node.process.pid)
            beside = rate()
        again = rate()
    each_kb = (after_kb - before_kb) / settings.connections
    print(f"{settings.connections:,} idle connections: {each_kb:.1f} KB each; puts/s: {alone:,.0f} without, {beside:,.0f} with, {again:,.0f} without")
    return 0 if each_kb <= MOST_PER_CONNECTION_KB else 1


def kept_alive(address):
    """A connection that has been used once."""
    name, port = address.split(":")
    connection = socket.create_connection((name, int(port)), timeout=30)
    connection.sendall(f"GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    answer = connection.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"a connection is refused: {answer[:200]}")
    return connection


def resident_kb(pid):
    time.sleep(0.5)
    return int(re.search(r"^VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


if __name__ == "__main__":
    raise SystemExit(main())
