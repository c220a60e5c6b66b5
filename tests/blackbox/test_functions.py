"""Functions on streams: a Python handler, given as a zip through the Lambda API, runs on the changes of a table.

Each test runs with AWS's own runtime client and with an interpreter that has nothing installed.
"""

import json
import os
import pathlib
import sys
import textwrap
import venv

import pytest

import server
from endpoints import REGION
from lifecycle import wait_until_active
from racing import together
from rejections import rejected
from running_functions import ROLE, STREAM, Notes, attach, put, zipped
from schemas import keyed_by
from server import Server
from streaming import stream_of
from values import N, S, unique
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only("runs commands"),
    pytest.mark.embedded_only("storage nodes run no functions"),
    pytest.mark.timeout(120),
]

RECORDING = """
    import json, os

    def note(event, context):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(json.dumps({"event": event, "request": context.aws_request_id}) + "\\n")

    def handler(event, context):
        note(event, context)
        return {"seen": len(event["Records"])}

    def failing(event, context):
        note(event, context)
        if not os.path.exists(os.environ["NOTES"] + ".healed"):
            raise ValueError("not yet")

    def environment(event, context):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(json.dumps({"event": event, "environment": dict(os.environ)}) + "\\n")

    def reported(event, context):
        note(event, context)
        if os.path.exists(os.environ["NOTES"] + ".healed"):
            return {"batchItemFailures": []}
        bad = [r["dynamodb"]["SequenceNumber"] for r in event["Records"] if "bad" in r["dynamodb"]["Keys"]["p"]["S"]]
        return {"batchItemFailures": [{"itemIdentifier": number} for number in bad[:1]]}
"""


@pytest.fixture(scope="module", params=["awslambdaric", "bare Python"])
def path(request, tmp_path_factory):
    """A PATH whose first python3 has, or has not, AWS's runtime client."""
    if request.param == "awslambdaric":
        pytest.importorskip("awslambdaric")
        folder = pathlib.Path(sys.executable).parent
    else:
        bare = tmp_path_factory.mktemp("bare")
        venv.create(bare, with_pip=False, symlinks=True)
        folder = bare / "bin"
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def running(path):
    with Server("--in-memory", environment={"PATH": path}) as started:
        yield started
        assert started.stop() == 0


@pytest.fixture(scope="module")
def dynamodb(running):
    return running.endpoint().client()


@pytest.fixture(scope="module")
def functions(running):
    return running.endpoint().client("lambda")


@pytest.fixture
def streamed(dynamodb):
    name = unique("fn")
    dynamodb.create_table(TableName=name, **keyed_by("p:S"), StreamSpecification=STREAM)
    wait_until_active(dynamodb, name)
    return name


@pytest.fixture
def notes(tmp_path):
    return Notes(tmp_path / "notes")


def create(functions, notes, handler="handler", **more):
    name = unique("f")
    functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=ROLE,
        Handler=f"app.{handler}",
        Code={"ZipFile": zipped(RECORDING)},
        Environment={"Variables": {"NOTES": str(notes.file)}},
        **more,
    )
    return name


# Events


def test_a_function_runs_on_every_change(functions, dynamodb, streamed, notes):
    attach(functions, dynamodb, streamed, create(functions, notes))
    put(dynamodb, streamed, "a", n=N(1))
    put(dynamodb, streamed, "a", n=N(2))
    dynamodb.delete_item(TableName=streamed, Key={"p": S("a")})
    eventually(lambda: len(notes.records()) >= 3, within=30)
    insert, modify, remove = notes.records()
    assert [each["eventName"] for each in (insert, modify, remove)] == ["INSERT", "MODIFY", "REMOVE"]
    assert insert["dynamodb"]["NewImage"] == {"p": S("a"), "n": N(1)} and "OldImage" not in insert["dynamodb"]
    assert modify["dynamodb"]["OldImage"] == {"p": S("a"), "n": N(1)}
    assert modify["dynamodb"]["NewImage"] == {"p": S("a"), "n": N(2)}
    assert remove["dynamodb"]["OldImage"] == {"p": S("a"), "n": N(2)} and "NewImage" not in remove["dynamodb"]


def test_an_event_looks_as_lambda_sends_it(functions, dynamodb, streamed, notes):
    attach(functions, dynamodb, streamed, create(functions, notes))
    put(dynamodb, streamed, "a", b={"B": b"\x00\x01"})
    record = eventually(notes.records, within=30)[0]
    assert record["eventSource"] == "aws:dynamodb"
    assert record["eventVersion"] == "1.1"
    assert record["awsRegion"] == REGION
    assert record["eventSourceARN"] == stream_of(dynamodb, streamed)
    assert len(record["eventID"]) >= 32
    body = record["dynamodb"]
    assert body["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert isinstance(body["ApproximateCreationDateTime"], (int, float))
    assert body["SequenceNumber"].isdigit() and body["SizeBytes"] > 0
    assert body["NewImage"]["b"] == {"B": "AAE="}


def test_nothing_is_missed_and_order_is_kept_per_key(functions, dynamodb, streamed, notes):
    attach(functions, dynamodb, streamed, create(functions, notes), BatchSize=20)
    together(lambda worker: [put(dynamodb, streamed, f"k{worker}", n=N(turn)) for turn in range(30)], range(8))
    eventually(lambda: len(notes.records()) >= 240, within=60)
    for worker in range(8):
        turns = [
            int(r["dynamodb"]["NewImage"]["n"]["N"])
            for r in notes.records()
            if r["dynamodb"]["Keys"]["p"]["S"] == f"k{worker}"
        ]
        assert turns == list(range(30))


def test_what_was_written_before_is_seen_from_the_horizon(functions, dynamodb, streamed, notes):
    put(dynamodb, streamed, "before")
    attach(functions, dynamodb, streamed, create(functions, notes))
    eventually(lambda: notes.keys() == ["before"], within=30)


def test_latest_begins_with_what_comes(functions, dynamodb, streamed, notes):
    put(dynamodb, streamed, "before")
    attach(functions, dynamodb, streamed, create(functions, notes), StartingPosition="LATEST")
    put(dynamodb, streamed, "after")
    eventually(lambda: "after" in notes.keys(), within=30)
    assert notes.keys() == ["after"]


@pytest.mark.parametrize("size", [1, 7])
def test_a_batch_has_its_size_at_most(functions, dynamodb, streamed, notes, size):
    for at in range(30):
        put(dynamodb, streamed, f"{at}")
    attach(functions, dynamodb, streamed, create(functions, notes), BatchSize=size)
    eventually(lambda: len(notes.records()) >= 30, within=60)
    assert max(len(line["event"]["Records"]) for line in notes.lines()) <= size
    assert sorted(notes.keys()) == sorted(str(at) for at in range(30))


def test_two_functions_each_get_everything(functions, dynamodb, streamed, notes, tmp_path):
    other = Notes(tmp_path / "other")
    for each in (notes, other):
        attach(functions, dynamodb, streamed, create(functions, each))
    put(dynamodb, streamed, "x")
    for each in (notes, other):
        eventually(lambda: each.keys() == ["x"], within=30)


# Failures


def test_a_failing_batch_is_tried_again_until_it_passes(functions, dynamodb, streamed, notes):
    attach(functions, dynamodb, streamed, create(functions, notes, "failing"), BatchSize=1)
    put(dynamodb, streamed, "same key", n=N(1))
    put(dynamodb, streamed, "same key", n=N(2))
    eventually(lambda: len(notes.records()) >= 2, within=60)
    turns = [record["dynamodb"]["NewImage"]["n"]["N"] for record in notes.records()]
    assert set(turns) == {"1"}, "a later record overtook the failing one"
    notes.heal()
    eventually(lambda: notes.records()[-1]["dynamodb"]["NewImage"]["n"] == N(2), within=60)


def test_a_failing_batch_is_given_up_after_its_retries(functions, dynamodb, streamed, notes):
    attach(functions, dynamodb, streamed, create(functions, notes, "failing"), BatchSize=1, MaximumRetryAttempts=2)
    put(dynamodb, streamed, "key", n=N(1))
    eventually(lambda: len(notes.records()) == 3, within=60)
    notes.heal()
    put(dynamodb, streamed, "key", n=N(2))
    eventually(lambda: notes.records()[-1]["dynamodb"]["NewImage"]["n"] == N(2), within=60)
    assert len(notes.records()) == 4


def test_a_crashing_process_is_a_failure(functions, dynamodb, streamed, notes):
    name = unique("f")
    source = """
        import os

        def handler(event, context):
            flag = os.environ["NOTES"]
            if not os.path.exists(flag):
                open(flag, "w").close()
                os._exit(3)
            open(flag + ".second", "w").close()
    """
    functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": zipped(source)},
        Environment={"Variables": {"NOTES": str(notes.file)}},
    )
    attach(functions, dynamodb, streamed, name)
    put(dynamodb, streamed, "x")
    eventually(lambda: pathlib.Path(f"{notes.file}.second").exists(), within=60, saying="the batch is tried again")


# What the function sees


def test_a_function_gets_the_environment_of_lambda(functions, dynamodb, streamed, notes, running):
    name = create(functions, notes, "environment", MemorySize=256)
    attach(functions, dynamodb, streamed, name)
    put(dynamodb, streamed, "x")
    seen = eventually(notes.lines, within=30)[0]["environment"]
    assert seen["AWS_REGION"] == REGION
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert seen["_HANDLER"] == "app.environment"
    assert seen["AWS_ENDPOINT_URL"].startswith("http://")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT"):
        assert seen[variable]


# The API


def test_functions_are_described(functions, notes):
    name = create(functions, notes, Timeout=17)
    described = functions.get_function(FunctionName=name)["Configuration"]
    assert described["FunctionArn"].endswith(f":function:{name}")
    assert (described["Handler"], described["Timeout"], described["Runtime"]) == ("app.handler", 17, "python3.11")
    assert name in [each["FunctionName"] for each in functions.list_functions()["Functions"]]


def test_a_function_is_created_once(functions, notes):
    name = create(functions, notes)
    with rejected("ResourceConflictException"):
        functions.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": zipped(RECORDING)},
        )


def test_a_deleted_function_is_gone(functions, notes):
    name = create(functions, notes)
    functions.delete_function(FunctionName=name)
    with rejected("ResourceNotFoundException"):
        functions.get_function(FunctionName=name)


def test_mappings_are_described(functions, dynamodb, streamed, notes):
    name = create(functions, notes)
    uuid = attach(functions, dynamodb, streamed, name)
    described = functions.get_event_source_mapping(UUID=uuid)
    assert described["EventSourceArn"] == stream_of(dynamodb, streamed)
    assert described["FunctionArn"].endswith(f":function:{name}")
    assert described["BatchSize"] == 100 and described["StartingPosition"] == "TRIM_HORIZON"
    listed = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    assert [each["UUID"] for each in listed] == [uuid]


def test_a_deleted_mapping_runs_no_more(functions, dynamodb, streamed, notes):
    uuid = attach(functions, dynamodb, streamed, create(functions, notes))
    put(dynamodb, streamed, "seen")
    eventually(lambda: notes.keys() == ["seen"], within=30)
    functions.delete_event_source_mapping(UUID=uuid)

    def gone():
        try:
            functions.get_event_source_mapping(UUID=uuid)
        except functions.exceptions.ResourceNotFoundException:
            return True

    eventually(gone, within=30)
    put(dynamodb, streamed, "unseen")
    witness = Notes(notes.file.with_name("witness"))
    attach(functions, dynamodb, streamed, create(functions, witness))
    eventually(lambda: sorted(witness.keys()) == ["seen", "unseen"], within=30)
    assert notes.keys() == ["seen"]


def test_an_unknown_function_cannot_be_mapped(functions, dynamodb, streamed):
    with rejected("ResourceNotFoundException"):
        functions.create_event_source_mapping(
            EventSourceArn=stream_of(dynamodb, streamed), FunctionName="nobody", StartingPosition="LATEST"
        )


@pytest.mark.parametrize(
    "change",
    [
        {"StartingPosition": "AT_TIMESTAMP"},
        {"BatchSize": 0},
        {"BatchSize": 10_001},
        {"MaximumRecordAgeInSeconds": 5},
        {"ParallelizationFactor": 11},
    ],
    ids=str,
)
def test_mappings_have_bounds(functions, dynamodb, streamed, notes, change):
    arguments = {"StartingPosition": "LATEST", **change}
    with rejected(("InvalidParameterValueException", "ValidationException")):
        functions.create_event_source_mapping(
            EventSourceArn=stream_of(dynamodb, streamed), FunctionName=create(functions, notes), **arguments
        )


def test_a_mapping_needs_a_stream_not_a_table(functions, dynamodb, streamed, notes):
    arn = dynamodb.describe_table(TableName=streamed)["Table"]["TableArn"]
    with rejected("InvalidParameterValueException"):
        functions.create_event_source_mapping(
            EventSourceArn=arn, FunctionName=create(functions, notes), StartingPosition="LATEST"
        )


# Restarts and the command line


def test_the_checkpoint_survives_a_restart(path, notes, tmp_path):
    table = "orders"
    folder = str(tmp_path / "data")
    with Server("--data-dir", folder, environment={"PATH": path}) as first:
        dynamodb, functions = first.endpoint().client(), first.endpoint().client("lambda")
        dynamodb.create_table(TableName=table, **keyed_by("p:S"), StreamSpecification=STREAM)
        wait_until_active(dynamodb, table)
        attach(functions, dynamodb, table, create(functions, notes))
        for at in range(10):
            put(dynamodb, table, f"first-{at}")
        eventually(lambda: len(notes.keys()) == 10, within=30)
        assert first.stop() == 0
    with Server("--data-dir", folder, environment={"PATH": path}) as second:
        dynamodb = second.endpoint().client()
        for at in range(5):
            put(dynamodb, table, f"second-{at}")
        eventually(lambda: len(notes.keys()) >= 15, within=30)
    assert sorted(notes.keys()) == sorted([f"first-{at}" for at in range(10)] + [f"second-{at}" for at in range(5)])


RUNTIME = """
    import json, os, sys, urllib.request

    base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
    while True:
        with urllib.request.urlopen(base + "next") as answer:
            event, request = answer.read(), answer.headers["Lambda-Runtime-Aws-Request-Id"]
        with open(sys.argv[1], "ab") as notes:
            notes.write(json.dumps({"event": json.loads(event)}).encode() + b"\\n")
        urllib.request.urlopen(urllib.request.Request(base + request + "/response", data=b"{}", method="POST")).read()
"""


def test_any_command_that_speaks_the_runtime_api_is_a_function(running, dynamodb, streamed, notes, tmp_path):
    script = tmp_path / "runtime.py"
    script.write_text(textwrap.dedent(RUNTIME))
    command = f"{sys.executable} {script} {notes.file}"
    ended = server.run(
        "function",
        "add",
        unique("cmd"),
        "--command",
        command,
        "--table",
        streamed,
        "--endpoint",
        running.endpoint().url,
        "--region",
        REGION,
    )
    assert ended.returncode == 0, ended.stderr
    for at in range(5):
        put(dynamodb, streamed, f"{at}")
    eventually(lambda: sorted(set(notes.keys())) == ["0", "1", "2", "3", "4"], within=30)


def test_functions_sign_their_own_calls_where_signatures_are_verified(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = AKIAUSER\naws_secret_access_key = secret\n")
    arguments = ("--in-memory", "--auth", "--credentials", str(credentials), "--python", sys.executable)
    asking = """
        import boto3

        def handler(event, context):
            return boto3.client("dynamodb").list_tables()["TableNames"]
    """
    with Server(*arguments, credentials=("AKIAUSER", "secret")) as running:
        running.endpoint().client().create_table(TableName="seen", **keyed_by("p:S"))
        functions = running.endpoint().client("lambda")
        functions.create_function(
            FunctionName="asking",
            Runtime="python3.11",
            Role=ROLE,
            Handler="app.handler",
            Timeout=30,
            Code={"ZipFile": zipped(asking)},
        )
        answer = functions.invoke(FunctionName="asking")
        assert json.loads(answer["Payload"].read()) == ["seen"], answer
