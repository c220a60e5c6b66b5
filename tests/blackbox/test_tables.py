"""Tables: create, describe, list, update, delete, with the exact refusals of each.

Infrastructure tools create tables over and over; they read statuses, ARNs and the words of every refusal.
"""

import re

import pytest

from endpoints import REGION
from lifecycle import drop, wait_until_active, wait_until_gone
from marks import case, differs
from rejections import NOT_FOUND, OMPVI, invalid, rejected
from schemas import definitions, index, key_schema, keyed_by
from values import S, unique


def throughput(read, write):
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def provisioned(*attributes, read=5, write=5, **more):
    schema = keyed_by(*attributes, **more)
    return {**schema, "BillingMode": "PROVISIONED", "ProvisionedThroughput": throughput(read, write)}


@pytest.fixture
def create(client):
    """Creates a table of a fresh name, which is dropped after the test; returns its description."""
    names = []

    def run(**schema):
        name = schema.pop("TableName", None) or unique("tt")
        description = client.create_table(TableName=name, **schema)["TableDescription"]
        names.append(name)
        return description

    yield run
    for name in names:
        drop(client, name)


@pytest.fixture
def created(client, create):
    """As `create`, but waits until the table is ACTIVE and returns its name."""

    def run(**schema):
        name = create(**schema)["TableName"]
        wait_until_active(client, name)
        return name

    return run


# Create and describe


@differs("answers ACTIVE at once")
def test_creation_begins_with_creating(create):
    assert create(**keyed_by("p:S"))["TableStatus"] == "CREATING"


def test_creation_ends_with_active(client, created):
    name = created(**keyed_by("p:S"))
    assert client.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE"


@pytest.mark.not_on_aws("takes seconds there")
def test_a_new_table_takes_requests_at_once(client, create):
    name = create(**keyed_by("p:S"))["TableName"]
    client.put_item(TableName=name, Item={"p": S("x")})
    assert client.get_item(TableName=name, Key={"p": S("x")}, ConsistentRead=True)["Item"] == {"p": S("x")}


def test_a_description_has_what_was_asked(client, created):
    name = created(**keyed_by("p:S", "c:N"))
    table = client.describe_table(TableName=name)["Table"]
    assert table["TableName"] == name
    assert table["KeySchema"] == key_schema("p:S", "c:N")
    assert sorted(table["AttributeDefinitions"], key=str) == sorted(definitions(["p:S", "c:N"]), key=str)
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["ItemCount"] == 0 and table["TableSizeBytes"] == 0
    assert table["CreationDateTime"].year >= 2024


def test_an_arn_names_region_account_and_table(client, created):
    name = created(**keyed_by("p:S"))
    arn = client.describe_table(TableName=name)["Table"]["TableArn"]
    assert re.fullmatch(rf"arn:aws:dynamodb:[a-z0-9-]+:\d{{12}}:table/{name}", arn)


@differs("always says ddblocal")
def test_an_arn_names_the_region_of_the_request(client, created):
    name = created(**keyed_by("p:S"))
    assert f":dynamodb:{REGION}:" in client.describe_table(TableName=name)["Table"]["TableArn"]


@differs("describes no id")
def test_a_table_has_an_id(client, created):
    table = client.describe_table(TableName=created(**keyed_by("p:S")))["Table"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", table["TableId"])


@differs("describes no id")
def test_every_life_of_a_table_has_its_own_id(client, created):
    name = created(**keyed_by("p:S"))
    first = client.describe_table(TableName=name)["Table"]["TableId"]
    drop(client, name)
    wait_until_gone(client, name)
    created(TableName=name, **keyed_by("p:S"))
    assert client.describe_table(TableName=name)["Table"]["TableId"] != first


def test_provisioned_throughput_is_described(client, created):
    name = created(**provisioned("p:S", read=7, write=3))
    table = client.describe_table(TableName=name)["Table"]
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 7
    assert table["ProvisionedThroughput"]["WriteCapacityUnits"] == 3
    assert table["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 0


def test_on_demand_tables_have_no_throughput(client, created):
    table = client.describe_table(TableName=created(**keyed_by("p:S")))["Table"]
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    assert table["ProvisionedThroughput"]["WriteCapacityUnits"] == 0


def test_indexes_are_described(client, created):
    schema = keyed_by(
        "p:S",
        "c:S",
        gsi=[index("by_x", "x:S", projection="KEYS_ONLY"), index("by_y", "y:N", "c:S", include=["a", "b"])],
        lsi=[index("by_z", "p:S", "z:B")],
    )
    table = client.describe_table(TableName=created(**schema))["Table"]
    globals_ = {each["IndexName"]: each for each in table["GlobalSecondaryIndexes"]}
    assert globals_["by_x"]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert globals_["by_y"]["Projection"]["ProjectionType"] == "INCLUDE"
    assert sorted(globals_["by_y"]["Projection"]["NonKeyAttributes"]) == ["a", "b"]
    assert globals_["by_x"]["IndexStatus"] == "ACTIVE"
    assert globals_["by_x"]["IndexArn"] == table["TableArn"] + "/index/by_x"
    local = table["LocalSecondaryIndexes"][0]
    assert local["IndexArn"] == table["TableArn"] + "/index/by_z"
    assert local["KeySchema"] == key_schema("p:S", "z:B")
    assert (local["ItemCount"], local["IndexSizeBytes"]) == (0, 0)


@pytest.mark.parametrize("enabled", [True, False])
def test_deletion_protection_is_described(client, created, enabled):
    name = created(**keyed_by("p:S"), DeletionProtectionEnabled=enabled)
    table = client.describe_table(TableName=name)["Table"]
    # Absent and false are the same.
    assert table.get("DeletionProtectionEnabled", False) is enabled


@differs("describes no class")
def test_the_table_class_is_described(client, created):
    name = created(**keyed_by("p:S"), TableClass="STANDARD_INFREQUENT_ACCESS")
    table = client.describe_table(TableName=name)["Table"]
    assert table["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"


def test_a_table_may_be_named_by_its_arn(client, created):
    name = created(**keyed_by("p:S"))
    arn = client.describe_table(TableName=name)["Table"]["TableArn"]
    client.put_item(TableName=arn, Item={"p": S("x")})
    assert client.get_item(TableName=arn, Key={"p": S("x")}, ConsistentRead=True)["Item"] == {"p": S("x")}
    assert client.describe_table(TableName=arn)["Table"]["TableName"] == name


def test_counts_are_kept(client, created):
    """ItemCount may be six hours old on AWS; anything from nothing to the truth is allowed."""
    name = created(**keyed_by("p:S"))
    for at in range(5):
        client.put_item(TableName=name, Item={"p": S(str(at))})
    assert 0 <= client.describe_table(TableName=name)["Table"]["ItemCount"] <= 5


# Refusals of CreateTable


def test_a_table_is_created_once(client, created):
    name = created(**keyed_by("p:S"))
    with rejected("ResourceInUseException", f"Table already exists: {name}"):
        client.create_table(TableName=name, **keyed_by("p:S"))


KEY_COUNT = (
    OMPVI
    + "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"
)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"AttributeDefinitions": definitions(["p:S", "q:S"])}, KEY_COUNT),
        (
            {"AttributeDefinitions": definitions(["q:S"])},
            OMPVI
            + "Some index key attributes are not defined in AttributeDefinitions. Keys: [p], AttributeDefinitions: [q]",
        ),
        (
            {"KeySchema": [{"AttributeName": "p", "KeyType": "RANGE"}]},
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            {
                "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "p", "KeyType": "RANGE"}],
                "AttributeDefinitions": definitions(["p:S", "c:S"]),
            },
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        (
            {"KeySchema": key_schema("p:S", "c:S", hash_count=2), "AttributeDefinitions": definitions(["p:S", "c:S"])},
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ),
        case(
            {"ProvisionedThroughput": throughput(1, 1)},
            OMPVI
            + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
            differs_locally="ignores it",
            name="throughput",
        ),
        (
            {
                "LocalSecondaryIndexes": [index("by_x", "p:S", "x:S")],
                "AttributeDefinitions": definitions(["p:S", "x:S"]),
            },
            OMPVI
            + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        ),
    ],
    ids=["too many definitions", "undefined key", "sort key alone", "same name", "two hash keys", None, "lsi"],
)
def test_schemas_that_do_not_fit_together(client, change, message):
    schema = {**keyed_by("p:S"), **change}
    for each in schema.get("LocalSecondaryIndexes", []):
        each.pop("attributes", None)
    with invalid(message):
        client.create_table(TableName=unique("tt"), **schema)


@pytest.mark.parametrize("mode", [None, "PROVISIONED"])
def test_provisioned_tables_need_throughput(client, mode):
    schema = keyed_by("p:S")
    schema.pop("BillingMode")
    with invalid():
        client.create_table(TableName=unique("tt"), **schema, **({"BillingMode": mode} if mode else {}))


@pytest.mark.parametrize("missing", ["KeySchema", "AttributeDefinitions"])
def test_a_schema_is_required(call, missing):
    schema = {name: value for name, value in keyed_by("p:S").items() if name != missing}
    with invalid():
        call("CreateTable", {"TableName": unique("tt"), **schema})


def lsi_schema(**change):
    return {**keyed_by("p:S", "c:S", lsi=[index("by_x", "p:S", "x:S")]), **change}


@pytest.mark.parametrize(
    "schema, message",
    [
        (
            keyed_by("p:S", "c:S", lsi=[index("by_x", "c:S", "p:S")]),
            OMPVI + "Index KeySchema does not have the same leading hash key as table KeySchema for index: by_x. "
            "index hash key: c, table hash key: p",
        ),
        (
            keyed_by("p:S", "c:S", lsi=[index("same", "p:S", "x:S"), index("same", "p:S", "y:S")]),
            OMPVI + "Duplicate index name: same",
        ),
        (
            keyed_by("p:S", "c:S", gsi=[index("same", "x:S"), index("same", "y:S")]),
            OMPVI + "Duplicate index name: same",
        ),
        (
            keyed_by("p:S", "c:S", lsi=[index("same", "p:S", "x:S")], gsi=[index("same", "y:S")]),
            OMPVI + "Duplicate index name: same",
        ),
        (
            keyed_by("p:S", gsi=[index(f"by_{at}", f"x{at}:S") for at in range(21)]),
            OMPVI + "GlobalSecondaryIndex count exceeds the per-table limit of 20",
        ),
    ],
    ids=["lsi of another hash key", "lsi twice", "gsi twice", "lsi and gsi", "21 gsi"],
)
def test_indexes_that_do_not_fit(client, schema, message):
    with invalid(message):
        client.create_table(TableName=unique("tt"), **schema)


def test_local_indexes_are_five_at_most(client):
    schema = keyed_by("p:S", "c:S", lsi=[index(f"by_{at}", "p:S", f"x{at}:S") for at in range(6)])
    with invalid():
        client.create_table(TableName=unique("tt"), **schema)


def test_twenty_global_indexes_are_fine(client, created):
    name = created(**keyed_by("p:S", gsi=[index(f"by_{at}", f"x{at}:S") for at in range(20)]))
    assert len(client.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"]) == 20


@pytest.mark.parametrize(
    "projection",
    [
        {},
        {"ProjectionType": "INCLUDE"},
        {"ProjectionType": "INCLUDE", "NonKeyAttributes": []},
        {"ProjectionType": "KEYS_ONLY", "NonKeyAttributes": ["a"]},
        {"ProjectionType": "ALL", "NonKeyAttributes": ["a"]},
        {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"] * 21},
        {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b", "a"]},
        {"ProjectionType": "SOME"},
    ],
    ids=str,
)
def test_projections_are_checked(client, projection):
    each = {"IndexName": "by_x", "KeySchema": key_schema("x:S"), "Projection": projection}
    with invalid():
        client.create_table(
            TableName=unique("tt"),
            **{**keyed_by("p:S", gsi=[index("by_x", "x:S")]), "GlobalSecondaryIndexes": [each]},
        )


@pytest.mark.parametrize(
    "kind", ["GlobalSecondaryIndexes", case("LocalSecondaryIndexes", differs_locally="accepts it")]
)
def test_a_list_of_indexes_is_never_empty(client, kind):
    with invalid():
        client.create_table(TableName=unique("tt"), **keyed_by("p:S", "c:S"), **{kind: []})


def test_a_stream_needs_a_view_type(client):
    with invalid():
        client.create_table(TableName=unique("tt"), **keyed_by("p:S"), StreamSpecification={"StreamEnabled": True})


def test_a_disabled_stream_has_no_view_type(client):
    with invalid():
        client.create_table(
            TableName=unique("tt"),
            **keyed_by("p:S"),
            StreamSpecification={"StreamEnabled": False, "StreamViewType": "KEYS_ONLY"},
        )


# Describe, delete


@pytest.mark.parametrize("operation", ["describe_table", "delete_table"])
def test_a_missing_table_is_named(client, operation):
    name = unique("nowhere")
    with rejected("ResourceNotFoundException", f"{NOT_FOUND}: Table: {name} not found"):
        getattr(client, operation)(TableName=name)


def test_updating_a_missing_table_names_it(client):
    name = unique("nowhere")
    with rejected("ResourceNotFoundException", f"{NOT_FOUND}: Table: {name} not found"):
        client.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")


def test_deletion_describes_the_table(client, created):
    name = created(**keyed_by("p:S"))
    description = client.delete_table(TableName=name)["TableDescription"]
    assert description["TableName"] == name
    wait_until_gone(client, name)


@differs("answers ACTIVE")
def test_deletion_begins_with_deleting(client, created):
    name = created(**keyed_by("p:S"))
    assert client.delete_table(TableName=name)["TableDescription"]["TableStatus"] == "DELETING"


def test_a_deleted_table_keeps_nothing(client, created):
    name = created(**keyed_by("p:S"))
    client.put_item(TableName=name, Item={"p": S("x")})
    client.delete_table(TableName=name)
    wait_until_gone(client, name)
    created(TableName=name, **keyed_by("p:S"))
    assert client.scan(TableName=name, ConsistentRead=True)["Count"] == 0


def test_protected_tables_are_not_deleted(client, created):
    name = created(**keyed_by("p:S"), DeletionProtectionEnabled=True)
    with invalid():
        client.delete_table(TableName=name)
    client.update_table(TableName=name, DeletionProtectionEnabled=False)
    wait_until_active(client, name)
    client.delete_table(TableName=name)


# List


@pytest.fixture(scope="module")
def listed(client, make_table):
    prefix = unique("list")
    return [make_table(TableName=f"{prefix}-{letter}", **keyed_by("p:S")) for letter in "cabed"]


def test_tables_are_listed_by_name(client, listed):
    names = [name for page in client.get_paginator("list_tables").paginate() for name in page["TableNames"]]
    assert names == sorted(names, key=str.encode)
    assert set(listed) <= set(names)


def test_pages_of_tables_go_on(client, listed):
    first = sorted(listed)[0]
    answer = client.list_tables(ExclusiveStartTableName=first, Limit=2)
    assert answer["TableNames"] == sorted(listed)[1:3]
    assert answer["LastEvaluatedTableName"] == sorted(listed)[2]


def test_a_start_name_need_not_exist(client, listed):
    start = sorted(listed)[0] + "0"
    answer = client.list_tables(ExclusiveStartTableName=start, Limit=1)
    assert answer["TableNames"] == sorted(listed)[1:2]


def test_the_last_page_has_no_cursor(client, listed):
    answer = client.list_tables(ExclusiveStartTableName="zzzzzzzzzz")
    assert answer["TableNames"] == [] and "LastEvaluatedTableName" not in answer


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_pages_of_tables_have_bounds(client, limit):
    with invalid():
        client.list_tables(Limit=limit)


# Update


NOTHING_TO_UPDATE = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
    "SSESpecification or ReplicaUpdates is required"
)


def test_an_update_changes_something(client, created):
    with invalid(NOTHING_TO_UPDATE):
        client.update_table(TableName=created(**keyed_by("p:S")))


def test_throughput_changes(client, created):
    name = created(**provisioned("p:S"))
    client.update_table(TableName=name, ProvisionedThroughput=throughput(9, 8))
    wait_until_active(client, name)
    table = client.describe_table(TableName=name)["Table"]
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 9
    assert table["ProvisionedThroughput"]["WriteCapacityUnits"] == 8
    assert "LastIncreaseDateTime" in table["ProvisionedThroughput"]


def test_throughput_must_change(client, created):
    name = created(**provisioned("p:S", read=5, write=5))
    with invalid(
        has="The provisioned throughput for the table will not change. The requested value equals the current value."
    ):
        client.update_table(TableName=name, ProvisionedThroughput=throughput(5, 5))


@differs("does not count")
def test_a_decrease_is_counted(client, created):
    name = created(**provisioned("p:S", read=5, write=5))
    client.update_table(TableName=name, ProvisionedThroughput=throughput(4, 4))
    wait_until_active(client, name)
    described = client.describe_table(TableName=name)["Table"]["ProvisionedThroughput"]
    assert described["NumberOfDecreasesToday"] == 1
    assert "LastDecreaseDateTime" in described


def test_billing_changes_both_ways(client, created):
    name = created(**provisioned("p:S"))
    client.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")
    wait_until_active(client, name)
    assert client.describe_table(TableName=name)["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    client.update_table(TableName=name, BillingMode="PROVISIONED", ProvisionedThroughput=throughput(3, 3))
    wait_until_active(client, name)
    assert client.describe_table(TableName=name)["Table"]["ProvisionedThroughput"]["ReadCapacityUnits"] == 3


def test_provisioned_billing_needs_throughput(client, created):
    with invalid():
        client.update_table(TableName=created(**keyed_by("p:S")), BillingMode="PROVISIONED")


PER_INDEX = OMPVI + "ProvisionedThroughput must be specified for index: by_x"


@differs("answers with a 500")
def test_an_index_added_to_a_provisioned_table_needs_throughput(client, created):
    name = created(**provisioned("p:S"))
    bare = {"IndexName": "by_x", "KeySchema": key_schema("x:S"), "Projection": {"ProjectionType": "ALL"}}
    change = lambda each: client.update_table(
        TableName=name,
        AttributeDefinitions=definitions(["x:S"]),
        GlobalSecondaryIndexUpdates=[{"Create": each}],
    )
    with invalid(PER_INDEX):
        change(bare)
    change({**bare, "ProvisionedThroughput": throughput(2, 2)})


@differs("answers with a 500")
def test_indexes_need_throughput_when_their_table_becomes_provisioned(client, created):
    name = created(**keyed_by("p:S", gsi=[index("by_x", "x:S")]))
    provision = lambda **more: client.update_table(
        TableName=name, BillingMode="PROVISIONED", ProvisionedThroughput=throughput(3, 3), **more
    )
    with invalid(PER_INDEX):
        provision()
    assert client.describe_table(TableName=name)["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    of_index = {"IndexName": "by_x", "ProvisionedThroughput": throughput(2, 2)}
    provision(GlobalSecondaryIndexUpdates=[{"Update": of_index}])
    wait_until_active(client, name)
    [described] = client.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"]
    assert described["ProvisionedThroughput"]["ReadCapacityUnits"] == 2


def test_deletion_protection_changes(client, created):
    name = created(**keyed_by("p:S"))
    client.update_table(TableName=name, DeletionProtectionEnabled=True)
    wait_until_active(client, name)
    assert client.describe_table(TableName=name)["Table"]["DeletionProtectionEnabled"] is True
    client.update_table(TableName=name, DeletionProtectionEnabled=False)


@differs("describes no class")
def test_the_table_class_changes(client, created):
    name = created(**keyed_by("p:S"))
    client.update_table(TableName=name, TableClass="STANDARD_INFREQUENT_ACCESS")
    wait_until_active(client, name)
    summary = client.describe_table(TableName=name)["Table"]["TableClassSummary"]
    assert summary["TableClass"] == "STANDARD_INFREQUENT_ACCESS"


def test_on_demand_limits_are_described(client, created):
    limits = {"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": 50}
    name = created(**keyed_by("p:S"), OnDemandThroughput=limits)
    assert client.describe_table(TableName=name)["Table"]["OnDemandThroughput"] == limits


@differs("describes no warm throughput")
def test_warm_throughput_is_described(client, created):
    name = created(**keyed_by("p:S"), WarmThroughput={"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 5000})
    warm = client.describe_table(TableName=name)["Table"]["WarmThroughput"]
    assert (warm["ReadUnitsPerSecond"], warm["WriteUnitsPerSecond"], warm["Status"]) == (13000, 5000, "ACTIVE")


OF_WARM = OMPVI + "Requested {}UnitsPerSecond for WarmThroughput for {} is lower than {}"
AT_FIRST = "initial throughput for OnDemand"
NO_LESS = "current WarmThroughput, decreasing WarmThroughput is not supported"


@differs("has no warm throughput")
@pytest.mark.parametrize(
    "schema, message",
    [
        ({**keyed_by("p:S"), "WarmThroughput": {"ReadUnitsPerSecond": 11999}}, OF_WARM.format("Read", "table", AT_FIRST)),
        ({**keyed_by("p:S"), "WarmThroughput": {"WriteUnitsPerSecond": 3999}}, OF_WARM.format("Write", "table", AT_FIRST)),
        (
            {**provisioned("p:S", read=9), "WarmThroughput": {"ReadUnitsPerSecond": 8}},
            OF_WARM.format("Read", "table", "ReadCapacityUnits of ProvisionedThroughput"),
        ),
        (
            keyed_by("p:S", gsi=[{**index("by_x", "x:S"), "WarmThroughput": {"ReadUnitsPerSecond": 1}}]),
            OF_WARM.format("Read", "index by_x", AT_FIRST),
        ),
    ],
    ids=["reads", "writes", "provisioned", "index"],
)
def test_warm_throughput_is_no_less_than_there_is(client, schema, message):
    with invalid(message):
        client.create_table(TableName=unique("tt"), **schema)


@differs("has no warm throughput")
def test_warm_throughput_is_only_raised(client, created):
    name = created(**keyed_by("p:S"), WarmThroughput={"ReadUnitsPerSecond": 14000})
    with invalid(OF_WARM.format("Read", "table", NO_LESS)):
        client.update_table(TableName=name, WarmThroughput={"ReadUnitsPerSecond": 13000})
    client.update_table(TableName=name, WarmThroughput={"ReadUnitsPerSecond": 15000})
    wait_until_active(client, name)
    assert client.describe_table(TableName=name)["Table"]["WarmThroughput"]["ReadUnitsPerSecond"] == 15000


# What tools ask about a table


def test_limits_of_the_account_are_described(client):
    limits = client.describe_limits()
    assert limits["TableMaxReadCapacityUnits"] >= 40_000
    assert limits["AccountMaxReadCapacityUnits"] >= 80_000


@differs("does not have the operation")
def test_continuous_backups_are_off(client, created):
    described = client.describe_continuous_backups(TableName=created(**keyed_by("p:S")))["ContinuousBackupsDescription"]
    assert described["ContinuousBackupsStatus"] == "ENABLED"
    assert described["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"


@differs("does not have the operation")
def test_continuous_backups_of_a_missing_table(client):
    with rejected("TableNotFoundException"):
        client.describe_continuous_backups(TableName=unique("nowhere"))


@differs("does not have the operation")
def test_no_kinesis_destination_is_described(client, created):
    name = created(**keyed_by("p:S"))
    answer = client.describe_kinesis_streaming_destination(TableName=name)
    assert answer["KinesisDataStreamDestinations"] == []


@differs("does not have the operation")
def test_there_is_no_resource_policy(client, created):
    arn = client.describe_table(TableName=created(**keyed_by("p:S")))["Table"]["TableArn"]
    with rejected("PolicyNotFoundException"):
        client.get_resource_policy(ResourceArn=arn)


@differs("does not have the operation")
def test_contributor_insights_are_off(client, created):
    name = created(**keyed_by("p:S"))
    assert client.describe_contributor_insights(TableName=name)["ContributorInsightsStatus"] == "DISABLED"


# Settings that would promise what there is not


def test_what_would_not_be_kept_is_refused(client):
    def create(**more):
        client.create_table(TableName=unique("bb"), **keyed_by("p:S"), **more)

    with invalid(has="ResourcePolicy"):
        create(ResourcePolicy="{}")
    with invalid(has="GlobalTableSourceArn"):
        create(GlobalTableSourceArn="arn:aws:dynamodb:us-east-1:111111111111:table/other")
    with invalid(has="GlobalTableSettingsReplicationMode"):
        create(GlobalTableSettingsReplicationMode="ENABLED")


@pytest.mark.tradewind_only("needs a second account on AWS")
def test_what_is_only_stored_is_described(client, make_table):
    name = make_table(**keyed_by("p:S"), GlobalTableSettingsReplicationMode="ENABLED_WITH_OVERRIDES")
    client.update_table(TableName=name, DisassociationProtectionEnabled=True)
    described = client.describe_table(TableName=name)["Table"]
    assert described["GlobalTableSettingsReplicationMode"] == "ENABLED_WITH_OVERRIDES"
    assert described["DisassociationProtectionEnabled"] is True
