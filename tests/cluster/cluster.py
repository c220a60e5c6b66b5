"""`make cluster`: three regions of real processes on loopback, until Ctrl-C or `make cluster-down`.

Each region has two storage nodes, a replicator and a node that runs functions; all share one PostgreSQL server with a database for each, and one Kafka. What
they know is in target/cluster, and is there again the next time. The regions speak plain HTTP with each other, which they
do on loopback only.

    cluster.py up BINARY FOLDER PORT
    cluster.py down FOLDER
"""

import configparser
import os
import pathlib
import secrets
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

NAMES = ("us-east-1", "eu-west-1", "ap-southeast-1")
# Of each kind of process there is one port for each region, in this order: a region is reached at its first node's.
KINDS = ("storage", "second storage", "link", "second link", "replicator", "streams")


def up(binary, folder, port):
    os.environ["TRADEWIND_BIN"] = binary
    folder.mkdir(parents=True, exist_ok=True)
    running = running_as(folder)
    if running:
        sys.exit(f"a cluster is running already, as process {running}: make cluster-down")
    stopping = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stopping.set())
    pid_file = folder / "pid"
    pid_file.write_text(str(os.getpid()))
    try:
        run(folder, port, stopping)
    except (RuntimeError, AssertionError) as error:
        sys.exit(str(error))
    finally:
        pid_file.unlink(missing_ok=True)


def refuse_taken(ports):
    """Before anything is started: what finds its port taken would end the rest after a minute."""
    for port in ports:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            raise RuntimeError(f"127.0.0.1:{port} is taken: `make cluster PORT=9101` takes other ports") from None


def run(folder, first, stopping):
    from broker import Broker
    from postgres import Postgres
    from regions import Place, Regions

    write_key(folder / "credentials")
    ports = [[first + 10 * kind + nth for kind in range(len(KINDS))] for nth in range(len(NAMES))]
    postgres_port, kafka_ports = first + 90, (first + 91, first + 92)
    refuse_taken([*(port for each in ports for port in each), postgres_port, *kafka_ports])
    say("PostgreSQL", f"127.0.0.1:{postgres_port}")
    with Postgres(folder / "postgres", postgres_port) as postgres:
        urls = {name: postgres.database(name.replace("-", "_")) for name in NAMES}
        say("Kafka", f"127.0.0.1:{kafka_ports[0]}")
        with Broker(folder / "kafka", kafka_ports) as broker:
            places = {name: Place((a, b), (c, d), e, f) for name, (a, b, c, d, e, f) in zip(NAMES, ports, strict=True)}
            regions = Regions(folder, urls, broker.address, places)
            try:
                regions.start()
                announce(folder, places)
                while not stopping.wait(1):
                    dead = [process.name for process in regions.processes if not process.is_running()]
                    if dead:
                        sys.exit(f"{', '.join(dead)} ended; see {folder}/*.log")
                say("stopping")
                regions.stop()
            finally:
                regions.close()


def announce(folder, places):
    for name, place in places.items():
        first, second = place.nodes
        say(f"{name:15}", f"http://127.0.0.1:{first}", f"(the second node: {second})")
    say("keys:", folder / "credentials", " logs:", folder / "*.log", " end it by Ctrl-C or make cluster-down")


def write_key(path):
    """A key of this machine's own, made once."""
    if path.exists():
        return
    key = configparser.ConfigParser()
    name = "AKIA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))
    key["default"] = {"aws_access_key_id": name, "aws_secret_access_key": secrets.token_urlsafe(30)}
    path.touch(mode=0o600)
    with path.open("w") as file:
        key.write(file)


def running_as(folder):
    """The process id of the cluster that runs; `None` where none does."""
    try:
        pid = int((folder / "pid").read_text())
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    return pid


def down(folder):
    pid = running_as(folder)
    if not pid:
        say("no cluster is running")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 90
    while running_as(folder):
        if time.monotonic() > deadline:
            sys.exit(f"process {pid} does not end")
        time.sleep(0.1)
    say("the cluster has ended; its data stays in", folder)


def say(*words):
    print(*words, flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up", binary, folder, port]:
            up(os.path.abspath(binary), pathlib.Path(folder).resolve(), int(port))
        case ["down", folder]:
            down(pathlib.Path(folder).resolve())
        case _:
            sys.exit(__doc__)
