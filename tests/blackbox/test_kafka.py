"""Storage nodes with Kafka: streams are read from the topic, Kafka being away fails no write, and a node's death loses nothing.

Why it exists: the crates test the change log with an engine in memory; here are the real processes, PostgreSQL and all.
"""

import json
import shutil
import subprocess

import pytest

from broker import Broker
from cluster import Cluster, Shape
from lifecycle import wait_until_active
from streaming import Reader, stream_of
from values import unique
from waiting import eventually

pytestmark = [pytest.mark.tradewind_only, pytest.mark.not_on_aws, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


@pytest.fixture
def cluster(broker):
    kafka = {"TRADEWIND_KAFKA": broker.address, "TRADEWIND_KAFKA_PREFIX": f"test-{unique()}"}
    with Cluster(Shape(nodes=2), environment=kafka) as cluster:
        cluster.prefix = kafka["TRADEWIND_KAFKA_PREFIX"]
        yield cluster


def streamed_table(dynamodb):
    name = f"orders-{unique()}"
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    wait_until_active(dynamodb, name)
    return name


def put(dynamodb, table, numbers):
    for number in numbers:
        item = {"pk": {"S": f"key {number % 20}"}, "number": {"N": str(number)}}
        dynamodb.put_item(TableName=table, Item=item)


def numbers_of(records):
    return [int(record["dynamodb"]["NewImage"]["number"]["N"]) for record in records]


def in_order(records):
    """Per item the numbers only grow, and none comes twice."""
    last = {}
    for record in records:
        key = record["dynamodb"]["Keys"]["pk"]["S"]
        number = int(record["dynamodb"]["NewImage"]["number"]["N"])
        assert last.get(key, -1) < number, f"{key}: {number} after {last[key]}"
        last[key] = number
    return True


def reads_all(reader, records, wanted, within=60.0):
    def more():
        records.extend(reader.read())
        return len(records) >= wanted

    eventually(more, within=within, saying=f"{wanted} records")
    assert sorted(numbers_of(records)) == list(range(wanted))
    assert in_order(records)


def publishing(cluster):
    return [node.readiness()[1].get("publishing", {}) for node in cluster.nodes if node.process.poll() is None]


def test_a_stream_is_read_from_its_topic(cluster, broker):
    endpoint = cluster.endpoint()
    dynamodb, streams = endpoint.client(), endpoint.client("dynamodbstreams")
    table = streamed_table(dynamodb)
    put(dynamodb, table, range(100))
    records = []
    reads_all(Reader(streams, stream_of(dynamodb, table)), records, 100)

    if not shutil.which("kcat"):
        pytest.skip("there is no kcat to read the topic with")
    life = dynamodb.describe_table(TableName=table)["Table"]["TableId"].replace("-", "")[:8]
    topic = f"{cluster.prefix}.us-east-1.{table}.{life}"
    command = ["kcat", "-C", "-e", "-q", "-b", broker.address, "-t", topic, "-o", "beginning", "-f", "%h\t%s\n"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    said = {}
    for line in ended.stdout.splitlines():
        headers, _, value = line.partition("\t")
        if value:
            names = dict(header.split("=", 1) for header in headers.split(",") if "=" in header)
            said[names["sequence"], json.loads(value)["eventID"]] = json.loads(value)
    shown = {(record["dynamodb"]["SequenceNumber"], record["eventID"]): record for record in records}
    assert said.keys() == shown.keys(), "the same changes with the same numbers"
    for name, record in shown.items():
        assert said[name]["dynamodb"]["NewImage"] == record["dynamodb"]["NewImage"]
        assert said[name]["eventName"] == record["eventName"]


def test_kafka_away_fails_no_write_and_loses_no_record(cluster, broker):
    if not broker.is_own:
        pytest.skip("this broker is not ours to kill")
    endpoint = cluster.endpoint()
    dynamodb, streams = endpoint.client(), endpoint.client("dynamodbstreams")
    table = streamed_table(dynamodb)
    put(dynamodb, table, range(100))
    reader, records = Reader(streams, stream_of(dynamodb, table)), []
    reads_all(reader, records, 100)
    broker.kill()
    put(dynamodb, table, range(100, 300))
    assert all(node.is_ready() for node in cluster.nodes), "requests are served all the same"
    pending = eventually(lambda: sum(each.get("pending", 0) for each in publishing(cluster)), within=60)
    assert pending <= 200
    eventually(lambda: "stalled" in [each.get("status") for each in publishing(cluster)], within=90, every=0.5)
    broker.start()
    put(dynamodb, table, range(300, 400))
    reads_all(reader, records, 400, within=120)
    eventually(lambda: all(each["status"] == "ok" for each in publishing(cluster)), within=60)


def test_a_node_that_dies_leaves_its_stream_to_the_others(cluster):
    first, second = cluster.nodes
    both, survivor = cluster.endpoint(), cluster.endpoint(second)
    dynamodb = both.client()
    table = streamed_table(dynamodb)
    put(dynamodb, table, range(200))
    first.kill()
    dynamodb, streams = survivor.client(), survivor.client("dynamodbstreams")

    def writes():
        try:
            put(dynamodb, table, [200])
        except dynamodb.exceptions.ClientError:
            return False
        return True

    eventually(writes, within=60)
    put(dynamodb, table, range(201, 400))
    records = []
    reads_all(Reader(streams, stream_of(dynamodb, table)), records, 400, within=120)


def test_a_node_that_stops_hands_its_stream_over(cluster):
    first, second = cluster.nodes
    dynamodb = cluster.endpoint().client()
    table = streamed_table(dynamodb)
    put(dynamodb, table, range(200))
    assert first.stop() == 0
    survivor = cluster.endpoint(second)
    dynamodb, streams = survivor.client(), survivor.client("dynamodbstreams")
    put(dynamodb, table, range(200, 400))
    records = []
    reads_all(Reader(streams, stream_of(dynamodb, table)), records, 400)
