"""Local secondary indexes: another order in the same partition, read consistently, with the whole item on demand."""

import pytest

from marks import differs
from rejections import invalid
from schemas import index, keyed_by
from values import NULL, B, L, N, S


@pytest.fixture(scope="module")
def local(make_table):
    return make_table(
        **keyed_by(
            "p:S",
            "c:S",
            lsi=[
                index("by_n", "p:S", "n:N"),
                index("keys_only", "p:S", "n:N", projection="KEYS_ONLY"),
                index("some", "p:S", "t:S", include=["a"]),
            ],
        )
    )


def query(client, table, name, pk, condition="", values=None, **more):
    return client.query(
        TableName=table,
        IndexName=name,
        KeyConditionExpression="p = :p" + condition,
        ExpressionAttributeValues={":p": S(pk), **(values or {})},
        ConsistentRead=True,
        **more,
    )


@pytest.fixture
def rows(client, local, pk):
    for at, n in enumerate((5, -3, 40, 0)):
        client.put_item(
            TableName=local,
            Item={"p": S(pk), "c": S(str(at)), "n": N(n), "t": S(f"t{at}"), "a": S("a"), "b": S("b")},
        )
    client.put_item(TableName=local, Item={"p": S(pk), "c": S("none"), "a": S("a")})
    return pk


@pytest.mark.parametrize("forward", [True, False])
def test_an_index_orders_the_partition_anew(client, local, rows, forward):
    found = query(client, local, "by_n", rows, ScanIndexForward=forward)["Items"]
    assert [int(item["n"]["N"]) for item in found] == sorted((5, -3, 40, 0), reverse=not forward)


def test_items_without_the_key_are_left_out(client, local, rows):
    assert query(client, local, "by_n", rows)["Count"] == 4


def test_a_consistent_read_sees_the_last_write(client, local, pk):
    for n in range(20):
        client.put_item(TableName=local, Item={"p": S(pk), "c": S("1"), "n": N(n)})
        assert [item["n"] for item in query(client, local, "by_n", pk)["Items"]] == [N(n)]


def test_ranges_of_the_index(client, local, rows):
    found = query(client, local, "by_n", rows, " AND n BETWEEN :a AND :b", {":a": N("-1"), ":b": N("5")})["Items"]
    assert [item["n"] for item in found] == [N("0"), N("5")]


@pytest.mark.parametrize("name, shape", [("by_n", set("pcntab")), ("keys_only", set("pcn")), ("some", set("pcta"))])
def test_projections_decide_what_comes_back(client, local, rows, name, shape):
    assert set(query(client, local, name, rows)["Items"][0]) == shape


@pytest.mark.parametrize("name", ["keys_only", "some"])
def test_all_attributes_are_fetched_from_the_table(client, local, rows, name):
    found = query(client, local, name, rows, Select="ALL_ATTRIBUTES")["Items"]
    assert all(set(item) == set("pcntab") for item in found)


def test_single_attributes_are_fetched_from_the_table(client, local, rows):
    found = query(client, local, "keys_only", rows, ProjectionExpression="b")["Items"]
    assert found == [{"b": S("b")}] * 4


def test_paging_goes_through_equal_sort_keys(client, local, pk):
    for at in range(10):
        client.put_item(TableName=local, Item={"p": S(pk), "c": S(f"{at}"), "n": N("1")})
    found, start = [], {}
    for _ in range(20):
        answer = query(client, local, "by_n", pk, Limit=3, **start)
        found += [item["c"]["S"] for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            break
        assert set(answer["LastEvaluatedKey"]) == set("pcn")
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert sorted(found) == [str(at) for at in range(10)]


@pytest.mark.parametrize("value", [S("x"), NULL, L(), B(b"x")], ids=str)
def test_an_index_key_of_the_wrong_type_rejects_the_write(client, local, pk, value):
    with invalid(has="Type mismatch for Index Key n Expected: N Actual: " + next(iter(value))):
        client.put_item(TableName=local, Item={"p": S(pk), "c": S("1"), "n": value})


def test_a_scan_of_an_index_is_sparse(client, local, rows):
    answer = client.scan(
        TableName=local,
        IndexName="by_n",
        FilterExpression="p = :p",
        ExpressionAttributeValues={":p": S(rows)},
        ConsistentRead=True,
    )
    assert answer["Count"] == 4


@differs("reports none")
def test_collections_report_their_size(client, local, pk):
    answer = client.put_item(
        TableName=local, Item={"p": S(pk), "c": S("1"), "n": N("1")}, ReturnItemCollectionMetrics="SIZE"
    )
    metrics = answer["ItemCollectionMetrics"]
    assert metrics["ItemCollectionKey"] == {"p": S(pk)}
    low, high = metrics["SizeEstimateRangeGB"]
    assert 0 <= low <= high <= 10


def test_tables_without_local_index_report_no_collection(client, table, pk):
    answer = client.put_item(TableName=table, Item={"p": S(pk)}, ReturnItemCollectionMetrics="SIZE")
    assert "ItemCollectionMetrics" not in answer


@differs("reports none")
def test_batches_report_collections(client, local, pk):
    answer = client.batch_write_item(
        RequestItems={local: [{"PutRequest": {"Item": {"p": S(pk), "c": S("1"), "n": N("1")}}}]},
        ReturnItemCollectionMetrics="SIZE",
    )
    assert answer["ItemCollectionMetrics"][local][0]["ItemCollectionKey"] == {"p": S(pk)}


def test_a_filter_beyond_the_projection_is_refused(client, local, pk):
    text = "One or more parameter values were invalid: Secondary index some does not project one or more filter attributes: "
    with invalid(text + "[b]"):
        query(client, local, "some", pk, FilterExpression="b = :b", values={":b": S("b")})
