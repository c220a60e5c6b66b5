"""docs/functions.md, run: the programs it shows are those of examples/functions, and its `sh` blocks add them."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from emulator import Emulator
from running_functions import Tool, make_table, put
from server import BINARY, Server
from waiting import eventually

pytestmark = [pytest.mark.tradewind_only("runs commands"), pytest.mark.timeout(600)]

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/functions"
DOCS = (ROOT / "docs/functions.md").read_text()
SHOWN = [
    "python/app.py",
    "node/app.mjs",
    "rust/src/main.rs",
    "bash/bootstrap",
    "webhook/receiver.py",
    "container/Dockerfile",
]


@pytest.mark.parametrize("file", SHOWN)
def test_what_the_page_shows_is_what_the_tests_run(file):
    assert f"\n{(EXAMPLES / file).read_text().rstrip()}\n```" in DOCS


@pytest.fixture(scope="module")
def running():
    with Server("--in-memory", "--python", sys.executable) as started:
        yield started
        assert started.stop() == 0


@pytest.fixture(scope="module")
def dynamodb(running):
    return running.endpoint().client()


@pytest.fixture
def follow_the_page(running, dynamodb):
    """Runs the block that adds a function, on a table of the test's own; returns the tool, what it said, and the table."""

    def follow(name, **replacements):
        blocks = re.findall(r"```sh\n(.*?)```", DOCS, re.DOTALL)
        (block,) = [block for block in blocks if f"function add {name} " in block]
        # The first command adds; a second one follows the log until it is interrupted.
        command = re.split(r"\n(?=tradewind)", block)[0]
        table, tool = make_table(dynamodb), Tool(running)
        for old, new in {"tradewind ": f"{BINARY} ", "--table orders": f"--table {table}", **replacements}.items():
            assert old in command
            command = command.replace(old, new)
        environment = {**os.environ, **tool.environment, "AWS_REGION": "us-east-1"}
        ended = subprocess.run(
            ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 0, ended.stderr
        return tool, ended.stdout, table

    return follow


def sees_changes(tool, name, dynamodb, table):
    put(dynamodb, table, "seen-it")
    eventually(lambda: "INSERT" in tool("logs", name), within=60)
    dynamodb.delete_item(TableName=table, Key={"p": {"S": "seen-it"}})
    eventually(lambda: "REMOVE" in tool("logs", name), within=60)
    assert tool.json("invocations", name, "--failed")["invocations"] == []


def test_python(follow_the_page, dynamodb):
    tool, _, table = follow_the_page("python-example")
    sees_changes(tool, "python-example", dynamodb, table)


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node.js here")
def test_node(follow_the_page, dynamodb):
    tool, _, table = follow_the_page("node-example")
    sees_changes(tool, "node-example", dynamodb, table)


def test_any_program(follow_the_page, dynamodb):
    tool, _, table = follow_the_page("bash-example")
    sees_changes(tool, "bash-example", dynamodb, table)


def test_rust(follow_the_page, dynamodb):
    """The crate is built by `make rust-function`, which is a part of `make test-all`."""
    built = ROOT / "target/rust-function/release/bootstrap"
    if not built.exists():
        pytest.skip("run `make rust-function` first")
    tool, _, table = follow_the_page("rust-example", **{"target/release/bootstrap": str(built)})
    sees_changes(tool, "rust-example", dynamodb, table)


def test_http(follow_the_page, dynamodb, tmp_path):
    # The port of the page may be taken.
    tool, said, table = follow_the_page("http-example", **{"127.0.0.1:9999": f"127.0.0.1:{free_port()}"})
    secret = next(word for word in said.split() if word.startswith("whsec_"))
    port = re.search(r"127.0.0.1:(\d+)", str(tool.json("show", "http-example")))[1]
    with open(tmp_path / "received", "w+b") as received:
        receiver = subprocess.Popen(
            [sys.executable, EXAMPLES / "webhook/receiver.py", port],
            stdout=received,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "WEBHOOK_SECRET": secret},
        )
        try:
            put(dynamodb, table, "seen-it")
            text = lambda: (tmp_path / "received").read_text()
            eventually(lambda: "INSERT" in text() and "seen-it" in text(), within=60)
        finally:
            receiver.kill()
            receiver.wait(timeout=10)


def test_container(follow_the_page, dynamodb, tmp_path):
    pytest.importorskip("awslambdaric")
    shutil.copy(EXAMPLES / "container/app.py", tmp_path)
    with Emulator(tmp_path, "app.handler") as emulator:
        tool, _, table = follow_the_page("container-example", **{"http://localhost:9000": emulator.url})
        put(dynamodb, table, "seen-it")
        eventually(lambda: "INSERT" in emulator.printed() and "seen-it" in emulator.printed(), within=60)


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
