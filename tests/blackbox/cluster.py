"""Storage nodes of a region on a private PostgreSQL, as processes: the other way to run what the tests ask."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass

from endpoints import ACCESS_KEY, REGION, SECRET_KEY, Endpoint
from postgres import Postgres
from server import BINARY
from waiting import eventually

# A process that starts may have to wait for the lease of one before it.
START_WITHIN = 40.0


@dataclass
class Shape:
    """How many of what: `TRADEWIND_TEST_CLUSTER="nodes=3,databases=2"`."""

    nodes: int = 1
    databases: int = 1

    @staticmethod
    def of(text):
        try:
            return Shape(**{name.strip(): int(value) for name, value in (part.split("=") for part in text.split(","))})
        except (TypeError, ValueError):
            raise SystemExit(f'TRADEWIND_TEST_CLUSTER={text}: write "nodes=3,databases=2"') from None


class Node:
    """One `tradewind storage` process."""

    service = "storage"

    def __init__(self, cluster, name, *arguments, environment=None):
        self.cluster, self.name = cluster, name
        self.arguments = arguments
        self.environment = environment or {}
        self.ready_file = cluster.folder / f"{name}.ready"
        self.log_file = cluster.folder / f"{name}.log"
        self.process = None
        self.ready = None

    def launch(self):
        """Starts the process without waiting for it."""
        self.ready_file.unlink(missing_ok=True)
        command = [BINARY, self.service, "--region", REGION, "--name", self.name, "--listen", "127.0.0.1:0"]
        command += [word for url in self.cluster.urls for word in ("--postgres", url)]
        command += [*self.own_arguments(), "--ready-file", str(self.ready_file)]
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        return self

    def own_arguments(self):
        return ["--credentials", str(self.cluster.credentials)]

    def start(self):
        self.launch()
        try:
            self.ready = eventually(self._read_ready_file, within=START_WITHIN, saying=f"{self.name} is ready")
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.output()}") from error
        return self

    def _read_ready_file(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.output()}")
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            return json.loads(self.ready_file.read_text())

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ready['ports']['all']}"

    def output(self):
        return self.log_file.read_text(errors="replace")

    def signal(self, how):
        self.process.send_signal(how)

    def stop(self, within=30.0):
        """Asks the process to end and returns its exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.process.wait(timeout=within)

    def kill(self):
        """Ends the process at once, as a crash would."""
        self.process.kill()
        self.process.wait(timeout=10)

    def is_ready(self):
        return self.readiness()[0] == 200

    def readiness(self):
        """Status and body of /ready; 0 where nobody answers in time."""
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=2) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as answer:
            return answer.code, json.loads(answer.read())
        except (OSError, TimeoutError):
            return 0, {}


class StreamsNode(Node):
    """One `tradewind streams` process. Its functions run in the interpreter of the tests."""

    service = "streams"

    def own_arguments(self):
        return ["--python", sys.executable]


class Cluster:
    """Nodes of one region, with their PostgreSQL."""

    def __init__(self, shape=None, environment=None, postgres=None):
        shape = shape or Shape()
        self._folder = tempfile.TemporaryDirectory(prefix="tradewind-cluster-")
        self.folder = pathlib.Path(self._folder.name)
        self.credentials = self.folder / "credentials"
        self.credentials.write_text(
            f"[tests]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        )
        self.postgres = postgres or Postgres()
        self.nodes, self.streams_nodes = [], []
        try:
            self.urls = [self.postgres.create_database() for _ in range(shape.databases)]
            for nth in range(shape.nodes):
                self.add(f"node-{nth + 1}", environment=environment)
        except BaseException:
            self.close()
            raise

    def add(self, name, *arguments, environment=None):
        node = Node(self, name, *arguments, environment=environment)
        self.nodes.append(node)
        return node.start()

    def add_streams(self, name, *arguments, environment=None):
        """A node that runs functions; it is ended with the others."""
        node = StreamsNode(self, name, *arguments, environment=environment)
        self.streams_nodes.append(node)
        return node.start()

    def endpoint(self, *nodes):
        """Requests go to these nodes in turn, to all where none are named."""
        urls = tuple(node.url for node in nodes or self.nodes)
        return Endpoint(urls[0], "tradewind", {}, urls=urls)

    def stop(self):
        """Ends the nodes as an operator would; their exit codes."""
        for node in self.nodes:
            if node.process.poll() is None:
                node.signal(signal.SIGTERM)
        return [node.process.wait(timeout=30) for node in self.nodes]

    def output(self):
        return "\n".join(f"--- {node.name}\n{node.output()}" for node in [*self.nodes, *self.streams_nodes])

    def close(self):
        for node in [*self.streams_nodes, *self.nodes]:
            if node.process and node.process.poll() is None:
                node.signal(signal.SIGCONT)
                node.kill()
        self.postgres.close()
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
