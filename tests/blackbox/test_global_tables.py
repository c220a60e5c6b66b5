"""Global tables: real replicas with their own data, the newest write wins, deletes stay deleted, conflicts are kept.

This is what the project is for. Every region is driven as its own client would, and compared as a reader would see it.
"""

import json

import pytest

import server
from endpoints import REGION, SECOND_REGION, THIRD_REGION
from lifecycle import drop, is_active, wait_until_active, wait_until_gone
from racing import Repeating, together
from rejections import rejected
from schemas import index, keyed_by
from streaming import Reader, stream_of
from values import SS, N, S, same_item, unique
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only("needs several regions"),
    pytest.mark.embedded_only("the nodes are of one region"),
    pytest.mark.timeout(120),
]

REGIONS = (REGION, SECOND_REGION, THIRD_REGION)
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


@pytest.fixture(scope="module")
def clients(client_for):
    return {region: client_for(region) for region in REGIONS}


def replicas(client, table):
    described = client.describe_table(TableName=table)["Table"].get("Replicas", [])
    return {each["RegionName"]: each["ReplicaStatus"] for each in described}


def add_replica(clients, table, region, source=REGION):
    clients[source].update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": region}}])
    eventually(
        lambda: replicas(clients[source], table).get(region) == "ACTIVE", within=60, saying=f"{region} is ACTIVE"
    )
    wait_until_active(clients[source], table)
    wait_until_active(clients[region], table)


@pytest.fixture(scope="module")
def make_global(clients, make_table):
    """Creates a table in the first region with replicas in others; drops all of them after the module."""
    names = []

    def create(*regions, **schema):
        table = make_table(**(schema or keyed_by("p:S")), StreamSpecification=STREAM)
        names.append(table)
        for region in regions:
            add_replica(clients, table, region)
        return table

    yield create
    for name in names:
        for region in REGIONS[::-1]:
            drop(clients[region], name)


@pytest.fixture(scope="module")
def pair(make_global):
    """A table in two regions."""
    return make_global(SECOND_REGION)


@pytest.fixture(scope="module")
def trio(make_global):
    """A table in three regions."""
    return make_global(SECOND_REGION, THIRD_REGION)


def get(client, table, pk):
    return client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True).get("Item")


def put(client, table, pk, **attributes):
    client.put_item(TableName=table, Item={"p": S(pk), **attributes})


def arrives(client, table, pk, **attributes):
    """Waits until the region has the item with these attributes."""

    def there():
        item = get(client, table, pk)
        return item is not None and same_item(item, {"p": S(pk), **attributes})

    return eventually(there, within=30, saying=f"{pk} has {attributes}")


def vanishes(client, table, pk):
    return eventually(lambda: get(client, table, pk) is None, within=30, saying=f"{pk} is gone")


def everything(client, table):
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return sorted((item for page in pages for item in page["Items"]), key=str)


def converge(clients, table, regions=REGIONS):
    def equal():
        contents = [everything(clients[region], table) for region in regions]
        return all(content == contents[0] for content in contents) and (contents[0] or True)

    return eventually(equal, within=60, every=0.1, saying="the regions are equal")


# Regions


def test_regions_are_chosen_by_the_signature(clients):
    name = unique("own")
    for region in REGIONS[:2]:
        clients[region].create_table(TableName=name, **keyed_by("p:S"))
        wait_until_active(clients[region], name)
        put(clients[region], name, "x", region=S(region))
    for region in REGIONS[:2]:
        assert get(clients[region], name, "x")["region"] == S(region)
        assert f":{region}:" in clients[region].describe_table(TableName=name)["Table"]["TableArn"]
    assert name not in clients[THIRD_REGION].list_tables()["TableNames"]
    drop(clients[REGION], name)
    wait_until_gone(clients[REGION], name)
    assert get(clients[SECOND_REGION], name, "x")
    drop(clients[SECOND_REGION], name)


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_has_a_port(endpoint, clients, region):
    name = unique("port")
    own = endpoint.client(region=region, port=endpoint.ports[region])
    own.create_table(TableName=name, **keyed_by("p:S"))
    wait_until_active(clients[region], name)
    put(clients[region], name, "x")
    assert get(own, name, "x")
    drop(own, name)


# Replicas


def test_a_replica_is_described_everywhere(clients, pair):
    for here, there in ((REGION, SECOND_REGION), (SECOND_REGION, REGION)):
        table = clients[here].describe_table(TableName=pair)["Table"]
        assert table["GlobalTableVersion"] == "2019.11.21"
        assert replicas(clients[here], pair).get(there) == "ACTIVE"
        assert table["TableArn"].split(":")[3] == here
        assert table["LatestStreamArn"].split(":")[3] == here


def test_a_replica_has_the_same_schema(clients, make_global):
    schema = keyed_by("p:S", "c:N", gsi=[index("by_x", "x:S", include=["a"])], lsi=[index("by_y", "p:S", "y:S")])
    table = make_global(SECOND_REGION, **schema)
    here, there = (clients[region].describe_table(TableName=table)["Table"] for region in REGIONS[:2])
    for name in ("KeySchema", "AttributeDefinitions", "StreamSpecification"):
        assert sorted(map(str, here[name])) == sorted(map(str, there[name]))
    for name in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        pick = lambda each: (each["IndexName"], str(each["KeySchema"]), each["Projection"]["ProjectionType"])
        assert [pick(each) for each in here[name]] == [pick(each) for each in there[name]]


def test_existing_items_are_copied_to_a_new_replica(clients, make_global):
    table = make_global()
    for at in range(120):
        put(clients[REGION], table, f"{at:03}", n=N(at))
    clients[REGION].delete_item(TableName=table, Key={"p": S("007")})
    add_replica(clients, table, SECOND_REGION)
    content = converge(clients, table, REGIONS[:2])
    assert len(content) == 119


def test_a_replica_added_under_writes_misses_nothing(clients, make_global):
    table = make_global()
    written = []

    def write(worker, turn):
        name = f"{worker}-{turn}"
        put(clients[REGION], table, name, n=N(turn))
        if turn % 4 == 0:
            clients[REGION].delete_item(TableName=table, Key={"p": S(name)})
        else:
            written.append(name)

    with Repeating(write, threads=3):
        eventually(lambda: len(written) > 60, within=30)
        add_replica(clients, table, SECOND_REGION)
        goal = len(written) + 60
        eventually(lambda: len(written) > goal, within=30)
    content = converge(clients, table, REGIONS[:2])
    assert sorted(item["p"]["S"] for item in content) == sorted(written)


def test_a_third_replica_may_be_asked_for_in_any_region(clients, make_global):
    table = make_global(SECOND_REGION)
    put(clients[REGION], table, "x", a=S("1"))
    add_replica(clients, table, THIRD_REGION, source=SECOND_REGION)
    arrives(clients[THIRD_REGION], table, "x", a=S("1"))
    eventually(lambda: THIRD_REGION in replicas(clients[REGION], table), within=30)
    put(clients[THIRD_REGION], table, "y")
    arrives(clients[REGION], table, "y")


def test_a_removed_replica_is_gone_and_the_rest_goes_on(clients, make_global):
    table = make_global(SECOND_REGION)
    put(clients[SECOND_REGION], table, "x", a=S("1"))
    arrives(clients[REGION], table, "x", a=S("1"))
    clients[REGION].update_table(TableName=table, ReplicaUpdates=[{"Delete": {"RegionName": SECOND_REGION}}])
    wait_until_gone(clients[SECOND_REGION], table)
    eventually(lambda: SECOND_REGION not in replicas(clients[REGION], table), within=30)
    put(clients[REGION], table, "y")
    assert get(clients[REGION], table, "x") and get(clients[REGION], table, "y")


def test_a_replica_may_be_removed_and_added_again(clients, make_global):
    table = make_global(SECOND_REGION)
    put(clients[REGION], table, "before", n=N(1))
    arrives(clients[SECOND_REGION], table, "before", n=N(1))
    clients[REGION].update_table(TableName=table, ReplicaUpdates=[{"Delete": {"RegionName": SECOND_REGION}}])
    wait_until_gone(clients[SECOND_REGION], table)
    eventually(lambda: is_active(clients[REGION], table), within=30)
    clients[REGION].delete_item(TableName=table, Key={"p": S("before")})
    put(clients[REGION], table, "between")
    add_replica(clients, table, SECOND_REGION)
    assert [item["p"]["S"] for item in converge(clients, table, REGIONS[:2])] == ["between"]


@pytest.mark.parametrize(
    "update",
    [
        {"Create": {"RegionName": REGION}},
        {"Create": {"RegionName": SECOND_REGION}},
        {"Delete": {"RegionName": "us-west-1"}},
        {"Create": {}},
        {},
    ],
    ids=["itself", "again", "delete missing", "no name", "nothing"],
)
def test_replica_updates_that_make_no_sense(clients, pair, update):
    with rejected("ValidationException"):
        clients[REGION].update_table(TableName=pair, ReplicaUpdates=[update])


def test_a_table_of_the_name_must_not_exist_there(clients, make_global):
    table = make_global()
    clients[SECOND_REGION].create_table(TableName=table, **keyed_by("p:S"))
    wait_until_active(clients[SECOND_REGION], table)
    with rejected("ValidationException"):
        clients[REGION].update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": SECOND_REGION}}])


# Writes


@pytest.mark.parametrize("origin", REGIONS)
def test_a_write_in_any_region_appears_in_all(clients, trio, pk, origin):
    put(clients[origin], trio, pk, a=S("x"), s=SS("a", "b"))
    for region in REGIONS:
        arrives(clients[region], trio, pk, a=S("x"), s=SS("a", "b"))


@pytest.mark.parametrize("origin", REGIONS)
def test_a_delete_in_any_region_deletes_in_all(clients, trio, pk, origin):
    put(clients[REGION], trio, pk)
    arrives(clients[origin], trio, pk)
    clients[origin].delete_item(TableName=trio, Key={"p": S(pk)})
    for region in REGIONS:
        vanishes(clients[region], trio, pk)


def test_every_kind_of_write_is_replicated(clients, pair, pk):
    here, there = clients[REGION], clients[SECOND_REGION]
    put(here, pair, pk, n=N(1))
    here.update_item(
        TableName=pair, Key={"p": S(pk)}, UpdateExpression="ADD n :n", ExpressionAttributeValues={":n": N(4)}
    )
    here.batch_write_item(RequestItems={pair: [{"PutRequest": {"Item": {"p": S(pk + "batch")}}}]})
    here.transact_write_items(TransactItems=[{"Put": {"TableName": pair, "Item": {"p": S(pk + "tx")}}}])
    arrives(there, pair, pk, n=N(5))
    for tail in ("batch", "tx"):
        arrives(there, pair, pk + tail)


def test_statements_are_replicated(clients, pair, pk):
    clients[REGION].execute_statement(Statement=f"INSERT INTO \"{pair}\" VALUE {{'p': '{pk}'}}")
    arrives(clients[SECOND_REGION], pair, pk)


def test_the_later_write_wins_wherever_it_was_made(clients, pair, pk):
    here, there = clients[REGION], clients[SECOND_REGION]
    for turn in range(6):
        source, target = (here, there) if turn % 2 else (there, here)
        put(source, pair, pk, turn=N(turn))
        arrives(target, pair, pk, turn=N(turn))


def test_an_item_is_one_write_or_the_other(clients, trio, pk):
    """Racing whole-item puts from three regions: the same item everywhere, never a mixture."""

    def write(at):
        region = REGIONS[at % 3]
        put(clients[region], trio, f"{pk}-{at // 30}", by=S(region), a=N(at), b=N(at), c=N(at))

    together(write, range(300), threads=12)
    for item in converge(clients, trio):
        if item["p"]["S"].startswith(pk):
            assert item["a"] == item["b"] == item["c"]


def test_racing_puts_and_deletes_converge(clients, trio, pk):
    def write(at):
        client, key = clients[REGIONS[at % 3]], f"{pk}-{at % 5}"
        if at % 4 == 3:
            client.delete_item(TableName=trio, Key={"p": S(key)})
        else:
            put(client, trio, key, n=N(at))

    together(write, range(400), threads=12)
    converge(clients, trio)


def test_a_deleted_item_is_not_resurrected(clients, pair, pk):
    here, there = clients[REGION], clients[SECOND_REGION]
    for at in range(20):
        put(here, pair, f"{pk}-{at}", n=N(at))
    for at in range(20):
        arrives(there, pair, f"{pk}-{at}", n=N(at))
        there.delete_item(TableName=pair, Key={"p": S(f"{pk}-{at}")})
    for at in range(20):
        vanishes(here, pair, f"{pk}-{at}")
    put(here, pair, pk + "-after")
    arrives(there, pair, pk + "-after")
    assert not any(get(client, pair, f"{pk}-{at}") for client in (here, there) for at in range(20))


def test_a_put_after_a_delete_elsewhere_lives(clients, pair, pk):
    here, there = clients[REGION], clients[SECOND_REGION]
    put(here, pair, pk, life=N(1))
    arrives(there, pair, pk, life=N(1))
    there.delete_item(TableName=pair, Key={"p": S(pk)})
    vanishes(here, pair, pk)
    put(here, pair, pk, life=N(2))
    arrives(there, pair, pk, life=N(2))


def test_an_equal_write_still_beats_an_older_one(clients, pair, pk):
    """Writing the same value again is a write: whatever was in flight before it must not undo it."""
    here, there = clients[REGION], clients[SECOND_REGION]
    put(here, pair, pk, v=S("one"))
    arrives(there, pair, pk, v=S("one"))
    put(there, pair, pk, v=S("two"))
    arrives(here, pair, pk, v=S("two"))
    put(here, pair, pk, v=S("two"))
    put(here, pair, pk, v=S("three"))
    arrives(there, pair, pk, v=S("three"))


def test_conditions_are_decided_in_the_region(clients, pair, pk):
    """Racing creators in two regions may both succeed; both regions then agree on one of them."""

    def create(region):
        try:
            clients[region].put_item(
                TableName=pair, Item={"p": S(pk), "by": S(region)}, ConditionExpression="attribute_not_exists(p)"
            )
            return region
        except clients[region].exceptions.ConditionalCheckFailedException:
            return None

    winners = [region for region in together(create, REGIONS[:2], threads=2) if region]
    assert winners
    converge(clients, pair, REGIONS[:2])
    assert get(clients[REGION], pair, pk)["by"]["S"] in winners


def test_indexes_follow_in_every_region(clients, make_global):
    table = make_global(SECOND_REGION, **keyed_by("p:S", gsi=[index("by_x", "x:S")]))
    for at in range(30):
        put(clients[REGIONS[at % 2]], table, f"{at:02}", x=S(str(at % 3)))
    put(clients[REGION], table, "00", x=S("moved"))
    converge(clients, table, REGIONS[:2])
    for region in REGIONS[:2]:
        rows = lambda: sorted(clients[region].scan(TableName=table, IndexName="by_x")["Items"], key=str)
        eventually(lambda: rows() == everything(clients[region], table), saying="index equals table")


def test_large_items_are_replicated(clients, pair, pk):
    put(clients[REGION], pair, pk, v=S("x" * 400_000))
    arrives(clients[SECOND_REGION], pair, pk, v=S("x" * 400_000))


def test_many_items_are_replicated_in_time(clients, pair, pk):
    together(lambda at: put(clients[REGIONS[at % 2]], pair, f"{pk}-{at}", n=N(at)), range(1000), threads=8)
    content = converge(clients, pair, REGIONS[:2])
    assert sum(item["p"]["S"].startswith(pk) for item in content) == 1000


# Streams


def test_every_region_has_its_own_stream_with_every_change(endpoint, clients, pair, pk):
    readers = {
        region: Reader(endpoint.client("dynamodbstreams", region), stream_of(clients[region], pair), "LATEST")
        for region in REGIONS[:2]
    }
    put(clients[REGION], pair, pk, n=N(1))
    arrives(clients[SECOND_REGION], pair, pk, n=N(1))
    clients[SECOND_REGION].delete_item(TableName=pair, Key={"p": S(pk)})
    vanishes(clients[REGION], pair, pk)
    for region in REGIONS[:2]:
        seen = []

        def complete():
            seen.extend(record for record in readers[region].read() if record["dynamodb"]["Keys"]["p"] == S(pk))
            return len(seen) >= 2

        eventually(complete, within=30)
        assert [record["eventName"] for record in seen] == ["INSERT", "REMOVE"]
        assert all(record["awsRegion"] == region for record in seen)
        assert all("userIdentity" not in record for record in seen)


# Conflicts


def conflicts(endpoint, table, region=REGION):
    """The conflict records of a table, as the command line shows them to machines."""
    ended = server.run("conflicts", "list", table, "--json", "--endpoint", endpoint.url, "--region", region)
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout or "[]")
    return shown if isinstance(shown, list) else shown.get("conflicts", shown.get("Conflicts", []))


def test_concurrent_writes_leave_a_record_with_both_images(endpoint, clients, make_global):
    table = make_global(SECOND_REGION)

    def write(at):
        region = REGIONS[at % 2]
        put(clients[region], table, f"{at // 2 % 10}", by=S(f"{region} {at}"))

    def provoke():
        together(write, range(200), threads=8)
        converge(clients, table, REGIONS[:2])
        return [record for region in REGIONS[:2] for record in conflicts(endpoint, table, region)]

    text = json.dumps(eventually(provoke, within=60)[0])
    assert REGION in text and SECOND_REGION in text
    assert text.count('"by"') >= 2 or text.count("by") >= 2


def test_causal_writes_leave_no_record(endpoint, clients, make_global):
    """Each write has seen the one before it: nothing was concurrent, so nothing may be reported."""
    table = make_global(SECOND_REGION, THIRD_REGION)
    for turn in range(12):
        source, target = clients[REGIONS[turn % 3]], clients[REGIONS[(turn + 1) % 3]]
        if turn % 5 == 4:
            source.delete_item(TableName=table, Key={"p": S("x")})
            vanishes(target, table, "x")
        else:
            put(source, table, "x", turn=N(turn))
            arrives(target, table, "x", turn=N(turn))
    converge(clients, table)
    assert [record for region in REGIONS for record in conflicts(endpoint, table, region)] == []


def test_conflicts_are_shown_to_people_too(endpoint, clients, pair):
    ended = server.run("conflicts", "list", pair, "--endpoint", endpoint.url, "--region", REGION)
    assert ended.returncode == 0, ended.stderr


def test_replication_has_a_status(endpoint, clients, pair):
    ended = server.run("replication", "status", "--json", "--endpoint", endpoint.url, "--region", REGION)
    assert ended.returncode == 0, ended.stderr
    text = json.dumps(json.loads(ended.stdout))
    assert pair in text and SECOND_REGION in text
