"""Sets, empty values, binary, nesting and malformed attribute values.

The shape rules of DynamoDB JSON, and the odd texts ("An string set  may not be empty") that client code matches on.
"""

import pytest

from marks import differs
from rejections import OMPVI, invalid, rejected
from schemas import keyed_by
from values import BOOL, BS, NS, NULL, SS, B, L, M, N, S, nested


def put(client, table, pk, value):
    client.put_item(TableName=table, Item={"p": S(pk), "v": value})


def stored(client, table, pk):
    return client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)["Item"]["v"]


# Sets


@pytest.mark.parametrize(
    "value, message",
    [
        (SS(), OMPVI + "An string set  may not be empty"),
        (NS(), OMPVI + "An number set  may not be empty"),
        (BS(), OMPVI + "Binary sets should not be empty"),
    ],
    ids=["SS", "NS", "BS"],
)
def test_sets_are_never_empty(client, table, pk, value, message):
    with invalid(message):
        put(client, table, pk, value)


@pytest.mark.parametrize("wrap", [L, lambda value: M(a=value)], ids=["list", "map"])
def test_nested_sets_are_never_empty(client, table, pk, wrap):
    with invalid(OMPVI + "An string set  may not be empty"):
        put(client, table, pk, wrap(SS()))


@pytest.mark.parametrize(
    "value, message",
    [
        (SS("a", "a"), OMPVI + "Input collection [a, a] contains duplicates."),
        (SS("b", "a", "b"), OMPVI + "Input collection [b, a, b] contains duplicates."),
        (NS("1", "1"), "Input collection contains duplicates"),
    ],
    ids=["SS", "SS of three", "NS"],
)
def test_sets_hold_nothing_twice(client, table, pk, value, message):
    with invalid(message):
        put(client, table, pk, value)


def test_binary_sets_hold_nothing_twice(client, table, pk):
    with invalid(has="of type BS contains duplicates."):
        put(client, table, pk, BS(b"a", b"a"))


def test_a_set_compares_equal_in_any_order(client, table, pk):
    put(client, table, pk, SS("a", "b", "c"))
    client.put_item(
        TableName=table,
        Item={"p": S(pk), "v": SS("c")},
        ConditionExpression="v = :v",
        ExpressionAttributeValues={":v": SS("c", "a", "b")},
    )
    assert stored(client, table, pk) == SS("c")


# Empty values


@pytest.mark.parametrize("value", [S(""), B(b""), L(), M(), L(S("")), M(a=B(b"")), L(L(), M())], ids=str)
def test_empty_values_are_values(client, table, pk, value):
    put(client, table, pk, value)
    assert stored(client, table, pk) == value


def test_an_empty_binary_is_never_a_key(client, make_table):
    table = make_table(**keyed_by("b:B"))
    message = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty binary value. Key: b"
    with invalid(message):
        client.put_item(TableName=table, Item={"b": B(b"")})


@pytest.mark.parametrize("truth", [False])
def test_null_is_always_true(client, table, pk, truth):
    with invalid(OMPVI + "Null attribute value types must have the value of true"):
        put(client, table, pk, {"NULL": truth})


# Binary


@pytest.mark.parametrize("raw", [bytes(range(256)), b"\x00", b"\xff" * 1000, b"a", b"ab", b"abc"], ids=len)
def test_binary_comes_back_byte_for_byte(client, table, pk, raw):
    put(client, table, pk, B(raw))
    assert stored(client, table, pk) == B(raw)


def test_binary_keys_are_ordered_as_unsigned_bytes(client, make_table):
    table = make_table(**keyed_by("p:S", "b:B"))
    keys = [
        b"\x00",
        b"\x00\x00",
        b"\x00\x01",
        b"\x01",
        b"\x7f",
        b"\x80",
        b"\x80\x00",
        b"\xfe\xff",
        b"\xff",
        b"\xff\xff",
    ]
    for raw in reversed(keys):
        client.put_item(TableName=table, Item={"p": S("o"), "b": B(raw)})
    answer = client.query(TableName=table, KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": S("o")})
    assert [item["b"]["B"] for item in answer["Items"]] == keys


def test_string_keys_are_ordered_as_utf8_bytes(client, make_table):
    table = make_table(**keyed_by("p:S", "s:S"))
    keys = sorted(["A", "Z", "a", "aa", "b", "z", "é", "ß", "一", "\uffee", "🦀", "\u007f", " ", "~"], key=str.encode)
    for text in reversed(keys):
        client.put_item(TableName=table, Item={"p": S("o"), "s": S(text)})
    answer = client.query(TableName=table, KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": S("o")})
    assert [item["s"]["S"] for item in answer["Items"]] == keys


@differs("decodes leniently")
@pytest.mark.parametrize("text", ["YQ", "YWI", "YWJjZA"])
def test_base64_needs_its_padding(call, table, pk, text):
    with rejected("SerializationException"):
        call("PutItem", {"TableName": table, "Item": {"p": S(pk), "v": {"B": text}}})


@differs("decodes leniently")
@pytest.mark.parametrize("text", ["****", "a===", "YQ=a"])
def test_base64_has_its_alphabet(call, table, pk, text):
    with rejected("SerializationException"):
        call("PutItem", {"TableName": table, "Item": {"p": S(pk), "v": {"B": text}}})


# Nesting


@pytest.mark.parametrize("depth", [1, 10, 30])
def test_nesting_is_kept(client, table, pk, depth):
    put(client, table, pk, nested(depth))
    assert stored(client, table, pk) == nested(depth)


@pytest.mark.parametrize("depth", [32, 33, 60])
def test_too_much_nesting_is_refused(client, table, pk, depth):
    with invalid(has="Nesting Levels have exceeded supported limits"):
        put(client, table, pk, nested(depth))


def test_lists_count_as_levels_too(client, table, pk):
    value = S("leaf")
    for _ in range(40):
        value = L(value)
    with invalid(has="Nesting Levels have exceeded supported limits"):
        put(client, table, pk, value)


def test_lists_hold_mixed_types_in_order(client, table, pk):
    value = L(S("a"), N("1"), BOOL(True), NULL, L(S("deep")), M(x=N("2")), B(b"\x01"))
    put(client, table, pk, value)
    assert stored(client, table, pk) == value


# Malformed values


def test_a_value_of_no_type_is_refused(call, table, pk):
    message = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
    with invalid(message):
        call("PutItem", {"TableName": table, "Item": {"p": S(pk), "v": {}}})


def test_a_value_of_two_types_is_refused(call, table, pk):
    message = (
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
    )
    with invalid(message):
        call("PutItem", {"TableName": table, "Item": {"p": S(pk), "v": {"S": "a", "N": "1"}}})


@pytest.mark.parametrize("kind, wrap", [("L", lambda v: {"L": [v]}), ("M", lambda v: {"M": {"a": v}})])
def test_a_nested_value_of_no_type_is_refused(call, table, pk, kind, wrap):
    message = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
    with invalid(message):
        call("PutItem", {"TableName": table, "Item": {"p": S(pk), "v": wrap({})}})


def test_a_null_member_counts_as_absent(call, table, pk):
    call("PutItem", {"TableName": table, "Item": {"p": S(pk), "v": {"S": "a", "N": None}}, "ConditionExpression": None})


@pytest.mark.parametrize(
    "value",
    [
        {"N": 3},
        {"S": 3},
        {"S": True},
        {"S": ["a"]},
        {"S": {"a": "b"}},
        {"L": "x"},
        {"L": {"a": S("b")}},
        {"M": [S("a")]},
    ]
    + [{"SS": "a"}, {"SS": [1]}, {"NS": [1]}, "text", 7, [S("a")]],
    ids=str,
)
@differs("answers a 500")
def test_values_of_the_wrong_json_type_do_not_deserialize(call, table, pk, value):
    with rejected("SerializationException"):
        call("PutItem", {"TableName": table, "Item": {"p": S(pk), "v": value}})


def test_an_attribute_name_is_never_empty(call, table, pk):
    with rejected("ValidationException"):
        call("PutItem", {"TableName": table, "Item": {"p": S(pk), "": S("x")}})


def test_attribute_names_may_be_any_text(client, table, pk):
    names = ["with space", "dotted.name", "[0]", "#hash", ":colon", "漢字", "🦀", "a" * 300, "SELECT"]
    client.put_item(TableName=table, Item={"p": S(pk), **{name: N(at) for at, name in enumerate(names)}})
    item = client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)["Item"]
    assert item == {"p": S(pk), **{name: N(at) for at, name in enumerate(names)}}


def test_nul_characters_are_ordinary(client, table, pk):
    put(client, table, pk, S("a\x00b"))
    assert stored(client, table, pk) == S("a\x00b")


def test_nul_characters_are_ordinary_in_keys_and_names(client, ranged, pk):
    item = {"p": S(pk + "\x00"), "c": S("\x00"), "n\x00m": S("v")}
    client.put_item(TableName=ranged, Item=item)
    answer = client.query(
        TableName=ranged, KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": S(pk + "\x00")}
    )
    assert answer["Items"] == [item]


def test_keys_that_are_prefixes_of_each_other_stay_apart(client, ranged, pk):
    for tail in ("", "\x00", "\x00\x00", "a", "a\x00"):
        client.put_item(TableName=ranged, Item={"p": S(pk + tail), "c": S("1")})
    answer = client.query(
        TableName=ranged, KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": S(pk + "\x00")}
    )
    assert answer["Count"] == 1
