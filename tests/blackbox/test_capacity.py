"""Every ConsumedCapacity figure: what reads, writes, batches, transactions, indexes and failures cost, and where it is shown.

People size and pay by these numbers, and test their access patterns against them before they pay.
"""

import pytest

from marks import differs, differs_often
from rejections import invalid, rejected
from schemas import index, keyed_by
from values import B, L, M, N, S, unique

KB = 1024


def filler(size, *known):
    """Text that makes an item of the known strings and an attribute `v` exactly `size` bytes."""
    return S("x" * (size - 1 - sum(len(text) for text in known)))


def sized(pk, size):
    return {"p": S(pk), "v": filler(size, "p", pk)}


def units(answer):
    return answer["ConsumedCapacity"]["CapacityUnits"]


# Reads


@pytest.mark.parametrize(
    "size, strong",
    [(100, 1), (4 * KB, 1), (4 * KB + 1, 2), (8 * KB, 2), (8 * KB + 1, 3), (40 * KB, 10), (400 * KB, 100)],
)
def test_gets_cost_by_four_kb(client, table, pk, size, strong):
    client.put_item(TableName=table, Item=sized(pk, size))
    for consistent, cost in ((True, strong), (False, strong / 2)):
        answer = client.get_item(
            TableName=table, Key={"p": S(pk)}, ConsistentRead=consistent, ReturnConsumedCapacity="TOTAL"
        )
        assert units(answer) == cost


@pytest.mark.parametrize("consistent, cost", [(True, 1.0), (False, 0.5)])
def test_a_missing_item_costs_as_a_small_one(client, table, pk, consistent, cost):
    answer = client.get_item(
        TableName=table, Key={"p": S(pk)}, ConsistentRead=consistent, ReturnConsumedCapacity="TOTAL"
    )
    assert units(answer) == cost


def test_a_projection_makes_nothing_cheaper(client, table, pk):
    client.put_item(TableName=table, Item=sized(pk, 9 * KB))
    answer = client.get_item(
        TableName=table, Key={"p": S(pk)}, ProjectionExpression="p", ConsistentRead=True, ReturnConsumedCapacity="TOTAL"
    )
    assert units(answer) == 3


# Writes


@pytest.mark.parametrize("size, cost", [(50, 1), (KB, 1), (KB + 1, 2), (10 * KB, 10), (400 * KB, 400)])
def test_puts_cost_by_one_kb(client, table, pk, size, cost):
    assert units(client.put_item(TableName=table, Item=sized(pk, size), ReturnConsumedCapacity="TOTAL")) == cost


@pytest.mark.parametrize("before, after, cost", [(5 * KB, KB, 5), (KB, 5 * KB, 5), (3 * KB, 3 * KB, 3)])
def test_a_replacement_costs_by_the_larger(client, table, pk, before, after, cost):
    client.put_item(TableName=table, Item=sized(pk, before))
    assert units(client.put_item(TableName=table, Item=sized(pk, after), ReturnConsumedCapacity="TOTAL")) == cost


def test_an_update_costs_the_whole_item(client, table, pk):
    client.put_item(TableName=table, Item=sized(pk, 5 * KB - 50))
    answer = client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        UpdateExpression="SET a = :a",
        ExpressionAttributeValues={":a": S("x")},
        ReturnConsumedCapacity="TOTAL",
    )
    assert units(answer) == 5


def test_an_update_that_shrinks_costs_by_what_was(client, table, pk):
    client.put_item(TableName=table, Item=sized(pk, 5 * KB))
    answer = client.update_item(
        TableName=table, Key={"p": S(pk)}, UpdateExpression="REMOVE v", ReturnConsumedCapacity="TOTAL"
    )
    assert units(answer) == 5


@pytest.mark.parametrize("size, cost", [(100, 1), (3 * KB, 3), (3 * KB + 1, 4)])
def test_a_delete_costs_what_it_deletes(client, table, pk, size, cost):
    client.put_item(TableName=table, Item=sized(pk, size))
    assert units(client.delete_item(TableName=table, Key={"p": S(pk)}, ReturnConsumedCapacity="TOTAL")) == cost


def test_deleting_what_is_missing_costs_one(client, table, pk):
    assert units(client.delete_item(TableName=table, Key={"p": S(pk)}, ReturnConsumedCapacity="TOTAL")) == 1


# Sizes of values, seen through the cost of a write at the edge of a kilobyte


@pytest.mark.parametrize(
    "value, size",
    [
        (N("0"), 1),
        (N("1"), 2),
        (N("12"), 2),
        (N("120"), 3),
        (N("123"), 3),
        (N("-1"), 3),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        (B(b"12345"), 5),
        (S("é"), 2),
        (L(), 3),
        (L(S("a"), S("b")), 3 + 2 + 2),
        (M(), 3),
        (M(ab=S("x")), 3 + 1 + 2 + 1),
        ({"SS": ["a", "bcd"]}, 4),
        ({"BS": [b"a", b"bcd"]}, 4),
    ],
    ids=str,
)
@differs_often("counts a byte more or less here and there")
def test_values_have_their_size(client, table, pk, value, size):
    base = len("p") + len(pk) + len("a") + size + len("v")
    exactly = {"p": S(pk), "a": value, "v": S("x" * (KB - base))}
    beyond = {**exactly, "v": S("x" * (KB - base + 1))}
    client.delete_item(TableName=table, Key={"p": S(pk)})
    assert units(client.put_item(TableName=table, Item=exactly, ReturnConsumedCapacity="TOTAL")) == 1
    assert units(client.put_item(TableName=table, Item=beyond, ReturnConsumedCapacity="TOTAL")) == 2


# What is shown


def test_nothing_is_shown_unasked(client, table, pk):
    assert "ConsumedCapacity" not in client.put_item(TableName=table, Item={"p": S(pk)})
    assert "ConsumedCapacity" not in client.get_item(TableName=table, Key={"p": S(pk)}, ReturnConsumedCapacity="NONE")


def test_total_shows_table_and_units_only(client, table, pk):
    answer = client.put_item(TableName=table, Item={"p": S(pk)}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 1.0}


def test_indexes_shows_the_table_even_without_any(client, table, pk):
    answer = client.put_item(TableName=table, Item={"p": S(pk)}, ReturnConsumedCapacity="INDEXES")
    assert answer["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}}


@differs("accepts any word")
@pytest.mark.parametrize("wanted", ["total", "ALL"])
def test_other_words_are_refused(client, table, pk, wanted):
    with invalid():
        client.put_item(TableName=table, Item={"p": S(pk)}, ReturnConsumedCapacity=wanted)


@differs("shows the name")
def test_a_caller_by_arn_sees_the_arn(client, table, pk):
    arn = client.describe_table(TableName=table)["Table"]["TableArn"]
    answer = client.put_item(TableName=arn, Item={"p": S(pk)}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"]["TableName"] == arn


def test_units_are_fractions_on_the_wire(send, table, pk):
    answer = send("GetItem", {"TableName": table, "Key": {"p": S(pk)}, "ReturnConsumedCapacity": "TOTAL"})
    assert b'"CapacityUnits":0.5' in answer.body


# Pages


@pytest.fixture(scope="module")
def partition(client, ranged):
    """Ten items of exactly one kilobyte."""
    pk = unique()
    for at in range(10):
        c = f"{at:03}"
        client.put_item(TableName=ranged, Item={"p": S(pk), "c": S(c), "v": filler(KB, "p", pk, "c", c)})
    return pk


def query(client, ranged, pk, **more):
    return client.query(
        TableName=ranged,
        KeyConditionExpression="p = :p",
        ExpressionAttributeValues={":p": S(pk), **more.pop("values", {})},
        ReturnConsumedCapacity="TOTAL",
        **more,
    )


@pytest.mark.parametrize("limit, strong", [(1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (10, 3)])
def test_a_page_is_summed_and_rounded_once(client, ranged, partition, limit, strong):
    assert units(query(client, ranged, partition, Limit=limit, ConsistentRead=True)) == strong
    assert units(query(client, ranged, partition, Limit=limit)) == strong / 2


def test_a_filter_makes_nothing_cheaper(client, ranged, partition):
    answer = query(client, ranged, partition, ConsistentRead=True, FilterExpression="v = :z", values={":z": S("z")})
    assert (answer["Count"], units(answer)) == (0, 3)


def test_a_count_costs_as_much(client, ranged, partition):
    assert units(query(client, ranged, partition, ConsistentRead=True, Select="COUNT")) == 3


def test_a_projection_costs_as_much(client, ranged, partition):
    assert units(query(client, ranged, partition, ConsistentRead=True, ProjectionExpression="p")) == 3


@pytest.mark.not_on_aws("AWS charges tiny tables a floor")
def test_a_scan_is_summed_and_rounded_once(client, make_table):
    table = make_table(**keyed_by("p:S"))
    for at in range(9):
        client.put_item(TableName=table, Item=sized(f"{at:03}", KB))
    for consistent, cost in ((True, 3), (False, 1.5)):
        answer = client.scan(TableName=table, ConsistentRead=consistent, ReturnConsumedCapacity="TOTAL")
        assert units(answer) == cost


# Conditions


def test_a_failed_condition_shows_no_capacity_but_fails(client, table, pk):
    client.put_item(TableName=table, Item=sized(pk, 3 * KB))
    with rejected("ConditionalCheckFailedException") as seen:
        client.put_item(
            TableName=table,
            Item={"p": S(pk)},
            ConditionExpression="attribute_not_exists(p)",
            ReturnConsumedCapacity="TOTAL",
        )
    assert "ConsumedCapacity" not in seen.response


# Batches


@differs("charges nothing for missing items")
def test_batch_reads_round_each_item(client, table, pk):
    keys = [{"p": S(f"{pk}{at}")} for at in range(3)]
    for at, size in enumerate((100, 5 * KB)):
        client.put_item(TableName=table, Item=sized(f"{pk}{at}", size))
    for consistent, cost in ((True, 1 + 2 + 1), (False, 0.5 + 1 + 0.5)):
        answer = client.batch_get_item(
            RequestItems={table: {"Keys": keys, "ConsistentRead": consistent}}, ReturnConsumedCapacity="TOTAL"
        )
        assert answer["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": cost}]


@differs("charges one more")
def test_batch_writes_round_each_item(client, table, pk):
    client.put_item(TableName=table, Item=sized(f"{pk}old", 3 * KB))
    requests = [{"PutRequest": {"Item": sized(f"{pk}{at}", size)}} for at, size in enumerate((100, KB + 1))]
    requests += [{"DeleteRequest": {"Key": {"p": S(f"{pk}old")}}}, {"DeleteRequest": {"Key": {"p": S(f"{pk}no")}}}]
    answer = client.batch_write_item(RequestItems={table: requests}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 1 + 2 + 3 + 1}]


def test_batches_show_one_entry_per_table(client, table, ranged, pk):
    answer = client.batch_write_item(
        RequestItems={
            table: [{"PutRequest": {"Item": {"p": S(pk)}}}],
            ranged: [{"PutRequest": {"Item": {"p": S(pk), "c": S("1")}}}],
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert {each["TableName"]: each["CapacityUnits"] for each in answer["ConsumedCapacity"]} == {table: 1, ranged: 1}


# Transactions


@differs("shows only the sum")
def test_transactional_writes_cost_double(client, table, pk):
    answer = client.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": table, "Item": sized(pk, 3 * KB)}},
            {
                "ConditionCheck": {
                    "TableName": table,
                    "Key": {"p": S(pk + "x")},
                    "ConditionExpression": "attribute_not_exists(p)",
                }
            },
        ],
        ReturnConsumedCapacity="TOTAL",
    )
    (capacity,) = answer["ConsumedCapacity"]
    assert (capacity["CapacityUnits"], capacity["WriteCapacityUnits"]) == (8, 8)


@differs("shows only the sum")
def test_transactional_reads_cost_double(client, table, pk):
    client.put_item(TableName=table, Item=sized(pk, 5 * KB))
    answer = client.transact_get_items(
        TransactItems=[
            {"Get": {"TableName": table, "Key": {"p": S(pk)}}},
            {"Get": {"TableName": table, "Key": {"p": S(pk + "missing")}}},
        ],
        ReturnConsumedCapacity="TOTAL",
    )
    (capacity,) = answer["ConsumedCapacity"]
    assert (capacity["CapacityUnits"], capacity["ReadCapacityUnits"]) == (6, 6)


@differs_often("charges as for a write")
def test_a_repeated_token_costs_reads(client, table, pk):
    request = {
        "TransactItems": [{"Put": {"TableName": table, "Item": sized(pk, KB)}}],
        "ClientRequestToken": unique("t"),
        "ReturnConsumedCapacity": "TOTAL",
    }
    client.transact_write_items(**request)
    (capacity,) = client.transact_write_items(**request)["ConsumedCapacity"]
    assert "ReadCapacityUnits" in capacity and "WriteCapacityUnits" not in capacity


# Indexes


@pytest.fixture(scope="module")
def indexed(make_table):
    return make_table(
        **keyed_by(
            "p:S",
            "c:S",
            gsi=[index("whole", "x:S"), index("keys", "y:S", projection="KEYS_ONLY")],
            lsi=[index("local", "p:S", "z:S", include=["a"])],
        )
    )


def shown(answer):
    """(table units, {index: units}) of an answer that was asked for INDEXES."""
    capacity = answer["ConsumedCapacity"]
    capacity = capacity[0] if isinstance(capacity, list) else capacity
    own, indexes = capacity.get("Table", {}).get("CapacityUnits", 0), {}
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        indexes |= {name: each["CapacityUnits"] for name, each in capacity.get(kind, {}).items()}
    assert capacity["CapacityUnits"] == own + sum(indexes.values())
    return own, indexes


def put(client, indexed, pk, **attributes):
    item = {"p": S(pk), "c": S("1"), **attributes}
    return shown(client.put_item(TableName=indexed, Item=item, ReturnConsumedCapacity="INDEXES"))


def test_a_new_entry_costs_one_each(client, indexed, pk):
    assert put(client, indexed, pk, x=S("x"), y=S("y"), z=S("z")) == (1, {"whole": 1, "keys": 1, "local": 1})


def test_an_index_that_is_not_touched_is_not_shown(client, indexed, pk):
    assert put(client, indexed, pk) == (1, {})
    assert put(client, indexed, pk + "2", x=S("x")) == (1, {"whole": 1})


def test_a_change_outside_the_projection_is_free(client, indexed, pk):
    put(client, indexed, pk, x=S("x"), y=S("y"), z=S("z"), b=S("1"))
    assert put(client, indexed, pk, x=S("x"), y=S("y"), z=S("z"), b=S("2")) == (1, {"whole": 1})


def test_a_change_inside_the_projection_costs_one(client, indexed, pk):
    put(client, indexed, pk, x=S("x"), y=S("y"), z=S("z"), a=S("1"))
    assert put(client, indexed, pk, x=S("x"), y=S("y"), z=S("z"), a=S("2")) == (1, {"whole": 1, "local": 1})


def test_a_changed_index_key_costs_two(client, indexed, pk):
    put(client, indexed, pk, y=S("1"))
    assert put(client, indexed, pk, y=S("2")) == (1, {"keys": 2})


def test_a_removed_entry_costs_one(client, indexed, pk):
    put(client, indexed, pk, y=S("1"))
    assert put(client, indexed, pk) == (1, {"keys": 1})


def test_a_deleted_item_pays_for_its_entries(client, indexed, pk):
    put(client, indexed, pk, x=S("x"), y=S("y"))
    answer = client.delete_item(TableName=indexed, Key={"p": S(pk), "c": S("1")}, ReturnConsumedCapacity="INDEXES")
    assert shown(answer) == (1, {"whole": 1, "keys": 1})


def test_entries_are_rounded_by_their_own_size(client, indexed, pk):
    assert put(client, indexed, pk, x=S("x"), y=S("y"), v=S("v" * 3000)) == (3, {"whole": 3, "keys": 1})


def test_a_query_shows_the_index_it_reads(client, indexed, pk):
    put(client, indexed, pk, x=S(pk), v=S("v" * 5000))
    answer = client.query(
        TableName=indexed,
        IndexName="whole",
        KeyConditionExpression="x = :x",
        ExpressionAttributeValues={":x": S(pk)},
        ReturnConsumedCapacity="INDEXES",
    )
    assert shown(answer) == (0, {"whole": 1})


def test_index_reads_count_the_projected_size(client, indexed, pk):
    put(client, indexed, pk, y=S(pk), v=S("v" * 50_000))
    answer = client.query(
        TableName=indexed,
        IndexName="keys",
        KeyConditionExpression="y = :y",
        ExpressionAttributeValues={":y": S(pk)},
        ReturnConsumedCapacity="TOTAL",
    )
    assert units(answer) == 0.5


@differs_often("charges nothing for it")
def test_fetching_from_the_table_costs_a_read_per_item(client, indexed, pk):
    for c in "12":
        client.put_item(TableName=indexed, Item={"p": S(pk), "c": S(c), "z": S("z"), "v": S("v" * 5000)})
    answer = client.query(
        TableName=indexed,
        IndexName="local",
        KeyConditionExpression="p = :p",
        ExpressionAttributeValues={":p": S(pk)},
        Select="ALL_ATTRIBUTES",
        ConsistentRead=True,
        ReturnConsumedCapacity="INDEXES",
    )
    assert shown(answer) == (4, {"local": 1})
