"""Key attributes are scalars: expressions that look into one are refused by the table's schema, before any item is read.

Servers that evaluate such paths as missing attributes look right until a typing error in production goes unnoticed.
"""

import pytest

from rejections import invalid, rejected
from schemas import index, keyed_by
from values import S

TEXT = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "


@pytest.fixture(scope="module")
def indexed(make_table):
    return make_table(
        **keyed_by(
            "p:S",
            "c:S",
            gsi=[index("by_g", "g:S", include=["a"])],
            lsi=[index("by_l", "p:S", "l:S", projection="KEYS_ONLY")],
        )
    )


@pytest.fixture
def key(pk):
    return {"p": S(pk), "c": S("1")}


PATHS = [
    ("p.x", "Key: p"),
    ("c[0]", "Key: c"),
    ("g.x", "IndexKey: g"),
    ("l[1].y", "IndexKey: l"),
]


@pytest.mark.parametrize("path, named", PATHS)
def test_projections(client, indexed, key, path, named):
    with invalid(TEXT + named):
        client.get_item(TableName=indexed, Key=key, ProjectionExpression=path)
    with invalid(TEXT + named):
        client.scan(TableName=indexed, ProjectionExpression=path)
    with invalid(TEXT + named):
        client.batch_get_item(RequestItems={indexed: {"Keys": [key], "ProjectionExpression": path}})
    with invalid(TEXT + named):
        client.transact_get_items(
            TransactItems=[{"Get": {"TableName": indexed, "Key": key, "ProjectionExpression": path}}]
        )


@pytest.mark.parametrize("path, named", PATHS)
def test_conditions(client, indexed, key, path, named):
    condition = f"attribute_not_exists({path})"
    with invalid(TEXT + named):
        client.put_item(TableName=indexed, Item=key, ConditionExpression=condition)
    with invalid(TEXT + named):
        client.delete_item(TableName=indexed, Key=key, ConditionExpression=condition)
    with invalid(TEXT + named):
        client.update_item(TableName=indexed, Key=key, UpdateExpression="SET a = c", ConditionExpression=condition)


@pytest.mark.parametrize("path, named", PATHS)
def test_filters(client, indexed, key, path, named):
    with invalid(TEXT + named):
        client.scan(TableName=indexed, FilterExpression=f"attribute_exists({path})")


@pytest.mark.parametrize("path, named", PATHS[2:])
def test_updates_of_and_from_index_keys(client, indexed, key, path, named):
    with invalid(TEXT + named):
        client.update_item(TableName=indexed, Key=key, UpdateExpression=f"REMOVE {path}")
    with invalid(TEXT + named):
        client.update_item(TableName=indexed, Key=key, UpdateExpression=f"SET a = if_not_exists(b, {path})")
    with invalid(TEXT + named):
        client.transact_write_items(
            TransactItems=[{"Update": {"TableName": indexed, "Key": key, "UpdateExpression": f"REMOVE {path}"}}]
        )


def test_updates_of_parts_of_the_table_key_are_updates_of_the_key(client, indexed, key):
    with invalid(
        "One or more parameter values were invalid: Cannot update attribute p. This attribute is part of the key"
    ):
        client.update_item(TableName=indexed, Key=key, UpdateExpression="SET p.x = c")


def test_the_key_itself_is_checked_first(client, indexed, pk):
    with invalid("The provided key element does not match the schema"):
        client.get_item(TableName=indexed, Key={"p": S(pk)}, ProjectionExpression="p.x")


def test_a_missing_table_comes_first(client):
    with rejected("ResourceNotFoundException"):
        client.get_item(TableName="no-such-table", Key={"p": S("x")}, ProjectionExpression="p.x")
