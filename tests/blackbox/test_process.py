"""The process itself: ports, ready file, one-line refusals, draining, and durability through restarts and kill -9.

A database is judged by what it still has after it was killed in the middle of its work.
"""

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import server
from endpoints import REGION, SECOND_REGION, THIRD_REGION
from lifecycle import drop, wait_until_active
from schemas import index, keyed_by
from server import Server
from streaming import shards_of, stream_of
from values import N, S, unique
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only("starts servers of its own"),
    pytest.mark.embedded_only("starts `tradewind dev`"),
    pytest.mark.timeout(180),
]


def get(client, table, key):
    return client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def scan(client, table, **more):
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True, **more)
    return [item for page in pages for item in page["Items"]]


# Start and stop


def test_the_ready_file_tells_pid_and_ports():
    with Server("--in-memory") as running:
        assert running.ready["pid"] == running.pid
        assert {"all", REGION, SECOND_REGION, THIRD_REGION} <= set(running.ready["ports"])
        assert len(set(running.ready["ports"].values())) == len(running.ready["ports"])
        assert all(running.endpoint(each).client().list_tables() for each in running.ready["ports"])


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_server_with_nothing_to_do_rests():
    """CPU time, not time: other processes do not disturb it. A loop that finds nothing to do took half a core once."""
    with Server("--in-memory") as running:
        client = running.endpoint().client()
        client.create_table(TableName="shared", **keyed_by("p:S"))
        wait_until_active(client, "shared")
        for region in (SECOND_REGION, THIRD_REGION):
            client.update_table(TableName="shared", ReplicaUpdates=[{"Create": {"RegionName": region}}])
            wait_until_active(client, "shared")
        before = cpu_seconds(running.pid)
        time.sleep(5)
        assert cpu_seconds(running.pid) - before < 0.5


def test_two_servers_of_port_0_do_not_meet():
    with Server("--in-memory") as one, Server("--in-memory") as two:
        one.endpoint().client().create_table(TableName="only-here", **keyed_by("p:S"))
        assert two.endpoint().client().list_tables()["TableNames"] == []


def test_a_given_port_is_used_and_regions_follow_it():
    port = free_ports(4)
    with Server("--in-memory", port=port) as running:
        assert [running.port(), running.port(REGION), running.port(SECOND_REGION), running.port(THIRD_REGION)] == [
            port,
            port + 1,
            port + 2,
            port + 3,
        ]


def free_ports(count):
    """The first of `count` ports in a row that are free right now."""
    import socket

    for first in range(21_000, 30_000, 7):
        taken = []
        try:
            for port in range(first, first + count):
                taken.append(socket.create_server(("127.0.0.1", port)))
            return first
        except OSError:
            continue
        finally:
            [each.close() for each in taken]
    raise AssertionError("no free ports")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_it_ends_cleanly_when_asked(how):
    with Server("--in-memory") as running:
        running.endpoint().client().list_tables()
        assert running.stop(how) == 0


def test_it_starts_within_a_second():
    began = time.monotonic()
    with Server("--in-memory"):
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("region", [REGION, SECOND_REGION])
def test_a_port_of_a_region_says_so(region):
    with Server("--in-memory") as running:
        answer = running.endpoint(region).send(None, b"", method="GET", sign=False)
        assert answer.body == f"healthy: dynamodb.{region}.amazonaws.com ".encode()


def test_only_the_named_regions_have_ports():
    with Server("--in-memory", "--regions", "eu-north-1,sa-east-1") as running:
        assert set(running.ready["ports"]) == {"all", "eu-north-1", "sa-east-1"}


@pytest.mark.parametrize("region", ["local", "us-west-2", "xx-anything-9"])
def test_an_unnamed_region_exists_from_its_first_use(region):
    with Server("--in-memory") as running:
        client = running.endpoint().client(region=region)
        client.create_table(TableName="table", **keyed_by("p:S"))
        client.put_item(TableName="table", Item={"p": S("x")})
        assert get(client, "table", {"p": S("x")})
        assert running.endpoint().client(region=REGION).list_tables()["TableNames"] == []
        assert f":{region}:" in client.describe_table(TableName="table")["Table"]["TableArn"]


@pytest.mark.parametrize("given, account", [([], "000000000000"), (["--account-id", "123456789012"], "123456789012")])
def test_the_account_stands_in_arns(given, account):
    with Server("--in-memory", *given) as running:
        client = running.endpoint().client()
        client.create_table(TableName="table", **keyed_by("p:S"))
        arn = client.describe_table(TableName="table")["Table"]["TableArn"]
        assert arn == f"arn:aws:dynamodb:{REGION}:{account}:table/table"


def test_hundreds_of_tables_are_quick():
    with Server("--in-memory") as running:
        client = running.endpoint().client()
        began = time.monotonic()
        for at in range(300):
            client.create_table(TableName=f"table-{at:03}", **keyed_by("p:S"))
        for at in range(0, 300, 2):
            client.delete_table(TableName=f"table-{at:03}")
        assert time.monotonic() - began < 30
        pages = client.get_paginator("list_tables").paginate()
        eventually(
            lambda: (
                [name for page in pages for name in page["TableNames"]] == [f"table-{at:03}" for at in range(1, 300, 2)]
            )
        )


# Refusals


def refused(*arguments, has):
    ended = server.run("dev", *arguments)
    assert ended.returncode != 0
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    assert str(has) in lines[0], lines[0]
    assert "panicked" not in ended.stderr


def test_a_busy_port_is_said_in_one_line():
    with Server("--in-memory") as running:
        refused("--in-memory", "--port", str(running.port()), has=running.port())


def test_an_unwritable_folder_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    refused("--port", "0", "--data-dir", str(tmp_path / "file" / "below"), has=tmp_path)


def test_a_folder_in_use_is_said_in_one_line(tmp_path):
    with Server("--data-dir", str(tmp_path)):
        refused("--port", "0", "--data-dir", str(tmp_path), has=tmp_path)


def test_an_unknown_option_is_refused():
    assert server.run("dev", "--no-such-option").returncode != 0


# Restarts


def test_everything_survives_a_restart(tmp_path):
    with Server("--data-dir", str(tmp_path)) as running:
        client = running.endpoint().client()
        client.create_table(
            TableName="table",
            **keyed_by("p:S", gsi=[index("by_x", "x:S")]),
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
            Tags=[{"Key": "team", "Value": "x"}],
        )
        client.update_time_to_live(TableName="table", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
        for at in range(100):
            client.put_item(TableName="table", Item={"p": S(str(at)), "x": S("x"), "n": N(at)})
        client.delete_item(TableName="table", Key={"p": S("7")})
        before = client.describe_table(TableName="table")["Table"]
        assert running.stop() == 0
    with Server("--data-dir", str(tmp_path)) as running:
        client = running.endpoint().client()
        after = client.describe_table(TableName="table")["Table"]
        for name in ("TableId", "TableArn", "KeySchema", "LatestStreamArn", "CreationDateTime", "StreamSpecification"):
            assert after[name] == before[name]
        assert client.list_tags_of_resource(ResourceArn=after["TableArn"])["Tags"] == [{"Key": "team", "Value": "x"}]
        assert client.describe_time_to_live(TableName="table")["TimeToLiveDescription"]["AttributeName"] == "ttl"
        assert sorted(int(item["n"]["N"]) for item in scan(client, "table")) == [at for at in range(100) if at != 7]
        assert len(client.scan(TableName="table", IndexName="by_x")["Items"]) == 99
        client.put_item(TableName="table", Item={"p": S("new")})
        assert get(client, "table", {"p": S("new")})


def test_a_dropped_table_stays_dropped(tmp_path):
    with Server("--data-dir", str(tmp_path)) as running:
        client = running.endpoint().client()
        for name in ("kept", "gone"):
            client.create_table(TableName=name, **keyed_by("p:S"))
            wait_until_active(client, name)
            client.put_item(TableName=name, Item={"p": S("x")})
        drop(client, "gone")
        running.kill()
    with Server("--data-dir", str(tmp_path)) as running:
        client = running.endpoint().client()
        eventually(lambda: client.list_tables()["TableNames"] == ["kept"])
        assert get(client, "kept", {"p": S("x")})


class Burst:
    """Writers in two regions that note what was acknowledged, until the server is gone."""

    def __init__(self, running, table, regions, tag, threads=6):
        self.acknowledged = {region: {} for region in regions}
        self.last = {}
        self.table, self.tag, self.running = table, tag, running
        self.threads = [
            threading.Thread(target=self._write, args=(region, worker), daemon=True)
            for region in regions
            for worker in range(threads)
        ]

    def _write(self, region, worker):
        client, turn = self.running.endpoint().client(region=region), 0
        own = f"{self.tag}-{region}-{worker}-own"
        try:
            while True:
                name = f"{self.tag}-{region}-{worker}-{turn}"
                client.put_item(TableName=self.table, Item={"p": S(name), "n": N(turn), "x": S(region)})
                self.acknowledged[region][name] = turn
                client.put_item(TableName=self.table, Item={"p": S(own), "n": N(turn), "x": S(region)})
                self.last[own] = turn
                turn += 1
        except (BotoCoreError, ClientError, OSError):
            return

    def total(self):
        return sum(len(names) for names in self.acknowledged.values())

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join(timeout=30)


def everything_recorded(streams, arn):
    """All records of a stream by shard; each shard's sequence numbers must grow."""
    records = []
    for shard in shards_of(streams, arn):
        position = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        own, empty = [], 0
        while position and empty < 2:
            answer = streams.get_records(ShardIterator=position)
            empty = 0 if answer["Records"] else empty + 1
            own += answer["Records"]
            position = answer.get("NextShardIterator")
        numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in own]
        assert numbers == sorted(set(numbers)), "sequence numbers repeat or go back"
        records += own
    return records


def test_kill_9_in_a_burst_loses_nothing_acknowledged(tmp_path):
    """Two regions under writers, killed twice: all that was acknowledged is there, the regions become equal, the streams are whole."""
    table, regions, bursts = "table", (REGION, SECOND_REGION), []
    with Server("--data-dir", str(tmp_path)) as running:
        client = running.endpoint().client()
        client.create_table(
            TableName=table,
            **keyed_by("p:S", gsi=[index("by_x", "x:S")]),
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        wait_until_active(client, table)
        client.update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": SECOND_REGION}}])
        eventually(lambda: replicas_active(client, table), within=30)
        wait_until_active(running.endpoint().client(region=SECOND_REGION), table)
        for tag in ("first", "second"):
            with Burst(running, table, regions, tag) as burst:
                eventually(lambda: burst.total() > 300, within=60)
                running.kill()
            bursts.append(burst)
            running.__exit__()
            running = Server("--data-dir", str(tmp_path))
        try:
            check_after_crashes(running, table, regions, bursts)
            assert running.stop() == 0
        finally:
            running.__exit__()


def replicas_active(client, table):
    described = client.describe_table(TableName=table)["Table"].get("Replicas", [])
    return described and all(each["ReplicaStatus"] == "ACTIVE" for each in described)


def check_after_crashes(running, table, regions, bursts):
    clients = {region: running.endpoint().client(region=region) for region in regions}
    stored = {region: {item["p"]["S"]: item for item in scan(clients[region], table)} for region in regions}
    for burst in bursts:
        for region in regions:
            missing = set(burst.acknowledged[region]) - set(stored[region])
            assert not missing, f"{region} lost {sorted(missing)[:5]} of {len(burst.acknowledged[region])}"
        for own, turn in burst.last.items():
            region = next(each for each in regions if f"-{each}-" in own)
            assert int(stored[region][own]["n"]["N"]) >= turn
    equal = lambda: (
        sorted(scan(clients[regions[0]], table), key=str) == sorted(scan(clients[regions[1]], table), key=str)
    )
    eventually(equal, within=60, every=0.2, saying="the regions are equal")
    for region in regions:
        check_indexes_and_stream(running, clients[region], region, table)


def check_indexes_and_stream(running, client, region, table):
    items = {item["p"]["S"]: item for item in scan(client, table)}
    rows = [
        item
        for page in client.get_paginator("scan").paginate(TableName=table, IndexName="by_x")
        for item in page["Items"]
    ]
    assert sorted(row["p"]["S"] for row in rows) == sorted(items)
    streams = running.endpoint().client("dynamodbstreams", region)
    records = everything_recorded(streams, stream_of(client, table))
    last, count = {}, Counter()
    for record in records:
        body = record["dynamodb"]
        name = body["Keys"]["p"]["S"]
        assert body.get("OldImage") == last.get(name), f"{name}: the stream skips or repeats a change"
        last[name] = body.get("NewImage")
        count[name] += 1
    assert last == items


def test_ctrl_c_drains_what_was_begun(tmp_path):
    """Every put answered before the process ended is there after it; none is cut off half-way."""
    with Server("--data-dir", str(tmp_path)) as running:
        client = running.endpoint().client()
        client.create_table(TableName="table", **keyed_by("p:S"))
        wait_until_active(client, "table")
        with Burst(running, "table", (REGION,), "drain") as burst:
            eventually(lambda: burst.total() > 200, within=30)
            assert running.stop(signal.SIGINT) == 0
    with Server("--data-dir", str(tmp_path)) as running:
        stored = {item["p"]["S"] for item in scan(running.endpoint().client(), "table")}
        assert set(burst.acknowledged[REGION]) <= stored


def test_transactions_are_whole_after_kill_9(tmp_path):
    with Server("--data-dir", str(tmp_path)) as running:
        client = running.endpoint().client()
        for name in ("left", "right"):
            client.create_table(TableName=name, **keyed_by("p:S"))
            wait_until_active(client, name)
        done = []

        def work(worker):
            own = running.endpoint().client()
            try:
                for turn in range(100_000):
                    item = {"p": S(f"{worker}-{turn}")}
                    own.transact_write_items(
                        TransactItems=[{"Put": {"TableName": name, "Item": item}} for name in ("left", "right")]
                    )
                    done.append(f"{worker}-{turn}")
            except (BotoCoreError, ClientError, OSError):
                return

        threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in range(6)]
        [thread.start() for thread in threads]
        eventually(lambda: len(done) > 150, within=60)
        running.kill()
        [thread.join(timeout=30) for thread in threads]
    with Server("--data-dir", str(tmp_path)) as running:
        client = running.endpoint().client()
        left, right = ({item["p"]["S"] for item in scan(client, name)} for name in ("left", "right"))
        assert left == right
        assert set(done) <= left


def test_a_token_is_remembered_over_a_restart(tmp_path):
    request = {
        "TransactItems": [
            {
                "Update": {
                    "TableName": "table",
                    "Key": {"p": S("x")},
                    "UpdateExpression": "ADD n :one",
                    "ExpressionAttributeValues": {":one": N(1)},
                }
            }
        ],
        "ClientRequestToken": unique("t"),
    }
    with Server("--data-dir", str(tmp_path)) as running:
        client = running.endpoint().client()
        client.create_table(TableName="table", **keyed_by("p:S"))
        wait_until_active(client, "table")
        client.transact_write_items(**request)
        running.kill()
    with Server("--data-dir", str(tmp_path)) as running:
        client = running.endpoint().client()
        client.transact_write_items(**request)
        assert get(client, "table", {"p": S("x")})["n"] == N(1)


# Tools


def test_tables_are_listed_from_the_command_line():
    import json

    with Server("--in-memory") as running:
        running.endpoint().client().create_table(TableName="from-the-api", **keyed_by("p:S"))
        endpoint = ["--endpoint", running.endpoint().url, "--region", REGION]
        people = server.run("tables", *endpoint)
        machines = server.run("tables", *endpoint, "--json")
        assert people.returncode == 0 and "from-the-api" in people.stdout
        assert machines.returncode == 0 and "from-the-api" in json.dumps(json.loads(machines.stdout))


def test_a_tool_without_server_says_so_in_one_line():
    ended = server.run("tables", "--endpoint", "http://127.0.0.1:9", "--region", REGION)
    assert ended.returncode != 0
    assert len(ended.stderr.strip().splitlines()) == 1
