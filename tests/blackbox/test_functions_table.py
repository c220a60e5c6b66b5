"""Lambda's behaviours one by one: each knob of an event source mapping, each way to fail, each bad input."""

import base64
import io
import json
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from endpoints import REGION
from racing import together
from rejections import rejected
from running_functions import (
    NOTING,
    ROLE,
    Notes,
    attach,
    create,
    lambda_get,
    make_table,
    put,
    wait_for_state,
    zipped,
)
from server import Server
from streaming import stream_of
from values import N, unique
from waiting import eventually

pytestmark = [pytest.mark.tradewind_only("runs commands"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def running():
    with Server("--in-memory", "--python", sys.executable) as started:
        yield started
        assert started.stop() == 0


@pytest.fixture(scope="module")
def dynamodb(running):
    return running.endpoint().client()


@pytest.fixture(scope="module")
def functions(running):
    return running.endpoint().client("lambda")


@pytest.fixture
def table(dynamodb):
    return make_table(dynamodb)


@pytest.fixture
def notes(tmp_path):
    return Notes(tmp_path / "notes")


SEEING = """
    def handler(event, context):
        note(event)
"""

POISONED = """
    def handler(event, context):
        note(event)
        if not is_healed() and any("bad" in r["dynamodb"]["Keys"]["p"]["S"] for r in event["Records"]):
            raise ValueError("poisoned")
"""


def paused_put(functions, dynamodb, table, function, keys, **knobs):
    """Writes while the mapping does not run, so that all of it is there when the first batch is made."""
    for key in keys:
        put(dynamodb, table, key)
    return attach(functions, dynamodb, table, function, **knobs)


def failed_batches(running, function):
    answer = lambda_get(running, f"/2026-11-01/functions/{function}/failed")
    return answer["FailedBatches"]


# Knobs


def test_a_batching_window_gathers(functions, dynamodb, table, notes):
    attach(functions, dynamodb, table, create(functions, notes, SEEING), MaximumBatchingWindowInSeconds=2)
    shared = [f"k{at}" for at in range(12)]
    for key in shared:
        put(dynamodb, table, key)
    eventually(lambda: len(notes.records()) == 12, within=30)
    # One invocation per shard that got any: without a window nearly every record would have had its own.
    # A new table has four.
    assert len(notes.lines()) <= 4, [len(line["event"]["Records"]) for line in notes.lines()]


def test_parallel_batches_keep_the_order_of_each_key(functions, dynamodb, table, notes):
    source = """
        import time

        def handler(event, context):
            note(event, begun=time.time())
            time.sleep(0.05)
    """
    attach(functions, dynamodb, table, create(functions, notes, source), ParallelizationFactor=10, BatchSize=2)
    together(lambda worker: [put(dynamodb, table, f"k{worker}", n=N(turn)) for turn in range(8)], range(8))
    eventually(lambda: len(notes.records()) >= 64, within=60)
    for worker in range(8):
        mine = [r for r in notes.records() if r["dynamodb"]["Keys"]["p"]["S"] == f"k{worker}"]
        assert [int(r["dynamodb"]["NewImage"]["n"]["N"]) for r in mine] == list(range(8))


def test_bisecting_isolates_a_poisonous_record(functions, dynamodb, table, notes, running):
    name = create(functions, notes, POISONED)
    keys = [f"k{at}" for at in range(9)] + ["bad"]
    paused_put(
        functions, dynamodb, table, name, keys, BisectBatchOnFunctionError=True, MaximumRetryAttempts=1
    )
    (kept,) = eventually(lambda: failed_batches(running, name), within=60)
    assert kept["DDBStreamBatchInfo"]["batchSize"] == 1
    assert kept["requestContext"]["condition"] == "RetryAttemptsExhausted"
    good = lambda: {k for line in notes.lines() if len(line["event"]["Records"]) for k in keys_of(line)} >= set(keys)
    eventually(good, within=60, saying="everything was offered")
    last = {k: line for line in notes.lines() for k in keys_of(line)}
    assert all("bad" not in keys_of(last[key]) for key in keys[:-1]), "a good record ended in a failed batch"


def keys_of(line):
    return [record["dynamodb"]["Keys"]["p"]["S"] for record in line["event"]["Records"]]


def test_no_retries_means_one_attempt(functions, dynamodb, table, notes, running):
    name = create(functions, notes, POISONED)
    attach(functions, dynamodb, table, name, MaximumRetryAttempts=0, BatchSize=1)
    put(dynamodb, table, "bad")
    (kept,) = eventually(lambda: failed_batches(running, name), within=30)
    assert kept["requestContext"]["approximateInvokeCount"] == 1
    assert notes.keys() == ["bad"]


def test_a_retried_record_keeps_its_event_id(functions, dynamodb, table, notes):
    attach(functions, dynamodb, table, create(functions, notes, POISONED), BatchSize=1)
    put(dynamodb, table, "bad")
    eventually(lambda: len(notes.records()) >= 3, within=30)
    notes.heal()
    assert len({record["eventID"] for record in notes.records()}) == 1
    put(dynamodb, table, "bad", n=N(2))
    eventually(lambda: len({record["eventID"] for record in notes.records()}) == 2, within=60)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"eventName": ["INSERT"]}, ["a", "b"]),
        ({"dynamodb": {"Keys": {"p": {"S": [{"prefix": "b"}]}}}}, ["b"]),
        ({"dynamodb": {"NewImage": {"n": {"N": ["2"]}}}}, ["a"]),
        ({"dynamodb": {"OldImage": {"p": [{"exists": True}]}}}, []),
        ({"$or": [{"eventName": ["MODIFY"]}, {"dynamodb": {"Keys": {"p": {"S": ["b"]}}}}]}, ["a", "b"]),
        ({"dynamodb": {"Keys": {"p": {"S": [{"anything-but": ["a"]}]}}}}, ["b"]),
    ],
    ids=str,
)
def test_filters_choose_records(functions, dynamodb, table, notes, pattern, expected):
    put(dynamodb, table, "a", n=N(1))
    put(dynamodb, table, "a", n=N(2))
    put(dynamodb, table, "b")
    name = create(functions, notes, SEEING)
    attach(functions, dynamodb, table, name, FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]})
    witness = Notes(notes.file.with_name("witness"))
    attach(functions, dynamodb, table, create(functions, witness, SEEING))
    eventually(lambda: len(witness.records()) == 3, within=30)
    eventually(lambda: sorted(notes.keys()) == expected, within=30)


def test_a_tumbling_window_carries_a_state_to_its_end(functions, dynamodb, table, notes):
    source = """
        def handler(event, context):
            note(event)
            count = event["state"].get("count", 0) + len(event["Records"])
            return {"state": {"count": count}}
    """
    attach(functions, dynamodb, table, create(functions, notes, source), TumblingWindowInSeconds=1, BatchSize=1)
    for turn in range(4):
        put(dynamodb, table, "one key", n=N(turn))
    final = lambda: [line["event"] for line in notes.lines() if line["event"]["isFinalInvokeForWindow"]]
    total = lambda: sum(event["state"]["count"] for event in final())
    eventually(lambda: total() == 4, within=60, saying="the windows' last invocations have counted everything")
    first = notes.lines()[0]["event"]
    assert first["state"] == {} and first["shardId"] and first["window"]["start"] < first["window"]["end"]
    assert first["eventSourceARN"] == stream_of(dynamodb, table)


REPORTING = """
    def handler(event, context):
        note(event)
        if is_healed():
            return {"batchItemFailures": []}
        return ANSWER(event["Records"])
"""


@pytest.mark.parametrize(
    ("answer", "is_failure"),
    [
        ("lambda records: None", False),
        ("lambda records: {}", False),
        ("lambda records: {'batchItemFailures': None}", False),
        ("lambda records: {'batchItemFailures': []}", False),
        ("lambda records: {'batchItemFailures': [{'itemIdentifier': ''}]}", True),
        ("lambda records: {'batchItemFailures': [{'itemIdentifier': None}]}", True),
        ("lambda records: {'batchItemFailures': [{'wrong': 'x'}]}", True),
        ("lambda records: {'batchItemFailures': [{'itemIdentifier': '000000000000000000000'}]}", True),
        ("lambda records: 'text'", True),
        ("lambda records: {'batchItemFailures': [{'itemIdentifier': records[0]['dynamodb']['SequenceNumber']}]}", True),
    ],
)
def test_reports_of_failed_items_are_read_as_lambda_reads_them(
    functions, dynamodb, table, notes, running, answer, is_failure
):
    name = create(functions, notes, f"    ANSWER = {answer}\n{REPORTING}")
    attach(
        functions, dynamodb, table, name,
        FunctionResponseTypes=["ReportBatchItemFailures"], MaximumRetryAttempts=0, BatchSize=1,
    )
    put(dynamodb, table, "x")
    eventually(lambda: notes.keys() == ["x"], within=30)
    if is_failure:
        eventually(lambda: len(failed_batches(running, name)) == 1, within=30)
    else:
        put(dynamodb, table, "x", n=N(2))
        eventually(lambda: notes.keys() == ["x", "x"], within=30)
        assert failed_batches(running, name) == []


def test_what_follows_a_reported_item_is_tried_again_and_what_came_before_is_not(functions, dynamodb, table, notes):
    source = """
        def handler(event, context):
            note(event)
            records = event["Records"]
            if len(records) == 4:
                return {"batchItemFailures": [{"itemIdentifier": records[2]["dynamodb"]["SequenceNumber"]}]}
    """
    for turn in range(4):
        put(dynamodb, table, "one key", n=N(turn))
    attach(
        functions, dynamodb, table, create(functions, notes, source),
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    turns = lambda: [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in notes.records()]
    eventually(lambda: turns() == [0, 1, 2, 3, 2, 3], within=30)


def test_records_that_are_too_old_are_given_up(functions, dynamodb, table, notes, running):
    function = create(functions, notes, "def handler(event, context):\n    note(event)\n    raise ValueError('no')")
    attach(functions, dynamodb, table, function, MaximumRecordAgeInSeconds=60)
    put(dynamodb, table, "old")
    eventually(lambda: failed_batches(running, function), within=100, saying="it is given up after a minute")
    assert failed_batches(running, function)[0]["requestContext"]["condition"] == "RecordAgeExceeded"
    assert set(notes.keys()) == {"old"}


def test_mappings_have_tags(functions, dynamodb, table, notes):
    function = create(functions, notes, "def handler(event, context):\n    note(event)")
    uuid = attach(functions, dynamodb, table, function, Tags={"team": "orders"})
    arn = functions.get_event_source_mapping(UUID=uuid)["EventSourceMappingArn"]
    functions.tag_resource(Resource=arn, Tags={"stage": "test"})
    functions.untag_resource(Resource=arn, TagKeys=["team"])
    assert functions.list_tags(Resource=arn)["Tags"] == {"stage": "test"}


def test_a_failed_batch_goes_to_its_destination_with_the_records(functions, dynamodb, table, notes, running):
    told = Notes(notes.file.with_name("told"))
    destination = functions.get_function(FunctionName=create(functions, told, SEEING))["Configuration"]["FunctionArn"]
    name = create(functions, notes, POISONED)
    uuid = attach(
        functions, dynamodb, table, name, MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": destination}},
    )
    put(dynamodb, table, "bad", secret=N(7))
    record = eventually(told.lines, within=30)[0]["event"]
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["DDBStreamBatchInfo"]["streamArn"] == stream_of(dynamodb, table)
    assert record["payload"]["Records"][0]["dynamodb"]["NewImage"]["secret"] == N(7)
    shown = functions.get_event_source_mapping(UUID=uuid)
    assert shown["DestinationConfig"]["OnFailure"]["Destination"] == destination
    assert len(failed_batches(running, name)) == 1, "it is kept as well"


@pytest.mark.parametrize(
    "destination",
    ["arn:aws:sqs:us-east-1:000000000000:q", "arn:aws:sns:us-east-1:000000000000:t", "arn:aws:s3:::bucket", "kafka://t"],
)
def test_destinations_that_do_not_exist_here_are_refused(functions, dynamodb, table, notes, destination):
    name = create(functions, notes, SEEING)
    with rejected("InvalidParameterValueException", has="is not supported"):
        functions.create_event_source_mapping(
            EventSourceArn=stream_of(dynamodb, table),
            FunctionName=name,
            StartingPosition="LATEST",
            DestinationConfig={"OnFailure": {"Destination": destination}},
        )


def test_a_disabled_mapping_loses_nothing(functions, dynamodb, table, notes):
    uuid = attach(functions, dynamodb, table, create(functions, notes, SEEING), Enabled=False)
    put(dynamodb, table, "meanwhile")
    functions.update_event_source_mapping(UUID=uuid, Enabled=True)
    eventually(lambda: notes.keys() == ["meanwhile"], within=30)
    functions.update_event_source_mapping(UUID=uuid, Enabled=False)
    wait_for_state(functions, uuid, "Disabled")
    put(dynamodb, table, "later")
    functions.update_event_source_mapping(UUID=uuid, Enabled=True)
    eventually(lambda: notes.keys() == ["meanwhile", "later"], within=30)


def test_a_function_without_concurrency_is_throttled_and_loses_nothing(functions, dynamodb, table, notes):
    name = create(functions, notes, SEEING)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with rejected("TooManyRequestsException"):
        functions.invoke(FunctionName=name)
    uuid = attach(functions, dynamodb, table, name, MaximumRetryAttempts=0)
    put(dynamodb, table, "x")
    throttled = lambda: "throttled" in functions.get_event_source_mapping(UUID=uuid)["LastProcessingResult"]
    eventually(throttled, within=30)
    functions.delete_function_concurrency(FunctionName=name)
    eventually(lambda: notes.keys() == ["x"], within=60, saying="a throttle is no attempt")


def test_a_reserved_concurrency_bounds_what_runs_at_once(functions, dynamodb, table, notes):
    source = """
        import time

        def handler(event, context):
            began = time.time()
            time.sleep(0.05)
            note(event, began=began, ended=time.time())
    """
    name = create(functions, notes, source)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    keys = [f"k{at}" for at in range(24)]
    paused_put(functions, dynamodb, table, name, keys, ParallelizationFactor=10, BatchSize=1, MaximumRetryAttempts=0)
    eventually(lambda: sorted(notes.keys()) == sorted(keys), within=60, saying="a throttle is no attempt")
    spans = [(line["began"], line["ended"]) for line in notes.lines()]
    at_once = [sum(began <= moment < ended for began, ended in spans) for moment, _ in spans]
    assert max(at_once) == 2


# Ways to fail, as an invoker sees them


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "text"),
    [
        ("def handler(e, c): raise KeyError('k')", "app.handler", "KeyError", "'k'"),
        ("import os\ndef handler(e, c): os._exit(3)", "app.handler", "Runtime.ExitError", "exit status 3"),
        ("import os\ndef handler(e, c): os.kill(os.getpid(), 9)", "app.handler", "Runtime.ExitError", "signal: killed"),
        ("import time\ndef handler(e, c): time.sleep(60)", "app.handler", "Sandbox.Timedout", "timed out after 2.00"),
        ("def handler(e, c): return 'x' * ((6 << 20) + 100)", "app.handler", "Function.ResponseSizeTooLarge", ""),
        ("def handler(e, c): return {1}", "app.handler", "Runtime.MarshalError", "JSON serializable"),
        ("def handler(e, c) return 1", "app.handler", "Runtime.UserCodeSyntaxError", ""),
        ("import nothing_like_it\ndef handler(e, c): pass", "app.handler", "Runtime.ImportModuleError", ""),
        ("x = 1", "app.missing", "Runtime.HandlerNotFound", "missing"),
        ("x = 1", "elsewhere.handler", "Runtime.ImportModuleError", ""),
        ("def handler(e, c): return bytearray(2 << 30)", "app.handler", "MemoryError", ""),
    ],
    ids=lambda value: str(value)[-30:],
)
def test_a_failing_function_is_an_answer_with_lambdas_error(functions, source, handler, error_type, text):
    name = unique("f")
    functions.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler=handler, Timeout=2, Code={"ZipFile": zipped(source)}
    )
    answer = functions.invoke(FunctionName=name)
    assert (answer["StatusCode"], answer.get("FunctionError")) == (200, "Unhandled")
    error = json.loads(answer["Payload"].read())
    assert error["errorType"] == error_type, error
    assert text in error["errorMessage"]


def test_output_that_is_not_text_harms_nothing(functions):
    source = "import os\ndef handler(e, c):\n    os.write(1, b'\\xff\\xfe raw\\n')\n    return 'fine'"
    name = unique("f")
    functions.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", Timeout=20,
        Code={"ZipFile": zipped(source)},
    )
    answer = functions.invoke(FunctionName=name, LogType="Tail")
    assert json.loads(answer["Payload"].read()) == "fine"
    assert b"\xff\xfe raw\n" in base64.b64decode(answer["LogResult"])


BOOTSTRAP = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while event=$(curl -sS -D headers.$$ "$api/next"); do
  id=$(tr -d '\\r' < headers.$$ | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
  curl -sS -o /dev/null -d "{\\"got\\": $event}" "$api/$id/response"
done
"""


def with_bootstrap(text):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o100755 << 16
        archive.writestr(info, text)
    return target.getvalue()


def test_a_bootstrap_in_bash_is_a_function(functions):
    name = unique("f")
    functions.create_function(
        FunctionName=name, Runtime="provided.al2023", Role=ROLE, Handler="any", Timeout=20,
        Code={"ZipFile": with_bootstrap(BOOTSTRAP)},
    )
    for turn in range(3):
        answer = functions.invoke(FunctionName=name, Payload=json.dumps({"n": turn}))
        assert json.loads(answer["Payload"].read()) == {"got": {"n": turn}}


@pytest.mark.parametrize(
    ("text", "error_type"),
    [("#!/bin/sh\nexit 0\n", "Runtime.ExitError"), ("#!/bin/sh\nexec sleep 100\n", "Sandbox.Timedout")],
)
def test_a_bootstrap_that_never_asks_for_work_is_ended(functions, text, error_type):
    name = unique("f")
    functions.create_function(
        FunctionName=name, Runtime="provided.al2023", Role=ROLE, Handler="any", Code={"ZipFile": with_bootstrap(text)}
    )
    answer = functions.invoke(FunctionName=name)
    assert json.loads(answer["Payload"].read())["errorType"] == error_type


# Bad input


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Code": {"ZipFile": b"not a zip"}}, "InvalidParameterValueException"),
        ({"Code": {"ZipFile": zipped("x", "../evil.py")}}, "InvalidParameterValueException"),
        ({"Code": {}}, "InvalidParameterValueException"),
        ({"Code": {"S3Bucket": "b", "S3Key": "k"}}, "InvalidParameterValueException"),
        ({"Handler": None}, "InvalidParameterValueException"),
        ({"Runtime": None}, "InvalidParameterValueException"),
        ({"Runtime": "cobol"}, "InvalidParameterValueException"),
        ({"Role": "me"}, "ValidationException"),
        ({"Role": None}, "ValidationException"),
        ({"Timeout": 901}, "ValidationException"),
        ({"MemorySize": 64}, "ValidationException"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException"),
        ({"Environment": {"Variables": {"BIG": "x" * 4100}}}, "InvalidParameterValueException"),
        ({"FunctionName": "no spaces"}, "ValidationException"),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]}, "InvalidParameterValueException"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_functions_that_make_no_sense_are_refused(functions, change, code):
    settings = {
        "FunctionName": unique("f"),
        "Runtime": "python3.12",
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": {"ZipFile": zipped("def handler(e, c): pass")},
        **change,
    }
    with rejected(code):
        functions.create_function(**{name: value for name, value in settings.items() if value is not None})


@pytest.mark.parametrize(
    "knobs",
    [
        {"MaximumBatchingWindowInSeconds": 301},
        {"ParallelizationFactor": 0},
        {"MaximumRetryAttempts": -2},
        {"MaximumRetryAttempts": 10_001},
        {"MaximumRecordAgeInSeconds": 59},
        {"MaximumRecordAgeInSeconds": 604_801},
        {"TumblingWindowInSeconds": 901},
        {"FunctionResponseTypes": ["Everything"]},
        {"FilterCriteria": {"Filters": [{"Pattern": "{"}]}},
        {"FilterCriteria": {"Filters": [{"Pattern": '{"a": "not a list"}'}]}},
        {"FilterCriteria": {"Filters": [{"Pattern": '{"a": ["x"]}'}] * 11}},
        {"DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}}},
        {"Topics": ["t"]},
        {"Queues": ["q"]},
        {"ScalingConfig": {"MaximumConcurrency": 2}},
        {"StartingPositionTimestamp": 1},
    ],
    ids=str,
)
def test_mappings_that_make_no_sense_are_refused(functions, dynamodb, table, notes, knobs):
    name = create(functions, notes, SEEING)
    with rejected(("InvalidParameterValueException", "ValidationException")):
        functions.create_event_source_mapping(
            EventSourceArn=stream_of(dynamodb, table), FunctionName=name, StartingPosition="LATEST", **knobs
        )


def test_invocations_that_make_no_sense_are_refused(functions, notes):
    name = create(functions, notes, "def handler(e, c): pass")
    with rejected("InvalidRequestContentException"):
        functions.invoke(FunctionName=name, Payload=b"{")
    with rejected("RequestTooLargeException"):
        functions.invoke(FunctionName=name, Payload=b'"' + b"x" * (6 << 20) + b'"')
    with rejected("ResourceNotFoundException"):
        functions.invoke(FunctionName="nobody")
    with rejected("ResourceNotFoundException"):
        functions.invoke(FunctionName=name, Qualifier="7")


NEVER_ASKING = "import time\ntime.sleep(100)"
GOOD = NOTING + "def handler(event, context): note(event)"


@pytest.mark.parametrize(
    ("source", "handler", "error_type"),
    [
        ("def handler(e, c) return 1", "app.handler", "Runtime.UserCodeSyntaxError"),
        ("x = 1", "app.handler", "Runtime.HandlerNotFound"),
        (NEVER_ASKING, "app.handler", "Sandbox.Timedout"),
        ("import os\nos._exit(4)", "app.handler", "Runtime.ExitError"),
        ("def handler(e, c): return 'x' * ((6 << 20) + 100)", "app.handler", "Function.ResponseSizeTooLarge"),
        ("def handler(e, c): return {1}", "app.handler", "Runtime.MarshalError"),
    ],
    ids=["syntax", "missing handler", "never asks for work", "ends at import", "6 MB", "no JSON"],
)
def test_a_function_that_cannot_work_loses_no_record(functions, dynamodb, table, notes, running, source, handler, error_type):
    name = create(functions, notes, "def handler(event, context): note(event)")
    functions.update_function_code(FunctionName=name, ZipFile=zipped(source))
    attach(functions, dynamodb, table, name, MaximumRetryAttempts=0)
    put(dynamodb, table, "x", n=N(42))
    (kept,) = eventually(lambda: failed_batches(running, name), within=60)
    assert kept["Error"]["errorType"] == error_type
    whole = lambda_get(running, f"/2026-11-01/functions/{name}/failed/{kept['Id']}")
    assert whole["Event"]["Records"][0]["dynamodb"]["NewImage"]["n"] == N(42)
    functions.update_function_code(FunctionName=name, ZipFile=zipped(GOOD))
    put(dynamodb, table, "x", n=N(43))
    eventually(lambda: [r["dynamodb"]["NewImage"]["n"] for r in notes.records()] == [N(43)], within=60)


@pytest.mark.parametrize("answer", ["b'\\xff\\xfe'", "b'{\"batchItemFailures\": [\\xff]}'", "b''"], ids=str)
def test_an_answer_that_is_no_text_fails_the_batch_where_answers_are_read(
    functions, dynamodb, table, notes, running, answer
):
    # `bytes` go out as they are.
    name = create(functions, notes, f"def handler(event, context):\n    note(event)\n    return {answer}")
    said = functions.invoke(FunctionName=name, Payload=b"{}")
    assert said.get("FunctionError") is None and said["Payload"].read() == eval(answer)
    attach(
        functions, dynamodb, table, name,
        FunctionResponseTypes=["ReportBatchItemFailures"], MaximumRetryAttempts=0, BatchSize=1,
    )
    put(dynamodb, table, "x")
    eventually(lambda: notes.keys() == ["x"], within=30)
    if answer == "b''":
        put(dynamodb, table, "y")
        eventually(lambda: notes.keys() == ["x", "y"], within=30)
        assert failed_batches(running, name) == []
    else:
        eventually(lambda: len(failed_batches(running, name)) == 1, within=30)


# The rest of the API


def test_an_event_runs_later_and_a_dry_run_never(functions, notes):
    name = create(functions, notes, "def handler(e, c): note(e)")
    assert functions.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 1}')["StatusCode"] == 202
    eventually(notes.lines, within=30)
    assert [line["event"] for line in notes.lines()] == [{"n": 1}]


def test_new_code_and_new_settings_are_used_by_the_next_invocation(functions):
    name = unique("f")
    said = lambda: json.loads(functions.invoke(FunctionName=name)["Payload"].read())
    answering = lambda value: zipped(f"import os\ndef handler(e, c): return [{value}, os.environ.get('V')]")
    functions.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", Timeout=20,
        Code={"ZipFile": answering(1)},
    )
    assert said() == [1, None]
    functions.update_function_code(FunctionName=name, ZipFile=answering(2))
    assert said() == [2, None]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": {"V_": "x", "VV": "y"}})
    assert said() == [2, None]
    functions.update_function_configuration(FunctionName=name, Handler="app.other")
    assert functions.invoke(FunctionName=name)["FunctionError"] == "Unhandled"


def test_versions_and_aliases_run_what_they_were_published_as(functions, dynamodb, table, notes):
    source = "def handler(event, context):\n    note(event, code={}, arn=context.invoked_function_arn, v=context.function_version)"
    name = create(functions, notes, source.format(1), Publish=True)
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    attach(functions, dynamodb, table, f"{name}:live")
    listed = functions.list_event_source_mappings(FunctionName=f"{name}:live")["EventSourceMappings"]
    assert [mapping["FunctionArn"].split(":")[-2:] for mapping in listed] == [[name, "live"]]
    code = zipped(NOTING + source.format(2))
    functions.update_function_code(FunctionName=name, ZipFile=code, Publish=True)
    put(dynamodb, table, "a")
    eventually(lambda: notes.keys() == ["a"], within=30)
    for qualifier, ran in [("1", 1), ("2", 2), ("live", 1), ("$LATEST", 2)]:
        answer = functions.invoke(FunctionName=name, Qualifier=qualifier)
        assert answer["ExecutedVersion"] == (qualifier if qualifier != "live" else "1")
        assert notes.lines()[-1]["code"] == ran, qualifier
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    put(dynamodb, table, "b")
    eventually(lambda: notes.keys() == ["a", "b"], within=30)
    streamed = [line for line in notes.lines() if "Records" in line["event"]]
    assert [(line["code"], line["v"], line["arn"].split(":")[-1]) for line in streamed] == [(1, "1", "live"), (2, "2", "live")]


def test_the_aws_cli_creates_what_the_sdk_does(running, dynamodb, table, notes, tmp_path):
    aws = pathlib.Path(sys.executable).with_name("aws")
    package = tmp_path / "package.zip"
    package.write_bytes(zipped(NOTING + "def handler(event, context):\n    note(event)\n"))
    endpoint = running.endpoint()

    def cli(*arguments):
        ended = subprocess.run(
            [aws, "--endpoint-url", endpoint.url, "--region", REGION, "--output", "json", "lambda", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                **os.environ,
                "AWS_ACCESS_KEY_ID": endpoint.access_key,
                "AWS_SECRET_ACCESS_KEY": endpoint.secret_key,
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    name = unique("f")
    cli(
        "create-function", "--function-name", name, "--runtime", "python3.12", "--handler", "app.handler",
        "--role", ROLE, "--zip-file", f"fileb://{package}", "--environment", f"Variables={{NOTES={notes.file}}}",
    )
    mapping = cli(
        "create-event-source-mapping", "--function-name", name, "--event-source-arn", stream_of(dynamodb, table),
        "--starting-position", "TRIM_HORIZON", "--batch-size", "7",
    )
    put(dynamodb, table, "x")
    eventually(lambda: notes.keys() == ["x"], within=30)
    assert cli("get-event-source-mapping", "--uuid", mapping["UUID"])["BatchSize"] == 7
    out = tmp_path / "out.json"
    cli("invoke", "--function-name", name, "--payload", '{"direct": true}', str(out))
    assert notes.lines()[-1]["event"] == {"direct": True}
    cli("delete-event-source-mapping", "--uuid", mapping["UUID"])
    cli("delete-function", "--function-name", name)


# Numbers


def test_numbers_have_lambdas_names(functions, dynamodb, table, notes, running):
    name = create(functions, notes, POISONED)
    uuid = attach(
        functions, dynamodb, table, name, MaximumRetryAttempts=0, BatchSize=1,
        FilterCriteria={"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]},
    )
    put(dynamodb, table, "good", n=N(1))
    put(dynamodb, table, "good", n=N(2))
    put(dynamodb, table, "bad")

    def value(metric):
        samples = lambda_get(running, "/2026-11-01/metrics")["Metrics"]
        mine = [s["Value"] for s in samples if s["Name"] == metric and s["FunctionName"] == name]
        return mine[0] if mine else None

    done = lambda: (value("DroppedEventCount"), value("PolledEventCount"), value("InvokedEventCount")) == (1, 3, 2)
    eventually(done, within=60)
    assert (value("Invocations"), value("Errors"), value("Throttles")) == (2, 1, 0)
    assert (value("FilteredOutEventCount"), value("InvokedEventCount"), value("FailedInvokeEventCount")) == (1, 2, 1)
    assert value("Duration") > 0 and value("ConcurrentExecutions") == 0
    assert value("IteratorAge") == 0, "also when idle"
    functions.delete_event_source_mapping(UUID=uuid)
    eventually(lambda: value("IteratorAge") is None, within=30)
