"""TransactWriteItems and TransactGetItems: all or nothing, reasons in order, idempotency tokens, limits.

Money moves in these; the shape of a cancellation is what callers branch on.
"""

import pytest
from botocore.exceptions import ClientError

from marks import case, differs
from racing import together
from rejections import CONDITION_FAILED, NOT_FOUND, invalid, rejected
from schemas import keyed_by
from values import N, S, unique


def put(table, item, **more):
    return {"Put": {"TableName": table, "Item": item, **more}}


def delete(table, key, **more):
    return {"Delete": {"TableName": table, "Key": key, **more}}


def update(table, key, expression, values=None, **more):
    each = {"TableName": table, "Key": key, "UpdateExpression": expression, **more}
    return {"Update": {**each, **({"ExpressionAttributeValues": values} if values else {})}}


def check(table, key, condition, **more):
    return {"ConditionCheck": {"TableName": table, "Key": key, "ConditionExpression": condition, **more}}


def get(client, table, key):
    return client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def write(client, *actions, **more):
    return client.transact_write_items(TransactItems=list(actions), **more)


def key(pk, at=0):
    return {"p": S(f"{pk}-{at}")}


def cancelled(*codes):
    """The block must raise TransactionCanceledException with these codes, in order."""
    text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
    return rejected("TransactionCanceledException", text)


def codes(seen):
    return [reason["Code"] for reason in seen.response["CancellationReasons"]]


# All or nothing


def test_every_kind_of_action_in_one_transaction(client, table, ranged, pk):
    client.put_item(TableName=table, Item={**key(pk, 1), "n": N("1")})
    client.put_item(TableName=table, Item=key(pk, 2))
    client.put_item(TableName=table, Item={**key(pk, 3), "ok": S("yes")})
    write(
        client,
        put(table, {**key(pk), "v": S("new")}),
        update(table, key(pk, 1), "SET n = n + :one", {":one": N("1")}),
        delete(table, key(pk, 2)),
        check(table, key(pk, 3), "attribute_exists(ok)"),
        put(ranged, {"p": S(pk), "c": S("1")}),
    )
    assert get(client, table, key(pk))["v"] == S("new")
    assert get(client, table, key(pk, 1))["n"] == N("2")
    assert get(client, table, key(pk, 2)) is None
    assert get(client, table, key(pk, 3))["ok"] == S("yes")
    assert get(client, ranged, {"p": S(pk), "c": S("1")})


@pytest.mark.parametrize("at", range(3))
def test_one_failed_condition_stops_everything(client, table, pk, at):
    actions = [put(table, key(pk, each)) for each in range(3)]
    actions[at]["Put"]["ConditionExpression"] = "attribute_exists(p)"
    reasons = ["None"] * 3
    reasons[at] = "ConditionalCheckFailed"
    with cancelled(*reasons) as seen:
        write(client, *actions)
    assert codes(seen) == reasons
    assert seen.response["CancellationReasons"][at]["Message"] == CONDITION_FAILED
    assert all("Message" not in r for n, r in enumerate(seen.response["CancellationReasons"]) if n != at)
    assert not any(get(client, table, key(pk, each)) for each in range(3))


def test_all_failed_conditions_are_reported(client, table, pk):
    with cancelled("ConditionalCheckFailed", "None", "ConditionalCheckFailed") as seen:
        write(
            client,
            put(table, key(pk), ConditionExpression="attribute_exists(p)"),
            put(table, key(pk, 1)),
            check(table, key(pk, 2), "attribute_exists(p)"),
        )
    assert codes(seen) == ["ConditionalCheckFailed", "None", "ConditionalCheckFailed"]


@pytest.mark.parametrize("kind", ["Put", "Delete", "Update", "ConditionCheck"])
def test_the_item_is_shown_on_request(client, table, pk, kind):
    stored = {**key(pk), "v": S("old")}
    client.put_item(TableName=table, Item=stored)
    more = {"ConditionExpression": "attribute_not_exists(p)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    action = {
        "Put": lambda: put(table, key(pk), **more),
        "Delete": lambda: delete(table, key(pk), **more),
        "Update": lambda: update(table, key(pk), "REMOVE v", **more),
        "ConditionCheck": lambda: check(table, key(pk), more.pop("ConditionExpression"), **more),
    }[kind]()
    with cancelled("ConditionalCheckFailed") as seen:
        write(client, action)
    assert seen.response["CancellationReasons"][0]["Item"] == stored


def test_the_item_is_not_shown_unasked(client, table, pk):
    client.put_item(TableName=table, Item=key(pk))
    with cancelled("ConditionalCheckFailed") as seen:
        write(client, put(table, key(pk), ConditionExpression="attribute_not_exists(p)"))
    assert "Item" not in seen.response["CancellationReasons"][0]


def test_the_message_member_is_capital(send, table, pk):
    action = put(table, key(pk), ConditionExpression="attribute_exists(p)")
    answer = send("TransactWriteItems", {"TransactItems": [action]})
    assert answer.status == 400
    assert answer.code == "TransactionCanceledException"
    assert "Message" in answer.json() and "message" not in answer.json()


def test_a_condition_check_writes_nothing(client, table, pk):
    write(client, check(table, key(pk), "attribute_not_exists(p)"))
    assert get(client, table, key(pk)) is None


def test_updates_create_missing_items(client, table, pk):
    write(client, update(table, key(pk), "SET a = :a", {":a": S("x")}))
    assert get(client, table, key(pk)) == {**key(pk), "a": S("x")}


def test_actions_see_the_items_before_the_transaction(client, table, pk):
    client.put_item(TableName=table, Item={**key(pk), "n": N("1")})
    with cancelled("None", "ConditionalCheckFailed"):
        write(
            client,
            update(table, key(pk), "SET n = :n", {":n": N("2")}),
            check(table, key(pk, 1), "attribute_exists(p)"),
        )
    assert get(client, table, key(pk))["n"] == N("1")


# Malformed


def test_an_item_stands_in_a_transaction_once(client, table, pk):
    with invalid("Transaction request cannot include multiple operations on one item"):
        write(client, put(table, key(pk)), delete(table, key(pk)))


def test_the_same_key_in_two_tables_is_two_items(client, table, make_table, pk):
    other = make_table(**keyed_by("p:S"))
    write(client, put(table, key(pk)), put(other, key(pk)))
    assert get(client, table, key(pk)) and get(client, other, key(pk))


def test_an_action_is_one_thing(call, table, pk):
    both = {**put(table, key(pk)), **delete(table, key(pk, 1))}
    with invalid("TransactItems can only contain one of Check, Put, Update or Delete"):
        call("TransactWriteItems", {"TransactItems": [both]})


@pytest.mark.parametrize("count", [101])
def test_a_hundred_actions_are_the_most(client, table, pk, count):
    with invalid(has="Member must have length less than or equal to 100"):
        write(client, *[put(table, key(pk, at)) for at in range(count)])


def test_a_hundred_actions_are_fine(client, table, pk):
    write(client, *[put(table, key(pk, at)) for at in range(100)])
    assert get(client, table, key(pk, 99))


def test_no_actions_are_refused(call):
    with invalid():
        call("TransactWriteItems", {"TransactItems": []})


def test_a_missing_table_refuses_the_request(client, table, pk):
    with rejected("ResourceNotFoundException", NOT_FOUND):
        write(client, put(table, key(pk)), put(unique("nowhere"), key(pk)))
    assert get(client, table, key(pk)) is None


@pytest.mark.parametrize(
    "expression, message",
    [
        ("SET a =", 'Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "="'),
        (
            "SET #a = :a",
            "Invalid UpdateExpression: An expression attribute name used in the document path is not defined; attribute name: #a",
        ),
    ],
)
def test_a_bad_expression_refuses_the_request(client, table, pk, expression, message):
    with invalid(message):
        write(client, put(table, key(pk, 1)), update(table, key(pk), expression, {":a": S("x")}))
    assert get(client, table, key(pk, 1)) is None


def test_unused_placeholders_refuse_the_request(client, table, pk):
    with invalid():
        write(client, update(table, key(pk), "SET a = :a", {":a": S("x"), ":b": S("y")}))


# Items that cannot be

REFUSES = "refuses the request instead"


@pytest.mark.parametrize(
    "action",
    [
        case(lambda table, pk: put(table, {"p": N("1")}), name="wrong type"),
        case(lambda table, pk: put(table, {"q": S("x")}), name="no key", differs_locally=REFUSES),
        case(lambda table, pk: delete(table, {"p": N("1")}), name="delete wrong type"),
        case(
            lambda table, pk: update(table, {"p": S(pk), "c": S("x")}, "REMOVE a"),
            name="extra key",
            differs_locally=REFUSES,
        ),
        case(lambda table, pk: put(table, {"p": S("x" * 2049)}), name="long key"),
        case(
            lambda table, pk: put(table, {"p": S(pk), "v": S("x" * 410_000)}), name="too large", differs_locally=REFUSES
        ),
    ],
)
def test_an_impossible_item_cancels_with_a_validation_error(client, table, pk, action):
    with cancelled("None", "ValidationError") as seen:
        write(client, put(table, key(pk, 1)), action(table, pk))
    assert codes(seen) == ["None", "ValidationError"]
    assert seen.response["CancellationReasons"][1]["Message"]
    assert get(client, table, key(pk, 1)) is None


@differs(REFUSES)
def test_a_wrong_operand_cancels_with_a_validation_error(client, table, pk):
    client.put_item(TableName=table, Item={**key(pk), "s": S("text")})
    with cancelled("ValidationError", "None") as seen:
        write(client, update(table, key(pk), "SET s = s + :n", {":n": N("1")}), put(table, key(pk, 1)))
    assert codes(seen) == ["ValidationError", "None"]
    assert (
        seen.response["CancellationReasons"][0]["Message"]
        == "An operand in the update expression has an incorrect data type"
    )


# Idempotency


def test_a_token_makes_a_repeat_harmless(client, table, pk):
    client.put_item(TableName=table, Item={**key(pk), "n": N("0")})
    action = update(table, key(pk), "SET n = n + :one", {":one": N("1")})
    token = unique("t")
    for _ in range(3):
        write(client, action, ClientRequestToken=token)
    assert get(client, table, key(pk))["n"] == N("1")


def test_a_token_belongs_to_its_request(client, table, pk):
    token = unique("t")
    write(client, put(table, key(pk)), ClientRequestToken=token)
    with rejected("IdempotentParameterMismatchException"):
        write(client, put(table, key(pk, 1)), ClientRequestToken=token)
    assert get(client, table, key(pk, 1)) is None


def test_a_cancelled_token_may_be_used_again(client, table, pk):
    token, action = unique("t"), put(table, key(pk, 1), ConditionExpression="attribute_not_exists(p)")
    client.put_item(TableName=table, Item=key(pk, 1))
    with rejected("TransactionCanceledException"):
        write(client, action, ClientRequestToken=token)
    client.delete_item(TableName=table, Key=key(pk, 1))
    write(client, action, ClientRequestToken=token)
    assert get(client, table, key(pk, 1))


@pytest.mark.parametrize("token", ["x" * 37])
def test_a_token_has_36_characters_at_most(client, table, pk, token):
    with invalid():
        write(client, put(table, key(pk)), ClientRequestToken=token)


def test_concurrent_repeats_count_once(client, table, pk):
    client.put_item(TableName=table, Item={**key(pk), "n": N("0")})
    action, token = update(table, key(pk), "SET n = n + :one", {":one": N("1")}), unique("t")

    def attempt(_):
        try:
            write(client, action, ClientRequestToken=token)
            return "done"
        except ClientError as error:
            return error.response["Error"]["Code"]

    outcomes = set(together(attempt, range(8)))
    assert outcomes <= {"done", "TransactionInProgressException", "TransactionCanceledException"}
    write(client, action, ClientRequestToken=token)
    assert get(client, table, key(pk))["n"] == N("1")


# Reading


def gets(table, *keys, **more):
    return [{"Get": {"TableName": table, "Key": each, **more}} for each in keys]


def test_reads_come_in_order_with_gaps(client, table, pk):
    client.put_item(TableName=table, Item={**key(pk, 2), "v": S("two")})
    client.put_item(TableName=table, Item={**key(pk, 0), "v": S("zero")})
    answer = client.transact_get_items(TransactItems=gets(table, key(pk, 0), key(pk, 1), key(pk, 2)))
    assert [each.get("Item", {}).get("v") for each in answer["Responses"]] == [S("zero"), None, S("two")]


def test_a_missing_item_is_an_empty_response(call, table, pk):
    assert call("TransactGetItems", {"TransactItems": gets(table, key(pk))})["Responses"] == [{}]


def test_reads_span_tables_and_project(client, table, ranged, pk):
    row = {"p": S(pk), "c": S("1")}
    write(client, put(table, {**key(pk), "a": S("a"), "b": S("b")}), put(ranged, {**row, "a": S("a")}))
    answer = client.transact_get_items(
        TransactItems=gets(table, key(pk), ProjectionExpression="#a", ExpressionAttributeNames={"#a": "a"})
        + gets(ranged, row)
    )
    assert answer["Responses"] == [{"Item": {"a": S("a")}}, {"Item": {**row, "a": S("a")}}]


def test_a_read_of_a_missing_table_is_refused(client, table, pk):
    with rejected("ResourceNotFoundException", NOT_FOUND):
        client.transact_get_items(TransactItems=gets(table, key(pk)) + gets(unique("nowhere"), key(pk)))


def test_a_hundred_reads_are_the_most(client, table, pk):
    assert (
        len(client.transact_get_items(TransactItems=gets(table, *[key(pk, at) for at in range(100)]))["Responses"])
        == 100
    )
    with invalid():
        client.transact_get_items(TransactItems=gets(table, *[key(pk, at) for at in range(101)]))


def test_a_read_with_a_wrong_key_is_cancelled(client, table, pk):
    with rejected("TransactionCanceledException"):
        client.transact_get_items(TransactItems=gets(table, key(pk), {"p": N("1")}))


# Sizes


@pytest.mark.not_on_aws("4 MB")
def test_four_megabytes_are_the_most(client, table, pk):
    rows = [put(table, {**key(pk, at), "v": S("x" * 390_000)}) for at in range(11)]
    write(client, *rows[:10])
    with rejected("ValidationException"):
        write(client, *rows)


@pytest.mark.not_on_aws("5 MB")
def test_a_small_request_may_delete_more(client, table, pk):
    for at in range(13):
        client.put_item(TableName=table, Item={**key(pk, at), "v": S("x" * 390_000)})
    write(client, *[delete(table, key(pk, at)) for at in range(13)])
    assert get(client, table, key(pk, 12)) is None
