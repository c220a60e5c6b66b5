"""`tradewind function …`: adding functions of each kind, watching them, pausing, replaying."""

import datetime
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from emulator import Emulator
from running_functions import NOTING, Notes, Tool, make_table, put
from server import BINARY, Server
from values import N, unique
from waiting import eventually

pytestmark = [pytest.mark.tradewind_only("runs commands"), pytest.mark.timeout(180)]

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples/functions"


@pytest.fixture(scope="module")
def running():
    with Server("--in-memory", "--python", sys.executable) as started:
        yield started
        assert started.stop() == 0


@pytest.fixture(scope="module")
def tool(running):
    return Tool(running)


@pytest.fixture(scope="module")
def dynamodb(running):
    return running.endpoint().client()


@pytest.fixture
def table(dynamodb):
    return make_table(dynamodb)


@pytest.fixture
def notes(tmp_path):
    return Notes(tmp_path / "notes")


FRAGILE = """
def handler(event, context):
    print("got", [r["dynamodb"]["Keys"]["p"]["S"] for r in event["Records"]])
    note(event)
    if not is_healed() and any("bad" in r["dynamodb"]["Keys"]["p"]["S"] for r in event["Records"]):
        raise ValueError("poisoned")
    return "fine"
"""


@pytest.fixture
def added(tool, table, notes, tmp_path):
    """Adds a Python handler from a folder, on the table."""

    def add(*arguments, source=FRAGILE, table=table):
        name, folder = unique("f"), tmp_path / "code"
        folder.mkdir(exist_ok=True)
        (folder / "app.py").write_text(NOTING + source)
        tool(
            "add", name, "--runtime", "python3.12", "--handler", "app.handler", "--directory", str(folder),
            "--env", f"NOTES={notes.file}", "--table", table, *arguments,
        )
        return name

    return add


def shown(tool, name):
    return tool.json("show", name)["mappings"][0]


def wait_for_state(tool, name, state):
    return eventually(lambda: shown(tool, name)["State"] == state and shown(tool, name), within=30)


# Adding


def test_add_says_that_it_chooses_a_safer_default_than_lambdas(tool, running, table, tmp_path):
    said = tool("add", unique("f"), "--command", "true", "--directory", str(tmp_path), "--table", table)
    assert "is tried 10 more times and halved each time, then kept with the failed batches" in said
    (mapping,) = running.endpoint().client("lambda").list_event_source_mappings(
        FunctionName=said.splitlines()[0].split(":")[-1]
    )["EventSourceMappings"]
    assert (mapping["MaximumRetryAttempts"], mapping["BisectBatchOnFunctionError"]) == (10, True)


def test_every_command_explains_itself(tool):
    for command in ("add", "list", "show", "logs", "invocations", "pause", "resume", "replay", "failed", "delete"):
        ended = tool.run(command, "--help")
        assert ended.returncode == 0 and "Usage:" in ended.stdout, command
    assert "TIME" in tool("replay", "--help") or "2026-01-31T12:00:00Z" in tool("replay", "--help")


def test_add_needs_exactly_one_kind(tool):
    for kinds in ((), ("--command", "true", "--url", "http://localhost")):
        ended = tool.run("add", "f", *kinds)
        assert ended.returncode == 2 and "--command" in ended.stderr


def test_a_file_that_changes_is_seen_by_the_next_invocation(added, notes, dynamodb, table, tmp_path):
    added()
    put(dynamodb, table, "first")
    eventually(lambda: notes.keys() == ["first"], within=30)
    (tmp_path / "code/app.py").write_text(NOTING + "def handler(event, context):\n    note(event, new=True)\n")
    put(dynamodb, table, "second")
    eventually(lambda: notes.lines()[-1].get("new"), within=30)


def test_functions_are_listed_and_deleted_with_what_they_read(added, tool, table):
    name = added()
    row = next(row for row in tool.json("list")["functions"] if row["function"] == name)
    assert (row["kind"], row["reads"][0]["table"]) == ("python3.12", table)
    assert name in tool("list")
    assert "is deleted" in tool("delete", name)
    assert name not in tool("list")
    assert tool.run("show", name).returncode == 1


# Watching


def test_invocations_are_kept_with_input_output_and_error(added, tool, notes, dynamodb, table):
    name = added("--attempts", "1")
    put(dynamodb, table, "good")
    put(dynamodb, table, "bad")
    errors = lambda: tool.json("invocations", name, "--failed")["invocations"]
    eventually(lambda: len(errors()) == 2, within=30)
    assert sorted(row["Attempt"] for row in errors()) == [1, 2]
    assert {row["ErrorType"] for row in errors()} == {"ValueError"}
    good = next(row for row in tool.json("invocations", name)["invocations"] if row["Error"] is None)
    whole = json.loads(tool("invocations", name, good["RequestId"]))
    assert whole["Input"]["Records"][0]["dynamodb"]["Keys"]["p"] == {"S": "good"}
    assert whole["Output"] == "fine" and whole["DurationMs"] > 0 and whole["Batch"]["Records"] == 1
    assert "got ['good']" in whole["Log"]
    assert "ValueError" in tool("invocations", name)


def test_logs_are_shown_and_followed(added, tool, running, dynamodb, table):
    name = added()
    put(dynamodb, table, "one")
    eventually(lambda: "got ['one']" in tool("logs", name), within=30)
    following = subprocess.Popen(
        [BINARY, "function", "logs", name, "--follow"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **tool.environment, "AWS_REGION": "us-east-1"},
    )
    try:
        assert any("got ['one']" in line for line in iter(following.stdout.readline, ""))
        put(dynamodb, table, "two")
        assert any("got ['two']" in line for line in iter(following.stdout.readline, ""))
    finally:
        following.send_signal(signal.SIGINT)
        following.wait(timeout=10)


# Pausing


def test_a_pause_has_a_reason_keeps_the_place_and_says_for_how_long(added, tool, notes, dynamodb, table):
    name = added()
    put(dynamodb, table, "before")
    eventually(lambda: notes.keys() == ["before"], within=30)
    said = tool("pause", name, "--reason", "the warehouse is down")
    assert "the warehouse is down" in said and "kept for 24 hours" in said
    wait_for_state(tool, name, "Disabled")
    put(dynamodb, table, "meanwhile")
    waiting = eventually(lambda: shown(tool, name)["KeptUntil"] and shown(tool, name), within=30)
    left = waiting["KeptUntil"] / 1000 - datetime.datetime.now().timestamp()
    assert 23.9 * 3600 < left <= 24 * 3600
    assert waiting["StateTransitionReason"] == "the warehouse is down"
    assert "is kept until" in tool("show", name)
    assert notes.keys() == ["before"]
    tool("resume", name)
    eventually(lambda: notes.keys() == ["before", "meanwhile"], within=30)


def test_failures_in_a_row_pause_if_asked(added, tool, notes, dynamodb, table):
    name = added("--pause-after", "3")
    put(dynamodb, table, "bad")
    paused = wait_for_state(tool, name, "Disabled")
    assert "3 failures in a row" in paused["StateTransitionReason"]
    assert "poisoned" in paused["StateTransitionReason"]
    assert len(notes.records()) == 3
    assert tool.json("failed", name)["batches"] == [], "nothing is given up"
    notes.heal()
    tool("resume", name)
    eventually(lambda: len(notes.records()) == 4, within=30)


def test_a_pause_needs_a_reason(added, tool):
    name = added()
    assert tool.run("pause", name).returncode == 2
    assert tool.run("pause", name, "--reason", " ").returncode == 1


# Running again


def test_failed_batches_are_shown_and_run_again_with_their_records(added, tool, notes, dynamodb, table):
    name = added("--attempts", "0")
    put(dynamodb, table, "bad", n=N(42))
    (batch,) = eventually(lambda: tool.json("failed", name)["batches"], within=30)
    whole = json.loads(tool("failed", name, batch["Id"]))
    assert whole["Event"]["Records"][0]["dynamodb"]["NewImage"]["n"] == N(42)
    assert whole["Error"]["errorType"] == "ValueError"
    assert batch["Id"] in tool("replay", name, "--failed", "--dry-run")
    assert len(notes.records()) == 1, "a dry run runs nothing"
    again = tool.run("replay", name, "--failed")
    assert again.returncode == 1 and "failed again and is kept" in again.stdout
    notes.heal()
    assert "succeeded" in tool("replay", name, "--failed", batch["Id"])
    assert tool.json("failed", name)["batches"] == []
    assert len(notes.records()) == 3
    assert len({record["eventID"] for record in notes.records()}) == 1


def test_a_failed_batch_can_be_removed(added, tool, dynamodb, table):
    name = added("--attempts", "0")
    put(dynamodb, table, "bad")
    (batch,) = eventually(lambda: tool.json("failed", name)["batches"], within=30)
    assert "is removed" in tool("failed", name, batch["Id"], "--remove")
    assert tool.json("failed", name)["batches"] == []
    assert tool.run("failed", name, batch["Id"]).returncode == 1


def test_a_part_of_the_log_runs_again_and_the_place_stays(added, tool, notes, dynamodb, table):
    name = added()
    for at in range(5):
        put(dynamodb, table, f"k{at}")
    eventually(lambda: len(notes.records()) == 5, within=30)
    place = [shard["After"] for shard in shown(tool, name)["Shards"]]
    counted = tool.json("replay", name, "--from", "1h", "--dry-run")
    assert (counted["Records"], counted["AtLeast"]) == (5, False)
    assert len(notes.records()) == 5, "a dry run runs nothing"
    tool("replay", name, "--from", "1h")
    eventually(lambda: len(notes.records()) == 10, within=30)
    assert sorted(notes.keys()) == sorted([f"k{at}" for at in range(5)] * 2)
    assert len({record["eventID"] for record in notes.records()}) == 5
    eventually(lambda: shown(tool, name)["Replays"] == [], within=30, saying="the replay is gone when it is done")
    assert [shard["After"] for shard in shown(tool, name)["Shards"]] == place
    put(dynamodb, table, "after")
    eventually(lambda: notes.keys()[-1] == "after", within=30)


def test_a_replay_begins_and_ends_at_sequence_numbers_of_a_shard(added, tool, notes, dynamodb, table):
    name = added()
    for turn in range(6):
        put(dynamodb, table, "one key", n=N(turn))
    eventually(lambda: len(notes.records()) == 6, within=30)
    numbers = [record["dynamodb"]["SequenceNumber"] for record in notes.records()]
    shard = next(s["ShardId"] for s in shown(tool, name)["Shards"] if s["Last"] > 0 and s["After"] > 0 and s["Owner"])
    refused = tool.run("replay", name, "--from", numbers[2])
    assert refused.returncode == 1 and "name the shard" in refused.stderr
    busy = max(shown(tool, name)["Shards"], key=lambda s: s["After"])["ShardId"] or shard
    arguments = ("--from", numbers[2], "--to", numbers[4], "--shard", busy)
    assert tool.json("replay", name, *arguments, "--dry-run")["Records"] == 3
    tool("replay", name, *arguments)
    turns = lambda: [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in notes.records()]
    eventually(lambda: turns() == [0, 1, 2, 3, 4, 5, 2, 3, 4], within=30)


@pytest.mark.parametrize(
    "arguments",
    [("--from", "yesterday"), ("--from", "1h", "--to", "2h"), ("--from", "1h", "--shard", "none"), ("--failed", "x")],
    ids=str,
)
def test_replays_that_make_no_sense_are_refused(added, tool, arguments):
    ended = tool.run("replay", added(), *arguments)
    assert ended.returncode == 1 and ended.stderr.strip()


# Origins


def test_a_function_can_see_only_what_its_region_wrote(running, tool, notes, added, dynamodb):
    name = unique("global")
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    active = lambda: dynamodb.describe_table(TableName=name)["Table"]
    eventually(lambda: active()["TableStatus"] == "ACTIVE", within=60)
    dynamodb.update_table(TableName=name, ReplicaUpdates=[{"Create": {"RegionName": "eu-west-1"}}])
    joined = lambda: [r["ReplicaStatus"] for r in active().get("Replicas", [])] and all(
        r["ReplicaStatus"] == "ACTIVE" for r in active()["Replicas"]
    )
    eventually(joined, within=120)
    other = running.endpoint().client(region="eu-west-1")
    added("--origin", "remote", table=name)
    put(dynamodb, name, "here")
    eventually(lambda: other.get_item(TableName=name, Key={"p": {"S": "here"}}).get("Item"), within=60)
    put(other, name, "there")
    eventually(lambda: notes.keys() == ["there"], within=60)


# HTTP


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_webhook_gets_signed_events_and_is_tried_again_until_it_is_there(tool, dynamodb, table, tmp_path):
    port, name = free_port(), unique("hook")
    said = tool("add", name, "--url", f"http://127.0.0.1:{port}/", "--table", table)
    secret = next(word for word in said.split() if word.startswith("whsec_"))
    put(dynamodb, table, "early")
    eventually(lambda: tool.json("invocations", name)["invocations"], within=60, saying="nobody listens yet")
    with open(tmp_path / "received", "w+b") as received:
        receiver = subprocess.Popen(
            [sys.executable, EXAMPLES / "webhook/receiver.py", str(port)],
            stdout=received,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "WEBHOOK_SECRET": secret},
        )
        try:
            text = lambda: (tmp_path / "received").read_text()
            eventually(lambda: "early" in text(), within=60)
            put(dynamodb, table, "late")
            eventually(lambda: "late" in text(), within=30)
        finally:
            receiver.kill()
            receiver.wait(timeout=10)
    assert tool.json("failed", name)["batches"] == []


def test_a_container_behind_the_emulator_is_a_function(tool, dynamodb, table, tmp_path):
    pytest.importorskip("awslambdaric")
    (tmp_path / "app.py").write_text((EXAMPLES / "container/app.py").read_text())
    with Emulator(tmp_path, "app.handler") as emulator:
        name = unique("container")
        tool("add", name, "--url", emulator.url, "--form", "emulator", "--table", table)
        for at in range(3):
            put(dynamodb, table, f"k{at}")
        eventually(lambda: all(f"'k{at}'" in emulator.printed() for at in range(3)), within=60)
        newest = tool.json("invocations", name)["invocations"][0]
        assert newest["Error"] is None


def test_a_failing_container_is_a_failing_function(tool, dynamodb, table, tmp_path):
    pytest.importorskip("awslambdaric")
    (tmp_path / "app.py").write_text("def handler(event, context):\n    raise KeyError('nothing')\n")
    with Emulator(tmp_path, "app.handler") as emulator:
        name = unique("container")
        tool("add", name, "--url", emulator.url, "--form", "emulator", "--table", table, "--attempts", "1")
        put(dynamodb, table, "x")
        (batch,) = eventually(lambda: tool.json("failed", name)["batches"], within=60)
        assert batch["Error"]["errorType"] == "KeyError"
        assert batch["requestContext"]["approximateInvokeCount"] == 2
