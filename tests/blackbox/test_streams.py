"""Streams: exactly when a record is written and what is in it, every iterator type, and streams that end and begin anew.

Caches, search indexes and functions hang on these records; one missing or one too many cannot be repaired later.
"""

import datetime
import re

import pytest

from endpoints import REGION
from lifecycle import drop, wait_until_active, wait_until_gone
from marks import differs
from rejections import invalid, rejected
from schemas import keyed_by
from streaming import Reader, shards_of, stream_of
from values import NS, SS, B, L, M, N, S, same_item, unique
from waiting import eventually

VIEWS = ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]


def specification(view="NEW_AND_OLD_IMAGES"):
    return {"StreamEnabled": True, "StreamViewType": view}


@pytest.fixture(scope="module")
def streamed(client, make_table):
    """A streamed table with one record: DynamoDB Local cannot tail a stream that never had one."""
    table = make_table(**keyed_by("p:S", "c:S"), StreamSpecification=specification())
    client.put_item(TableName=table, Item={"p": S("first"), "c": S("1")})
    return table


@pytest.fixture(scope="module")
def views(client, make_table):
    """A streamed table of each view type."""
    tables = {view: make_table(**keyed_by("p:S"), StreamSpecification=specification(view)) for view in VIEWS}
    for table in tables.values():
        client.put_item(TableName=table, Item={"p": S("first")})
    return tables


@pytest.fixture
def recorded(client, streams, streamed, pk):
    """Runs writes and returns the records that they, and only they, left for this test's partition key."""

    def run(*writes):
        reader = Reader(streams, stream_of(client, streamed), "LATEST")
        for write in writes:
            write()
        marker = unique("marker")
        client.put_item(TableName=streamed, Item={"p": S(pk), "c": S(marker)})
        seen = []

        def complete():
            seen.extend(record["dynamodb"] | {"eventName": record["eventName"]} for record in reader.read())
            return any(record["Keys"]["c"] == S(marker) for record in seen)

        eventually(complete, within=60, saying="the marker is in the stream")
        return [record for record in seen if record["Keys"]["p"] == S(pk) and record["Keys"]["c"] != S(marker)]

    return run


@pytest.fixture
def writes(client, streamed, pk):
    """Short forms of writes to one item of the streamed table."""

    class Writes:
        key = {"p": S(pk), "c": S("1")}

        def put(self, c="1", **attributes):
            return lambda: client.put_item(TableName=streamed, Item={"p": S(pk), "c": S(c), **attributes})

        def delete(self, c="1"):
            return lambda: client.delete_item(TableName=streamed, Key={"p": S(pk), "c": S(c)})

        def update(self, expression, values=None, **more):
            given = {"ExpressionAttributeValues": values} if values else {}
            return lambda: client.update_item(
                TableName=streamed, Key=self.key, UpdateExpression=expression, **given, **more
            )

    return Writes()


def events(records):
    return [record["eventName"] for record in records]


# When a record is written


def test_a_new_item_is_an_insert(recorded, writes):
    (record,) = recorded(writes.put(a=S("x")))
    assert record["eventName"] == "INSERT"
    assert record["NewImage"] == {**writes.key, "a": S("x")}
    assert "OldImage" not in record


def test_an_update_that_creates_is_an_insert(recorded, writes):
    (record,) = recorded(writes.update("SET a = :a", {":a": S("x")}))
    assert record["eventName"] == "INSERT"
    assert record["NewImage"] == {**writes.key, "a": S("x")}


def test_a_replacement_is_one_modification(recorded, writes):
    records = recorded(writes.put(a=S("1")), writes.put(b=S("2")))
    assert events(records) == ["INSERT", "MODIFY"]
    assert records[1]["OldImage"] == {**writes.key, "a": S("1")}
    assert records[1]["NewImage"] == {**writes.key, "b": S("2")}


def test_an_update_is_a_modification_with_whole_images(recorded, writes):
    records = recorded(writes.put(a=S("1"), kept=S("k")), writes.update("SET a = :a", {":a": S("2")}))
    assert records[1]["OldImage"] == {**writes.key, "a": S("1"), "kept": S("k")}
    assert records[1]["NewImage"] == {**writes.key, "a": S("2"), "kept": S("k")}


def test_a_deletion_is_a_removal(recorded, writes):
    records = recorded(writes.put(a=S("1")), writes.delete())
    assert events(records) == ["INSERT", "REMOVE"]
    assert records[1]["OldImage"] == {**writes.key, "a": S("1")}
    assert "NewImage" not in records[1]


def test_an_item_of_keys_alone_has_an_old_image(recorded, writes):
    records = recorded(writes.put(), writes.put(a=S("1")))
    assert records[1]["OldImage"] == writes.key


@pytest.mark.parametrize(
    "before, again",
    [
        ({"a": S("x")}, {"a": S("x")}),
        ({"n": N("1")}, {"n": N("1.00")}),
        ({"s": SS("a", "b")}, {"s": SS("b", "a")}),
        ({"n": NS("1", "2")}, {"n": NS("2.0", "1e0")}),
        ({"m": M(a=N("1"), b=N("2"))}, {"m": M(b=N("2"), a=N("1"))}),
        ({"l": L(N("10"))}, {"l": L(N("1e1"))}),
        ({}, {}),
    ],
    ids=["same", "number spelled otherwise", "set order", "number set", "map order", "nested number", "keys only"],
)
def test_an_equal_put_leaves_no_record(recorded, writes, before, again):
    assert events(recorded(writes.put(**before), writes.put(**again))) == ["INSERT"]


@pytest.mark.parametrize(
    "expression, values",
    [
        ("SET a = :a", {":a": S("x")}),
        ("REMOVE zz", None),
        ("ADD s :s", {":s": SS("a")}),
        ("DELETE s :s", {":s": SS("zz")}),
        ("ADD n :z", {":z": N("0")}),
        ("SET n = n + :z", {":z": N("0")}),
        ("SET n = if_not_exists(n, :z)", {":z": N("0")}),
    ],
)
def test_an_update_that_changes_nothing_leaves_no_record(recorded, writes, expression, values):
    start = writes.put(a=S("x"), s=SS("a", "b"), n=N("5"))
    assert events(recorded(start, writes.update(expression, values))) == ["INSERT"]


def test_deleting_what_is_missing_leaves_no_record(recorded, writes):
    assert recorded(writes.delete()) == []


@differs("creates the item")
def test_removing_from_what_is_missing_leaves_no_record(recorded, writes):
    assert recorded(writes.update("REMOVE a")) == []


def test_a_failed_condition_leaves_no_record(recorded, writes):
    def refused():
        with rejected("ConditionalCheckFailedException"):
            writes.update("SET a = :a", {":a": S("x")}, ConditionExpression="attribute_exists(zz)")()

    assert recorded(refused) == []


def test_batches_leave_one_record_per_changed_item(client, recorded, writes, streamed, pk):
    def batch():
        client.batch_write_item(
            RequestItems={
                streamed: [
                    {"PutRequest": {"Item": {"p": S(pk), "c": S("2")}}},
                    {"PutRequest": {"Item": {"p": S(pk), "c": S("1"), "a": S("same")}}},
                    {"DeleteRequest": {"Key": {"p": S(pk), "c": S("missing")}}},
                ]
            }
        )

    records = recorded(writes.put(a=S("same")), batch)
    assert [(record["eventName"], record["Keys"]["c"]["S"]) for record in records] == [("INSERT", "1"), ("INSERT", "2")]


def test_transactions_leave_one_record_per_changed_item(client, recorded, writes, streamed, pk):
    def transact():
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": streamed, "Item": {"p": S(pk), "c": S("new")}}},
                {"Delete": {"TableName": streamed, "Key": {"p": S(pk), "c": S("1")}}},
                {
                    "ConditionCheck": {
                        "TableName": streamed,
                        "Key": {"p": S(pk), "c": S("z")},
                        "ConditionExpression": "attribute_not_exists(p)",
                    }
                },
            ]
        )

    records = recorded(writes.put(), transact)
    assert sorted((record["eventName"], record["Keys"]["c"]["S"]) for record in records[1:]) == [
        ("INSERT", "new"),
        ("REMOVE", "1"),
    ]


def test_cancelled_transactions_leave_no_record(client, recorded, streamed, pk):
    def transact():
        with rejected("TransactionCanceledException"):
            client.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": streamed, "Item": {"p": S(pk), "c": S("a")}}},
                    {
                        "Put": {
                            "TableName": streamed,
                            "Item": {"p": S(pk), "c": S("b")},
                            "ConditionExpression": "attribute_exists(p)",
                        }
                    },
                ]
            )

    assert recorded(transact) == []


def test_changes_of_an_item_come_in_order(recorded, writes):
    records = recorded(*[writes.put(n=N(at)) for at in range(20)])
    assert [int(record["NewImage"]["n"]["N"]) for record in records] == list(range(20))
    numbers = [int(record["SequenceNumber"]) for record in records]
    assert numbers == sorted(set(numbers))


# What is in a record


def test_a_record_has_its_frame(client, streams, streamed, pk):
    reader = Reader(streams, stream_of(client, streamed), "LATEST")
    client.put_item(TableName=streamed, Item={"p": S(pk), "c": S("1")})
    records = eventually(lambda: [r for r in reader.read() if r["dynamodb"]["Keys"]["p"] == S(pk)], within=60)
    record = records[0]
    assert re.fullmatch(r"[0-9a-f]{32}", record["eventID"].replace("-", ""))
    assert record["eventVersion"] == "1.1"
    assert record["eventSource"] == "aws:dynamodb"
    body = record["dynamodb"]
    assert body["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert body["Keys"] == {"p": S(pk), "c": S("1")}
    assert re.fullmatch(r"\d{21,40}", body["SequenceNumber"])
    assert body["SizeBytes"] > 0
    age = datetime.datetime.now(datetime.UTC) - body["ApproximateCreationDateTime"]
    assert abs(age) < datetime.timedelta(minutes=10)
    assert "userIdentity" not in record


@differs("always says ddblocal")
def test_a_record_names_its_region(client, streams, streamed, pk):
    reader = Reader(streams, stream_of(client, streamed), "LATEST")
    client.put_item(TableName=streamed, Item={"p": S(pk), "c": S("1")})
    records = eventually(lambda: [r for r in reader.read() if r["dynamodb"]["Keys"]["p"] == S(pk)], within=60)
    assert records[0]["awsRegion"] == REGION


@pytest.mark.parametrize(
    "view, images",
    [
        ("KEYS_ONLY", []),
        ("NEW_IMAGE", ["NewImage"]),
        ("OLD_IMAGE", ["OldImage"]),
        ("NEW_AND_OLD_IMAGES", ["NewImage", "OldImage"]),
    ],
)
def test_the_view_decides_the_images(client, streams, views, pk, view, images):
    reader = Reader(streams, stream_of(client, views[view]))
    client.put_item(TableName=views[view], Item={"p": S(pk), "a": S("1")})
    client.put_item(TableName=views[view], Item={"p": S(pk), "a": S("2")})
    seen = []
    eventually(
        lambda: seen.extend(r for r in reader.read() if r["dynamodb"]["Keys"]["p"] == S(pk)) or len(seen) == 2,
        within=60,
    )
    body = seen[1]["dynamodb"]
    assert sorted(name for name in ("NewImage", "OldImage") if name in body) == images
    assert body["StreamViewType"] == view
    assert body["Keys"] == {"p": S(pk)}


def test_images_keep_every_type(recorded, writes):
    item = {
        "b": B(b"\x00\xff"),
        "n": N("1.5"),
        "ss": SS("a", "b"),
        "m": M(l=L(N("1"), {"NULL": True}), t={"BOOL": True}),
        "e": S(""),
        "z": B(b""),
    }
    (record,) = recorded(writes.put(**item))
    assert same_item(record["NewImage"], {**writes.key, **item})


# Describing


def test_a_stream_is_described(client, streams, streamed):
    arn = stream_of(client, streamed)
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert described["StreamArn"] == arn
    assert described["StreamStatus"] == "ENABLED"
    assert described["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert described["TableName"] == streamed
    assert [key["AttributeName"] for key in described["KeySchema"]] == ["p", "c"]
    assert arn.endswith("/stream/" + described["StreamLabel"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", described["StreamLabel"])
    assert described["Shards"]
    for shard in described["Shards"]:
        assert 28 <= len(shard["ShardId"]) <= 65 and shard["ShardId"].startswith("shardId-")
        assert "StartingSequenceNumber" in shard["SequenceNumberRange"]


def test_the_table_names_its_stream(client, streamed):
    table = client.describe_table(TableName=streamed)["Table"]
    assert table["StreamSpecification"] == specification()
    assert table["LatestStreamArn"] == f"{table['TableArn']}/stream/{table['LatestStreamLabel']}"


def test_shards_come_in_pages(client, streams, streamed):
    arn = stream_of(client, streamed)
    every = [shard["ShardId"] for shard in shards_of(streams, arn)]
    page = streams.describe_stream(StreamArn=arn, Limit=1)["StreamDescription"]
    assert len(page["Shards"]) == 1
    found, start = [], {}
    for _ in range(len(every) + 1):
        page = streams.describe_stream(StreamArn=arn, Limit=1, **start)["StreamDescription"]
        found += [shard["ShardId"] for shard in page["Shards"]]
        if "LastEvaluatedShardId" not in page:
            break
        start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}
    assert found == every


def test_streams_are_listed_by_table(client, streams, streamed):
    listed = streams.list_streams(TableName=streamed)["Streams"]
    assert [each["StreamArn"] for each in listed] == [stream_of(client, streamed)]
    assert listed[0]["TableName"] == streamed


def test_all_streams_are_listed_in_pages(client, streams, streamed, views):
    wanted = {stream_of(client, table) for table in [streamed, *views.values()]}
    found, start = [], {}
    for _ in range(500):
        page = streams.list_streams(Limit=2, **start)
        found += [each["StreamArn"] for each in page["Streams"]]
        if "LastEvaluatedStreamArn" not in page:
            break
        start = {"ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]}
    assert wanted <= set(found) and len(found) == len(set(found))


def test_a_table_without_stream_lists_none(client, streams, make_table):
    name = make_table(**keyed_by("p:S"))
    assert streams.list_streams(TableName=name)["Streams"] == []
    assert "LatestStreamArn" not in client.describe_table(TableName=name)["Table"]


# Iterators


@pytest.fixture
def history(client, streams, make_table):
    """A table with one stream that holds ten inserts in one shard; returns (arn, shard, records)."""
    table = make_table(**keyed_by("p:S"), StreamSpecification=specification())
    arn = stream_of(client, table)
    for at in range(10):
        client.put_item(TableName=table, Item={"p": S("one key"), "n": N(at)})
    for shard in shards_of(streams, arn):
        records = read_all(streams, arn, shard["ShardId"], ShardIteratorType="TRIM_HORIZON", count=10)
        if records:
            return arn, shard["ShardId"], records
    raise AssertionError("no shard has the records")


def read_all(streams, arn, shard, count=None, **iterator):
    """What a shard holds from the iterator on, until two empty rounds or `count` records."""
    position = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, **iterator)["ShardIterator"]
    records, empty = [], 0
    while position and empty < 2 and (count is None or len(records) < count):
        answer = streams.get_records(ShardIterator=position)
        empty = 0 if answer["Records"] else empty + 1
        records += answer["Records"]
        position = answer.get("NextShardIterator")
    return records


def test_trim_horizon_starts_at_the_beginning(streams, history):
    arn, shard, records = history
    assert len(read_all(streams, arn, shard, ShardIteratorType="TRIM_HORIZON")) == 10


@pytest.mark.parametrize("kind, skipped", [("AT_SEQUENCE_NUMBER", 4), ("AFTER_SEQUENCE_NUMBER", 5)])
def test_sequence_numbers_are_places_to_start(streams, history, kind, skipped):
    arn, shard, records = history
    number = records[4]["dynamodb"]["SequenceNumber"]
    found = read_all(streams, arn, shard, ShardIteratorType=kind, SequenceNumber=number)
    assert found == records[skipped:]


def test_after_the_last_sequence_number_is_nothing(streams, history):
    arn, shard, records = history
    number = records[-1]["dynamodb"]["SequenceNumber"]
    assert read_all(streams, arn, shard, ShardIteratorType="AFTER_SEQUENCE_NUMBER", SequenceNumber=number) == []


@pytest.mark.not_on_aws("LATEST has slack there")
def test_latest_starts_at_the_end(streams, history):
    arn, shard, _ = history
    assert read_all(streams, arn, shard, ShardIteratorType="LATEST") == []


@differs("does not know it")
def test_a_time_long_past_starts_at_the_beginning(endpoint, streams, history):
    arn, shard, records = history
    answer = endpoint.call(
        "GetShardIterator",
        {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_000_000_000},
        prefix="DynamoDBStreams_20120810",
    )
    assert len(streams.get_records(ShardIterator=answer["ShardIterator"])["Records"]) == 10


@differs("does not know it")
def test_a_time_to_come_is_refused(endpoint, history):
    arn, shard, _ = history
    with invalid():
        endpoint.call(
            "GetShardIterator",
            {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 4_000_000_000},
            prefix="DynamoDBStreams_20120810",
        )


def test_limits_cut_pages_and_the_next_goes_on(streams, history):
    arn, shard, records = history
    position = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    found = []
    for _ in range(10):
        answer = streams.get_records(ShardIterator=position, Limit=3)
        assert len(answer["Records"]) <= 3
        found += answer["Records"]
        position = answer["NextShardIterator"]
    assert found == records


def test_an_iterator_may_be_used_twice(streams, history):
    arn, shard, _ = history
    position = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    first, second = (streams.get_records(ShardIterator=position)["Records"] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("limit", [0, 1001, -1])
def test_limits_have_bounds(streams, history, limit):
    arn, shard, _ = history
    position = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    with invalid():
        streams.get_records(ShardIterator=position, Limit=limit)


@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
def test_a_sequence_number_is_required_where_it_is_meant(streams, history, kind):
    arn, shard, _ = history
    with invalid():
        streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType=kind)


@pytest.mark.parametrize("kind", ["TRIM_HORIZON", "LATEST"])
def test_a_sequence_number_is_refused_where_it_is_not(streams, history, kind):
    arn, shard, records = history
    with invalid():
        streams.get_shard_iterator(
            StreamArn=arn,
            ShardId=shard,
            ShardIteratorType=kind,
            SequenceNumber=records[0]["dynamodb"]["SequenceNumber"],
        )


@differs("answers a 500")
def test_an_unknown_kind_is_refused(streams, history):
    arn, shard, _ = history
    with invalid():
        streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="SOMEWHERE")


def test_an_unknown_shard_is_not_found(streams, history):
    arn, _, _ = history
    with rejected("ResourceNotFoundException"):
        streams.get_shard_iterator(
            StreamArn=arn, ShardId="shardId-00000000000000000000-00000000", ShardIteratorType="LATEST"
        )


@pytest.mark.parametrize("operation", ["describe_stream", "get_shard_iterator"])
def test_an_unknown_stream_is_not_found(streams, history, operation):
    arn, shard, _ = history
    unknown = arn.rsplit("/", 1)[0] + "/2020-01-01T00:00:00.000"
    more = {"ShardId": shard, "ShardIteratorType": "LATEST"} if operation == "get_shard_iterator" else {}
    with rejected("ResourceNotFoundException"):
        getattr(streams, operation)(StreamArn=unknown, **more)


@differs("finds nothing")
@pytest.mark.parametrize("arn", ["nonsense", "arn:aws:dynamodb:us-east-1:000000000000:table/t"])
def test_a_bogus_arn_is_a_validation_error(streams, arn):
    with invalid():
        streams.describe_stream(StreamArn=arn)


@pytest.mark.parametrize("iterator", ["nonsense", "x" * 2049], ids=len)
def test_a_bogus_iterator_is_a_validation_error(streams, iterator):
    with invalid():
        streams.get_records(ShardIterator=iterator)


# Streams that end and begin anew


def test_enabling_twice_is_refused(client, streamed):
    for view in ("NEW_AND_OLD_IMAGES", "KEYS_ONLY"):
        with invalid():
            client.update_table(TableName=streamed, StreamSpecification=specification(view))


def test_disabling_what_is_disabled_is_refused(client, make_table):
    with invalid():
        client.update_table(TableName=make_table(**keyed_by("p:S")), StreamSpecification={"StreamEnabled": False})


def test_a_stream_may_be_enabled_later(client, streams, make_table):
    table = make_table(**keyed_by("p:S"))
    client.put_item(TableName=table, Item={"p": S("before")})
    client.update_table(TableName=table, StreamSpecification=specification("NEW_IMAGE"))
    wait_until_active(client, table)
    reader = Reader(streams, stream_of(client, table))
    client.put_item(TableName=table, Item={"p": S("after")})
    records = eventually(reader.read, within=60)
    assert [record["dynamodb"]["Keys"]["p"] for record in records] == [S("after")]


@pytest.fixture
def renewed(client, streams, make_table):
    """A table whose stream was disabled and enabled again, with one write in each; returns (table, old, new)."""
    table = make_table(**keyed_by("p:S"), StreamSpecification=specification())
    old = stream_of(client, table)
    client.put_item(TableName=table, Item={"p": S("old stream")})
    client.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
    wait_until_active(client, table)
    client.put_item(TableName=table, Item={"p": S("no stream")})
    client.update_table(TableName=table, StreamSpecification=specification("KEYS_ONLY"))
    wait_until_active(client, table)
    client.put_item(TableName=table, Item={"p": S("new stream")})
    return table, old, stream_of(client, table)


def test_a_renewed_stream_has_a_new_arn_and_only_new_records(streams, renewed):
    _, old, new = renewed
    assert old != new
    records = eventually(Reader(streams, new).read, within=60)
    assert [record["dynamodb"]["Keys"]["p"] for record in records] == [S("new stream")]


def test_the_old_stream_stays_readable_and_ends(streams, renewed):
    _, old, _ = renewed
    assert streams.describe_stream(StreamArn=old)["StreamDescription"]["StreamStatus"] == "DISABLED"
    reader, records = Reader(streams, old), []
    eventually(lambda: records.extend(reader.read()) or not reader.iterators, within=60, saying="closed shards end")
    assert [record["dynamodb"]["Keys"]["p"] for record in records] == [S("old stream")]


def test_closed_shards_have_an_end(streams, renewed):
    _, old, _ = renewed
    for shard in shards_of(streams, old):
        assert "EndingSequenceNumber" in shard["SequenceNumberRange"]


def test_a_dropped_table_leaves_its_stream_readable(client, streams, make_table):
    table = make_table(**keyed_by("p:S"), StreamSpecification=specification())
    arn = stream_of(client, table)
    client.put_item(TableName=table, Item={"p": S("last words")})
    drop(client, table)
    wait_until_gone(client, table)
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert described["StreamStatus"] in ("DISABLING", "DISABLED")
    records = eventually(Reader(streams, arn).read, within=60)
    assert records[0]["dynamodb"]["Keys"]["p"] == S("last words")


def test_an_idle_open_shard_goes_on_for_ever(client, streams, make_table):
    table = make_table(**keyed_by("p:S"), StreamSpecification=specification())
    arn = stream_of(client, table)
    shard = shards_of(streams, arn)[0]["ShardId"]
    position = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"]
    for _ in range(5):
        answer = streams.get_records(ShardIterator=position)
        assert answer["Records"] == []
        position = answer["NextShardIterator"]
