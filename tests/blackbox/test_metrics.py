"""What `/metrics` says after requests: names, outcomes, capacity, replication, and hot keys that are not named unasked."""

import re
import urllib.request

import boto3
import pytest
from botocore.exceptions import ClientError
from schemas import keyed_by
from server import Server
from values import unique
from waiting import eventually

REGIONS = ("us-east-1", "eu-west-1")


def scraped(server):
    """The samples of a scrape: {name: {frozenset of labels: value}}."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port()}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        text = answer.read().decode()
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            labels = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))
            samples.setdefault(name, {})[labels] = float(value)
    return samples


def value(samples, name, **labels):
    """The sum over all samples that have these labels."""
    wanted = set(labels.items())
    return sum(value for labels, value in samples.get(name, {}).items() if wanted <= labels)


def client(server, region):
    endpoint = server.endpoint(region)
    return boto3.client(
        "dynamodb", endpoint_url=endpoint.url, region_name=region, aws_access_key_id="x", aws_secret_access_key="y"
    )


@pytest.fixture(scope="module")
def server():
    with Server("--in-memory", "--regions", ",".join(REGIONS)) as server:
        yield server


def test_requests_are_counted_by_operation_outcome_and_table(server):
    dynamodb, table = client(server, REGIONS[0]), unique("counted")
    dynamodb.create_table(TableName=table, **keyed_by("id:S"))
    before = scraped(server)
    for number in range(5):
        # A write that changes nothing commits nothing where there is no replica.
        item = {"id": {"S": "a"}, "number": {"N": str(number)}, "text": {"S": "x" * 1500}}
        dynamodb.put_item(TableName=table, Item=item)
    dynamodb.get_item(TableName=table, Key={"id": {"S": "a"}}, ConsistentRead=True)
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        dynamodb.delete_item(
            TableName=table, Key={"id": {"S": "a"}}, ConditionExpression="attribute_not_exists(id)"
        )
    with pytest.raises(ClientError, match="ValidationException"):
        dynamodb.put_item(TableName=table, Item={"other": {"S": "a"}})
    after = scraped(server)

    def grown(name, **labels):
        return value(after, name, region=REGIONS[0], **labels) - value(before, name, region=REGIONS[0], **labels)

    assert grown("tradewind_successful_request_latency_seconds_count", operation="PutItem") == 5
    assert grown("tradewind_successful_request_latency_seconds_count", operation="GetItem") == 1
    assert grown("tradewind_conditional_check_failed_requests_total", operation="DeleteItem") == 1
    assert grown("tradewind_user_errors_total", operation="PutItem") == 1
    assert grown("tradewind_consumed_write_capacity_units_total", table=table) == 5 * 2 + 2
    assert grown("tradewind_consumed_read_capacity_units_total", table=table) == 1
    assert grown("tradewind_commit_duration_seconds_count") >= 5
    assert value(after, "process_resident_memory_bytes") > 1e6


def test_links_and_tombstones_are_shown(server):
    here, there = (client(server, region) for region in REGIONS)
    table = unique("linked")
    here.create_table(
        TableName=table,
        **keyed_by("id:S"),
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    here.update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": REGIONS[1]}}])
    here.put_item(TableName=table, Item={"id": {"S": "a"}})
    eventually(lambda: table in there.list_tables()["TableNames"], within=30)
    there.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    eventually(lambda: "Item" in there.get_item(TableName=table, Key={"id": {"S": "a"}}), within=30)
    # What came with the snapshot has no latency.
    here.put_item(TableName=table, Item={"id": {"S": "b"}})
    labels = {"region": REGIONS[0], "table": table, "to": REGIONS[1]}

    def settled():
        samples = scraped(server)
        names = ("tradewind_replication_latency_seconds", "tradewind_pending_replication_count")
        there_are = all(any(set(labels.items()) <= key for key in samples.get(name, {})) for name in names)
        return there_are and value(samples, names[1], **labels) == 0

    eventually(settled, within=30, saying="the link has caught up")
    # A link that has nothing to send is idle after a while.
    states = [
        value(scraped(server), "tradewind_links", region=REGIONS[0], to=REGIONS[1], state=state)
        for state in ("running", "idle")
    ]
    assert sum(states) > 0


def test_hot_keys_are_hashed_unless_asked_for(server):
    secret = "who-is-hot"

    def load(server):
        dynamodb, table = client(server, REGIONS[0]), unique("hot")
        dynamodb.create_table(TableName=table, **keyed_by("id:S"))
        for _ in range(64):
            dynamodb.get_item(TableName=table, Key={"id": {"S": secret}})
        return [key for key in scraped(server)["tradewind_hot_key_requests"] if ("table", table) in key]

    (hashed,) = load(server)
    assert secret not in str(hashed)
    with Server("--in-memory", "--regions", REGIONS[0], "--insights-keys") as asked:
        (shown,) = load(asked)
    assert secret in str(shown)
