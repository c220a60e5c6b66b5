"""Nodes that run functions (`tradewind streams`), as processes over PostgreSQL, with and without Kafka: killed, frozen, stopped.

Why it exists: Lambda's promise is that nobody notices where a function runs. A node's death delays the changes of its shards
by less than ten seconds and skips none; a node that wakes after its lease may not undo what the others have done since.
"""

import contextlib
import glob
import io
import json
import os
import signal
import subprocess
import threading
import time
import zipfile

import pytest
from botocore.exceptions import ClientError

from broker import Broker
from cluster import Cluster, Shape
from lifecycle import drop
from rejections import rejected
from running_functions import NOTING, ROLE, Notes, Tool, attach, create, lambda_get, make_table, put, zipped
from server import BINARY
from values import unique
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only("starts servers of its own"),
    pytest.mark.not_on_aws,
    pytest.mark.timeout(300),
]

# Says at which node it runs: each gives its functions an endpoint of its own.
RECORDING = """
    def handler(event, context):
        note(event, node=os.environ["AWS_ENDPOINT_URL"])
"""
# The first to see the record "held" waits with it until it is let go.
HOLDING = """
    import time

    def handler(event, context):
        note(event, node=os.environ["AWS_ENDPOINT_URL"])
        keys = [record["dynamodb"]["Keys"]["p"]["S"] for record in event["Records"]]
        if "held" in keys:
            try:
                open(os.environ["NOTES"] + ".held", "x").close()
            except FileExistsError:
                return
            while not is_healed():
                time.sleep(0.02)
            note({}, ended=os.environ["AWS_ENDPOINT_URL"])
"""
WRITING_BACK = """
    import boto3

    def handler(event, context):
        table = boto3.resource("dynamodb").Table(os.environ["BACK"])
        for record in event["Records"]:
            table.put_item(Item={"p": "back-" + record["dynamodb"]["Keys"]["p"]["S"]})
"""


@pytest.fixture(scope="module", params=["PostgreSQL", "Kafka"])
def cluster(request):
    with contextlib.ExitStack() as stack:
        kafka = {}
        if request.param == "Kafka":
            broker = stack.enter_context(Broker())
            kafka = {"TRADEWIND_KAFKA": broker.address, "TRADEWIND_KAFKA_PREFIX": f"test-{unique()}"}
        cluster = stack.enter_context(Cluster(Shape(nodes=2), environment=kafka))
        cluster.environment = kafka
        yield cluster


@pytest.fixture
def pair(cluster):
    """Two nodes that run functions; ended after the test, as a crash would."""
    names = [unique("runner") for _ in range(2)]
    nodes = [cluster.add_streams(name, environment=cluster.environment) for name in names]
    eventually(lambda: all(node.is_ready() for node in nodes), within=30, saying="both have their lease")
    yield nodes
    for node in nodes:
        # Shown where a test has failed.
        print(node.name, node.output()[-5000:], sep="\n")
        if node.process.poll() is None:
            node.signal(signal.SIGCONT)
            node.kill()
        cluster.streams_nodes.remove(node)


@pytest.fixture
def dynamodb(cluster):
    return cluster.endpoint().client()


@pytest.fixture
def functions(cluster):
    return cluster.endpoint().client("lambda")


@pytest.fixture
def notes(tmp_path):
    return Notes(tmp_path / "notes")


@pytest.fixture
def table(dynamodb):
    name = make_table(dynamodb)
    yield name
    drop(dynamodb, name)


@contextlib.contextmanager
def mapped(functions, dynamodb, table, function, **more):
    uuid = insistently(lambda: attach(functions, dynamodb, table, function, **more))
    try:
        yield uuid
    finally:
        insistently(lambda: functions.delete_event_source_mapping(UUID=uuid))
        insistently(lambda: functions.delete_function(FunctionName=function))


def insistently(call):
    """As an SDK would: a node that died is found out by whoever asks it first."""
    for _ in range(20):
        try:
            return call()
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise
            time.sleep(0.5)
    return call()


def nodes_of(notes):
    return {line["node"] for line in notes.lines() if "node" in line}


class Writing:
    """Writes to a hundred items, one after another, until told to stop: `n` counts in each item."""

    def __init__(self, dynamodb, table):
        self.dynamodb, self.table, self.written = dynamodb, table, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self):
        while not self._stop.is_set():
            put(self.dynamodb, self.table, f"k{self.written % 100}", n={"N": str(self.written)})
            self.written += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def seen(notes):
    return [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in notes.records()]


def firsts_in_order(notes):
    """Records may come again, but none before one that was written earlier to its item."""
    newest = {}
    for record in notes.records():
        key, n = record["dynamodb"]["Keys"]["p"]["S"], int(record["dynamodb"]["NewImage"]["n"]["N"])
        before = newest.get(key)
        assert before is None or n <= before + 100, f"{key}: {n} came after {before}"
        newest[key] = max(n, before or 0)
    return True


def test_without_nodes_that_run_functions_the_api_says_so(cluster, functions):
    with rejected("ServiceException", has="start one with `tradewind streams`"):
        functions.list_functions()


def test_the_lambda_api_is_served_by_storage_nodes_and_by_the_nodes_themselves(cluster, pair, functions, notes):
    name = create(functions, notes, "def handler(event, context):\n    return {'got': event}")
    for client in [functions, *(cluster.endpoint(node).client("lambda") for node in [*cluster.nodes, *pair])]:
        answer = client.invoke(FunctionName=name, Payload=json.dumps({"n": 1}))
        assert (answer["StatusCode"], json.load(answer["Payload"])) == (200, {"got": {"n": 1}})
        with rejected("ResourceNotFoundException"):
            client.get_function(FunctionName="nobody")
    functions.delete_function(FunctionName=name)


def test_a_package_of_many_megabytes_arrives_at_every_node(cluster, pair, functions):
    name = unique("large")
    # Random, so that it stays large: more than DynamoDB's largest request.
    source = "import os\n\ndef handler(event, context):\n    return len(open('noise').read())\n"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("app.py", source)
        archive.writestr("noise", os.urandom(14 << 20).hex()[: 20 << 20])
    functions.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=ROLE,
        Handler="app.handler",
        Timeout=20,
        Code={"ZipFile": target.getvalue()},
    )
    for node in pair:
        answer = cluster.endpoint(node).client("lambda").invoke(FunctionName=name)
        assert json.load(answer["Payload"]) == 20 << 20
    functions.delete_function(FunctionName=name)


def test_a_request_without_a_valid_signature_is_refused_before_it_is_handed_on(cluster, pair):
    for node in [cluster.nodes[0], pair[0]]:
        endpoint = cluster.endpoint(node)
        forged = type(endpoint)(endpoint.url, "tradewind", {}, secret_key="another")
        with rejected("InvalidSignatureException"):
            forged.client("lambda").list_functions()


SAYING = """
    def handler(event, context):
        note(event, node=os.environ["AWS_ENDPOINT_URL"])
        print("got", [record["dynamodb"]["Keys"]["p"]["S"] for record in event["Records"]])
"""


@contextlib.contextmanager
def following(tool, function, file):
    """`logs --follow`, into a file; gives what reads its lines."""
    with open(file, "wb") as written:
        process = subprocess.Popen(
            [BINARY, "function", "logs", function, "--follow"],
            stdout=written,
            env={**os.environ, **tool.environment, "AWS_REGION": "us-east-1"},
        )
        try:
            yield lambda: file.read_text().splitlines()
        finally:
            process.kill()
            process.wait(timeout=10)


def test_logs_and_history_are_those_of_all_nodes(cluster, pair, dynamodb, functions, table, notes, tmp_path):
    tool = Tool(cluster)
    function = insistently(lambda: create(functions, notes, SAYING))
    names = {node.name for node in pair}
    with mapped(functions, dynamodb, table, function, BatchSize=10):
        with following(tool, function, tmp_path / "log") as said:
            with Writing(dynamodb, table):
                wait_until_both_run(cluster, functions, function, notes)
                of_whom = lambda: {line.split(" | ")[0] for line in said() if " | got " in line}
                eventually(lambda: of_whom() == names, within=30, saying="the log of both nodes is followed")
        shown = tool("logs", function).splitlines()
        assert {line.split(" | ")[0] for line in shown} == names
        invocations = tool.json("invocations", function)["invocations"]
        assert {each["Node"] for each in invocations} == names
        assert [each["Started"] for each in invocations] == sorted((e["Started"] for e in invocations), reverse=True)
        for name in names:
            one = next(each for each in invocations if each["Node"] == name)
            assert "Records" in json.loads(tool("invocations", function, one["RequestId"]))["Input"]
        # A node that runs functions speaks for itself, and says so.
        alone = Tool(OneNode(cluster, pair[0]))
        assert {each["Node"] for each in alone.json("invocations", function)["invocations"]} == {pair[0].name}


class OneNode:
    def __init__(self, cluster, node):
        self.endpoint = lambda: cluster.endpoint(node)


def test_what_lambda_has_not_goes_through_storage_nodes_too(
    cluster, pair, dynamodb, functions, table, notes, tmp_path
):
    tool, remote = Tool(cluster), Notes(tmp_path / "remote")
    (tmp_path / "app.py").write_text(
        NOTING + "def handler(event, context):\n    note(event)\n    assert is_healed(), 'not yet'\n"
    )
    insistently(functions.list_functions)
    names = []
    for file, *more in [(remote.file, "--origin", "remote"), (notes.file, "--pause-after", "2")]:
        name = unique("ours")
        names.append(name)
        arguments = ("--runtime", "python3.12", "--handler", "app.handler", "--directory", str(tmp_path))
        tool("add", name, *arguments, "--env", f"NOTES={file}", "--table", table, *more)
    put(dynamodb, table, "x")
    shown = lambda name: tool.json("show", name)["mappings"][0]
    eventually(lambda: shown(names[1])["State"] == "Disabled", within=60, saying="it pauses by itself")
    assert "2 failures in a row" in shown(names[1])["StateTransitionReason"]
    passed = lambda: any(shard["After"] for shard in shown(names[0])["Shards"])
    eventually(passed, within=30, saying="what this region wrote is passed over")
    assert remote.lines() == []
    for name in names:
        tool("delete", name)


def wait_until_both_run(cluster, functions, function, notes):
    """Both nodes have run a shard of the function; where not, it is said what keeps them."""
    try:
        eventually(lambda: len(nodes_of(notes)) == 2, within=30, saying="both nodes run shards")
    except AssertionError as error:
        (mapping,) = functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
        answer = lambda_get(cluster, f"/2026-11-01/event-source-mappings/{mapping['UUID']}/progress")
        shards = [(shard["ShardId"], shard["Owner"], shard["After"], shard["Last"]) for shard in answer["Shards"]]
        raise AssertionError(f"{error}; {len(notes.records())} records seen by {nodes_of(notes)}; {shards}") from error


def test_a_killed_nodes_shards_go_on_within_ten_seconds_and_nothing_is_skipped(
    cluster, pair, dynamodb, functions, table, notes
):
    function = insistently(lambda: create(functions, notes, RECORDING))
    with mapped(functions, dynamodb, table, function, BatchSize=10):
        with Writing(dynamodb, table) as writing:
            wait_until_both_run(cluster, functions, function, notes)
            pair[0].kill()
            died, at = time.monotonic(), writing.written
            # Every item, and so every shard, was written to after the death.
            eventually(lambda: writing.written >= at + 200, within=10, saying="writes go on")
            eventually(lambda: set(range(at + 200)) <= set(seen(notes)), within=10 - (time.monotonic() - died))
            took = time.monotonic() - died
        eventually(lambda: set(seen(notes)) == set(range(writing.written)), within=20, saying="everything came")
    assert firsts_in_order(notes)
    print(f"a killed node's shards went on after {took:.1f} s; {writing.written} changes, {len(seen(notes))} events")


def test_a_stopped_nodes_shards_are_handed_over_and_nothing_runs_twice(
    cluster, pair, dynamodb, functions, table, notes
):
    function = insistently(lambda: create(functions, notes, RECORDING))
    with mapped(functions, dynamodb, table, function, BatchSize=10):
        with Writing(dynamodb, table) as writing:
            wait_until_both_run(cluster, functions, function, notes)
            assert pair[0].stop() == 0
            at = writing.written
            eventually(lambda: writing.written >= at + 200, within=10, saying="writes go on")
        eventually(lambda: set(seen(notes)) == set(range(writing.written)), within=20, saying="everything came")
    assert sorted(seen(notes)) == list(range(writing.written)), "a planned end repeats nothing"
    assert firsts_in_order(notes)


def test_a_frozen_nodes_late_checkpoint_is_refused(cluster, pair, dynamodb, functions, table, notes):
    function = insistently(lambda: create(functions, notes, HOLDING, Timeout=120))
    with mapped(functions, dynamodb, table, function, BatchSize=1):
        put(dynamodb, table, "held")
        eventually(lambda: notes.keys() == ["held"], within=20, saying="one node runs it")
        holder = notes.lines()[0]["node"]
        frozen = next(node for node in pair if holder in node_endpoints(node))
        frozen.signal(signal.SIGSTOP)
        put(dynamodb, table, "held", again={"S": "x"})
        # The same shard at the other node: the held record again, since nobody said that it had ended, and what follows.
        eventually(lambda: notes.keys() == ["held"] * 3, within=15, saying="the other node goes on")
        assert {line["node"] for line in notes.lines()[1:]} != {holder}
        notes.heal()
        eventually(lambda: any(line.get("ended") for line in notes.lines()), within=10, saying="the function ends")
        frozen.signal(signal.SIGCONT)
        eventually(lambda: "late checkpoint was refused" in frozen.output(), within=20, saying="it is refused")
        put(dynamodb, table, "held", again={"S": "y"})
        eventually(lambda: len(notes.keys()) > 3, within=20, saying="the next record comes")
        # From where the other node had come, and not from where the frozen one was.
        assert notes.records()[3]["dynamodb"]["NewImage"]["again"]["S"] == "y"


def node_endpoints(node):
    """The endpoint that a node gives its functions: the listening sockets of its process."""
    inodes = set()
    for entry in glob.glob(f"/proc/{node.process.pid}/fd/*"):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(entry))
    with open("/proc/net/tcp") as sockets:
        lines = [line.split() for line in sockets.readlines()[1:]]
    listening = [line for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in inodes]
    return {f"http://127.0.0.1:{int(line[1].split(':')[1], 16)}" for line in listening}


def test_functions_write_back_while_a_storage_node_dies(cluster, pair):
    # Of the node that lives.
    dynamodb = cluster.endpoint(cluster.nodes[0]).client()
    functions = cluster.endpoint(cluster.nodes[0]).client("lambda")
    table, back = make_table(dynamodb), make_table(dynamodb)
    name = unique("back")
    settings = dict(
        FunctionName=name,
        Runtime="python3.12",
        Role=ROLE,
        Handler="app.handler",
        Timeout=60,
        Code={"ZipFile": zipped(NOTING + "\n".join(line[4:] for line in WRITING_BACK.splitlines()))},
        Environment={"Variables": {"BACK": back}},
    )
    insistently(lambda: functions.create_function(**settings))
    with mapped(functions, dynamodb, table, name, BatchSize=5):
        for nth in range(100):
            insistently(lambda nth=nth: put(dynamodb, table, f"k{nth}"))
            if nth == 50:
                cluster.nodes[1].kill()
        wanted = {f"back-k{nth}" for nth in range(100)}
        keys = lambda: {item["p"]["S"] for item in dynamodb.scan(TableName=back)["Items"]}
        try:
            eventually(lambda: keys() == wanted, within=60, saying="everything was written back")
        finally:
            cluster.nodes[1].start()
    drop(dynamodb, table)
    drop(dynamodb, back)
