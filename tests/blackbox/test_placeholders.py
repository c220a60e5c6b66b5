"""ExpressionAttributeNames and ExpressionAttributeValues: undefined, unused, empty, misspelled, unneeded.

ORMs generate these; the exact refusals are how their authors find mistakes.
"""

import pytest

from marks import differs
from rejections import OMPVI, invalid
from values import SS, N, S


def put(client, table, pk, **more):
    client.put_item(TableName=table, Item={"p": S(pk)}, **more)


def test_unused_names_are_refused(client, table, pk):
    with invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}"):
        put(
            client,
            table,
            pk,
            ConditionExpression="attribute_not_exists(#a)",
            ExpressionAttributeNames={"#a": "a", "#b": "b"},
        )


def test_unused_values_are_refused(client, table, pk):
    with invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {:b}"):
        put(client, table, pk, ConditionExpression="a <> :a", ExpressionAttributeValues={":a": S("a"), ":b": S("b")})


def test_all_unused_names_are_listed(client, table, pk):
    with invalid(has="Value provided in ExpressionAttributeNames unused in expressions: keys: {") as seen:
        put(
            client,
            table,
            pk,
            ConditionExpression="attribute_not_exists(a)",
            ExpressionAttributeNames={"#a": "a", "#b": "b"},
        )
    assert "#a" in seen.message and "#b" in seen.message


def test_names_may_be_used_in_any_of_the_expressions(client, table, pk):
    client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        UpdateExpression="SET #a = :a",
        ConditionExpression="#b <> :b",
        ExpressionAttributeNames={"#a": "a", "#b": "b"},
        ExpressionAttributeValues={":a": S("a"), ":b": S("b")},
    )


@pytest.mark.parametrize("operation", ["put_item", "get_item", "delete_item", "update_item"])
def test_names_need_an_expression(client, table, pk, operation):
    target = {"Item": {"p": S(pk)}} if operation == "put_item" else {"Key": {"p": S(pk)}}
    with invalid("ExpressionAttributeNames can only be specified when using expressions"):
        getattr(client, operation)(TableName=table, ExpressionAttributeNames={"#a": "a"}, **target)


@pytest.mark.parametrize(
    "operation, expressions",
    [
        ("put_item", "ConditionExpression is null"),
        ("delete_item", "ConditionExpression is null"),
        ("update_item", "UpdateExpression and ConditionExpression are null"),
    ],
)
def test_values_need_an_expression(client, table, pk, operation, expressions):
    target = {"Item": {"p": S(pk)}} if operation == "put_item" else {"Key": {"p": S(pk)}}
    with invalid(f"ExpressionAttributeValues can only be specified when using expressions: {expressions}"):
        getattr(client, operation)(TableName=table, ExpressionAttributeValues={":a": S("a")}, **target)


def test_names_are_never_an_empty_map(client, table, pk):
    with invalid("ExpressionAttributeNames must not be empty"):
        put(client, table, pk, ConditionExpression="attribute_not_exists(a)", ExpressionAttributeNames={})


def test_values_are_never_an_empty_map(client, table, pk):
    with invalid("ExpressionAttributeValues must not be empty"):
        put(client, table, pk, ConditionExpression="attribute_not_exists(a)", ExpressionAttributeValues={})


@pytest.mark.parametrize("name", ["a", "a#", ":a", "##a", "#", "#a b", "#a-b", "#a.b"])
def test_names_begin_with_a_hash(client, table, pk, name):
    with invalid(f'ExpressionAttributeNames contains invalid key: Syntax error; key: "{name}"'):
        put(client, table, pk, ConditionExpression="attribute_not_exists(a)", ExpressionAttributeNames={name: "a"})


@pytest.mark.parametrize("name", ["a", "a:", "#a", "::a", ":", ":a b", ":a-b", ":a.b"])
def test_values_begin_with_a_colon(client, table, pk, name):
    with invalid(f'ExpressionAttributeValues contains invalid key: Syntax error; key: "{name}"'):
        put(client, table, pk, ConditionExpression="attribute_not_exists(a)", ExpressionAttributeValues={name: S("a")})


@pytest.mark.parametrize("parameter, value", [("ExpressionAttributeNames", "a"), ("ExpressionAttributeValues", S("a"))])
def test_placeholders_have_a_name(client, table, pk, parameter, value):
    with invalid(has=f"{parameter} contains invalid key: "):
        put(client, table, pk, ConditionExpression="attribute_not_exists(a)", **{parameter: {"": value}})


@pytest.mark.parametrize("name", ["#a", "#A1", "#1", "#a_b", "#_", "#0a"])
def test_names_may_look_like_this(client, table, pk, name):
    put(client, table, pk, ConditionExpression=f"attribute_not_exists({name})", ExpressionAttributeNames={name: "a"})


@pytest.mark.parametrize("name", [":a", ":A1", ":1", ":a_b", ":_", ":0a"])
def test_values_may_look_like_this(client, table, pk, name):
    put(client, table, pk, ConditionExpression=f"a <> {name}", ExpressionAttributeValues={name: S("a")})


@pytest.mark.parametrize(
    "value, message",
    [
        (SS(), OMPVI + "An string set  may not be empty"),
        ({}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        (
            {"S": "a", "N": "1"},
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
        ),
        (N("x"), "The parameter cannot be converted to a numeric value: x"),
        ({"NULL": False}, OMPVI + "Null attribute value types must have the value of true"),
    ],
    ids=["empty set", "no type", "two types", "no number", "false null"],
)
def test_a_bad_value_is_named(call, table, pk, value, message):
    with invalid(f"ExpressionAttributeValues contains invalid value: {message} for key :v"):
        call(
            "PutItem",
            {
                "TableName": table,
                "Item": {"p": S(pk)},
                "ConditionExpression": "a <> :v",
                "ExpressionAttributeValues": {":v": value},
            },
        )


def test_a_placeholder_of_255_bytes_fits(client, table, pk):
    name = "#" + "n" * 254
    put(client, table, pk, ConditionExpression=f"attribute_not_exists({name})", ExpressionAttributeNames={name: "a"})


def test_a_longer_placeholder_is_refused(client, table, pk):
    name = "#" + "n" * 255
    with invalid():
        put(
            client, table, pk, ConditionExpression=f"attribute_not_exists({name})", ExpressionAttributeNames={name: "a"}
        )


@pytest.mark.parametrize(
    "word",
    [
        "NAME",
        "name",
        "Status",
        "DATA",
        "year",
        "TTL",
        "Order",
        "user",
        "KEY",
        "hash",
        "items",
        "zone",
        "abort",
        "percent",
        "timestamp",
        "view",
        "TOKEN",
        "region",
        "counter",
        "date",
        "total",
    ],
)
def test_reserved_words_are_refused_bare_in_any_case(client, table, pk, word):
    with invalid(f"Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: {word}"):
        put(client, table, pk, ConditionExpression=f"attribute_not_exists({word})")


@pytest.mark.parametrize(
    "word", ["id", "title", "email", "created_at", "price", "p", "version", "payload", "content", "sku", "amount"]
)
def test_ordinary_words_are_not_reserved(client, table, pk, word):
    put(client, table, pk, ConditionExpression=f"attribute_not_exists({word})")


def test_reserved_words_work_as_placeholders(client, table, pk):
    put(
        client, table, pk, ConditionExpression="attribute_not_exists(#name)", ExpressionAttributeNames={"#name": "name"}
    )


def test_expressions_and_legacy_parameters_do_not_mix(client, table, pk):
    message = (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}"
    )
    with invalid(message):
        put(client, table, pk, ConditionExpression="attribute_not_exists(a)", Expected={"a": {"Exists": False}})


@differs("looks for the table first")
def test_the_first_mistake_reported_is_the_expression_not_the_table(client, pk):
    with invalid(has="Invalid ConditionExpression"):
        put(client, "no-such-table-" + pk, pk, ConditionExpression="a =")
