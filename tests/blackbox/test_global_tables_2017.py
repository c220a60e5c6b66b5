"""The 2017 version of global tables: operations of their own, on the same global tables as ReplicaUpdates of UpdateTable.

Its replicas are tables that exist already, and are empty. A replica that is taken out keeps its data, as a table of its own.
"""

import threading

import pytest
from botocore.exceptions import ClientError

import server
from endpoints import REGION, SECOND_REGION, THIRD_REGION
from lifecycle import drop, wait_until_active
from rejections import invalid, rejected
from schemas import index, keyed_by
from values import S, unique
from waiting import eventually

NONE = "Global table not found: Global table with name: 'no-such-table' does not exist."
STREAM = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}
REGIONS = (REGION, SECOND_REGION, THIRD_REGION)

pytestmark = [
    pytest.mark.not_on_aws("AWS makes no new global tables of 2017"),
    pytest.mark.tradewind_only("needs several regions"),
    pytest.mark.embedded_only("the nodes are of one region"),
    pytest.mark.timeout(120),
]


@pytest.fixture(scope="module")
def clients(client_for):
    return {region: client_for(region) for region in REGIONS}


@pytest.fixture
def make(clients):
    """Makes empty tables of one name, in these regions."""
    names = []

    def create(*regions, **schema):
        name = unique("g17")
        names.append(name)
        for region in regions:
            clients[region].create_table(TableName=name, **{**keyed_by("p:S"), **STREAM, **schema})
            wait_until_active(clients[region], name)
        return name

    yield create
    for name in names:
        for client in clients.values():
            drop(client, name)


def group(*regions):
    return [{"RegionName": region} for region in regions]


def described(client, name):
    return client.describe_global_table(GlobalTableName=name)["GlobalTableDescription"]


def regions_of(description):
    return sorted(each["RegionName"] for each in description["ReplicationGroup"])


def until_active(clients, name, *regions):
    for region in regions:
        eventually(
            lambda region=region: described(clients[region], name)["GlobalTableStatus"] == "ACTIVE"
            and regions_of(described(clients[region], name)) == sorted(regions),
            within=60,
            saying=f"{name} is a global table of {regions} in {region}",
        )
        wait_until_active(clients[region], name)


def become_global(clients, name, *regions):
    clients[regions[0]].create_global_table(GlobalTableName=name, ReplicationGroup=group(*regions))
    until_active(clients, name, *regions)


def put(client, name, pk):
    client.put_item(TableName=name, Item={"p": S(pk)})


def has(client, name, pk):
    return "Item" in client.get_item(TableName=name, Key={"p": S(pk)}, ConsistentRead=True)


def arrives(client, name, pk):
    eventually(lambda: has(client, name, pk), within=30, saying=f"{pk} has arrived")


# Making one


def test_empty_tables_become_a_global_table(clients, make):
    name = make(*REGIONS)
    answer = clients[REGION].create_global_table(GlobalTableName=name, ReplicationGroup=group(*REGIONS))
    description = answer["GlobalTableDescription"]
    assert description["GlobalTableName"] == name and regions_of(description) == sorted(REGIONS)
    assert description["GlobalTableArn"].endswith(f":global-table/{name}")
    assert description["GlobalTableStatus"] in ("CREATING", "UPDATING")
    until_active(clients, name, *REGIONS)
    for region in REGIONS:
        put(clients[region], name, region)
    for client in clients.values():
        for region in REGIONS:
            arrives(client, name, region)
    table = clients[SECOND_REGION].describe_table(TableName=name)["Table"]
    assert sorted(each["RegionName"] for each in table["Replicas"]) == sorted({*REGIONS} - {SECOND_REGION})


def test_both_versions_see_the_same_tables(clients, make):
    name = make(REGION)
    clients[REGION].update_table(TableName=name, ReplicaUpdates=[{"Create": {"RegionName": SECOND_REGION}}])
    until_active(clients, name, REGION, SECOND_REGION)
    listed = clients[SECOND_REGION].list_global_tables()["GlobalTables"]
    assert {"GlobalTableName": name, "ReplicationGroup": group(*sorted((REGION, SECOND_REGION)))} in listed


def test_one_needs_its_table_everywhere(clients, make):
    with rejected("TableNotFoundException"):
        clients[REGION].create_global_table(GlobalTableName="no-such-table", ReplicationGroup=group(REGION))
    name = make(REGION)
    with rejected("TableNotFoundException"):
        clients[REGION].create_global_table(GlobalTableName=name, ReplicationGroup=group(REGION, SECOND_REGION))
    assert "Replicas" not in clients[REGION].describe_table(TableName=name)["Table"]


def test_one_is_made_once(clients, make):
    name = make(REGION, SECOND_REGION)
    become_global(clients, name, REGION, SECOND_REGION)
    with rejected("GlobalTableAlreadyExistsException", has=name):
        clients[REGION].create_global_table(GlobalTableName=name, ReplicationGroup=group(REGION, SECOND_REGION))


def test_replicas_have_to_be_empty_and_alike(clients, make):
    filled = make(REGION, SECOND_REGION)
    put(clients[SECOND_REGION], filled, "x")
    with invalid(has="not empty"):
        clients[REGION].create_global_table(GlobalTableName=filled, ReplicationGroup=group(REGION, SECOND_REGION))
    assert has(clients[SECOND_REGION], filled, "x"), "what is refused loses nothing"
    for schema, cause in [
        (keyed_by("q:S"), "key schema"),
        ({**keyed_by("p:S"), "StreamSpecification": {"StreamEnabled": False}}, "stream"),
        (keyed_by("p:S", gsi=[index("by-v", "v:S")]), "indexes"),
    ]:
        name = make(REGION)
        clients[SECOND_REGION].create_table(TableName=name, **{**keyed_by("p:S"), **STREAM, **schema})
        wait_until_active(clients[SECOND_REGION], name)
        with invalid(has=cause):
            clients[REGION].create_global_table(GlobalTableName=name, ReplicationGroup=group(REGION, SECOND_REGION))
        wait_until_active(clients[SECOND_REGION], name)


def test_a_write_that_meets_the_end_of_an_empty_table_is_not_lost(endpoint, clients, make):
    """The region that gives way looks whether its table is empty. What it acknowledges after that is kept as a conflict."""
    source, other = clients[REGION], clients[SECOND_REGION]
    made = 0
    for trial in range(60):
        name = make(REGION, SECOND_REGION)
        acknowledged, over = [], threading.Event()

        def write(name=name, acknowledged=acknowledged, over=over, delay=trial % 20 / 1000):
            # At another moment of the operation in each trial.
            over.wait(delay)
            while not over.is_set():
                pk = f"written-{len(acknowledged)}"
                try:
                    put(other, name, pk)
                    acknowledged.append(pk)
                except ClientError:
                    pass

        writer = threading.Thread(target=write)
        writer.start()
        try:
            source.create_global_table(GlobalTableName=name, ReplicationGroup=group(REGION, SECOND_REGION))
        except ClientError as error:
            assert "not empty" in error.response["Error"]["Message"]
            continue
        finally:
            over.set()
            writer.join()
        made += 1
        until_active(clients, name, REGION, SECOND_REGION)
        for pk in acknowledged:
            eventually(lambda pk=pk: has(other, name, pk) or pk in conflicts(endpoint, name), within=10, saying=f"{pk} is found")
    assert made, "no trial met it"


def conflicts(endpoint, name):
    ended = server.run("conflicts", "list", name, "--json", "--endpoint", endpoint.url, "--region", SECOND_REGION)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_region_of_the_request_is_one_of_them(clients, make):
    name = make(REGION, SECOND_REGION)
    with invalid(has=REGION):
        clients[REGION].create_global_table(GlobalTableName=name, ReplicationGroup=group(SECOND_REGION))


# Changing one


def test_replicas_come_and_go_and_keep_their_data(clients, make):
    name = make(*REGIONS)
    become_global(clients, name, REGION, SECOND_REGION)
    put(clients[REGION], name, "before")
    add = [{"Create": {"RegionName": THIRD_REGION}}]
    clients[REGION].update_global_table(GlobalTableName=name, ReplicaUpdates=add)
    until_active(clients, name, *REGIONS)
    arrives(clients[THIRD_REGION], name, "before")
    put(clients[SECOND_REGION], name, "kept")
    remove = [{"Delete": {"RegionName": SECOND_REGION}}]
    clients[REGION].update_global_table(GlobalTableName=name, ReplicaUpdates=remove)
    until_active(clients, name, REGION, THIRD_REGION)
    eventually(
        lambda: "Replicas" not in clients[SECOND_REGION].describe_table(TableName=name)["Table"],
        saying="it is a table of its own",
    )
    arrives(clients[REGION], name, "kept")
    assert has(clients[SECOND_REGION], name, "before") and has(clients[SECOND_REGION], name, "kept")
    put(clients[SECOND_REGION], name, "alone")
    put(clients[REGION], name, "without it")
    arrives(clients[THIRD_REGION], name, "without it")
    assert not has(clients[REGION], name, "alone") and not has(clients[SECOND_REGION], name, "without it")


def test_what_cannot_be_changed_is_refused(clients, make):
    name = make(REGION, SECOND_REGION)
    become_global(clients, name, REGION, SECOND_REGION)
    change = clients[REGION].update_global_table
    with rejected("ReplicaAlreadyExistsException", has=SECOND_REGION):
        change(GlobalTableName=name, ReplicaUpdates=[{"Create": {"RegionName": SECOND_REGION}}])
    with rejected("ReplicaNotFoundException", has=THIRD_REGION):
        change(GlobalTableName=name, ReplicaUpdates=[{"Delete": {"RegionName": THIRD_REGION}}])
    with rejected("TableNotFoundException"):
        change(GlobalTableName=name, ReplicaUpdates=[{"Create": {"RegionName": THIRD_REGION}}])


def test_a_replica_is_disassociated_in_its_own_region_once_that_is_allowed(clients, make):
    """The version of 2019 has the same by ReplicaUpdates."""
    name = make(REGION, SECOND_REGION)
    become_global(clients, name, REGION, SECOND_REGION)
    put(clients[REGION], name, "x")
    client = clients[SECOND_REGION]
    leave = [{"Disassociate": {"RegionName": SECOND_REGION, "DisassociationMode": "WAIT_FOR_REPLICATION"}}]
    with invalid(has="DisassociationProtectionEnabled"):
        client.update_table(TableName=name, ReplicaUpdates=leave)
    client.update_table(TableName=name, DisassociationProtectionEnabled=False)
    with invalid(has="in the region of its replica"):
        clients[REGION].update_table(TableName=name, ReplicaUpdates=leave)
    eventually(lambda: client.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE")
    client.update_table(TableName=name, ReplicaUpdates=leave)
    for each in (REGION, SECOND_REGION):
        eventually(
            lambda each=each: "Replicas" not in clients[each].describe_table(TableName=name)["Table"],
            within=60,
            saying=f"{each} has a table of its own",
        )
        wait_until_active(clients[each], name)
        assert has(clients[each], name, "x")


# Settings


def units(read, write):
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


PROVISIONED = {
    **keyed_by("p:S", gsi=[{**index("by-v", "v:S"), "ProvisionedThroughput": units(7, 8)}]),
    "BillingMode": "PROVISIONED",
    "ProvisionedThroughput": units(5, 6),
}


def settings(client, name):
    answer = client.describe_global_table_settings(GlobalTableName=name)
    assert answer["GlobalTableName"] == name
    return {each["RegionName"]: each for each in answer["ReplicaSettings"]}


def test_settings_are_of_all_replicas_or_of_one(clients, make):
    name = make(REGION, SECOND_REGION, **PROVISIONED)
    become_global(clients, name, REGION, SECOND_REGION)
    before = settings(clients[REGION], name)
    for region in (REGION, SECOND_REGION):
        assert before[region]["ReplicaStatus"] == "ACTIVE"
        assert before[region]["ReplicaProvisionedReadCapacityUnits"] == 5
        assert before[region]["ReplicaProvisionedWriteCapacityUnits"] == 6
        (own,) = before[region]["ReplicaGlobalSecondaryIndexSettings"]
        assert own["IndexName"] == "by-v"
        assert (own["ProvisionedReadCapacityUnits"], own["ProvisionedWriteCapacityUnits"]) == (7, 8)
    clients[REGION].update_global_table_settings(
        GlobalTableName=name,
        GlobalTableProvisionedWriteCapacityUnits=16,
        GlobalTableGlobalSecondaryIndexSettingsUpdate=[{"IndexName": "by-v", "ProvisionedWriteCapacityUnits": 18}],
        ReplicaSettingsUpdate=[
            {
                "RegionName": SECOND_REGION,
                "ReplicaProvisionedReadCapacityUnits": 25,
                "ReplicaGlobalSecondaryIndexSettingsUpdate": [
                    {"IndexName": "by-v", "ProvisionedReadCapacityUnits": 27}
                ],
            }
        ],
    )
    for asked in (REGION, SECOND_REGION):

        def told(asked=asked):
            now = settings(clients[asked], name)
            table = {region: each["ReplicaProvisionedReadCapacityUnits"] for region, each in now.items()}
            assert table == {REGION: 5, SECOND_REGION: 25}
            assert {each["ReplicaProvisionedWriteCapacityUnits"] for each in now.values()} == {16}
            indexes = {region: each["ReplicaGlobalSecondaryIndexSettings"][0] for region, each in now.items()}
            assert {region: each["ProvisionedReadCapacityUnits"] for region, each in indexes.items()} == {
                REGION: 7,
                SECOND_REGION: 27,
            }
            assert {each["ProvisionedWriteCapacityUnits"] for each in indexes.values()} == {18}
            return True

        eventually(told, within=30, saying=f"{asked} knows the settings")
    throughput = clients[SECOND_REGION].describe_table(TableName=name)["Table"]["ProvisionedThroughput"]
    assert (throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]) == (25, 16)


def test_settings_of_what_is_not_there_are_refused(clients, make):
    name = make(REGION, SECOND_REGION)
    become_global(clients, name, REGION, SECOND_REGION)
    change = clients[REGION].update_global_table_settings
    with rejected("ReplicaNotFoundException", has=THIRD_REGION):
        change(
            GlobalTableName=name,
            ReplicaSettingsUpdate=[{"RegionName": THIRD_REGION, "ReplicaProvisionedReadCapacityUnits": 5}],
        )
    with rejected("IndexNotFoundException", has="no-such-index"):
        change(
            GlobalTableName=name,
            GlobalTableGlobalSecondaryIndexSettingsUpdate=[
                {"IndexName": "no-such-index", "ProvisionedWriteCapacityUnits": 5}
            ],
        )


# What there is not


@pytest.mark.parametrize("operation", ["describe_global_table", "describe_global_table_settings"])
def test_none_is_described(client, operation, table):
    with rejected("GlobalTableNotFoundException", NONE):
        getattr(client, operation)(GlobalTableName="no-such-table")
    with rejected("GlobalTableNotFoundException"):
        getattr(client, operation)(GlobalTableName=table)


def test_none_is_changed(client):
    with rejected("GlobalTableNotFoundException", NONE):
        client.update_global_table(GlobalTableName="no-such-table", ReplicaUpdates=[])
    with rejected("GlobalTableNotFoundException", NONE):
        client.update_global_table_settings(GlobalTableName="no-such-table")


def test_pages_are_listed_by_name_and_region(clients, make):
    names = sorted(make(REGION, SECOND_REGION) for _ in range(3))
    for name in names:
        become_global(clients, name, REGION, SECOND_REGION)
    found, start = [], {}
    while True:
        page = clients[REGION].list_global_tables(Limit=2, **start)
        found += [each["GlobalTableName"] for each in page["GlobalTables"]]
        if "LastEvaluatedGlobalTableName" not in page:
            break
        start = {"ExclusiveStartGlobalTableName": page["LastEvaluatedGlobalTableName"]}
    assert found == sorted(found) and set(names) <= set(found)
    elsewhere = clients[REGION].list_global_tables(RegionName=THIRD_REGION)["GlobalTables"]
    assert not {each["GlobalTableName"] for each in elsewhere} & set(names)
