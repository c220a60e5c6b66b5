"""BatchGetItem and BatchWriteItem: limits, duplicates, several tables, and validation that is all or nothing.

A refused batch that has written its first item is corruption the caller cannot see.
"""

import pytest

from rejections import NOT_FOUND, WRONG_KEY, invalid, rejected
from values import SS, N, S, unique


def puts(*items):
    return [{"PutRequest": {"Item": item}} for item in items]


def deletes(*keys):
    return [{"DeleteRequest": {"Key": key}} for key in keys]


def exists(client, table, key):
    return "Item" in client.get_item(TableName=table, Key=key, ConsistentRead=True)


def keys(pk, count):
    return [{"p": S(f"{pk}-{at}")} for at in range(count)]


# Writing


def test_a_batch_puts_and_deletes(client, table, pk):
    a, b, c = keys(pk, 3)
    client.put_item(TableName=table, Item=c)
    answer = client.batch_write_item(RequestItems={table: puts({**a, "v": S("1")}, b) + deletes(c)})
    assert answer["UnprocessedItems"] == {}
    assert exists(client, table, a) and exists(client, table, b) and not exists(client, table, c)


def test_a_batch_spans_tables(client, table, ranged, pk):
    row = {"p": S(pk), "c": S("1")}
    client.batch_write_item(RequestItems={table: puts({"p": S(pk)}), ranged: puts(row)})
    assert exists(client, table, {"p": S(pk)}) and exists(client, ranged, row)


def test_25_writes_are_fine(client, table, pk):
    client.batch_write_item(RequestItems={table: puts(*keys(pk, 25))})
    assert all(exists(client, table, key) for key in keys(pk, 25))


def test_26_writes_are_too_many(client, table, pk):
    with invalid():
        client.batch_write_item(RequestItems={table: puts(*keys(pk, 26))})
    assert not any(exists(client, table, key) for key in keys(pk, 26))


def test_26_writes_over_two_tables_are_too_many(client, table, ranged, pk):
    rows = [{**key, "c": S("1")} for key in keys(pk, 13)]
    with invalid(has="Too many items requested for the BatchWriteItem call"):
        client.batch_write_item(RequestItems={table: puts(*keys(pk, 13)), ranged: puts(*rows)})


DUPLICATES = "Provided list of item keys contains duplicates"


@pytest.mark.parametrize("kind", ["two puts", "two deletes", "put and delete"])
def test_a_key_stands_in_a_batch_once(client, table, pk, kind):
    key = {"p": S(pk)}
    requests = {
        "two puts": puts({**key, "a": S("1")}, {**key, "a": S("2")}),
        "two deletes": deletes(key, key),
        "put and delete": puts(key) + deletes(key),
    }[kind]
    with invalid(DUPLICATES):
        client.batch_write_item(RequestItems={table: requests})
    assert not exists(client, table, key)


@pytest.mark.parametrize(
    "bad",
    [
        {"q": S("no key")},
        {"p": N("1")},
        {"p": S("")},
        {"p": S("x" * 2049)},
        {"p": S("n"), "v": N("no number")},
        {"p": S("e"), "v": SS()},
        {"p": S("b"), "v": S("x" * 410_000)},
        {"p": S("v"), "v": {"NULL": False}},
    ],
    ids=["no key", "wrong type", "empty key", "long key", "no number", "empty set", "too large", "false null"],
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_refused_batch_writes_nothing(client, table, pk, bad, place):
    good = puts(*keys(pk, 3))
    requests = puts(bad) + good if place == "first" else good + puts(bad)
    with invalid():
        client.batch_write_item(RequestItems={table: requests})
    assert not any(exists(client, table, key) for key in keys(pk, 3))


@pytest.mark.parametrize("item", [{"c": S("x")}, {"p": S("x")}, {"p": N("1"), "c": S("x")}], ids=str)
def test_a_put_without_its_key_is_told_as_a_wrong_key(client, ranged, item):
    """PutItem names the attribute that is missing or of the wrong type; a batch does not."""
    with invalid(WRONG_KEY):
        client.batch_write_item(RequestItems={ranged: [{"PutRequest": {"Item": item}}]})


def test_a_batch_with_an_unknown_table_writes_nothing(client, table, pk):
    with rejected("ResourceNotFoundException", NOT_FOUND):
        client.batch_write_item(RequestItems={table: puts({"p": S(pk)}), unique("nowhere"): puts({"p": S(pk)})})
    assert not exists(client, table, {"p": S(pk)})


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"PutRequest": {"Item": {"p": S("a")}}, "DeleteRequest": {"Key": {"p": S("a")}}},
        {"PutRequest": {}},
        {"DeleteRequest": {}},
    ],
    ids=str,
)
def test_a_write_is_one_put_or_one_delete(call, table, request_):
    with invalid():
        call("BatchWriteItem", {"RequestItems": {table: [request_]}})


def test_a_batch_of_no_writes_is_refused(call, table):
    with invalid():
        call("BatchWriteItem", {"RequestItems": {table: []}})


def test_deleting_what_is_missing_succeeds(client, table, pk):
    assert client.batch_write_item(RequestItems={table: deletes({"p": S(pk)})})["UnprocessedItems"] == {}


@pytest.mark.not_on_aws("10 MB")
def test_a_batch_of_25_large_items_is_stored(client, table, pk):
    rows = [{**key, "v": S("x" * 390_000)} for key in keys(pk, 25)]
    pending = {table: puts(*rows)}
    for _ in range(50):
        pending = client.batch_write_item(RequestItems=pending)["UnprocessedItems"]
        if not pending:
            break
    assert all(exists(client, table, key) for key in keys(pk, 25))


# Reading


def test_a_batch_gets_what_exists(client, table, pk):
    client.batch_write_item(RequestItems={table: puts(*keys(pk, 3))})
    asked = keys(pk, 5)
    answer = client.batch_get_item(RequestItems={table: {"Keys": asked, "ConsistentRead": True}})
    assert sorted(answer["Responses"][table], key=str) == keys(pk, 3)
    assert answer["UnprocessedKeys"] == {}


def test_a_batch_of_nothing_found_names_the_table(client, table, pk):
    answer = client.batch_get_item(RequestItems={table: {"Keys": keys(pk, 2)}})
    assert answer["Responses"] == {table: []}


def test_a_batch_reads_several_tables(client, table, ranged, pk):
    row = {"p": S(pk), "c": S("1")}
    client.batch_write_item(RequestItems={table: puts({"p": S(pk)}), ranged: puts(row)})
    answer = client.batch_get_item(
        RequestItems={
            table: {"Keys": [{"p": S(pk)}], "ConsistentRead": True},
            ranged: {"Keys": [row], "ConsistentRead": True},
        }
    )
    assert answer["Responses"] == {table: [{"p": S(pk)}], ranged: [row]}


def test_100_keys_are_fine(client, table, pk):
    answer = client.batch_get_item(RequestItems={table: {"Keys": keys(pk, 100)}})
    assert answer["Responses"][table] == []


def test_101_keys_are_too_many(client, table, pk):
    with invalid():
        client.batch_get_item(RequestItems={table: {"Keys": keys(pk, 101)}})


def test_101_keys_over_two_tables_are_too_many(client, table, ranged, pk):
    rows = [{**key, "c": S("1")} for key in keys(pk, 51)]
    with invalid("Too many items requested for the BatchGetItem call"):
        client.batch_get_item(RequestItems={table: {"Keys": keys(pk, 50)}, ranged: {"Keys": rows}})


def test_a_key_is_asked_for_once(client, table, pk):
    with invalid(DUPLICATES):
        client.batch_get_item(RequestItems={table: {"Keys": [{"p": S(pk)}, {"p": S(pk)}]}})


@pytest.mark.parametrize("key", [{"q": S("x")}, {"p": N("1")}, {"p": S("x"), "c": S("y")}], ids=str)
def test_keys_must_match_the_schema(client, table, key):
    with invalid(WRONG_KEY):
        client.batch_get_item(RequestItems={table: {"Keys": [key]}})


def test_an_unknown_table_is_not_found(client, table, pk):
    with rejected("ResourceNotFoundException", NOT_FOUND):
        client.batch_get_item(RequestItems={table: {"Keys": keys(pk, 1)}, unique("nowhere"): {"Keys": keys(pk, 1)}})


def test_a_projection_applies_per_table(client, table, ranged, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "a": S("a"), "b": S("b")})
    client.put_item(TableName=ranged, Item={"p": S(pk), "c": S("1"), "a": S("a"), "b": S("b")})
    answer = client.batch_get_item(
        RequestItems={
            table: {"Keys": [{"p": S(pk)}], "ProjectionExpression": "a", "ConsistentRead": True},
            ranged: {
                "Keys": [{"p": S(pk), "c": S("1")}],
                "ProjectionExpression": "#b",
                "ExpressionAttributeNames": {"#b": "b"},
                "ConsistentRead": True,
            },
        }
    )
    assert answer["Responses"] == {table: [{"a": S("a")}], ranged: [{"b": S("b")}]}


@pytest.mark.not_on_aws("20 MB")
def test_more_than_16_mb_come_in_parts(client, table, pk):
    """Sixty items of 390 KB exceed the answer's 16 MB: the rest comes back as UnprocessedKeys, and none is lost."""
    for key in keys(pk, 60):
        client.put_item(TableName=table, Item={**key, "v": S("x" * 390_000)})
    pending, found = {table: {"Keys": keys(pk, 60), "ConsistentRead": True}}, []
    rounds = 0
    while pending:
        answer = client.batch_get_item(RequestItems=pending)
        found += [item["p"]["S"] for item in answer["Responses"].get(table, [])]
        pending = answer["UnprocessedKeys"]
        rounds += 1
        assert rounds < 20
    assert sorted(found) == sorted(key["p"]["S"] for key in keys(pk, 60))
    assert rounds > 1
