"""Three regions of real processes under conflicting load, while each is cut off in turn and processes are killed.

Why it exists: the simulation checks the rules and the crates their parts; here are sockets, PostgreSQL, Kafka and signals. In
the end all regions have to be equal, and every acknowledged write has to be in the item, known to what overwrote it, or
in a conflict log.
"""

import contextlib
import json
import os
import random
import tempfile
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import server
from broker import Broker
from endpoints import ACCESS_KEY, SECRET_KEY
from lifecycle import wait_until_active
from postgres import Postgres
from regions import NAMES, Regions
from schemas import keyed_by
from values import S, unique
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only,
    pytest.mark.not_on_aws,
    pytest.mark.timeout(1800),
    pytest.mark.skipif("TRADEWIND_TEST_CLUSTER" in os.environ, reason="has clusters of its own, whatever the shape"),
]

# `make test-all` cuts each region off for a minute.
LONG = os.environ.get("TRADEWIND_LONG") == "1"
CUT_SECONDS = 60.0 if LONG else 4.0
KEYS = 24
RETRIED = (BotoCoreError, ClientError, OSError)


@pytest.fixture(scope="module")
def services():
    with Postgres() as postgres, Broker() as broker:
        yield postgres, broker


@pytest.fixture
def regions(services):
    postgres, broker = services
    with tempfile.TemporaryDirectory(prefix="tradewind-regions-") as folder:
        urls = {name: postgres.create_database() for name in NAMES}
        environment = {"TRADEWIND_KAFKA_PREFIX": f"test-{unique()}"}
        regions = Regions(folder, urls, broker.address, environment=environment, proxied=True, replicators=2)
        try:
            regions.start()
            yield regions
        finally:
            # Shown where a test has failed.
            print(regions.output())
            with contextlib.suppress(AssertionError, OSError):
                for region in regions.by_name.values():
                    print(region.name, json.dumps(ask(region, "replication")))
            regions.close()


def global_table(regions):
    table = unique("orders")
    client = regions.by_name[NAMES[0]].client()
    client.create_table(TableName=table, **keyed_by("p:S"))
    wait_until_active(client, table)
    for name in NAMES[1:]:
        eventually(lambda name=name: add_replica(client, table, name), within=60, saying=f"{name} can be added")
        eventually(lambda name=name: is_replica(regions, table, name), within=120, saying=f"{name} is a replica")
    return table


def add_replica(client, table, name):
    try:
        client.update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": name}}])
    except client.exceptions.ResourceInUseException:
        return False
    return True


def is_replica(regions, table, name):
    """ACTIVE in the eyes of all regions that have the table."""
    for region in regions.by_name.values():
        try:
            described = region.client().describe_table(TableName=table)["Table"]
        except ClientError:
            if region.name == name:
                return False
            continue
        if described["TableStatus"] != "ACTIVE":
            return False
        known = {replica["RegionName"]: replica["ReplicaStatus"] for replica in described.get("Replicas", [])}
        if region.name != name and known.get(name) != "ACTIVE":
            return False
    return True


class Writers:
    """One writer for each region: each write adds its own name to what the item has seen, and so says what it knew of."""

    def __init__(self, regions, table):
        self.regions, self.table = regions, table
        self.acknowledged = {name: {} for name in NAMES}
        self.faults, self.errors, self.stopping = 0, [], threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(name,), daemon=True) for name in NAMES]

    def _run(self, name):
        region, turn = self.regions.by_name[name], 0
        clients = [region.client(node) for node in range(len(region.place.nodes))]
        choose = random.Random(name)
        while not self.stopping.is_set():
            turn += 1
            token, key = f"{name}/{turn}", f"key {choose.randrange(KEYS)}"
            try:
                clients[turn % len(clients)].update_item(
                    TableName=self.table,
                    Key={"p": S(key)},
                    UpdateExpression="SET writer = :name ADD seen :token",
                    ExpressionAttributeValues={":name": S(token), ":token": {"SS": [token]}},
                )
            except RETRIED as error:
                self.faults += 1
                if not self._is_expected(error):
                    self.errors.append(error)
                    return
                self.stopping.wait(0.05)
                continue
            self.acknowledged[name][token] = key
            self.stopping.wait(0.02)

    @staticmethod
    def _is_expected(error):
        """A node that was killed, or a partition that moves."""
        return not isinstance(error, ClientError) or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500

    def counts(self):
        return {name: len(tokens) for name, tokens in self.acknowledged.items()}

    def wait_for_more(self, names=NAMES, more=10, within=90):
        before = self.counts()

        def grown():
            now = self.counts()
            return self.errors or all(now[name] >= before[name] + more for name in names)

        eventually(grown, within=within, saying=f"{more} more writes in {names}")
        assert not self.errors, self.errors

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=60)


def items(regions, table, name):
    pages = regions.by_name[name].client().get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return {item["p"]["S"]: {**item, "seen": sorted(item["seen"]["SS"])} for page in pages for item in page["Items"]}


def ask(region, path, body=None):
    """What the command line asks, of the region's first node."""
    method = "GET" if body is None else "POST"
    sent = b"" if body is None else json.dumps(body).encode()
    answer = region.endpoint().send(None, sent, method=method, path=f"/_tradewind/{path}", region=region.name)
    assert answer.status == 200, (path, answer.status, answer.body)
    return answer.json()


def conflicts(region, table):
    """What lost, as the region saw it: the names of the writes that each loser knew of, itself among them."""
    after = None
    while True:
        answer = ask(region, f"conflicts/{table}", {"after": after, "limit": 1000})
        for conflict in answer["conflicts"]:
            loser = conflict["loser"]["item"]
            yield from (loser or {}).get("seen", {}).get("SS", [])
        after = answer["next"]
        if not after:
            return


def links(region, table):
    return [link for link in ask(region, "replication")["links"] if link["table"] == table]


def test_regions_converge_and_lose_nothing_silently(regions):
    table = global_table(regions)
    began = time.monotonic()
    with Writers(regions, table) as writers:
        writers.wait_for_more()
        for turn, name in enumerate(NAMES):
            region = regions.by_name[name]
            regions.cut_off(name, True)
            cut_until = time.monotonic() + CUT_SECONDS
            others = [each for each in region.replicators if each.is_running()]
            # A replicator dies in the region that is cut off, a node in another.
            others[0].kill()
            victim = regions.by_name[NAMES[(turn + 1) % 3]].nodes[turn % 2]
            victim.kill()
            writers.wait_for_more()
            writers.stopping.wait(max(0.0, cut_until - time.monotonic()))
            victim.start()
            others[0].launch()
            regions.cut_off(name, False)
            writers.wait_for_more()
    assert not writers.errors, writers.errors
    equal_and_complete(regions, table, writers)
    print(f"{writers.counts()} writes, {writers.faults} faults, {time.monotonic() - began:.0f} s")


def equal_and_complete(regions, table, writers):
    def same():
        first, *rest = (items(regions, table, name) for name in NAMES)
        return all(other == first for other in rest) and first

    found = eventually(same, within=180, every=0.5, saying="all regions are equal")
    known = {token for item in found.values() for token in item["seen"]}
    for region in regions.by_name.values():
        known.update(conflicts(region, table))
    for name, tokens in writers.acknowledged.items():
        lost = [token for token in tokens if token not in known]
        assert not lost, f"{len(lost)} of {len(tokens)} acknowledged writes of {name} are nowhere, as {lost[:3]}"


def test_replicators_share_the_links_and_take_over_a_dead_ones(regions):
    table = global_table(regions)
    region = regions.by_name[NAMES[0]]
    partitions = 4

    def running():
        return {(link["to"], link["partition"]) for link in links(region, table) if link["state"] != "unknown"}

    everything = {(name, nth) for name in NAMES[1:] for nth in range(partitions)}
    eventually(lambda: running() == everything, within=60, saying="every link runs")

    def shares():
        return sorted(share["links"] for share in ask(region, "replication")["replicators"])

    eventually(lambda: shares() == [partitions] * 2, within=60, saying="two replicators have half of the links each")
    client = region.client()
    region.replicators[0].kill()
    killed = time.monotonic()
    client.put_item(TableName=table, Item={"p": S("after the death"), "seen": {"SS": ["x"]}})
    for name in NAMES[1:]:
        eventually(lambda name=name: items(regions, table, name), within=60, saying=f"{name} has the item")
    eventually(lambda: running() == everything, within=60, saying="every link runs again")
    print(f"taken over {time.monotonic() - killed:.1f} s after a replicator's death")


def tool(region, *arguments, node=0, secret=SECRET_KEY):
    """The command line, as an operator of the region uses it at one of its nodes."""
    place = ["--endpoint", f"http://127.0.0.1:{region.place.nodes[node]}", "--region", region.name]
    signs = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": secret}
    return server.run(*arguments, *place, environment=signs, within=120)


def compared(region, table, *arguments, node=0):
    done = tool(region, "verify", table, "--json", *arguments, node=node)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_verify_is_answered_by_every_node_to_those_who_sign(regions):
    table = global_table(regions)
    for name in NAMES:
        regions.by_name[name].client().put_item(TableName=table, Item={"p": S(name)})
    for name in NAMES:
        eventually(lambda name=name: len(keys(regions, table, name)) == 3, within=60, saying=f"{name} has all items")
    for region in regions.by_name.values():
        for node in range(2):
            code, outcome = compared(region, table, node=node)
            assert (code, outcome["equal"], outcome["items"]) == (0, True, 3), outcome
            assert sorted(outcome["regions"]) == sorted(NAMES)
    here = regions.by_name[NAMES[0]]
    forged = tool(here, "verify", table, secret="another")
    assert forged.returncode == 1 and "ignature" in forged.stderr, forged.stderr
    unknown = tool(here, "verify", "no-such-table")
    assert unknown.returncode == 1 and "not found" in unknown.stderr, unknown.stderr
    regions.cut_off(NAMES[1], True)
    away = tool(here, "verify", table)
    assert away.returncode == 1 and f"region {NAMES[1]} cannot be reached" in away.stderr, away.stderr
    regions.cut_off(NAMES[1], False)
    eventually(lambda: tool(here, "verify", table).returncode == 0, within=60, saying="the regions are equal again")
    disturbed = tool(here, "chaos", "link", NAMES[0], NAMES[1], "--cut")
    assert disturbed.returncode != 0 and "only `tradewind dev`" in disturbed.stderr, disturbed.stderr


def keys(regions, table, name):
    answer = regions.by_name[name].client().scan(TableName=table, ConsistentRead=True)
    return {item["p"]["S"] for item in answer["Items"]}


def test_idle_links_announce_a_raised_clock_at_once(regions):
    """Who compares regions raises their clocks and waits until all have heard of it. Links lie with replicators, clocks with
    storage nodes, so that links that had nothing to send announced it with their next heartbeat, up to ten seconds later.
    """
    table = global_table(regions)
    for turn in range(3):
        regions.by_name[NAMES[0]].client().put_item(TableName=table, Item={"p": S(f"turn {turn}")})
        for region in regions.by_name.values():
            eventually(
                lambda region=region: {link["state"] for link in links(region, table)} == {"idle"},
                within=60,
                saying=f"all links of {region.name} are idle",
            )
        code, outcome = compared(regions.by_name[NAMES[turn]], table, "--wait", "3s")
        assert (code, outcome["behind"]) == (0, []), outcome


def test_a_replica_where_another_table_has_the_name_fails_and_can_be_deleted(regions):
    table, (here, _, there) = unique("taken"), regions.by_name.values()
    client = here.client()
    for region in (here, there):
        region.client().create_table(TableName=table, **keyed_by("p:S"))
        wait_until_active(region.client(), table)
    there.client().put_item(TableName=table, Item={"p": S("unrelated")})
    client.update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": there.name}}])

    def failed():
        described = client.describe_table(TableName=table)["Table"]
        (replica,) = described.get("Replicas", [{}])
        return described["TableStatus"] == "ACTIVE" and replica.get("ReplicaStatus") == "CREATION_FAILED" and replica

    replica = eventually(failed, within=60, saying="the replica has failed")
    assert replica["ReplicaStatusDescription"].endswith("one or more replicas already existed as tables.")
    client.put_item(TableName=table, Item={"p": S("still works")})
    client.update_table(TableName=table, ReplicaUpdates=[{"Delete": {"RegionName": there.name}}])
    assert "Replicas" not in client.describe_table(TableName=table)["Table"]
    assert keys(regions, table, there.name) == {"unrelated"} and keys(regions, table, here.name) == {"still works"}
