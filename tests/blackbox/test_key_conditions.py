"""KeyConditionExpression: which forms address a partition and a range of sort keys, and which are refused.

A Query is the only cheap way to read many items, so its condition language is exact and small.
"""

import re

import pytest

from rejections import OMPVI, invalid
from values import L, N, S, unique

SORTED = ["", "a", "ab", "abc", "abd", "b", "ba", "c", "é"][1:]


@pytest.fixture(scope="module")
def letters(client, ranged):
    pk = unique()
    for c in SORTED:
        client.put_item(TableName=ranged, Item={"p": S(pk), "c": S(c), "v": S("v")})
    return pk


def query(client, ranged, pk, condition, values=None, **more):
    used = {name: value for name, value in {":p": S(pk), **(values or {})}.items() if name in condition}
    return client.query(
        TableName=ranged, KeyConditionExpression=condition, ExpressionAttributeValues=used, ConsistentRead=True, **more
    )


A, AB, B_, ABD = {":a": S("a")}, {":a": S("ab")}, {":a": S("b")}, {":a": S("abd")}


@pytest.mark.parametrize(
    "condition, values, found",
    [
        ("p = :p", {}, SORTED),
        ("p = :p AND c = :a", AB, ["ab"]),
        ("p = :p AND c < :a", AB, ["a"]),
        ("p = :p AND c <= :a", AB, ["a", "ab"]),
        ("p = :p AND c > :a", ABD, ["b", "ba", "c", "é"]),
        ("p = :p AND c >= :a", ABD, ["abd", "b", "ba", "c", "é"]),
        ("p = :p AND begins_with(c, :a)", A, ["a", "ab", "abc", "abd"]),
        ("p = :p AND begins_with(c, :a)", B_, ["b", "ba"]),
        ("p = :p AND begins_with(c, :a)", {":a": S("zz")}, []),
        ("p = :p AND c BETWEEN :a AND :b", {":a": S("ab"), ":b": S("b")}, ["ab", "abc", "abd", "b"]),
        ("p = :p AND c between :a and :b", {":a": S("b"), ":b": S("b")}, ["b"]),
        ("c = :a AND p = :p", AB, ["ab"]),
        (":p = p", {}, SORTED),
        ("p = :p AND :a = c", AB, ["ab"]),
        ("p = :p AND :a < c", ABD, ["b", "ba", "c", "é"]),
        ("p = :p AND :a >= c", AB, ["a", "ab"]),
        ("(p = :p) AND (c = :a)", AB, ["ab"]),
        ("(p = :p AND c = :a)", AB, ["ab"]),
        ("(p = :p) AND c BETWEEN :a AND :b", {":a": S("c"), ":b": S("z")}, ["c"]),
        ("begins_with(c, :a) AND p = :p", B_, ["b", "ba"]),
    ],
)
def test_conditions_select_by_sort_key(client, ranged, letters, condition, values, found):
    answer = query(client, ranged, letters, condition, values)
    assert [item["c"]["S"] for item in answer["Items"]] == found
    assert answer["Count"] == answer["ScannedCount"] == len(found)


def test_names_may_be_placeholders(client, ranged, letters):
    answer = query(
        client,
        ranged,
        letters,
        "#p = :p AND #c = :a",
        AB,
        ExpressionAttributeNames={"#p": "p", "#c": "c"},
    )
    assert answer["Count"] == 1


PREFIX = "Invalid KeyConditionExpression: "


@pytest.mark.parametrize(
    "condition, values, message",
    [
        ("c = :a", A, "Query condition missed key schema element: p"),
        ("v = :a", A, "Query condition missed key schema element: p"),
        ("p = :p AND v = :a", A, "Query condition missed key schema element: c"),
        ("p > :p", {}, "Query key condition not supported"),
        ("begins_with(p, :p)", {}, "Query key condition not supported"),
        ("p BETWEEN :p AND :p", {}, "Query key condition not supported"),
        ("p = :p AND c = :a AND v = :a", A, "Conditions can be of length 1 or 2 only"),
        (
            "p = :p AND c > :a AND c < :b",
            {":a": S("a"), ":b": S("b")},
            "KeyConditionExpressions must only contain one condition per key",
        ),
        ("p = :p AND p = :a", A, "KeyConditionExpressions must only contain one condition per key"),
        ("p = :a", {":a": N("1")}, OMPVI + "Condition parameter type does not match schema type"),
        ("p = :p AND c = :a", {":a": N("1")}, OMPVI + "Condition parameter type does not match schema type"),
        ("p = :p AND c = :a", {":a": L()}, OMPVI + "Condition parameter type does not match schema type"),
        (
            "p = :p AND c BETWEEN :a AND :b",
            {":a": N("1"), ":b": N("2")},
            OMPVI + "Condition parameter type does not match schema type",
        ),
    ],
)
def test_conditions_that_do_not_fit_the_key(client, ranged, letters, condition, values, message):
    with invalid(message):
        query(client, ranged, letters, condition, values)


@pytest.mark.parametrize(
    "condition, values, message",
    [
        ("p = :p OR c = :a", A, "Invalid operator used in KeyConditionExpression: OR"),
        ("NOT p = :p", {}, "Invalid operator used in KeyConditionExpression: NOT"),
        ("p = :p AND c <> :a", A, "Invalid operator used in KeyConditionExpression: <>"),
        ("p = :p AND c IN (:a)", A, "Invalid operator used in KeyConditionExpression: IN"),
        ("p = :p AND contains(c, :a)", A, "Invalid operator used in KeyConditionExpression: contains"),
        ("p = :p AND attribute_exists(c)", {}, "Invalid operator used in KeyConditionExpression: attribute_exists"),
        ("p = :p AND size(c) = :a", {":a": N("1")}, "KeyConditionExpressions cannot contain nested operations"),
        (
            "p = :p AND c = v",
            {},
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
        ),
        (
            "p = :p AND :a = :b",
            {":a": S("a"), ":b": S("b")},
            "Invalid condition in KeyConditionExpression: No key attribute specified",
        ),
        (
            "p = :p AND c BETWEEN :b AND :a",
            {":a": S("a"), ":b": S("b")},
            PREFIX + "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
            "lower bound operand: AttributeValue: {S:b}, upper bound operand: AttributeValue: {S:a}",
        ),
        (
            "p = :p AND c BETWEEN :a AND :b",
            {":a": S("a"), ":b": N("1")},
            PREFIX + "The BETWEEN operator requires same data type for lower and upper bounds; "
            "lower bound operand: AttributeValue: {S:a}, upper bound operand: AttributeValue: {N:1}",
        ),
        (
            "p = :p AND begins_with(c, :a)",
            {":a": N("1")},
            PREFIX
            + "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
        ),
        ("p = :p AND year = :a", A, PREFIX + "Attribute name is a reserved keyword; reserved keyword: year"),
        (
            "p = :zz",
            {},
            PREFIX + "An expression attribute value used in expression is not defined; attribute value: :zz",
        ),
        (
            "#zz = :p",
            {},
            PREFIX + "An expression attribute name used in the document path is not defined; attribute name: #zz",
        ),
        ("nofunction(c, :a) AND p = :p", A, PREFIX + "Invalid function name; function: nofunction"),
        ("", {}, PREFIX + "The expression can not be empty;"),
    ],
)
def test_conditions_that_make_no_sense(client, ranged, letters, condition, values, message):
    with invalid(message):
        if ":p" in condition or values:
            query(client, ranged, letters, condition, values)
        else:
            client.query(TableName=ranged, KeyConditionExpression=condition)


@pytest.mark.parametrize("condition", ["p = :p AND c.x = :a", "p = :p AND c[0] = :a", "p.x = :p"])
def test_keys_are_never_nested(client, ranged, letters, condition):
    with invalid():
        query(client, ranged, letters, condition, A)


@pytest.mark.parametrize(
    "condition, token",
    [
        ("p =", "<EOF>"),
        ("p = :p AND", "<EOF>"),
        ("p == :p", "="),
        ("p = :p c = :p", "c"),
        ("p = 'x'", "'"),
        ("p = :p, c = :p", ","),
        ("p = :p AND c BETWEEN :p", "<EOF>"),
        ("p", "<EOF>"),
    ],
)
def test_syntax_errors_name_the_token(client, ranged, letters, condition, token):
    with invalid(matches=f'^{PREFIX}Syntax error; token: "{re.escape(token)}"'):
        client.query(TableName=ranged, KeyConditionExpression=condition, ExpressionAttributeValues={":p": S(letters)})


def test_a_query_needs_a_condition(client, ranged):
    message = "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
    with invalid(message):
        client.query(TableName=ranged)


def test_a_hash_only_table_takes_no_second_condition(client, table, pk):
    with invalid():
        client.query(
            TableName=table,
            KeyConditionExpression="p = :p AND c = :c",
            ExpressionAttributeValues={":p": S(pk), ":c": S("1")},
        )


EMPTY = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: {}"


@pytest.mark.parametrize("name", ["p", "c"])
def test_a_key_in_a_condition_is_never_empty(client, ranged, pk, name):
    values = {":p": S(pk), ":c": S("1"), f":{name}": S("")}
    with invalid(EMPTY.format(name)):
        client.query(TableName=ranged, KeyConditionExpression="p = :p AND c = :c", ExpressionAttributeValues=values)
