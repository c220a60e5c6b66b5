"""The parameters of before expressions: Expected, AttributeUpdates, KeyConditions, QueryFilter, ScanFilter, AttributesToGet.

Old SDK code and several ORMs still send them, and they may not be mixed with expressions.
"""

import pytest

from marks import case, differs, differs_often
from rejections import CONDITION_FAILED, invalid, rejected
from values import BOOL, NS, NULL, SS, L, N, S, same_item, unique


def get(client, table, pk):
    return client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True).get("Item")


# AttributeUpdates


@pytest.mark.parametrize(
    "before, updates, after",
    [
        ({}, {"a": {"Action": "PUT", "Value": S("x")}}, {"a": S("x")}),
        case({"a": S("1")}, {"a": {"Value": S("x")}}, {"a": S("x")}, differs_locally="needs an action"),
        ({"a": S("1"), "b": S("2")}, {"a": {"Action": "DELETE"}}, {"b": S("2")}),
        ({"a": S("1")}, {"zz": {"Action": "DELETE"}}, {"a": S("1")}),
        ({"s": SS("a", "b")}, {"s": {"Action": "DELETE", "Value": SS("a")}}, {"s": SS("b")}),
        ({"s": SS("a")}, {"s": {"Action": "DELETE", "Value": SS("a")}}, {}),
        ({"n": N("1")}, {"n": {"Action": "ADD", "Value": N("2")}}, {"n": N("3")}),
        ({}, {"n": {"Action": "ADD", "Value": N("2")}}, {"n": N("2")}),
        ({"s": NS("1")}, {"s": {"Action": "ADD", "Value": NS("2")}}, {"s": NS("1", "2")}),
        ({"l": L(N("1"))}, {"l": {"Action": "ADD", "Value": L(N("2"))}}, {"l": L(N("1"), N("2"))}),
        (
            {},
            {"a": {"Action": "PUT", "Value": S("x")}, "b": {"Action": "PUT", "Value": N("1")}},
            {"a": S("x"), "b": N("1")},
        ),
    ],
)
def test_attribute_updates(client, table, pk, before, updates, after):
    client.put_item(TableName=table, Item={"p": S(pk), **before})
    client.update_item(TableName=table, Key={"p": S(pk)}, AttributeUpdates=updates)
    assert same_item(get(client, table, pk), {"p": S(pk), **after})


@pytest.mark.parametrize(
    "updates",
    [
        {"a": {"Action": "PUT"}},
        {"a": {"Action": "ADD"}},
        {"a": {"Action": "ADD", "Value": S("x")}},
        {"a": {"Action": "DELETE", "Value": S("x")}},
        {"a": {"Action": "NONE", "Value": S("x")}},
        {"p": {"Action": "PUT", "Value": S("x")}},
    ],
    ids=str,
)
def test_attribute_updates_that_make_no_sense(client, table, pk, updates):
    with invalid():
        client.update_item(TableName=table, Key={"p": S(pk)}, AttributeUpdates=updates)


def test_adding_to_another_type_is_refused(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "a": S("x")})
    with invalid("Type mismatch for attribute to update"):
        client.update_item(
            TableName=table, Key={"p": S(pk)}, AttributeUpdates={"a": {"Action": "ADD", "Value": N("1")}}
        )


# Expected


ITEM = {"s": S("hello"), "n": N("10"), "ss": SS("a", "b"), "l": L(S("x"), N("1")), "nul": NULL}


def holds(client, table, pk, expected, **more):
    client.put_item(TableName=table, Item={"p": S(pk), **ITEM})
    write = lambda: client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        AttributeUpdates={"seen": {"Value": BOOL(True)}},
        Expected=expected,
        **more,
    )
    try:
        write()
        return True
    except client.exceptions.ConditionalCheckFailedException:
        return False


COMPARISONS = [
    ("s", "EQ", [S("hello")], True),
    ("s", "EQ", [S("other")], False),
    ("s", "EQ", [N("1")], False),
    ("n", "EQ", [N("10.0")], True),
    ("zz", "EQ", [S("x")], False),
    ("ss", "EQ", [SS("b", "a")], True),
    ("s", "NE", [S("other")], True),
    ("s", "NE", [S("hello")], False),
    ("zz", "NE", [S("x")], True),
    ("n", "LT", [N("11")], True),
    ("n", "LE", [N("10")], True),
    ("n", "GT", [N("10")], False),
    ("n", "GE", [N("10")], True),
    ("n", "LT", [S("x")], False),
    ("n", "BETWEEN", [N("5"), N("10")], True),
    ("n", "BETWEEN", [N("1"), N("5")], False),
    ("s", "BEGINS_WITH", [S("he")], True),
    ("s", "BEGINS_WITH", [S("x")], False),
    ("s", "CONTAINS", [S("ell")], True),
    ("ss", "CONTAINS", [S("a")], True),
    ("l", "CONTAINS", [N("1")], True),
    ("ss", "NOT_CONTAINS", [S("z")], True),
    ("ss", "NOT_CONTAINS", [S("a")], False),
    ("n", "IN", [N("1"), N("10")], True),
    ("n", "IN", [N("1")], False),
    ("s", "NOT_NULL", None, True),
    ("zz", "NOT_NULL", None, False),
    ("zz", "NULL", None, True),
    ("s", "NULL", None, False),
    ("nul", "NULL", None, False),
]


@pytest.mark.parametrize(
    "name, operator, values, truth", COMPARISONS, ids=[f"{c[0]} {c[1]} {c[2]}" for c in COMPARISONS]
)
def test_expected_comparisons(client, table, pk, name, operator, values, truth):
    expected = {name: {"ComparisonOperator": operator, **({"AttributeValueList": values} if values else {})}}
    assert holds(client, table, pk, expected) is truth


@pytest.mark.parametrize(
    "name, operator, values, truth", COMPARISONS, ids=[f"{c[0]} {c[1]} {c[2]}" for c in COMPARISONS]
)
def test_query_filters_compare_alike(client, ranged, pk, name, operator, values, truth):
    client.put_item(TableName=ranged, Item={"p": S(pk), "c": S("1"), **ITEM})
    answer = client.query(
        TableName=ranged,
        KeyConditions={"p": {"ComparisonOperator": "EQ", "AttributeValueList": [S(pk)]}},
        QueryFilter={name: {"ComparisonOperator": operator, **({"AttributeValueList": values} if values else {})}},
        ConsistentRead=True,
    )
    assert (answer["Count"], answer["ScannedCount"]) == (int(truth), 1)


@pytest.mark.parametrize(
    "expected, truth",
    [
        ({"s": {"Value": S("hello")}}, True),
        ({"s": {"Value": S("x")}}, False),
        ({"s": {"Exists": True, "Value": S("hello")}}, True),
        ({"zz": {"Exists": False}}, True),
        ({"s": {"Exists": False}}, False),
        ({"s": {"Value": S("hello")}, "n": {"Value": N("10")}}, True),
        ({"s": {"Value": S("hello")}, "n": {"Value": N("11")}}, False),
    ],
    ids=str,
)
def test_expected_values(client, table, pk, expected, truth):
    assert holds(client, table, pk, expected) is truth


@pytest.mark.parametrize("operator, truth", [("AND", False), ("OR", True)])
def test_conditions_are_joined(client, table, pk, operator, truth):
    expected = {"s": {"Value": S("hello")}, "n": {"Value": N("11")}}
    assert holds(client, table, pk, expected, ConditionalOperator=operator) is truth


def test_a_failure_has_the_same_words(client, table, pk):
    with rejected("ConditionalCheckFailedException", CONDITION_FAILED):
        client.put_item(TableName=table, Item={"p": S(pk)}, Expected={"a": {"Value": S("x")}})


@pytest.mark.parametrize(
    "expected",
    [
        {"s": {}},
        {"s": {"Exists": True}},
        {"s": {"Exists": False, "Value": S("x")}},
        {"s": {"ComparisonOperator": "EQ"}},
        {"s": {"ComparisonOperator": "EQ", "AttributeValueList": []}},
        {"s": {"ComparisonOperator": "EQ", "AttributeValueList": [S("a"), S("b")]}},
        {"s": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [S("a")]}},
        {"s": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [S("b"), S("a")]}},
        {"s": {"ComparisonOperator": "NULL", "AttributeValueList": [S("a")]}},
        {"s": {"ComparisonOperator": "LIKE", "AttributeValueList": [S("a")]}},
        {"s": {"ComparisonOperator": "EQ", "AttributeValueList": [S("a")], "Value": S("a")}},
        {"s": {"ComparisonOperator": "LT", "AttributeValueList": [SS("a")]}},
        {"s": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [N("1")]}},
    ],
    ids=str,
)
def test_expected_that_makes_no_sense(client, table, pk, expected):
    with invalid():
        client.put_item(TableName=table, Item={"p": S(pk)}, Expected=expected)


def test_a_joining_word_needs_two_conditions(client, table, pk):
    with invalid():
        client.put_item(TableName=table, Item={"p": S(pk)}, ConditionalOperator="OR")


# KeyConditions


@pytest.fixture(scope="module")
def letters(client, ranged):
    pk = unique()
    for c in ("a", "ab", "b", "c"):
        client.put_item(TableName=ranged, Item={"p": S(pk), "c": S(c), "n": N(len(c))})
    return pk


@pytest.mark.parametrize(
    "operator, values, found",
    [
        ("EQ", ["ab"], ["ab"]),
        ("LT", ["b"], ["a", "ab"]),
        ("LE", ["b"], ["a", "ab", "b"]),
        ("GT", ["ab"], ["b", "c"]),
        ("GE", ["ab"], ["ab", "b", "c"]),
        ("BETWEEN", ["ab", "b"], ["ab", "b"]),
        ("BEGINS_WITH", ["a"], ["a", "ab"]),
    ],
)
def test_key_conditions(client, ranged, letters, operator, values, found):
    answer = client.query(
        TableName=ranged,
        KeyConditions={
            "p": {"ComparisonOperator": "EQ", "AttributeValueList": [S(letters)]},
            "c": {"ComparisonOperator": operator, "AttributeValueList": [S(value) for value in values]},
        },
        ConsistentRead=True,
    )
    assert [item["c"]["S"] for item in answer["Items"]] == found


@pytest.mark.parametrize(
    "conditions",
    [
        {"p": {"ComparisonOperator": "GT", "AttributeValueList": [S("x")]}},
        {"c": {"ComparisonOperator": "EQ", "AttributeValueList": [S("x")]}},
        {"p": {"ComparisonOperator": "EQ", "AttributeValueList": [N("1")]}},
        case(
            {
                "p": {"ComparisonOperator": "EQ", "AttributeValueList": [S("x")]},
                "c": {"ComparisonOperator": "NE", "AttributeValueList": [S("x")]},
            },
            differs_locally="answers a 500",
        ),
        {
            "p": {"ComparisonOperator": "EQ", "AttributeValueList": [S("x")]},
            "n": {"ComparisonOperator": "EQ", "AttributeValueList": [N("1")]},
        },
        {},
    ],
    ids=str,
)
def test_key_conditions_that_do_not_fit(client, ranged, conditions):
    with invalid():
        client.query(TableName=ranged, KeyConditions=conditions)


# Reading


def test_attributes_to_get(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "a": S("a"), "b.c": S("dot"), "size": N("1")})
    answer = client.get_item(
        TableName=table, Key={"p": S(pk)}, AttributesToGet=["a", "b.c", "size", "zz"], ConsistentRead=True
    )
    assert answer["Item"] == {"a": S("a"), "b.c": S("dot"), "size": N("1")}


def test_attributes_to_get_in_queries_scans_and_batches(client, ranged, letters):
    key = {"p": S(letters), "c": S("a")}
    condition = {"ComparisonOperator": "EQ", "AttributeValueList": [S(letters)]}
    query = client.query(
        TableName=ranged, KeyConditions={"p": condition}, AttributesToGet=["n"], Limit=1, ConsistentRead=True
    )
    scan = client.scan(TableName=ranged, ScanFilter={"p": condition}, AttributesToGet=["n"], ConsistentRead=True)
    batch = client.batch_get_item(RequestItems={ranged: {"Keys": [key], "AttributesToGet": ["n"]}})
    assert query["Items"] == [{"n": N("1")}]
    assert len(scan["Items"]) == 4 and scan["Items"][0].keys() == {"n"}
    assert batch["Responses"][ranged] == [{"n": N("1")}]


def test_attributes_to_get_names_nothing_twice(client, table, pk):
    with invalid():
        client.get_item(TableName=table, Key={"p": S(pk)}, AttributesToGet=["a", "a"])


@differs("accepts it")
def test_attributes_to_get_is_never_empty(client, table, pk):
    with invalid():
        client.get_item(TableName=table, Key={"p": S(pk)}, AttributesToGet=[])


@pytest.mark.parametrize("operator, count", [("AND", 1), ("OR", 4)])
def test_scan_filters_are_joined(client, ranged, letters, operator, count):
    answer = client.scan(
        TableName=ranged,
        ScanFilter={
            "p": {"ComparisonOperator": "EQ", "AttributeValueList": [S(letters)]},
            "n": {"ComparisonOperator": "EQ", "AttributeValueList": [N("2")]},
        },
        ConditionalOperator=operator,
        ConsistentRead=True,
    )
    assert sum(item["p"] == S(letters) for item in answer["Items"]) == count


# Mixing

MIXED = "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {%s} Expression parameters: {%s}"


@pytest.mark.parametrize(
    "operation, arguments, old, new",
    [
        (
            "get_item",
            {"AttributesToGet": ["a"], "ProjectionExpression": "a"},
            "AttributesToGet",
            "ProjectionExpression",
        ),
        (
            "update_item",
            {"AttributeUpdates": {"a": {"Value": S("x")}}, "UpdateExpression": "REMOVE a"},
            "AttributeUpdates",
            "UpdateExpression",
        ),
        (
            "update_item",
            {"AttributeUpdates": {"a": {"Value": S("x")}}, "ConditionExpression": "a = b"},
            "AttributeUpdates",
            "ConditionExpression",
        ),
        (
            "delete_item",
            {"Expected": {"a": {"Exists": False}}, "ConditionExpression": "a = b"},
            "Expected",
            "ConditionExpression",
        ),
    ],
)
def test_old_and_new_parameters_do_not_mix(client, table, pk, operation, arguments, old, new):
    with invalid(MIXED % (old, new)):
        getattr(client, operation)(TableName=table, Key={"p": S(pk)}, **arguments)


def test_a_query_filter_leaves_the_key_alone(call, ranged, pk):
    condition = {"ComparisonOperator": "EQ", "AttributeValueList": [S(pk)]}
    with invalid("QueryFilter can only contain non-primary key attributes: Primary key attribute: c"):
        call("Query", {"TableName": ranged, "KeyConditions": {"p": condition}, "QueryFilter": {"c": condition}})


# Names that no attribute can have


@pytest.mark.parametrize(
    "name, text",
    [("", "Empty attribute name"), ("x" * 65536, "Attribute name is too large, must be less than 65536 bytes")],
    ids=["empty", "too long"],
)
@pytest.mark.parametrize(
    "operation, parameters",
    [
        ("update_item", lambda name: {"AttributeUpdates": {name: {"Value": S("x")}}}),
        ("update_item", lambda name: {"Expected": {name: {"Exists": False}}}),
        pytest.param(
            "get_item", lambda name: {"AttributesToGet": [name]}, marks=differs_often("looks at empty names only")
        ),
        ("scan", lambda name: {"ScanFilter": {name: {"ComparisonOperator": "NULL"}}}),
    ],
    ids=["AttributeUpdates", "Expected", "AttributesToGet", "ScanFilter"],
)
def test_names_have_their_bounds(client, table, pk, operation, parameters, name, text):
    """A name that an update let through would make an item that nothing can put again."""
    key = {} if operation == "scan" else {"Key": {"p": S(pk)}}
    with invalid(text):
        getattr(client, operation)(TableName=table, **key, **parameters(name))
