"""Sizes of expressions and numbers of operators, operands, projected attributes and placeholders, on both sides of each limit."""

import pytest

from rejections import invalid
from schemas import index, keyed_by
from values import N, S, unique

EXPRESSION_TOO_LONG = "Expression size has exceeded the maximum allowed size; expression size: {}"


def put(client, table, pk, condition, values=None):
    given = {"ExpressionAttributeValues": values} if values else {}
    return client.put_item(TableName=table, Item={"p": S(pk)}, ConditionExpression=condition, **given)


def test_an_expression_of_4096_bytes_is_fine(client, table, pk):
    condition = "attribute_not_exists(a)"
    put(client, table, pk, condition + " " * (4096 - len(condition)))


def test_a_longer_expression_is_refused(client, table, pk):
    condition = "attribute_not_exists(a)"
    with invalid("Invalid ConditionExpression: " + EXPRESSION_TOO_LONG.format(4097)):
        put(client, table, pk, condition + " " * (4097 - len(condition)))


@pytest.mark.parametrize(
    "parameter, expression",
    [("UpdateExpression", "SET a = :v"), ("ConditionExpression", "a = :v")],
)
def test_long_expressions_are_refused_wherever(client, table, pk, parameter, expression):
    with invalid(f"Invalid {parameter}: " + EXPRESSION_TOO_LONG.format(5000)):
        client.update_item(
            TableName=table,
            Key={"p": S(pk)},
            **{parameter: expression + " " * (5000 - len(expression))},
            ExpressionAttributeValues={":v": S("x")},
        )


@pytest.mark.parametrize(
    "parameter, expression",
    [("FilterExpression", "a = :v"), ("ProjectionExpression", "a"), ("KeyConditionExpression", "p = :v")],
)
def test_long_expressions_are_refused_in_queries(client, table, pk, parameter, expression):
    request = {"KeyConditionExpression": "p = :v", parameter: expression + " " * (5000 - len(expression))}
    with invalid(f"Invalid {parameter}: " + EXPRESSION_TOO_LONG.format(5000)):
        client.query(TableName=table, ExpressionAttributeValues={":v": S(pk)}, **request)


def any_of(count):
    """A condition of `count` comparisons and one operator less between them."""
    return " OR ".join(["a=:v"] * count)


def test_300_operators_are_fine(client, table, pk):
    """150 comparisons and 149 ORs are 299 operators."""
    client.put_item(TableName=table, Item={"p": S(pk), "a": S("x")})
    put(client, table, pk, any_of(150), {":v": S("x")})


def test_more_operators_are_refused(client, table, pk):
    with invalid("Invalid ConditionExpression: The expression contains too many operators; operator count: 301"):
        put(client, table, pk, any_of(151), {":v": S("x")})


def test_an_update_of_many_clauses_is_fine(client, table, pk):
    client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        UpdateExpression="SET " + ", ".join(f"a{at}=:v" for at in range(290)),
        ExpressionAttributeValues={":v": N(1)},
    )
    assert len(client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)["Item"]) == 291


def test_twenty_projected_attributes_per_index_are_fine(client, make_table):
    names = [f"a{at}" for at in range(20)]
    table = make_table(**keyed_by("p:S", gsi=[index("by_x", "x:S", include=names)]))
    described = client.describe_table(TableName=table)["Table"]["GlobalSecondaryIndexes"][0]
    assert sorted(described["Projection"]["NonKeyAttributes"]) == sorted(names)


def test_a_hundred_projected_attributes_in_all(client, make_table):
    each = lambda number: index(f"by_{number}", f"x{number}:S", include=[f"a{number}_{at}" for at in range(20)])
    make_table(**keyed_by("p:S", gsi=[each(number) for number in range(5)]))
    with invalid():
        client.create_table(TableName=unique("tl"), **keyed_by("p:S", gsi=[each(number) for number in range(6)]))


def test_a_projected_attribute_counts_in_every_index(client):
    each = lambda number: index(f"by_{number}", f"x{number}:S", include=[f"a{at}" for at in range(20)])
    with invalid():
        client.create_table(TableName=unique("tl"), **keyed_by("p:S", gsi=[each(number) for number in range(6)]))


@pytest.mark.parametrize("length", [3, 255])
def test_table_names_of_any_allowed_length(client, make_table, length):
    name = (unique() + "x" * 255)[-length:] if length == 255 else "z" + unique()[-2:]
    make_table(TableName=name, **keyed_by("p:S"))
    client.put_item(TableName=name, Item={"p": S("x")})


@pytest.mark.parametrize("name", ["dot.ted", "under_score", "dash-ed", "UPPER", "123"])
def test_table_names_of_any_allowed_character(client, make_table, name):
    full = name + unique()
    make_table(TableName=full, **keyed_by("p:S"))
    client.put_item(TableName=full, Item={"p": S("x")})


def test_a_key_attribute_name_has_255_characters_at_most(client, make_table):
    make_table(**keyed_by("k" * 255 + ":S"))
    with invalid():
        client.create_table(TableName=unique("tl"), **keyed_by("k" * 256 + ":S"))
