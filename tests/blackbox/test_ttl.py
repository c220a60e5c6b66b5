"""Time to live: switching it on and off, and what expires: epoch seconds, numbers only, not older than five years.

Sessions and caches depend on expiry; legal retention depends on what must not expire.
"""

import time

import pytest

from marks import hangs
from rejections import invalid, rejected
from schemas import index, keyed_by
from streaming import Reader, stream_of
from values import B, N, S, unique
from waiting import eventually


def switch(client, table, enabled, attribute="ttl"):
    return client.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute}
    )


def status(client, table):
    return client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]


def test_it_is_off_at_first(call, table):
    assert call("DescribeTimeToLive", {"TableName": table}) == {
        "TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}
    }


def test_it_is_switched_on(client, make_table):
    table = make_table(**keyed_by("p:S"))
    answer = switch(client, table, True)
    assert answer["TimeToLiveSpecification"] == {"Enabled": True, "AttributeName": "ttl"}
    described = status(client, table)
    assert described["TimeToLiveStatus"] in ("ENABLING", "ENABLED")
    assert described["AttributeName"] == "ttl"


OTHER = "TimeToLive is active on a different AttributeName: current AttributeName is ttl"


@pytest.mark.parametrize("attribute, text", [("ttl", "TimeToLive is already enabled"), ("other", OTHER)])
def test_it_is_switched_on_once(client, make_table, attribute, text):
    table = make_table(**keyed_by("p:S"))
    switch(client, table, True)
    with invalid(text):
        switch(client, table, True, attribute)


def test_it_is_not_switched_off_when_off(client, make_table):
    with invalid():
        switch(client, make_table(**keyed_by("p:S")), False)


def test_it_is_not_switched_off_by_another_name(client, make_table):
    table = make_table(**keyed_by("p:S"))
    switch(client, table, True)
    with invalid():
        switch(client, table, False, "other")


@pytest.mark.parametrize(
    "operation, more",
    [
        ("describe_time_to_live", {}),
        ("update_time_to_live", {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ttl"}}),
    ],
)
def test_a_missing_table_is_not_found(client, operation, more):
    with rejected("ResourceNotFoundException"):
        getattr(client, operation)(TableName=unique("nowhere"), **more)


@pytest.mark.parametrize(
    "specification",
    [
        {"Enabled": True},
        {"AttributeName": "ttl"},
        {"Enabled": True, "AttributeName": ""},
        {"Enabled": True, "AttributeName": "x" * 256},
    ],
    ids=lambda s: str(s)[:40],
)
def test_the_specification_is_checked(call, table, specification):
    with invalid():
        call("UpdateTimeToLive", {"TableName": table, "TimeToLiveSpecification": specification})


@pytest.fixture(scope="module")
def expiring(client, make_table):
    table = make_table(
        **keyed_by("p:S", gsi=[index("by_x", "x:S")]),
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    switch(client, table, True)
    return table


def get(client, table, pk):
    return client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True).get("Item")


YEAR = 365 * 24 * 3600


@pytest.mark.not_on_aws("takes days there")
@hangs("expires slowly")
def test_expired_items_go_and_all_others_stay(client, expiring):
    """One table with every kind of timestamp: when the expired ones are gone, the rest must still be there."""
    now = int(time.time())
    prefix = unique()
    expired = {
        "a minute ago": N(now - 60),
        "a fraction": N(f"{now - 60}.5"),
        "an exponent": N(f"{(now - 100) // 10}e1"),
        "four years ago": N(now - 4 * YEAR),
    }
    kept = {
        "in an hour": N(now + 3600),
        "six years ago": N(now - 6 * YEAR),
        "zero": N(0),
        "negative": N(-5),
        "milliseconds": N(now * 1000),
        "a string": S(str(now - 60)),
        "binary": B(b"1"),
        "none": None,
    }
    for name, value in {**expired, **kept}.items():
        extra = {"ttl": value} if value else {}
        client.put_item(TableName=expiring, Item={"p": S(f"{prefix} {name}"), "x": S(prefix), **extra})
    left = lambda names: {name for name in names if get(client, expiring, f"{prefix} {name}")}
    eventually(lambda: left(expired) == set(), within=50, saying="the expired items are gone")
    assert left(kept) == set(kept)
    rows = client.query(
        TableName=expiring,
        IndexName="by_x",
        KeyConditionExpression="x = :x",
        ExpressionAttributeValues={":x": S(prefix)},
    )
    assert rows["Count"] == len(kept)


@pytest.mark.not_on_aws("takes days there")
@hangs("expires slowly")
def test_an_expiry_is_recorded_as_the_services_own(client, streams, expiring, pk):
    reader = Reader(streams, stream_of(client, expiring), "LATEST")
    client.put_item(TableName=expiring, Item={"p": S(pk), "ttl": N(int(time.time()) - 10)})
    seen = []

    def removal():
        seen.extend(record for record in reader.read() if record["dynamodb"]["Keys"]["p"] == S(pk))
        return [record for record in seen if record["eventName"] == "REMOVE"]

    record = eventually(removal, within=50)[0]
    assert record["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    assert record["dynamodb"]["OldImage"]["p"] == S(pk)


@pytest.mark.not_on_aws("takes days there")
@hangs("expires slowly")
def test_a_deletion_by_hand_is_not_the_services(client, streams, expiring, pk):
    reader = Reader(streams, stream_of(client, expiring), "LATEST")
    client.put_item(TableName=expiring, Item={"p": S(pk), "ttl": N(int(time.time()) + 3600)})
    client.delete_item(TableName=expiring, Key={"p": S(pk)})
    seen = []

    def removal():
        seen.extend(record for record in reader.read() if record["dynamodb"]["Keys"]["p"] == S(pk))
        return [record for record in seen if record["eventName"] == "REMOVE"]

    assert "userIdentity" not in eventually(removal, within=30)[0]


@pytest.mark.not_on_aws("takes days there")
@hangs("expires slowly")
def test_items_from_before_are_included(client, make_table):
    table = make_table(**keyed_by("p:S"))
    client.put_item(TableName=table, Item={"p": S("old"), "ttl": N(int(time.time()) - 100)})
    switch(client, table, True)
    eventually(lambda: get(client, table, "old") is None, within=50)
