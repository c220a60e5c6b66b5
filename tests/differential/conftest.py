"""Both servers: ours, and Amazon's DynamoDB Local, which its script fetches where it is missing."""

import os
import pathlib
import socket
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "blackbox"))

from endpoints import Endpoint  # noqa: E402
from server import Server  # noqa: E402
from waiting import eventually  # noqa: E402


@pytest.fixture(scope="session")
def ours():
    with Server("--in-memory") as server:
        yield server.endpoint()
        assert server.stop() == 0, server.output()


@pytest.fixture(scope="session")
def local(tmp_path_factory):
    if url := os.environ.get("TRADEWIND_TEST_LOCAL"):
        yield Endpoint(url, "dynamodb-local")
        return
    port = free_port()
    log = tmp_path_factory.mktemp("local") / "log"
    with log.open("wb") as output:
        script = HERE.parent / "dynamodb-local/run.sh"
        process = subprocess.Popen([str(script), str(port)], stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            endpoint = Endpoint(f"http://127.0.0.1:{port}", "dynamodb-local")
            eventually(lambda: answers(endpoint, process, log), within=300, saying="DynamoDB Local answers")
            yield endpoint
        finally:
            process.terminate()
            process.wait(timeout=30)


def answers(endpoint, process, log):
    if process.poll() is not None:
        raise RuntimeError(f"DynamoDB Local ended with {process.returncode}: {log.read_text(errors='replace')}")
    try:
        return endpoint.send("ListTables").status == 200
    except OSError:
        return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
