"""Sizes: 400 KB items counted as the manual counts them, 2048- and 1024-byte keys, expressions of 4 KB.

Applications shard and compress by these limits; a server that is off by one byte breaks them in production only.
"""

import pytest

from rejections import OMPVI, invalid
from schemas import index, keyed_by
from values import SS, B, L, S, unique

LIMIT = 400 * 1024
TOO_LARGE = "Item size has exceeded the maximum allowed size"
UPDATE_TOO_LARGE = "Item size to update has exceeded the maximum allowed size"


def filler(pk, size):
    """An attribute value that makes an item {p, v} exactly `size` bytes."""
    return "x" * (size - len("p") - len(pk) - len("v"))


def test_an_item_of_400_kb_fits(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "v": S(filler(pk, LIMIT))})
    item = client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)["Item"]
    assert len(item["v"]["S"]) == LIMIT - len(pk) - 2


def test_a_byte_more_is_refused(client, table, pk):
    with invalid(TOO_LARGE):
        client.put_item(TableName=table, Item={"p": S(pk), "v": S(filler(pk, LIMIT + 1))})


def test_binary_counts_decoded(client, table, pk):
    raw = b"x" * (LIMIT - len(pk) - 2)
    client.put_item(TableName=table, Item={"p": S(pk), "v": B(raw)})
    with invalid(TOO_LARGE):
        client.put_item(TableName=table, Item={"p": S(pk), "v": B(raw + b"x")})


def test_text_counts_as_utf8(client, table, pk):
    room = LIMIT - len(pk) - 2
    client.put_item(TableName=table, Item={"p": S(pk), "v": S("é" * (room // 2))})
    with invalid(TOO_LARGE):
        client.put_item(TableName=table, Item={"p": S(pk), "v": S("é" * (room // 2 + 1))})


def test_attribute_names_count(client, table, pk):
    name = "n" * 1000
    room = LIMIT - len(pk) - 1 - len(name)
    client.put_item(TableName=table, Item={"p": S(pk), name: S("x" * room)})
    with invalid(TOO_LARGE):
        client.put_item(TableName=table, Item={"p": S(pk), name: S("x" * (room + 1))})


def test_lists_cost_three_bytes_and_one_per_element(client, table, pk):
    room = LIMIT - len(pk) - 2 - 3 - 2
    client.put_item(TableName=table, Item={"p": S(pk), "v": L(S("x" * (room - 5)), S("x" * 5))})
    with invalid(TOO_LARGE):
        client.put_item(TableName=table, Item={"p": S(pk), "v": L(S("x" * (room - 4)), S("x" * 5))})


def test_sets_cost_their_members(client, table, pk):
    room = LIMIT - len(pk) - 2
    client.put_item(TableName=table, Item={"p": S(pk), "v": SS("x" * (room - 5), "y" * 5)})
    with invalid(TOO_LARGE):
        client.put_item(TableName=table, Item={"p": S(pk), "v": SS("x" * (room - 4), "y" * 5)})


def test_an_update_may_not_grow_an_item_past_the_limit(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "v": S(filler(pk, LIMIT))})
    with invalid(UPDATE_TOO_LARGE):
        client.update_item(
            TableName=table,
            Key={"p": S(pk)},
            UpdateExpression="SET w = :w",
            ExpressionAttributeValues={":w": S("x")},
        )


def test_an_update_may_not_create_an_item_past_the_limit(client, table, pk):
    with invalid(UPDATE_TOO_LARGE):
        client.update_item(
            TableName=table,
            Key={"p": S(pk)},
            UpdateExpression="SET v = :v",
            ExpressionAttributeValues={":v": S(filler(pk, LIMIT + 1))},
        )


# Keys


@pytest.fixture(scope="module")
def binary(make_table):
    return make_table(**keyed_by("p:B", "c:B"))


def test_the_longest_keys_fit_together(client, binary):
    key = {"p": B(b"\xff" * 2048), "c": B(b"\x00" * 1024)}
    client.put_item(TableName=binary, Item={**key, "v": S("x")})
    assert client.get_item(TableName=binary, Key=key, ConsistentRead=True)["Item"]["v"] == S("x")
    answer = client.query(TableName=binary, KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": key["p"]})
    assert answer["Count"] == 1
    client.delete_item(TableName=binary, Key=key)


def test_the_longest_string_keys_fit_together(client, ranged):
    key = {"p": S(unique() + "é" * 1014), "c": S("\x00" * 1024)}
    client.put_item(TableName=ranged, Item=key)
    assert client.get_item(TableName=ranged, Key=key, ConsistentRead=True)["Item"] == key


HASH_KEY_TOO_LONG = OMPVI + "Size of hashkey has exceeded the maximum size limit of2048 bytes"
RANGE_KEY_TOO_LONG = OMPVI + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"


@pytest.mark.parametrize("operation", ["put_item", "get_item", "delete_item", "update_item"])
@pytest.mark.parametrize(
    "key, message",
    [
        ({"p": S("x" * 2049), "c": S("1")}, HASH_KEY_TOO_LONG),
        ({"p": S("1"), "c": S("x" * 1025)}, RANGE_KEY_TOO_LONG),
        ({"p": S("é" * 1025), "c": S("1")}, HASH_KEY_TOO_LONG),
    ],
    ids=["partition key", "sort key", "two bytes a letter"],
)
def test_longer_keys_are_refused(client, ranged, operation, key, message):
    target = "Item" if operation == "put_item" else "Key"
    with invalid(message):
        getattr(client, operation)(TableName=ranged, **{target: key})


# Names and placeholders


def test_an_attribute_name_of_64_kb_less_one_fits(client, table, pk):
    name = "n" * 65535
    client.put_item(TableName=table, Item={"p": S(pk), name: S("x")})
    assert name in client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)["Item"]


def test_an_attribute_name_of_64_kb_is_refused(client, table, pk):
    with invalid():
        client.put_item(TableName=table, Item={"p": S(pk), "n" * 65536: S("x")})


def test_an_lsi_shares_the_400_kb(client, make_table, pk):
    """An item and its index entries together may not exceed the limit of the collection's item."""
    table = make_table(**keyed_by("p:S", "c:S", lsi=[index("by_x", "p:S", "x:S")]))
    client.put_item(TableName=table, Item={"p": S(pk), "c": S("1"), "x": S("1"), "v": S("v" * 200_000)})
    answer = client.query(
        TableName=table, IndexName="by_x", KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": S(pk)}
    )
    assert answer["Count"] == 1
