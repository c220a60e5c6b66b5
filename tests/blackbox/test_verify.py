"""`tradewind verify`: equal regions are said to be, also while they are written, and differing keys are named."""

import json
import threading

import pytest

import server
from endpoints import REGION, SECOND_REGION, THIRD_REGION
from lifecycle import wait_until_active
from schemas import keyed_by
from server import Server
from values import S, unique
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only("starts a server of its own"),
    pytest.mark.embedded_only("only `tradewind dev` has several regions in a process"),
    pytest.mark.timeout(180),
]

REGIONS = (REGION, SECOND_REGION, THIRD_REGION)


@pytest.fixture(scope="module")
def running():
    with Server("--in-memory") as started:
        yield started


@pytest.fixture(scope="module")
def clients(running):
    return {region: running.endpoint().client(region=region) for region in REGIONS}


@pytest.fixture
def tool(running):
    def run(*arguments):
        return server.run(*arguments, "--endpoint", f"http://127.0.0.1:{running.port()}", within=60)

    yield run
    run("chaos", "reset")


@pytest.fixture
def table(clients):
    name = unique("verify")
    clients[REGION].create_table(TableName=name, **keyed_by("p:S"))
    wait_until_active(clients[REGION], name)
    for region in REGIONS[1:]:
        clients[REGION].update_table(TableName=name, ReplicaUpdates=[{"Create": {"RegionName": region}}])
        eventually(lambda: wait_until_active(clients[REGION], name) or True, saying="the table is ACTIVE")
        eventually(lambda region=region: replicas(clients[REGION], name).get(region) == "ACTIVE", within=60)
        wait_until_active(clients[region], name)
    return name


def replicas(client, table):
    described = client.describe_table(TableName=table)["Table"].get("Replicas", [])
    return {each["RegionName"]: each["ReplicaStatus"] for each in described}


def fill(client, table, count):
    for start in range(0, count, 25):
        puts = [{"PutRequest": {"Item": {"p": S(f"k{at}"), "v": S("x")}}} for at in range(start, start + 25)]
        client.batch_write_item(RequestItems={table: puts})


def test_equal_regions_are_equal_also_under_load(clients, table, tool):
    fill(clients[REGION], table, 500)
    over = threading.Event()

    def load(region):
        written = 0
        while not over.is_set():
            key = {"p": S(f"k{written % 7}")}
            if written % 5:
                clients[region].put_item(TableName=table, Item={**key, "v": S(f"{region} {written}")})
            else:
                clients[region].delete_item(TableName=table, Key=key)
            written += 1

    writers = [threading.Thread(target=load, args=(region,)) for region in REGIONS]
    for writer in writers:
        writer.start()
    try:
        for region in REGIONS:
            done = tool("verify", table, "--region", region)
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.startswith("equal: ") and all(each in done.stdout for each in REGIONS), done.stdout
    finally:
        over.set()
        for writer in writers:
            writer.join()
    done = tool("verify", table, "--json")
    outcome = json.loads(done.stdout)
    assert (done.returncode, outcome["equal"], outcome["differences"], outcome["behind"]) == (0, True, [], [])
    assert 493 <= outcome["items"] <= 500 and sorted(outcome["regions"]) == sorted(REGIONS)


def test_what_a_cut_link_keeps_back_is_named(clients, table, tool):
    fill(clients[REGION], table, 100)
    assert tool("verify", table).returncode == 0
    tool("chaos", "link", REGION, SECOND_REGION, "--cut")
    tool("chaos", "link", SECOND_REGION, THIRD_REGION, "--cut")
    clients[REGION].put_item(TableName=table, Item={"p": S("k7"), "v": S("newer")})
    clients[SECOND_REGION].put_item(TableName=table, Item={"p": S("own"), "v": S("x")})
    clients[REGION].delete_item(TableName=table, Key={"p": S("k8")})
    done = tool("verify", table, "--wait", "1s", "--json")
    outcome = json.loads(done.stdout)
    assert done.returncode == 1 and not outcome["equal"]
    named = {each["key"]["p"]["S"]: each for each in outcome["differences"]}
    assert set(named) == {"k7", "k8", "own"} and {each["why"] for each in named.values()} == {"behind"}
    assert named["own"]["regions"][REGION] is None
    assert named["own"]["regions"][SECOND_REGION]["written_in"] == SECOND_REGION
    assert named["k8"]["regions"][THIRD_REGION]["deleted"] and not named["k8"]["regions"][SECOND_REGION]["deleted"]
    assert {"region": SECOND_REGION, "of": REGION} in outcome["behind"]
    told = tool("verify", table, "--wait", "1s").stdout
    assert f"{SECOND_REGION} has not applied all of {REGION}" in told and '"own"' in told and "different: 3" in told
    tool("chaos", "reset")
    assert tool("verify", table).returncode == 0


def test_differing_keys_are_told_up_to_a_limit(clients, table, tool):
    for region in REGIONS[1:]:
        tool("chaos", "link", REGION, region, "--cut")
    fill(clients[REGION], table, 50)
    done = tool("verify", table, "--wait", "0s", "--limit", "5", "--json")
    outcome = json.loads(done.stdout)
    assert done.returncode == 1 and len(outcome["differences"]) == 5 and outcome["more"]


def test_what_cannot_be_compared_is_said(clients, tool):
    alone = unique("alone")
    clients[REGION].create_table(TableName=alone, **keyed_by("p:S"))
    for name, says in [("no-such-table", "not found"), (alone, "no other replica")]:
        done = tool("verify", name)
        assert done.returncode == 1 and says in done.stderr, done.stderr
