"""Global secondary indexes: which items are in them, with which attributes, in which order, and paging through duplicates.

An index that misses a row, keeps a stale one or pages past a duplicate is the most common silent fault of emulators.
"""

import pytest

from lifecycle import wait_until_active
from marks import case, differs, hangs
from racing import Repeating, together
from rejections import OMPVI, invalid, rejected
from schemas import definitions, index, key_schema, keyed_by
from values import BOOL, NULL, SS, B, L, M, N, S
from waiting import eventually


@pytest.fixture(scope="module")
def indexed(make_table):
    """A table with one index of each projection, on string, number and binary keys."""
    return make_table(
        **keyed_by(
            "p:S",
            "c:S",
            gsi=[
                index("by_x", "x:S", "y:N"),
                index("keys_only", "x:S", projection="KEYS_ONLY"),
                index("some", "x:S", include=["a", "b"]),
                index("by_bytes", "z:B"),
                index("turned", "c:S", "p:S"),
            ],
        )
    )


def query(client, table, name, key, value, **more):
    return client.query(
        TableName=table,
        IndexName=name,
        KeyConditionExpression=f"{key} = :v",
        ExpressionAttributeValues={":v": value, **more.pop("values", {})},
        **more,
    )


def settled(client, table, name, key, value, count, **more):
    """Indexes follow their table at once here and a moment later on AWS."""
    return eventually(
        lambda: (
            (answer := query(client, table, name, key, value, **more))["Count"] == count
            and answer["Items"]
            or count == 0
        ),
        saying=f"{name} has {count} items",
    )


# What is in an index


def test_an_index_finds_what_was_put(client, indexed, pk):
    item = {"p": S(pk), "c": S("1"), "x": S(pk), "y": N("1"), "a": S("a")}
    client.put_item(TableName=indexed, Item=item)
    assert settled(client, indexed, "by_x", "x", S(pk), 1) == [item]


@pytest.mark.parametrize(
    "name, shape",
    [
        ("by_x", {"p", "c", "x", "y", "a", "b", "d"}),
        ("keys_only", {"p", "c", "x"}),
        ("some", {"p", "c", "x", "a", "b"}),
        ("by_bytes", {"p", "c", "x", "y", "z", "a", "b", "d"}),
    ],
)
def test_projections_decide_what_comes_back(client, indexed, pk, name, shape):
    item = {
        "p": S(pk),
        "c": S("1"),
        "x": S(pk),
        "y": N("1"),
        "z": B(pk.encode()),
        "a": S("a"),
        "b": S("b"),
        "d": S("d"),
    }
    client.put_item(TableName=indexed, Item=item)
    key, value = ("z", B(pk.encode())) if name == "by_bytes" else ("x", S(pk))
    found = settled(client, indexed, name, key, value, 1)[0]
    expected = shape | ({"z"} if name == "by_x" else set())
    assert found == {attribute: item[attribute] for attribute in expected}


def test_items_without_the_key_are_not_in_the_index(client, indexed, pk):
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S(pk)})
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("2"), "x": S(pk), "y": N("2")})
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("3"), "y": N("3")})
    assert [item["c"] for item in settled(client, indexed, "by_x", "x", S(pk), 1)] == [S("2")]
    assert len(settled(client, indexed, "keys_only", "x", S(pk), 2)) == 2


def test_a_deleted_item_leaves_the_index(client, indexed, pk):
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S(pk), "y": N("1")})
    settled(client, indexed, "by_x", "x", S(pk), 1)
    client.delete_item(TableName=indexed, Key={"p": S(pk), "c": S("1")})
    settled(client, indexed, "by_x", "x", S(pk), 0)
    assert query(client, indexed, "by_x", "x", S(pk))["Count"] == 0


def test_a_changed_key_moves_the_row(client, indexed, pk):
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S(pk), "y": N("1")})
    client.update_item(
        TableName=indexed,
        Key={"p": S(pk), "c": S("1")},
        UpdateExpression="SET x = :x",
        ExpressionAttributeValues={":x": S(pk + "-new")},
    )
    settled(client, indexed, "by_x", "x", S(pk + "-new"), 1)
    assert query(client, indexed, "by_x", "x", S(pk))["Count"] == 0


def test_a_removed_key_removes_the_row(client, indexed, pk):
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S(pk), "y": N("1")})
    client.update_item(TableName=indexed, Key={"p": S(pk), "c": S("1")}, UpdateExpression="REMOVE y")
    eventually(lambda: query(client, indexed, "by_x", "x", S(pk))["Count"] == 0)
    settled(client, indexed, "keys_only", "x", S(pk), 1)


def test_a_changed_attribute_is_seen(client, indexed, pk):
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S(pk), "a": S("old")})
    client.update_item(
        TableName=indexed,
        Key={"p": S(pk), "c": S("1")},
        UpdateExpression="SET a = :a",
        ExpressionAttributeValues={":a": S("new")},
    )
    eventually(lambda: query(client, indexed, "some", "x", S(pk))["Items"][0]["a"] == S("new"))


def test_a_replaced_item_leaves_no_old_row(client, indexed, pk):
    for y in range(5):
        client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S(pk), "y": N(y)})
    eventually(lambda: [item["y"] for item in query(client, indexed, "by_x", "x", S(pk))["Items"]] == [N(4)])


def test_an_index_may_turn_the_key_around(client, indexed, pk):
    for p in "ab":
        client.put_item(TableName=indexed, Item={"p": S(pk + p), "c": S(pk)})
    found = settled(client, indexed, "turned", "c", S(pk), 2)
    assert [item["p"] for item in found] == [S(pk + "a"), S(pk + "b")]


# Keys of the wrong type


WRONG = [N("1"), B(b"x"), BOOL(True), NULL, L(), M(), SS("x")]


@pytest.mark.parametrize("value", WRONG, ids=str)
def test_an_index_key_of_the_wrong_type_rejects_a_put(client, indexed, pk, value):
    kind = next(iter(value))
    text = f"^{OMPVI}Type mismatch for Index Key x Expected: S Actual: {kind} IndexName: (by_x|keys_only|some)$"
    with invalid(matches=text):
        client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": value})
    assert "Item" not in client.get_item(TableName=indexed, Key={"p": S(pk), "c": S("1")}, ConsistentRead=True)


@pytest.mark.parametrize("value", [case(N("1"), differs_locally="accepts it"), NULL], ids=str)
def test_an_index_key_of_the_wrong_type_rejects_an_update(client, indexed, pk, value):
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S(pk)})
    with invalid():
        client.update_item(
            TableName=indexed,
            Key={"p": S(pk), "c": S("1")},
            UpdateExpression="SET x = :x",
            ExpressionAttributeValues={":x": value},
        )
    settled(client, indexed, "keys_only", "x", S(pk), 1)


NOT_VALID = "One or more parameter values are not valid. "
EMPTY_KEY = "The AttributeValue for a key attribute cannot contain an empty string value."


def test_an_empty_index_key_rejects_the_write(client, indexed, pk):
    text = NOT_VALID + f"A value specified for a secondary index key is not supported. {EMPTY_KEY} "
    with invalid(matches=f"^{text}IndexName: (by_x|keys_only|some), IndexKey: x$"):
        client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S("")})


def test_an_empty_index_key_rejects_an_update_in_other_words(client, indexed, pk):
    """Each of the two ways to write has a text of its own."""
    text = "The update expression attempted to update a secondary index key to a value that is not supported. "
    with invalid(NOT_VALID + text + EMPTY_KEY):
        client.update_item(
            TableName=indexed,
            Key={"p": S(pk), "c": S("1")},
            UpdateExpression="SET x = :empty",
            ExpressionAttributeValues={":empty": S("")},
        )


def test_a_query_of_an_index_for_an_empty_key_names_the_index(client, indexed):
    text = f"A value specified for a secondary index key is not supported. {EMPTY_KEY} IndexName: by_x, IndexKey: x"
    with invalid(NOT_VALID + text):
        query(client, indexed, "by_x", "x", S(""))


def test_a_long_index_key_rejects_the_write(client, indexed, pk):
    with invalid():
        client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S("x" * 2049)})


def test_a_batch_with_a_wrong_index_key_writes_nothing(client, indexed, pk):
    rows = [{"p": S(pk), "c": S("1")}, {"p": S(pk), "c": S("2"), "x": N("1")}]
    with invalid():
        client.batch_write_item(RequestItems={indexed: [{"PutRequest": {"Item": row}} for row in rows]})
    assert "Item" not in client.get_item(TableName=indexed, Key=rows[0], ConsistentRead=True)


# Reading


def test_an_index_is_ordered_by_its_sort_key(client, indexed, pk):
    for y in (10, -1, 9, 100, 0):
        client.put_item(TableName=indexed, Item={"p": S(pk), "c": S(str(y)), "x": S(pk), "y": N(y)})
    settled(client, indexed, "by_x", "x", S(pk), 5)
    found = query(client, indexed, "by_x", "x", S(pk), ScanIndexForward=False)["Items"]
    assert [int(item["y"]["N"]) for item in found] == [100, 10, 9, 0, -1]


@pytest.mark.parametrize("condition, found", [("y > :y", 2), ("y <= :y", 2), ("y BETWEEN :y AND :y", 1)])
def test_ranges_of_the_index_sort_key(client, indexed, pk, condition, found):
    for y in range(4):
        client.put_item(TableName=indexed, Item={"p": S(pk), "c": S(str(y)), "x": S(pk), "y": N(y)})
    settled(client, indexed, "by_x", "x", S(pk), 4)
    answer = client.query(
        TableName=indexed,
        IndexName="by_x",
        KeyConditionExpression=f"x = :x AND {condition}",
        ExpressionAttributeValues={":x": S(pk), ":y": N("1")},
    )
    assert answer["Count"] == found


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize("forward", [True, False])
def test_paging_through_equal_sort_keys_loses_nothing(client, indexed, pk, limit, forward):
    """Twenty rows share one index key; a cursor of index keys alone would lose or repeat some."""
    for at in range(20):
        client.put_item(TableName=indexed, Item={"p": S(f"{pk}{at % 4}"), "c": S(f"{at:02}"), "x": S(pk), "y": N("7")})
    settled(client, indexed, "by_x", "x", S(pk), 20)
    found, start = [], {}
    for _ in range(50):
        answer = query(client, indexed, "by_x", "x", S(pk), Limit=limit, ScanIndexForward=forward, **start)
        found += [item["c"]["S"] for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            break
        assert set(answer["LastEvaluatedKey"]) == {"p", "c", "x", "y"}
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert sorted(found) == [f"{at:02}" for at in range(20)]


def test_an_index_without_sort_key_pages_through_everything(client, indexed, pk):
    for at in range(9):
        client.put_item(TableName=indexed, Item={"p": S(f"{pk}{at}"), "c": S("c"), "x": S(pk)})
    settled(client, indexed, "keys_only", "x", S(pk), 9)
    found, start = [], {}
    for _ in range(20):
        answer = query(client, indexed, "keys_only", "x", S(pk), Limit=2, **start)
        found += [item["p"]["S"] for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            break
        assert set(answer["LastEvaluatedKey"]) == {"p", "c", "x"}
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert sorted(found) == [f"{pk}{at}" for at in range(9)]


def test_a_scan_of_an_index_is_sparse_and_pages(client, make_table):
    table = make_table(**keyed_by("p:S", gsi=[index("by_x", "x:S")]))
    for at in range(30):
        extra = {"x": S(str(at % 3))} if at % 2 else {}
        client.put_item(TableName=table, Item={"p": S(f"{at:02}"), **extra})
    eventually(lambda: client.scan(TableName=table, IndexName="by_x")["Count"] == 15)
    found, start = [], {}
    for _ in range(30):
        answer = client.scan(TableName=table, IndexName="by_x", Limit=4, **start)
        found += [item["p"]["S"] for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            break
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert sorted(found) == [f"{at:02}" for at in range(1, 30, 2)]


def test_parallel_scans_of_an_index_cover_it_once(client, make_table):
    table = make_table(**keyed_by("p:S", gsi=[index("by_x", "x:S")]))
    for at in range(40):
        client.put_item(TableName=table, Item={"p": S(f"{at:02}"), "x": S(str(at % 7))})
    eventually(lambda: client.scan(TableName=table, IndexName="by_x")["Count"] == 40)
    found = []
    for segment in range(5):
        answer = client.scan(TableName=table, IndexName="by_x", Segment=segment, TotalSegments=5)
        found += [item["p"]["S"] for item in answer["Items"]]
    assert sorted(found) == [f"{at:02}" for at in range(40)]


@pytest.mark.parametrize("operation", ["query", "scan"])
def test_global_indexes_are_never_read_consistently(client, indexed, pk, operation):
    with invalid("Consistent reads are not supported on global secondary indexes"):
        if operation == "scan":
            client.scan(TableName=indexed, IndexName="by_x", ConsistentRead=True)
        else:
            query(client, indexed, "by_x", "x", S(pk), ConsistentRead=True)


@pytest.mark.parametrize("name", ["keys_only", "some"])
def test_all_attributes_need_a_full_projection(client, indexed, pk, name):
    message = (
        OMPVI
        + f"Select type ALL_ATTRIBUTES is not supported for global secondary index {name} because its projection type is not ALL"
    )
    with invalid(message):
        query(client, indexed, name, "x", S(pk), Select="ALL_ATTRIBUTES")


@pytest.mark.parametrize("name", ["by_x", "keys_only", "some"])
def test_projected_attributes_may_be_asked_for(client, indexed, pk, name):
    assert query(client, indexed, name, "x", S(pk), Select="ALL_PROJECTED_ATTRIBUTES")["Count"] == 0


def test_a_global_index_has_no_other_attributes(client, indexed, pk):
    with invalid():
        query(client, indexed, "keys_only", "x", S(pk), ProjectionExpression="a")


def test_a_filter_sees_the_projected_attributes(client, indexed, pk):
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S(pk), "a": S("yes")})
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("2"), "x": S(pk), "a": S("no")})
    settled(client, indexed, "some", "x", S(pk), 2)
    answer = query(client, indexed, "some", "x", S(pk), FilterExpression="a = :a", values={":a": S("yes")})
    assert (answer["Count"], answer["ScannedCount"]) == (1, 2)


def test_a_filter_beyond_the_projection_is_refused(client, indexed, pk):
    text = "One or more parameter values were invalid: Secondary index some does not project one or more filter attributes: "
    with invalid(text + "[d, e]"):
        query(client, indexed, "some", "x", S(pk), FilterExpression="e = :v AND d = :v AND a = :v", values={":v": S("v")})


def test_a_filter_leaves_the_index_key_alone(client, indexed, pk):
    with invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: y"):
        query(client, indexed, "by_x", "x", S(pk), FilterExpression="y = :y", values={":y": N("1")})


def test_a_filter_on_an_index_may_use_the_table_key(client, indexed, pk):
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": S("1"), "x": S(pk), "y": N("1")})
    settled(client, indexed, "by_x", "x", S(pk), 1)
    answer = query(client, indexed, "by_x", "x", S(pk), FilterExpression="p = :p", values={":p": S(pk)})
    assert answer["Count"] == 1


def test_the_index_key_must_be_in_the_condition(client, indexed, pk):
    with invalid("Query condition missed key schema element: x"):
        query(client, indexed, "by_x", "p", S(pk))


@pytest.mark.parametrize(
    "start",
    [
        {"p": S("a"), "c": S("b")},
        {"x": S("x"), "y": N("1")},
        {"p": S("a"), "c": S("b"), "x": S("x")},
        {"p": S("a"), "c": S("b"), "x": S("x"), "y": S("1")},
    ],
    ids=["table key", "index key", "no sort key", "wrong type"],
)
def test_a_start_key_holds_both_keys(client, indexed, start):
    with invalid():
        query(client, indexed, "by_x", "x", S("x"), ExclusiveStartKey=start)


def test_an_index_is_right_after_concurrent_updates(client, indexed, pk):
    def move(at):
        client.put_item(TableName=indexed, Item={"p": S(pk), "c": S(str(at % 5)), "x": S(f"{pk}{at % 3}"), "y": N(at)})

    together(move, range(200))
    base = client.query(
        TableName=indexed, KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": S(pk)}, ConsistentRead=True
    )["Items"]

    def rows():
        return [item for at in range(3) for item in query(client, indexed, "by_x", "x", S(f"{pk}{at}"))["Items"]]

    order = lambda items: sorted(items, key=str)
    eventually(lambda: order(rows()) == order(base), saying="the index equals its table")


# Changing indexes of a live table


def add(client, table, each):
    client.update_table(
        TableName=table,
        AttributeDefinitions=definitions(each.pop("attributes")),
        GlobalSecondaryIndexUpdates=[{"Create": each}],
    )


def test_an_added_index_is_filled_from_the_table(client, make_table):
    table = make_table(**keyed_by("p:S"))
    for at in range(50):
        client.put_item(TableName=table, Item={"p": S(f"{at:02}"), "x": S("x"), "y": N(at)})
    add(client, table, index("by_x", "x:S", "y:N"))
    wait_until_active(client, table)
    found = query(client, table, "by_x", "x", S("x"))["Items"]
    assert [item["p"]["S"] for item in found] == [f"{at:02}" for at in range(50)]


@hangs("never finishes")
def test_backfill_skips_items_of_the_wrong_type(client, make_table):
    table = make_table(**keyed_by("p:S"))
    for p, x in (("right", S("x")), ("number", N("1")), ("empty", S("")), ("long", S("x" * 2049)), ("list", L())):
        client.put_item(TableName=table, Item={"p": S(p), "x": x})
    client.put_item(TableName=table, Item={"p": S("none")})
    add(client, table, index("by_x", "x:S"))
    wait_until_active(client, table)
    assert [item["p"]["S"] for item in client.scan(TableName=table, IndexName="by_x")["Items"]] == ["right"]
    with invalid():
        client.put_item(TableName=table, Item={"p": S("new"), "x": N("1")})


@hangs("stops taking writes")
def test_an_index_added_under_writes_misses_nothing(client, make_table):
    table = make_table(**keyed_by("p:S"))
    written = []

    def write(worker, turn):
        name = f"{worker}-{turn}"
        client.put_item(TableName=table, Item={"p": S(name), "x": S("x")})
        if turn % 3 == 0:
            client.delete_item(TableName=table, Key={"p": S(name)})
        else:
            written.append(name)

    with Repeating(write, threads=3):
        eventually(lambda: len(written) > 150, within=30)
        add(client, table, index("by_x", "x:S"))
        wait_until_active(client, table)
        goal = len(written) + 100
        eventually(lambda: len(written) > goal, within=30)

    def rows():
        pages = client.get_paginator("query").paginate(
            TableName=table,
            IndexName="by_x",
            KeyConditionExpression="x = :x",
            ExpressionAttributeValues={":x": S("x")},
        )
        return sorted(item["p"]["S"] for page in pages for item in page["Items"])

    eventually(lambda: rows() == sorted(written), saying="the index has exactly what was written")


def test_an_index_is_deleted(client, make_table):
    table = make_table(**keyed_by("p:S", gsi=[index("by_x", "x:S"), index("by_y", "y:S")]))
    client.update_table(TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by_x"}}])
    left = lambda: [
        each["IndexName"] for each in client.describe_table(TableName=table)["Table"]["GlobalSecondaryIndexes"]
    ]
    eventually(lambda: left() == ["by_y"], within=60)
    with invalid("The table does not have the specified index: by_x"):
        query(client, table, "by_x", "x", S("x"))


def test_a_deleted_index_sets_its_key_free(client, make_table):
    table = make_table(**keyed_by("p:S", gsi=[index("by_x", "x:S")]))
    client.update_table(TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by_x"}}])
    eventually(lambda: not client.describe_table(TableName=table)["Table"].get("GlobalSecondaryIndexes"), within=60)
    client.put_item(TableName=table, Item={"p": S("a"), "x": N("1")})


def test_deleting_a_missing_index_is_refused(client, indexed):
    with rejected("ResourceNotFoundException"):
        client.update_table(TableName=indexed, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "nope"}}])


def test_adding_an_index_twice_is_refused(client, indexed):
    with invalid():
        add(client, indexed, index("by_x", "x:S"))


def test_an_added_key_must_be_defined(client, indexed):
    with invalid():
        client.update_table(
            TableName=indexed,
            GlobalSecondaryIndexUpdates=[
                {
                    "Create": {
                        "IndexName": "new",
                        "KeySchema": key_schema("w:S"),
                        "Projection": {"ProjectionType": "ALL"},
                    }
                }
            ],
        )


def test_an_added_key_keeps_the_type_of_its_attribute(client, indexed):
    """Silently keeping the old type would make an index that finds nothing of the new one."""
    with invalid():
        add(client, indexed, index("new", "x:N"))


@differs("accepts it")
def test_an_index_added_to_an_on_demand_table_has_no_throughput(client, indexed):
    each = {**index("new", "w:S"), "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}
    text = "ProvisionedThroughput should not be specified for index: new when BillingMode is PAY_PER_REQUEST"
    with invalid(OMPVI + text):
        add(client, indexed, each)


def test_one_index_changes_at_a_time(client, indexed):
    creations = [
        {
            "Create": {
                "IndexName": f"new{at}",
                "KeySchema": key_schema(f"w{at}:S"),
                "Projection": {"ProjectionType": "ALL"},
            }
        }
        for at in range(2)
    ]
    with rejected(
        "LimitExceededException",
        "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
    ):
        client.update_table(
            TableName=indexed,
            AttributeDefinitions=definitions(["w0:S", "w1:S"]),
            GlobalSecondaryIndexUpdates=creations,
        )


# Several attributes in a key


@pytest.fixture(scope="module")
def composite(make_table):
    return make_table(**keyed_by("p:S", gsi=[index("multi", "h1:S", "h2:N", "r1:S", "r2:N", hash_count=2)]))


COMPOSITE = differs("has no keys of several attributes")


def find(client, table, condition, **values):
    return client.query(
        TableName=table,
        IndexName="multi",
        KeyConditionExpression=condition,
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )["Items"]


@pytest.fixture(scope="module")
def points(client, composite):
    for r1 in "ab":
        for r2 in (1, 2, 10):
            client.put_item(
                TableName=composite,
                Item={"p": S(f"{r1}{r2}"), "h1": S("h"), "h2": N("1"), "r1": S(r1), "r2": N(r2)},
            )
    client.put_item(TableName=composite, Item={"p": S("partly"), "h1": S("h"), "h2": N("1"), "r1": S("a")})
    client.put_item(TableName=composite, Item={"p": S("other"), "h1": S("h"), "h2": N("2"), "r1": S("a"), "r2": N("1")})
    return composite


@COMPOSITE
@pytest.mark.parametrize(
    "condition, values, found",
    [
        ("h1 = :a AND h2 = :b", {}, ["a1", "a2", "a10", "b1", "b2", "b10"]),
        ("h1 = :a AND h2 = :b AND r1 = :r", {"r": S("a")}, ["a1", "a2", "a10"]),
        ("h1 = :a AND h2 = :b AND r1 = :r AND r2 > :n", {"r": S("a"), "n": N("1")}, ["a2", "a10"]),
        ("h1 = :a AND h2 = :b AND r1 >= :r", {"r": S("b")}, ["b1", "b2", "b10"]),
        ("h1 = :a AND h2 = :b AND r1 = :r AND r2 BETWEEN :n AND :n", {"r": S("b"), "n": N("2")}, ["b2"]),
    ],
)
def test_composite_keys_are_queried_from_the_left(client, points, condition, values, found):
    items = eventually(lambda: find(client, points, condition, a=S("h"), b=N("1"), **values))
    assert [item["p"]["S"] for item in items] == found


@COMPOSITE
@pytest.mark.parametrize(
    "condition, values",
    [
        ("h1 = :a", {}),
        ("h1 = :a AND h2 > :b", {"b": N("1")}),
        ("h1 = :a AND h2 = :b AND r2 = :n", {"b": N("1"), "n": N("1")}),
        ("h1 = :a AND h2 = :b AND r1 > :r AND r2 = :n", {"b": N("1"), "r": S("a"), "n": N("1")}),
    ],
    ids=["half a hash key", "range on a hash key", "skipped sort key", "range before the last"],
)
def test_composite_keys_are_not_queried_otherwise(client, points, condition, values):
    with invalid():
        find(client, points, condition, a=S("h"), **values)
