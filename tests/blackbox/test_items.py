"""PutItem, GetItem, UpdateItem and DeleteItem on single items: what they store, what they return, when they refuse.

These four carry nearly all traffic of real applications, and SDKs rely on which member is absent and which is empty.
"""

import pytest

from marks import case, differs
from rejections import CONDITION_FAILED, NOT_FOUND, OMPVI, WRONG_KEY, invalid, rejected
from values import BOOL, BS, NS, NULL, SS, B, L, M, N, S, unique


def get(client, table, key, **more):
    return client.get_item(TableName=table, Key=key, ConsistentRead=True, **more).get("Item")


@pytest.mark.parametrize(
    "value",
    [S("text"), N("12.5"), B(b"\x00\xff"), BOOL(True), BOOL(False), NULL, L(S("a"), N("1")), M(a=S("b"), c=L(N("2")))]
    + [
        SS("a", "b"),
        NS("1", "2"),
        BS(b"a", b"b"),
        L(),
        M(),
        S(""),
        B(b""),
        S("ünï 漢字 🦀"),
        S('line\nbreak\t"quoted" \\'),
    ],
    ids=lambda value: str(value)[:40],
)
def test_every_type_comes_back_as_it_was_put(client, table, pk, value):
    client.put_item(TableName=table, Item={"p": S(pk), "v": value})
    stored = get(client, table, {"p": S(pk)})["v"]
    kind = next(iter(value))
    if kind.endswith("S") and len(kind) == 2:
        assert sorted(stored[kind]) == sorted(value[kind])
    else:
        assert stored == value


def test_put_replaces_the_whole_item(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "a": S("1"), "b": S("2")})
    client.put_item(TableName=table, Item={"p": S(pk), "c": S("3")})
    assert get(client, table, {"p": S(pk)}) == {"p": S(pk), "c": S("3")}


def test_a_missing_item_has_no_item_member(call, table, pk):
    assert call("GetItem", {"TableName": table, "Key": {"p": S(pk)}}) == {}


def test_a_projection_that_matches_nothing_gives_an_empty_item(call, client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk)})
    request = {"TableName": table, "Key": {"p": S(pk)}, "ProjectionExpression": "nothing_here"}
    assert call("GetItem", request) == {"Item": {}}


def test_an_eventual_read_is_the_default_and_works(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk)})
    assert "Item" in client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)
    client.get_item(TableName=table, Key={"p": S(pk)})


@pytest.mark.parametrize(
    "operation", ["PutItem", case("DeleteItem", differs_locally="shows capacity unasked"), "UpdateItem"]
)
def test_writes_without_options_answer_an_empty_object(call, table, pk, operation):
    target = {"Item": {"p": S(pk)}} if operation == "PutItem" else {"Key": {"p": S(pk)}}
    assert call(operation, {"TableName": table, **target}) == {}


def test_deleting_a_missing_item_succeeds(client, table, pk):
    answer = client.delete_item(TableName=table, Key={"p": S(pk)}, ReturnValues="ALL_OLD")
    assert "Attributes" not in answer


def test_delete_removes_the_item(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk)})
    client.delete_item(TableName=table, Key={"p": S(pk)})
    assert get(client, table, {"p": S(pk)}) is None


def test_items_with_a_sort_key_are_separate(client, ranged, pk):
    for c in ("1", "2"):
        client.put_item(TableName=ranged, Item={"p": S(pk), "c": S(c), "v": S("v" + c)})
    client.delete_item(TableName=ranged, Key={"p": S(pk), "c": S("1")})
    assert get(client, ranged, {"p": S(pk), "c": S("1")}) is None
    assert get(client, ranged, {"p": S(pk), "c": S("2")})["v"] == S("v2")


# ReturnValues


def test_put_all_old_returns_the_replaced_item(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "a": S("old")})
    answer = client.put_item(TableName=table, Item={"p": S(pk), "b": S("new")}, ReturnValues="ALL_OLD")
    assert answer["Attributes"] == {"p": S(pk), "a": S("old")}


def test_put_all_old_of_a_new_item_returns_no_attributes(client, table, pk):
    assert "Attributes" not in client.put_item(TableName=table, Item={"p": S(pk)}, ReturnValues="ALL_OLD")


def test_delete_all_old_returns_the_deleted_item(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "a": S("old")})
    answer = client.delete_item(TableName=table, Key={"p": S(pk)}, ReturnValues="ALL_OLD")
    assert answer["Attributes"] == {"p": S(pk), "a": S("old")}


@pytest.mark.parametrize("wanted", ["UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"])
def test_put_returns_only_old_values(client, table, pk, wanted):
    with invalid("ReturnValues can only be ALL_OLD or NONE"):
        client.put_item(TableName=table, Item={"p": S(pk)}, ReturnValues=wanted)


@pytest.mark.parametrize("wanted", ["UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"])
def test_delete_returns_only_old_values(client, table, pk, wanted):
    with invalid("ReturnValues can only be ALL_OLD or NONE"):
        client.delete_item(TableName=table, Key={"p": S(pk)}, ReturnValues=wanted)


@pytest.mark.parametrize("wanted", ["none", "all_old", "EVERYTHING"])
def test_return_values_are_case_sensitive(client, table, pk, wanted):
    with invalid(has="returnValues"):
        client.put_item(TableName=table, Item={"p": S(pk)}, ReturnValues=wanted)


def updated(client, table, pk, wanted, expression="SET a = :new, n.x = :new REMOVE gone", **more):
    before = {"p": S(pk), "a": S("old"), "kept": S("k"), "gone": S("g"), "n": M(x=S("old"), y=S("y"))}
    client.put_item(TableName=table, Item=before)
    arguments = {"ExpressionAttributeValues": {":new": S("new")}, **more}
    return client.update_item(
        TableName=table, Key={"p": S(pk)}, UpdateExpression=expression, ReturnValues=wanted, **arguments
    ).get("Attributes")


def test_update_none_returns_nothing(client, table, pk):
    assert updated(client, table, pk, "NONE") is None


def test_update_all_old_returns_the_item_before(client, table, pk):
    before = {"p": S(pk), "a": S("old"), "kept": S("k"), "gone": S("g"), "n": M(x=S("old"), y=S("y"))}
    assert updated(client, table, pk, "ALL_OLD") == before


def test_update_all_new_returns_the_item_after(client, table, pk):
    after = {"p": S(pk), "a": S("new"), "kept": S("k"), "n": M(x=S("new"), y=S("y"))}
    assert updated(client, table, pk, "ALL_NEW") == after


@differs("returns whole top-level attributes")
def test_update_updated_old_returns_touched_parts_before(client, table, pk):
    assert updated(client, table, pk, "UPDATED_OLD") == {"a": S("old"), "gone": S("g"), "n": M(x=S("old"))}


@differs("returns whole top-level attributes")
def test_update_updated_new_returns_touched_parts_after(client, table, pk):
    assert updated(client, table, pk, "UPDATED_NEW") == {"a": S("new"), "n": M(x=S("new"))}


def test_updated_new_includes_values_that_did_not_change(client, table, pk):
    answer = updated(client, table, pk, "UPDATED_NEW", "SET a = :new", ExpressionAttributeValues={":new": S("old")})
    assert answer == {"a": S("old")}


def test_updated_old_of_a_new_attribute_is_absent(client, table, pk):
    assert updated(client, table, pk, "UPDATED_OLD", "SET fresh = :new") is None


def test_updated_new_of_a_removed_attribute_is_absent(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "a": S("x")})
    answer = client.update_item(
        TableName=table, Key={"p": S(pk)}, UpdateExpression="REMOVE a", ReturnValues="UPDATED_NEW"
    )
    assert "Attributes" not in answer


@differs("returns whole top-level attributes")
def test_updated_values_of_list_elements_are_compacted(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "l": L(S("0"), S("1"), S("2"))})
    answer = client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        UpdateExpression="SET l[2] = :v",
        ExpressionAttributeValues={":v": S("x")},
        ReturnValues="UPDATED_NEW",
    )
    assert answer["Attributes"] == {"l": L(S("x"))}


@pytest.mark.parametrize("wanted", ["ALL_OLD", "UPDATED_OLD"])
def test_old_values_of_a_created_item_are_absent(client, table, pk, wanted):
    answer = client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        UpdateExpression="SET a = :a",
        ExpressionAttributeValues={":a": S("x")},
        ReturnValues=wanted,
    )
    assert "Attributes" not in answer


def test_all_new_of_a_created_item_has_the_key(client, table, pk):
    answer = client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        UpdateExpression="SET a = :a",
        ExpressionAttributeValues={":a": S("x")},
        ReturnValues="ALL_NEW",
    )
    assert answer["Attributes"] == {"p": S(pk), "a": S("x")}


# Upserts


def test_update_creates_a_missing_item(client, table, pk):
    client.update_item(
        TableName=table, Key={"p": S(pk)}, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": N("1")}
    )
    assert get(client, table, {"p": S(pk)}) == {"p": S(pk), "a": N("1")}


def test_update_without_expression_creates_an_item_of_keys(client, table, pk):
    client.update_item(TableName=table, Key={"p": S(pk)})
    assert get(client, table, {"p": S(pk)}) == {"p": S(pk)}


def test_an_empty_legacy_update_creates_an_item_of_keys(client, table, pk):
    client.update_item(TableName=table, Key={"p": S(pk)}, AttributeUpdates={})
    assert get(client, table, {"p": S(pk)}) == {"p": S(pk)}


@differs("creates the item")
def test_remove_on_a_missing_item_creates_nothing(client, table, pk):
    client.update_item(TableName=table, Key={"p": S(pk)}, UpdateExpression="REMOVE a")
    assert get(client, table, {"p": S(pk)}) is None


@differs("creates the item")
def test_delete_from_set_on_a_missing_item_creates_nothing(client, table, pk):
    client.update_item(
        TableName=table, Key={"p": S(pk)}, UpdateExpression="DELETE a :s", ExpressionAttributeValues={":s": SS("x")}
    )
    assert get(client, table, {"p": S(pk)}) is None


# Conditions around writes


@pytest.mark.parametrize("operation", ["put_item", "delete_item", "update_item"])
def test_a_failed_condition_changes_nothing(client, table, pk, operation):
    client.put_item(TableName=table, Item={"p": S(pk), "a": S("x")})
    target = {"Item": {"p": S(pk)}} if operation == "put_item" else {"Key": {"p": S(pk)}}
    with rejected("ConditionalCheckFailedException", CONDITION_FAILED):
        getattr(client, operation)(TableName=table, ConditionExpression="attribute_not_exists(p)", **target)
    assert get(client, table, {"p": S(pk)}) == {"p": S(pk), "a": S("x")}


@pytest.mark.parametrize("operation", ["put_item", "delete_item", "update_item"])
def test_a_failed_condition_shows_the_item_on_request(client, table, pk, operation):
    client.put_item(TableName=table, Item={"p": S(pk), "a": S("x")})
    target = {"Item": {"p": S(pk)}} if operation == "put_item" else {"Key": {"p": S(pk)}}
    with rejected("ConditionalCheckFailedException") as seen:
        getattr(client, operation)(
            TableName=table,
            ConditionExpression="attribute_not_exists(p)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **target,
        )
    assert seen.response["Item"] == {"p": S(pk), "a": S("x")}


def test_a_failed_condition_on_a_missing_item_has_no_item(client, table, pk):
    with rejected("ConditionalCheckFailedException") as seen:
        client.put_item(
            TableName=table,
            Item={"p": S(pk)},
            ConditionExpression="attribute_exists(p)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert "Item" not in seen.response


def test_a_failed_condition_shows_no_item_by_default(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk)})
    with rejected("ConditionalCheckFailedException") as seen:
        client.delete_item(TableName=table, Key={"p": S(pk)}, ConditionExpression="attribute_not_exists(p)")
    assert "Item" not in seen.response


def test_return_values_on_failure_are_checked(client, table, pk):
    with invalid(has="returnValuesOnConditionCheckFailure"):
        client.put_item(TableName=table, Item={"p": S(pk)}, ReturnValuesOnConditionCheckFailure="UPDATED_NEW")


# Tables and keys


@pytest.mark.parametrize(
    "operation, target",
    [("get_item", "Key"), ("put_item", "Item"), ("delete_item", "Key"), ("update_item", "Key")],
)
def test_an_unknown_table_is_not_found(client, operation, target):
    with rejected("ResourceNotFoundException", NOT_FOUND):
        getattr(client, operation)(TableName=unique("nowhere"), **{target: {"p": S("x")}})


@pytest.mark.parametrize("operation", ["get_item", "delete_item", "update_item"])
@pytest.mark.parametrize(
    "key",
    [{}, {"q": S("x")}, {"p": S("x"), "q": S("y")}, {"p": N("1")}, {"p": S("x"), "c": N("1")}, {"p": S("x")}],
    ids=["empty", "other name", "extra and missing", "wrong type", "wrong sort type", "missing sort"],
)
def test_keys_must_match_the_schema(client, ranged, operation, key):
    with invalid(WRONG_KEY):
        getattr(client, operation)(TableName=ranged, Key=key)


@pytest.mark.parametrize(
    "item, message",
    [
        ({"c": S("1")}, OMPVI + "Missing the key p in the item"),
        ({"p": S("1")}, OMPVI + "Missing the key c in the item"),
        ({"p": N("1"), "c": S("1")}, OMPVI + "Type mismatch for key p expected: S actual: N"),
        ({"p": S("1"), "c": B(b"1")}, OMPVI + "Type mismatch for key c expected: S actual: B"),
        ({"p": S("1"), "c": L()}, OMPVI + "Type mismatch for key c expected: S actual: L"),
        ({"p": NULL, "c": S("1")}, OMPVI + "Type mismatch for key p expected: S actual: NULL"),
    ],
)
def test_items_must_carry_their_key(client, ranged, item, message):
    with invalid(message):
        client.put_item(TableName=ranged, Item=item)


EMPTY_KEY = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {} value. Key: {}"


@pytest.mark.parametrize("name", ["p", "c"])
def test_a_key_is_never_an_empty_string_in_an_item(client, ranged, pk, name):
    with invalid(EMPTY_KEY.format("string", name)):
        client.put_item(TableName=ranged, Item={"p": S(pk), "c": S("1"), name: S("")})


@pytest.mark.parametrize("operation", ["get_item", "delete_item", "update_item"])
def test_a_key_is_never_an_empty_string(client, ranged, pk, operation):
    with invalid(EMPTY_KEY.format("string", "c")):
        getattr(client, operation)(TableName=ranged, Key={"p": S(pk), "c": S("")})


@pytest.mark.parametrize("name", ["p", "c"])
def test_update_never_touches_the_key(client, ranged, pk, name):
    with invalid(OMPVI + f"Cannot update attribute {name}. This attribute is part of the key"):
        client.update_item(
            TableName=ranged,
            Key={"p": S(pk), "c": S("1")},
            UpdateExpression=f"SET {name} = :v",
            ExpressionAttributeValues={":v": S("x")},
        )


def test_remove_never_touches_the_key(client, table, pk):
    with invalid(OMPVI + "Cannot update attribute p. This attribute is part of the key"):
        client.update_item(TableName=table, Key={"p": S(pk)}, UpdateExpression="REMOVE p")


def test_a_condition_may_read_the_key(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk)})
    client.put_item(
        TableName=table,
        Item={"p": S(pk), "seen": BOOL(True)},
        ConditionExpression="p = :p",
        ExpressionAttributeValues={":p": S(pk)},
    )
    assert get(client, table, {"p": S(pk)})["seen"] == BOOL(True)
