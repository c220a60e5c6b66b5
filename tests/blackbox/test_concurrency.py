"""Races that have broken shipped DynamoDB-compatible servers, each probed by many callers at once.

Unconditional puts that race answer ConditionalCheckFailed; transactional reads are torn; opposite transactions deadlock;
tailing readers miss records. All are seen on real products; none may be seen here.
"""

import pytest
from botocore.exceptions import ClientError

from lifecycle import drop, wait_until_active, wait_until_gone
from racing import Repeating, together
from schemas import keyed_by
from streaming import Reader, stream_of
from values import N, S, unique
from waiting import eventually

pytestmark = pytest.mark.not_on_aws("hammers the endpoint")


def get(client, table, key):
    return client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def code_of(work):
    try:
        work()
        return "done"
    except ClientError as error:
        return error.response["Error"]["Code"]


def test_racing_unconditional_puts_all_succeed(client, table, pk):
    def write(at):
        return code_of(lambda: client.put_item(TableName=table, Item={"p": S(f"{pk}-{at // 16}"), "at": N(at)}))

    assert set(together(write, range(640), threads=16)) == {"done"}


def test_racing_first_updates_all_count(client, table, pk):
    def add(_):
        client.update_item(
            TableName=table, Key={"p": S(pk)}, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": N("1")}
        )

    together(add, range(300), threads=16)
    assert get(client, table, {"p": S(pk)})["n"] == N("300")


def test_one_of_many_conditional_creators_wins(client, table, pk):
    def create(at):
        return code_of(
            lambda: client.put_item(
                TableName=table,
                Item={"p": S(f"{pk}-{at // 16}"), "by": N(at)},
                ConditionExpression="attribute_not_exists(p)",
            )
        )

    outcomes = together(create, range(320), threads=16)
    assert outcomes.count("done") == 20
    assert outcomes.count("ConditionalCheckFailedException") == 300


def test_compare_and_set_loses_no_increment(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N("0")})

    def increment(_):
        while True:
            seen = get(client, table, {"p": S(pk)})["n"]["N"]
            outcome = code_of(
                lambda: client.update_item(
                    TableName=table,
                    Key={"p": S(pk)},
                    UpdateExpression="SET n = :next",
                    ConditionExpression="n = :seen",
                    ExpressionAttributeValues={":next": N(int(seen) + 1), ":seen": N(seen)},
                )
            )
            if outcome == "done":
                return
            assert outcome == "ConditionalCheckFailedException"

    together(increment, range(100), threads=8)
    assert get(client, table, {"p": S(pk)})["n"] == N("100")


def test_a_read_follows_the_write_that_was_acknowledged(client, table, pk):
    def write_and_read(worker, turn):
        key = {"p": S(f"{pk}-{worker}")}
        client.put_item(TableName=table, Item={**key, "turn": N(turn)})
        assert get(client, table, key)["turn"] == N(turn)

    together(lambda worker: [write_and_read(worker, turn) for turn in range(40)], range(8))


RETRY = {"TransactionCanceledException", "TransactionConflictException", "TransactionInProgressException"}


def retried(work):
    """Runs a transaction until it is not refused for a conflict; any other refusal is an error of the test."""
    for _ in range(1000):
        outcome = code_of(work)
        if outcome == "done":
            return
        assert outcome in RETRY, outcome
    raise AssertionError("never got through")


def setting(table, key, value):
    return {
        "Update": {
            "TableName": table,
            "Key": key,
            "UpdateExpression": "SET v = :v",
            "ExpressionAttributeValues": {":v": value},
        }
    }


def test_transactional_reads_are_never_torn(client, table, pk):
    keys = [{"p": S(f"{pk}-{at}")} for at in range(3)]
    client.transact_write_items(TransactItems=[setting(table, key, N(0)) for key in keys])

    def write(worker, turn):
        value = N(worker * 1_000_000 + turn)
        retried(lambda: client.transact_write_items(TransactItems=[setting(table, key, value) for key in keys]))

    with Repeating(write, threads=3):
        seen, deadline = 0, 2000
        while seen < 60 and deadline:
            deadline -= 1
            try:
                answer = client.transact_get_items(
                    TransactItems=[{"Get": {"TableName": table, "Key": key}} for key in keys]
                )
            except ClientError as error:
                assert error.response["Error"]["Code"] in RETRY
                continue
            values = {each["Item"]["v"]["N"] for each in answer["Responses"]}
            assert len(values) == 1, f"torn: {values}"
            seen += 1
    assert seen == 60


def test_transactions_in_opposite_order_get_through(client, table, pk):
    """Pairs taken in both orders deadlock where items are locked in the order of the request."""
    keys = [{"p": S(f"{pk}-{at}")} for at in range(4)]

    def add(key):
        return {
            "Update": {
                "TableName": table,
                "Key": key,
                "UpdateExpression": "ADD n :one",
                "ExpressionAttributeValues": {":one": N("1")},
            }
        }

    def work(at):
        ordered = keys if at % 2 else keys[::-1]
        retried(lambda: client.transact_write_items(TransactItems=[add(key) for key in ordered]))

    together(work, range(80), threads=8)
    assert [get(client, table, key)["n"] for key in keys] == [N("80")] * 4


def test_conflicts_are_told_as_conflicts(client, table, pk):
    """Single writes, transactions in both orders and transactional reads of the same items: each is done, or refused as
    a conflict in the words for its kind. Nothing waits for ever, nothing is a server's fault, nothing counts twice."""
    keys = [{"p": S(f"{pk}-{at}")} for at in range(3)]

    def add(key):
        return {
            "TableName": table,
            "Key": key,
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": N("1")},
        }

    def write(ordered):
        client.transact_write_items(TransactItems=[{"Update": add(key)} for key in ordered])

    def read():
        client.transact_get_items(TransactItems=[{"Get": {"TableName": table, "Key": key}} for key in keys])

    kinds = [
        lambda: write(keys),
        lambda: write(keys[::-1]),
        lambda: client.update_item(**add(keys[0])),
        read,
        lambda: client.update_item(**add(keys[-1])),
    ]

    def work(at):
        try:
            kinds[at % len(kinds)]()
            return at % len(kinds), None
        except ClientError as error:
            return at % len(kinds), error.response

    outcomes = together(work, range(400), threads=10)
    for kind, refusal in outcomes:
        if refusal:
            assert_conflict(refusal, transaction=kind in (0, 1, 3), items=len(keys))
    done = [kind for kind, refusal in outcomes if not refusal]
    both = done.count(0) + done.count(1)
    totals = [get(client, table, key)["n"] for key in keys]
    assert totals == [N(both + done.count(2)), N(both), N(both + done.count(4))]


def assert_conflict(refusal, *, transaction, items):
    code = refusal["Error"]["Code"]
    if not transaction:
        assert code == "TransactionConflictException", refusal
        return
    assert code == "TransactionCanceledException", refusal
    codes = [reason["Code"] for reason in refusal["CancellationReasons"]]
    assert len(codes) == items and set(codes) <= {"None", "TransactionConflict"}, refusal
    assert "TransactionConflict" in codes, refusal
    assert f"specific reasons [{', '.join(codes)}]" in refusal["Error"]["Message"], refusal


def test_money_is_neither_made_nor_lost(client, table, pk):
    keys = [{"p": S(f"{pk}-{at}")} for at in range(5)]
    for key in keys:
        client.put_item(TableName=table, Item={**key, "n": N("100")})

    def move(at):
        source, target = keys[at % 5], keys[(at * 3 + 1) % 5]
        if source == target:
            return
        change = lambda key, sign: {
            "Update": {
                "TableName": table,
                "Key": key,
                "UpdateExpression": f"SET n = n {sign} :x",
                "ConditionExpression": "n >= :x" if sign == "-" else "attribute_exists(p)",
                "ExpressionAttributeValues": {":x": N(at % 7 + 1)},
            }
        }
        code_of(lambda: client.transact_write_items(TransactItems=[change(source, "-"), change(target, "+")]))

    together(move, range(200), threads=8)
    assert sum(int(get(client, table, key)["n"]["N"]) for key in keys) == 500


def test_single_writes_beside_transactions_are_counted(client, table, pk):
    key, other = {"p": S(f"{pk}-a")}, {"p": S(f"{pk}-b")}

    def add(key):
        return {
            "TableName": table,
            "Key": key,
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": N("1")},
        }

    def work(at):
        if at % 2:
            retried(lambda: client.update_item(**add(key)))
        else:
            retried(lambda: client.transact_write_items(TransactItems=[{"Update": add(key)}, {"Update": add(other)}]))

    together(work, range(120), threads=8)
    assert get(client, table, key)["n"] == N("120")
    assert get(client, table, other)["n"] == N("60")


def test_a_tailing_reader_misses_and_repeats_nothing(client, streams, make_table):
    """24 writers, one reader that polls all the while: every write once, per key in order."""
    table = make_table(
        **keyed_by("p:S"), StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )
    reader = Reader(streams, stream_of(client, table))
    seen, per_writer = [], 40

    def tail(_worker, _turn):
        seen.extend(reader.read())

    def write(worker):
        for turn in range(per_writer):
            client.put_item(TableName=table, Item={"p": S(f"k{worker % 12}"), "w": N(worker), "t": N(turn)})

    with Repeating(tail, threads=1):
        together(write, range(24), threads=24)
        eventually(lambda: len(seen) >= 24 * per_writer, within=30, saying="all records are read")
    writes = [(record["dynamodb"]["NewImage"]["w"]["N"], record["dynamodb"]["NewImage"]["t"]["N"]) for record in seen]
    assert len(writes) == 24 * per_writer
    assert len(set(writes)) == len(writes)
    for worker in range(24):
        turns = [int(turn) for who, turn in writes if who == str(worker)]
        assert turns == sorted(turns)
    assert_chained(seen)


def assert_chained(records):
    """For each key, the old image of a record is the new image of the one before."""
    last = {}
    for record in records:
        key = record["dynamodb"]["Keys"]["p"]["S"]
        assert record["dynamodb"].get("OldImage") == last.get(key)
        last[key] = record["dynamodb"].get("NewImage")


def test_a_streamed_table_may_be_made_again(client, streams, make_table):
    """Dropped and re-created under the same name while its stream is being read: no 500, and a stream of its own."""
    specification = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    name = make_table(**keyed_by("p:S"), StreamSpecification=specification)
    client.put_item(TableName=name, Item={"p": S("first life")})
    first = stream_of(client, name)
    drop(client, name)
    wait_until_gone(client, name)
    make_table(TableName=name, **keyed_by("p:S"), StreamSpecification=specification)
    second = stream_of(client, name)
    assert first != second
    client.put_item(TableName=name, Item={"p": S("second life")})
    reader = Reader(streams, second)
    records = eventually(reader.read)
    assert [record["dynamodb"]["Keys"]["p"]["S"] for record in records] == ["second life"]


def test_tables_come_and_go_while_others_work(client, table, pk):
    def churn(worker, turn):
        name = unique("churn")
        client.create_table(TableName=name, **keyed_by("p:S"))
        wait_until_active(client, name)
        client.put_item(TableName=name, Item={"p": S("x")})
        drop(client, name)

    def write(worker):
        for turn in range(30):
            client.put_item(TableName=table, Item={"p": S(f"{pk}-{worker}"), "t": N(turn)})

    with Repeating(churn, threads=2):
        together(write, range(6))
    assert all(get(client, table, {"p": S(f"{pk}-{worker}")})["t"] == N("29") for worker in range(6))


def test_one_of_many_creators_of_a_table_wins(client):
    name = unique("race")
    outcomes = together(lambda _: code_of(lambda: client.create_table(TableName=name, **keyed_by("p:S"))), range(8))
    assert sorted(set(outcomes)) == ["ResourceInUseException", "done"]
    assert outcomes.count("done") == 1
    drop(client, name)
