"""Functions in Node.js: with AWS's own `aws-lambda-ric`, and with our bootstrap where that is not installed.

Why it exists: a handler must not be able to tell which of the two runs it. `make node-runtime` installs AWS's, which is
compiled for that; without it those tests are skipped.
"""

import base64
import json
import os
import pathlib
import re
import shutil

import pytest

from racing import together
from running_functions import ROLE, Notes, attach, make_table, put, zipped
from server import Server
from values import N, unique
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only("runs commands"),
    pytest.mark.embedded_only("storage nodes run no functions"),
    pytest.mark.timeout(180),
    pytest.mark.skipif(not shutil.which("node"), reason="there is no Node.js here"),
]

PACKAGES = pathlib.Path(__file__).parents[2] / "target/node-runtime/node_modules"

NOTING = """
    const fs = require("fs");
    const note = (event, more) => fs.appendFileSync(process.env.NOTES, JSON.stringify({ event, ...more }) + "\\n");
    const isHealed = () => fs.existsSync(process.env.NOTES + ".healed");
    const keysOf = (event) => event.Records.map((record) => record.dynamodb.Keys.p.S);
"""


@pytest.fixture(scope="module", params=["aws-lambda-ric", "our bootstrap"])
def runtime(request):
    if request.param == "aws-lambda-ric" and not (PACKAGES / "aws-lambda-ric").is_dir():
        pytest.skip("run `make node-runtime` first")
    return request.param


@pytest.fixture(scope="module")
def running(runtime):
    # Where Node finds packages that are installed for all.
    packages = str(PACKAGES) if runtime == "aws-lambda-ric" else ""
    with Server("--in-memory", environment={"NODE_PATH": packages}) as started:
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


def create(functions, source, notes=None, handler="app.handler", file="app.js", **more):
    name = unique("n")
    functions.create_function(
        FunctionName=name,
        Runtime="nodejs20.x",
        Role=ROLE,
        Handler=handler,
        Code={"ZipFile": zipped(NOTING + source if notes else source, file)},
        Environment={"Variables": {"NOTES": str(notes.file)} if notes else {}},
        **{"Timeout": 20, **more},
    )
    return name


def invoke(functions, name, event=None, **more):
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(event), **more)
    return answer, json.load(answer["Payload"])


def test_the_runtime_is_the_one_that_is_meant(functions, runtime):
    name = create(functions, "exports.handler = async () => process.argv[1];")
    _, program = invoke(functions, name)
    assert ("aws-lambda-ric" in program) == (runtime == "aws-lambda-ric"), program


def test_a_function_sees_every_change_in_order(functions, dynamodb, table, notes):
    source = "exports.handler = async (event, context) => note(event, { id: context.awsRequestId });"
    attach(functions, dynamodb, table, create(functions, source, notes), BatchSize=20)
    together(lambda worker: [put(dynamodb, table, f"k{worker}", n=N(turn)) for turn in range(30)], range(4))
    eventually(lambda: len(notes.records()) >= 120, within=60)
    for worker in range(4):
        mine = [r["dynamodb"]["NewImage"]["n"]["N"] for r in notes.records() if r["dynamodb"]["Keys"]["p"]["S"] == f"k{worker}"]
        assert [int(turn) for turn in mine] == list(range(30))
    assert len({line["id"] for line in notes.lines()}) == len(notes.lines())


@pytest.mark.parametrize(
    "failing",
    [
        'throw new Error("poisoned")',
        "process.exit(7)",
        "await new Promise((resolve) => setTimeout(resolve, 60_000))",
        'Promise.reject(new Error("nobody waits")); await new Promise((resolve) => setTimeout(resolve, 60_000))',
        'setTimeout(() => { throw new Error("late") }, 1); await new Promise((resolve) => setTimeout(resolve, 60_000))',
    ],
    ids=["throws", "exits", "never ends", "rejection that nobody handles", "exception that nobody catches"],
)
def test_a_failing_batch_is_tried_again_and_nothing_is_lost(functions, dynamodb, table, notes, failing):
    source = f"""
    exports.handler = async (event) => {{
      note(event);
      if (!isHealed() && keysOf(event).includes("bad")) {{ {failing}; }}
    }};
    """
    attach(functions, dynamodb, table, create(functions, source, notes, Timeout=3), BatchSize=1)
    put(dynamodb, table, "bad", n=N(1))
    put(dynamodb, table, "bad", n=N(2))
    eventually(lambda: len(notes.records()) >= 2, within=60)
    assert {record["dynamodb"]["NewImage"]["n"]["N"] for record in notes.records()} == {"1"}
    notes.heal()
    eventually(lambda: notes.records()[-1]["dynamodb"]["NewImage"]["n"] == N(2), within=60)


def test_reported_items_are_tried_again(functions, dynamodb, table, notes):
    source = """
    exports.handler = async (event) => {
      note(event);
      const failed = event.Records.length === 4 ? [{ itemIdentifier: event.Records[2].dynamodb.SequenceNumber }] : [];
      return { batchItemFailures: failed };
    };
    """
    for turn in range(4):
        put(dynamodb, table, "one key", n=N(turn))
    attach(
        functions, dynamodb, table, create(functions, source, notes),
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    turns = lambda: [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in notes.records()]
    eventually(lambda: turns() == [0, 1, 2, 3, 2, 3], within=60)


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "text"),
    [
        ('exports.handler = async () => { throw new TypeError("t") }', "app.handler", "TypeError", "t"),
        ('exports.handler = (e, c, done) => done(new RangeError("r"))', "app.handler", "RangeError", "r"),
        ("exports.handler = async () => process.exit(3)", "app.handler", "Runtime.ExitError", "exit status 3"),
        ('exports.handler = async () => process.kill(process.pid, "SIGKILL")', "app.handler", "Runtime.ExitError", "signal: killed"),
        ("exports.handler = () => new Promise((done) => setTimeout(done, 60_000))", "app.handler", "Sandbox.Timedout", "after 2.00"),
        ("exports.handler = async () => { for (;;); }", "app.handler", "Sandbox.Timedout", "after 2.00"),
        ('exports.handler = async () => "x".repeat((6 << 20) + 200)', "app.handler", "Function.ResponseSizeTooLarge", ""),
        ("exports.handler = async () => { const me = {}; me.me = me; return me; }", "app.handler", "Error", "Unable to stringify"),
        ("exports.handler = async () => {", "app.handler", "Runtime.UserCodeSyntaxError", ""),
        ('require("nothing-like-it"); exports.handler = async () => 1', "app.handler", "Runtime.ImportModuleError", "nothing-like-it"),
        ("exports.handler = async () => 1", "app.missing", "Runtime.HandlerNotFound", "app.missing is undefined or not exported"),
        ("exports.handler = 1", "app.handler", "Runtime.HandlerNotFound", "app.handler is not a function"),
        ("exports.handler = async () => 1", "elsewhere.handler", "Runtime.ImportModuleError", "elsewhere"),
        ("exports.handler = async () => 1", "app", "Runtime.MalformedHandlerName", "Bad handler"),
        ('throw new Error("at import")', "app.handler", "Error", "at import"),
    ],
    ids=lambda value: str(value)[-30:],
)
def test_a_failing_function_is_an_answer_with_lambdas_error(functions, source, handler, error_type, text):
    name = create(functions, source, handler=handler, Timeout=2)
    answer, error = invoke(functions, name)
    assert (answer["StatusCode"], answer.get("FunctionError")) == (200, "Unhandled")
    assert error["errorType"] == error_type, error
    assert text in error["errorMessage"]


@pytest.mark.parametrize(
    ("source", "file", "expected"),
    [
        ("exports.handler = async (event) => ({ got: event });", "app.js", {"got": [1]}),
        ("exports.handler = (event, context, done) => setTimeout(() => done(null, event), 5);", "app.cjs", [1]),
        ("exports.handler = () => {};", "app.js", None),
        ("export const handler = async (event) => event.length;", "app.mjs", 1),
        ("exports.handler = async () => 'ü\\ud800'.length;", "app.js", 2),
        ("exports.handler = async () => undefined;", "app.js", None),
    ],
)
def test_handlers_of_every_style_answer(functions, source, file, expected):
    answer, said = invoke(functions, create(functions, source, file=file), [1])
    assert answer.get("FunctionError") is None, said
    assert said == expected


def test_the_context_is_lambdas(functions):
    source = """exports.handler = async (event, context) => ({
      ...context, left: context.getRemainingTimeInMillis(), region: process.env.AWS_REGION, home: process.env.HOME ?? null
    });"""
    name = create(functions, source, MemorySize=256)
    given = base64.b64encode(json.dumps({"custom": {"a": "b"}}).encode()).decode()
    answer, seen = invoke(functions, name, ClientContext=given)
    assert answer.get("FunctionError") is None, seen
    assert (seen["functionName"], seen["functionVersion"], seen["memoryLimitInMB"]) == (name, "$LATEST", "256")
    assert seen["invokedFunctionArn"].endswith(f":function:{name}")
    assert re.fullmatch(r"[0-9a-f-]{36}", seen["awsRequestId"])
    assert seen["clientContext"] == {"custom": {"a": "b"}}
    assert 0 < seen["left"] <= 20_000 and seen["home"] is None
    assert seen["logGroupName"] == f"/aws/lambda/{name}" and seen["logStreamName"]


SAYING = """exports.handler = async () => {
  console.log("said %d", 7);
  console.error({ a: 1 });
  process.stdout.write(Buffer.from([0xff, 0xfe, 10]));
};"""


def test_what_is_said_is_a_line_with_time_request_and_level(functions):
    name = create(functions, SAYING)
    answer, _ = invoke(functions, name, LogType="Tail")
    log = base64.b64decode(answer["LogResult"])
    assert re.search(rb"\n\d{4}-\d\d-\d\dT[\d:.]+Z\t[0-9a-f-]{36}\tINFO\tsaid 7\n", log), log
    assert b"\tERROR\t{ a: 1 }\n" in log
    assert b"\xff\xfe\n" in log, "what is no text stays as it is"


def test_what_is_said_is_json_where_the_function_asks_for_it(functions):
    name = create(functions, SAYING, LoggingConfig={"LogFormat": "JSON"})
    answer, _ = invoke(functions, name, LogType="Tail")
    lines = base64.b64decode(answer["LogResult"]).splitlines()
    said = [json.loads(line) for line in lines if line.startswith(b'{"timestamp"')]
    assert [(line["level"], line["message"]) for line in said] == [("INFO", "said 7"), ("ERROR", {"a": 1})]
    assert all(re.fullmatch(r"[0-9a-f-]{36}", line["requestId"]) for line in said)


def test_a_functions_own_copy_of_the_runtime_is_used(runtime, tmp_path):
    """As in a folder in which `npm install aws-lambda-ric` was run."""
    if runtime != "aws-lambda-ric":
        pytest.skip("there is no copy to use")
    (tmp_path / "app.js").write_text("exports.handler = async () => process.argv[1];")
    os.symlink(PACKAGES, tmp_path / "node_modules")
    with Server("--in-memory", environment={"NODE_PATH": ""}) as started:
        client = started.endpoint().client("lambda")
        client.meta.events.register(
            "before-sign.lambda.CreateFunction",
            lambda request, **_: request.headers.add_header("x-tradewind-directory", str(tmp_path)),
        )
        client.create_function(
            FunctionName="own", Runtime="nodejs20.x", Role=ROLE, Handler="app.handler", Timeout=20, Code={}
        )
        _, program = invoke(client, "own")
        assert program.startswith(str(tmp_path / "node_modules")), program
