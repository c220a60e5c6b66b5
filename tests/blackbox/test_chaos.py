"""`tradewind chaos`: links are cut, paused and delayed, clocks set off, in a running process, and all of it heals.

A developer sees here, on one machine, what his code will meet when regions lose each other. Each test leaves the process
undisturbed.
"""

import json
import time

import pytest

import server
from endpoints import REGION, SECOND_REGION
from lifecycle import wait_until_active
from schemas import keyed_by
from server import Server
from values import S, unique
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only("starts a server of its own"),
    pytest.mark.embedded_only("only `tradewind dev` can be disturbed"),
    pytest.mark.timeout(180),
]

FAR_OFF_MS = 1500


@pytest.fixture(scope="module")
def regions():
    with Server("--in-memory", "--regions", f"{REGION},{SECOND_REGION}") as running:
        yield running


@pytest.fixture
def tool(regions):
    def run(*arguments, fails=False):
        done = server.run(*arguments, "--endpoint", f"http://127.0.0.1:{regions.port()}", "--json")
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else json.loads(done.stdout)

    yield run
    run("chaos", "reset")


@pytest.fixture(scope="module")
def here(regions):
    return regions.endpoint().client(region=REGION)


@pytest.fixture(scope="module")
def there(regions):
    return regions.endpoint().client(region=SECOND_REGION)


@pytest.fixture(scope="module")
def table(here, there):
    name = unique("chaos")
    here.create_table(TableName=name, **keyed_by("p:S"))
    wait_until_active(here, name)
    here.update_table(TableName=name, ReplicaUpdates=[{"Create": {"RegionName": SECOND_REGION}}])
    eventually(lambda: replica_status(here, name) == "ACTIVE", within=60, saying="the replica is ACTIVE")
    wait_until_active(there, name)
    return name


def replica_status(client, table):
    replicas = client.describe_table(TableName=table)["Table"].get("Replicas", [])
    return {each["RegionName"]: each["ReplicaStatus"] for each in replicas}.get(SECOND_REGION)


def put(client, table, pk, value):
    client.put_item(TableName=table, Item={"p": S(pk), "v": S(value)})


def value(client, table, pk):
    item = client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True).get("Item")
    return item and item["v"]["S"]


def becomes(client, table, pk, wanted):
    return eventually(lambda: value(client, table, pk) == wanted, within=30, saying=f"{pk} is {wanted}")


def links(tool, table, start):
    listed = tool("replication", "status")["links"]
    return [each for each in listed if each["table"] == table and each["from"] == start]


def test_what_is_written_on_both_sides_of_a_cut_is_a_conflict_when_it_heals(tool, here, there, table):
    put(here, table, "both", "before")
    becomes(there, table, "both", "before")
    tool("chaos", "link", REGION, SECOND_REGION, "--cut")
    put(here, table, "both", "here")
    put(there, table, "both", "there")
    put(here, table, "only-here", "x")
    eventually(
        lambda: any(each["state"] == "stalled" for each in links(tool, table, REGION)), saying="the links know it"
    )
    assert (value(here, table, "both"), value(there, table, "both")) == ("here", "there")
    assert value(there, table, "only-here") is None
    tool("chaos", "link", REGION, SECOND_REGION, "--heal")
    becomes(there, table, "only-here", "x")
    for client in (here, there):
        becomes(client, table, "both", "there")
    listed = tool("conflicts", "list", table, "--key", json.dumps({"p": S("both")}))["conflicts"]
    assert [(each["winner"]["region"], each["loser"]["item"]["v"]["S"]) for each in listed] == [
        (SECOND_REGION, "here")
    ]


def test_a_link_can_be_cut_in_one_direction(tool, here, there, table):
    tool("chaos", "link", REGION, SECOND_REGION, "--cut", "--one-way")
    put(here, table, "one-way", "kept back")
    put(there, table, "other-way", "comes")
    becomes(here, table, "other-way", "comes")
    assert value(there, table, "one-way") is None
    tool("chaos", "reset")
    becomes(there, table, "one-way", "kept back")


def test_what_is_sent_over_a_paused_link_waits(tool, here, there, table):
    tool("chaos", "link", REGION, SECOND_REGION, "--pause")
    put(here, table, "paused", "waits")
    put(there, table, "paused-back", "waits")
    eventually(lambda: links(tool, table, REGION), saying="links are shown")
    assert value(there, table, "paused") is None and value(here, table, "paused-back") is None
    tool("chaos", "link", REGION, SECOND_REGION, "--heal")
    becomes(there, table, "paused", "waits")
    becomes(here, table, "paused-back", "waits")


def test_a_delayed_link_is_late_by_that_much(tool, here, there, table):
    tool("chaos", "link", REGION, SECOND_REGION, "--delay", "800ms", "--one-way")
    written = time.monotonic()
    put(here, table, "late", "x")
    becomes(there, table, "late", "x")
    assert time.monotonic() - written >= 0.8


@pytest.mark.parametrize(("ahead", "skew"), [(True, f"+{FAR_OFF_MS}ms"), (False, f"-{FAR_OFF_MS}ms")])
def test_a_clock_that_is_far_off_delays_and_loses_nothing(tool, here, there, table, ahead, skew):
    """500 ms is borne; beyond that a version from the future waits for its time, and a causally later write wins still."""
    fast, slow = (there, here) if ahead else (here, there)
    pk = unique("clock")
    tool("chaos", "clock", SECOND_REGION, skew)
    written = time.monotonic()
    put(fast, table, pk, "from the fast clock")
    becomes(slow, table, pk, "from the fast clock")
    assert time.monotonic() - written >= (FAR_OFF_MS - 500) / 1000
    put(slow, table, pk, "later, from the slow clock")
    becomes(fast, table, pk, "later, from the slow clock")
    assert tool("conflicts", "list", table, "--key", json.dumps({"p": S(pk)}))["conflicts"] == []


def test_a_clock_that_is_a_little_off_delays_nothing(tool, here, there, table):
    tool("chaos", "clock", SECOND_REGION, "+300ms")
    put(there, table, "a little", "x")
    becomes(here, table, "a little", "x")
    assert not any(each["state"] == "ahead" for each in links(tool, table, SECOND_REGION))


def test_trouble_is_shown_until_it_is_reset(tool):
    tool("chaos", "link", REGION, SECOND_REGION, "--delay", "2s")
    shown = tool("chaos", "clock", SECOND_REGION, "-2s")
    both = [(REGION, SECOND_REGION), (SECOND_REGION, REGION)]
    assert sorted((each["from"], each["to"]) for each in shown["links"]) == sorted(both)
    assert [each["delay_ms"] for each in shown["links"]] == [2000, 2000]
    assert shown["clocks"] == [{"region": SECOND_REGION, "skew_ms": -2000}]
    assert tool("chaos", "show") == shown
    assert tool("chaos", "reset") == {"links": [], "clocks": []}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("link", REGION, "ap-south-1", "--cut"), "no region ap-south-1"),
        (("link", REGION, REGION, "--cut"), "between two regions"),
        (("link", REGION, SECOND_REGION), "--delay"),
        (("link", REGION, SECOND_REGION, "--cut", "--heal"), "--heal"),
        (("link", REGION, SECOND_REGION, "--delay", "800"), "800ms"),
        (("link", REGION, SECOND_REGION, "--delay", "2000s"), "at most"),
        (("clock", SECOND_REGION, "soon"), "+300ms"),
        (("clock", SECOND_REGION, "+100m"), "at most"),
        (("clock", "ap-south-1", "0"), "no region ap-south-1"),
    ],
)
def test_what_makes_no_sense_is_refused(tool, arguments, says):
    assert says in tool("chaos", *arguments, fails=True)
    assert tool("chaos", "show") == {"links": [], "clocks": []}
