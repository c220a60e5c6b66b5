"""Three regions of real processes on loopback, with one PostgreSQL and one Kafka: storage nodes, replicators, streams.

The way from each region to each node of another leads through a proxy of its own where a test wants to cut it.
"""

import contextlib
import json
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass

from endpoints import ACCESS_KEY, SECRET_KEY, Endpoint
from server import BINARY
from waiting import eventually

NAMES = ("us-east-1", "eu-west-1", "ap-southeast-1")
# Debug builds on a busy machine; a process may also wait for the lease of one before it.
START_WITHIN = 120.0


# Below those that outgoing connections are given: a port must still be free when its process starts, or starts again.
_ports = iter(random.SystemRandom().sample(range(15_000, 30_000), 2_000))


def lasting_port():
    for port in _ports:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no free port")


class Proxy:
    """A TCP port that leads to another, until it is cut: then whoever comes is hung up on."""

    def __init__(self, target):
        self.target, self.is_cut = target, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, is_cut):
        self.is_cut = is_cut
        if is_cut:
            for end in list(self.open):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.cut(True)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._lead, args=(client,), daemon=True).start()

    def _lead(self, client):
        ends = {client}
        try:
            if self.is_cut:
                return
            server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            ends.add(server)
            self.open |= ends
            other = {client: server, server: client}
            while not self.is_cut:
                for end in select.select(list(ends), [], [], 1)[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    other[end].sendall(data)
        except OSError:
            return
        finally:
            self.open -= ends
            for end in ends:
                end.close()


@dataclass
class Place:
    """Where the processes of one region listen; 0 takes a free port."""

    nodes: tuple = (0, 0)
    links: tuple = (0, 0)
    replicator: int = 0
    # `None`: no functions.
    streams: int | None = None


class Process:
    """One service of a region, which says by a file that it is ready."""

    def __init__(self, folder, name, arguments, environment):
        self.name, self.arguments, self.environment = name, arguments, environment
        self.ready_file, self.log_file = folder / f"{name}.ready", folder / f"{name}.log"
        self.process = None

    def launch(self):
        self.ready_file.unlink(missing_ok=True)
        # It ends with whoever started it, and not by that one's Ctrl-C, which comes to all of a terminal.
        command = ["setpriv", "--pdeathsig", "SIGTERM", BINARY, *self.arguments, "--ready-file", self.ready_file]
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def wait_until_ready(self):
        return eventually(self._ready, within=START_WITHIN, every=0.05, saying=f"{self.name} is ready")

    def _ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}; its last words:\n{self.output()}")
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            return json.loads(self.ready_file.read_text())

    def output(self):
        return self.log_file.read_text(errors="replace")[-3000:]

    def start(self):
        self.launch()
        self.wait_until_ready()

    def kill(self):
        """Ends it at once, as a crash would."""
        self.process.kill()
        self.process.wait(timeout=10)

    def is_running(self):
        return self.process is not None and self.process.poll() is None


class Region:
    def __init__(self, name, place):
        self.name, self.place = name, place
        self.nodes, self.replicators, self.streams = [], [], []

    @property
    def processes(self):
        return [*self.nodes, *self.replicators, *self.streams]

    def endpoint(self):
        urls = tuple(f"http://127.0.0.1:{port}" for port in self.place.nodes)
        return Endpoint(urls[0], "tradewind", {}, urls=urls)

    def client(self, node=0, service="dynamodb"):
        return self.endpoint().client(service, region=self.name, port=self.place.nodes[node])


class Regions:
    """`urls` has a database for each region, by name; `kafka` is host:port, without one changes are read from the databases.
    Everything is written into `folder`.
    """

    def __init__(self, folder, urls, kafka, places=None, environment=None, proxied=False, replicators=1):
        self.folder, self.urls, self.kafka = pathlib.Path(folder), urls, kafka
        self.environment = {"TRADEWIND_INSECURE": "true", **(environment or {})}
        if kafka:
            self.environment["TRADEWIND_KAFKA"] = kafka
        self.credentials = self.folder / "credentials"
        if not self.credentials.exists():
            self.credentials.touch(mode=0o600)
            self.credentials.write_text(
                f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
            )
        places = places or {name: Place() for name in NAMES}
        for place in places.values():
            place.nodes = tuple(port or lasting_port() for port in place.nodes)
            place.links = tuple(port or lasting_port() for port in place.links)
        self.by_name = {name: Region(name, places[name]) for name in NAMES}
        self.proxies = {}
        for region in self.by_name.values():
            self._plan(region, proxied, replicators)

    def _plan(self, region, proxied, replicators):
        place = region.place
        common = ["--region", region.name, "--postgres", self.urls[region.name]]
        common += [word for peer in self._peers(region.name, proxied) for word in ("--peer", peer)]
        for nth, (port, link) in enumerate(zip(place.nodes, place.links, strict=True), 1):
            name = f"{region.name}-storage-{nth}"
            own = ["--name", name, "--listen", f"127.0.0.1:{port}", "--link-listen", f"127.0.0.1:{link}"]
            own += ["--credentials", self.credentials]
            region.nodes.append(Process(self.folder, name, ["storage", *common, *own], self.environment))
        for nth in range(1, replicators + 1):
            name = f"{region.name}-replicator-{nth}"
            own = ["--name", name, "--listen", f"127.0.0.1:{place.replicator if nth == 1 else 0}"]
            region.replicators.append(Process(self.folder, name, ["replicator", *common, *own], self.environment))
        if place.streams is not None:
            name = f"{region.name}-streams-1"
            own = ["--name", name, "--listen", f"127.0.0.1:{place.streams}", "--work-dir", self.folder / name]
            region.streams.append(Process(self.folder, name, ["streams", *common[:4], *own], self.environment))

    def _peers(self, here, proxied):
        for name, other in self.by_name.items():
            if name == here:
                continue
            ports = other.place.links
            if proxied:
                self.proxies[here, name] = [Proxy(port) for port in ports]
                ports = [proxy.port for proxy in self.proxies[here, name]]
            yield f"{name}=" + ",".join(f"http://127.0.0.1:{port}" for port in ports)

    @property
    def processes(self):
        return [process for region in self.by_name.values() for process in region.processes]

    def start(self):
        for process in self.processes:
            process.launch()
        for process in self.processes:
            process.wait_until_ready()

    def cut_off(self, name, is_cut):
        """Cuts a region off from all others, or brings it back."""
        for pair, proxies in self.proxies.items():
            if name in pair:
                for proxy in proxies:
                    proxy.cut(is_cut)

    def stop(self, of=None):
        """Ends all processes, or those of a region, as an operator would; their exit codes by name."""
        running = [process for process in (of or self).processes if process.is_running()]
        for process in running:
            process.process.send_signal(signal.SIGTERM)
        return {process.name: process.process.wait(timeout=60) for process in running}

    def output(self):
        return "\n".join(f"--- {process.name}\n{process.output()}" for process in self.processes)

    def close(self):
        for process in self.processes:
            if process.is_running():
                process.kill()
        for proxies in self.proxies.values():
            for proxy in proxies:
                proxy.close()
