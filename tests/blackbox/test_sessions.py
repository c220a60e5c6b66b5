"""Session tokens: what was written in one region is read in another by whoever says so, and a write may wait for regions."""

import pathlib
import re
import threading

import pytest

from endpoints import REGION, SECOND_REGION, THIRD_REGION
from lifecycle import drop, wait_until_active
from schemas import index, keyed_by
from server import Server, run
from values import S, unique
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only("AWS has no such headers"),
    pytest.mark.embedded_only("the nodes are of one region"),
    pytest.mark.timeout(180),
]

REGIONS = (REGION, SECOND_REGION)
TOKEN, WAIT_MS, WAIT_FOR, REACHED = (
    f"x-tradewind-{name}" for name in ("token", "wait-ms", "wait-for", "regions")
)
DOCS = (pathlib.Path(__file__).parents[2] / "docs/sessions.md").read_text()


@pytest.fixture(scope="module")
def running():
    with Server("--in-memory") as started:
        yield started


@pytest.fixture(scope="module")
def ask(running):
    """A request by its JSON; returns the answer with its headers, whatever it says."""

    def send(region, operation, body, **headers):
        named = [(name.replace("_", "-"), str(value)) for name, value in headers.items()]
        return running.endpoint().send(operation, body, region=region, headers=named)

    return send


@pytest.fixture
def chaos(running):
    def order(*arguments):
        done = run("chaos", *arguments, "--endpoint", f"http://127.0.0.1:{running.port()}")
        assert done.returncode == 0, done.stderr

    yield order
    order("reset")


@pytest.fixture(scope="module")
def table(running):
    clients = {region: running.endpoint().client(region=region) for region in REGIONS}
    name = unique("session")
    schema = keyed_by("p:S", gsi=[index("by-v", "v:S")])
    clients[REGION].create_table(TableName=name, **schema)
    wait_until_active(clients[REGION], name)
    clients[REGION].update_table(TableName=name, ReplicaUpdates=[{"Create": {"RegionName": SECOND_REGION}}])
    eventually(lambda: [each["ReplicaStatus"] for each in replicas(clients[REGION], name)] == ["ACTIVE"], within=60)
    wait_until_active(clients[SECOND_REGION], name)
    yield name
    for client in clients.values():
        drop(client, name)


def replicas(client, table):
    return client.describe_table(TableName=table)["Table"].get("Replicas", [])


def put(ask, region, table, pk, value, **headers):
    answer = ask(region, "PutItem", {"TableName": table, "Item": {"p": S(pk), "v": S(value)}}, **headers)
    assert answer.status == 200, answer.body
    return answer


def header(answer, name):
    return {key.lower(): value for key, value in dict(answer.headers).items()}.get(name)


def get(ask, region, table, pk, **headers):
    return ask(region, "GetItem", {"TableName": table, "Key": {"p": S(pk)}}, **headers)


def value(answer):
    assert answer.status == 200, answer.body
    return answer.json().get("Item", {}).get("v", {}).get("S")


# Reading one's own writes


def test_a_read_with_a_token_sees_the_write_in_every_region(ask, chaos, table):
    chaos("link", REGION, SECOND_REGION, "--delay", "300ms")
    for round in range(3):
        token = header(put(ask, REGION, table, "own", f"{round}"), TOKEN)
        assert value(get(ask, SECOND_REGION, table, "own", x_tradewind_token=token)) == str(round)


def test_every_kind_of_write_answers_tokens_and_every_kind_of_read_waits(ask, chaos, table):
    chaos("link", REGION, SECOND_REGION, "--delay", "200ms")
    key = {"p": S("kinds")}
    item = {**key, "v": S("kinds")}
    update = {"UpdateExpression": "SET w = :w", "ExpressionAttributeValues": {":w": S("1")}}
    batch = [{"PutRequest": {"Item": {**item, "p": S(f"b{at}")}}} for at in range(25)]
    transaction = [{"Put": {"TableName": table, "Item": {**item, "p": S(f"t{at}")}}} for at in range(9)]
    insert = {"Statement": f"INSERT INTO \"{table}\" VALUE {{'p': '{unique('s')}', 'v': 'statement'}}"}
    change = [{"Statement": f"UPDATE \"{table}\" SET {name} = '{name}' WHERE p = 'kinds'"} for name in "xy"]
    writes = [
        ("PutItem", {"TableName": table, "Item": item}),
        ("UpdateItem", {"TableName": table, "Key": key, **update}),
        ("BatchWriteItem", {"RequestItems": {table: batch}}),
        ("TransactWriteItems", {"TransactItems": transaction}),
        ("ExecuteStatement", insert),
        ("BatchExecuteStatement", {"Statements": change[:1]}),
        ("ExecuteTransaction", {"TransactStatements": change[1:]}),
    ]
    tokens = []
    for operation, body in writes:
        answer = ask(REGION, operation, body)
        assert answer.status == 200, (operation, answer.body)
        assert header(answer, TOKEN), operation
        tokens.append(header(answer, TOKEN))
    assert len(tokens[2].split(",")) > 1, "a batch over several partitions has a token for each"
    all_of_them = ",".join(tokens)
    query = {
        "TableName": table,
        "IndexName": "by-v",
        "KeyConditionExpression": "v = :v",
        "ExpressionAttributeValues": {":v": S("kinds")},
    }
    found = ask(SECOND_REGION, "Query", query, x_tradewind_token=all_of_them).json()["Items"]
    wanted = {"kinds", *(f"b{at}" for at in range(25)), *(f"t{at}" for at in range(9))}
    assert {each["p"]["S"] for each in found} == wanted
    whole = next(each for each in found if each["p"]["S"] == "kinds")
    assert (whole["w"], whole["x"], whole["y"]) == (S("1"), S("x"), S("y"))
    deleted = header(ask(REGION, "DeleteItem", {"TableName": table, "Key": key}), TOKEN)
    gone = ask(SECOND_REGION, "BatchGetItem", {"RequestItems": {table: {"Keys": [key]}}}, x_tradewind_token=deleted)
    assert gone.json()["Responses"][table] == []


def test_a_condition_holds_on_what_the_token_names(ask, chaos, table):
    chaos("link", REGION, SECOND_REGION, "--delay", "200ms")
    token = header(put(ask, REGION, table, "conditional", "1"), TOKEN)
    body = {
        "TableName": table,
        "Item": {"p": S("conditional"), "v": S("2")},
        "ConditionExpression": "v = :one",
        "ExpressionAttributeValues": {":one": S("1")},
    }
    assert ask(SECOND_REGION, "PutItem", body, x_tradewind_token=token).status == 200


def test_a_region_that_cannot_have_it_says_so_and_may_be_asked_again(ask, chaos, table):
    chaos("link", REGION, SECOND_REGION, "--cut")
    token = header(put(ask, REGION, table, "cut", "1"), TOKEN)
    refused = get(ask, SECOND_REGION, table, "cut", x_tradewind_token=token, x_tradewind_wait_ms=100)
    assert (refused.status, refused.code) == (503, "ServiceUnavailable")
    assert SECOND_REGION in refused.message and "try again" in refused.message
    assert value(get(ask, SECOND_REGION, table, "cut")) is None, "without a token nobody waits"
    assert value(get(ask, REGION, table, "cut", x_tradewind_token=token)) == "1"
    chaos("reset")
    assert value(get(ask, SECOND_REGION, table, "cut", x_tradewind_token=token)) == "1"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"x_tradewind_token": "no-token"}, "no token"),
        ({"x_tradewind_token": "AQ"}, "no token"),
        ({"x_tradewind_wait_ms": "soon"}, "x-tradewind-wait-ms"),
        ({"x_tradewind_wait_for": "0"}, "x-tradewind-wait-for"),
        ({"x_tradewind_wait_for": "all"}, "x-tradewind-wait-for"),
    ],
)
def test_headers_that_make_no_sense_are_refused(ask, table, headers, says):
    refused = get(ask, REGION, table, "any", **headers)
    assert (refused.status, refused.code) == (400, "ValidationException") and says in refused.message


def test_a_token_of_another_life_of_the_table_is_refused_at_once(ask, running):
    client, name = running.endpoint().client(), unique("lives")
    client.create_table(TableName=name, **keyed_by("p:S"))
    wait_until_active(client, name)
    old = header(put_plain(ask, name), TOKEN)
    drop(client, name)
    client.create_table(TableName=name, **keyed_by("p:S"))
    wait_until_active(client, name)
    refused = get(ask, REGION, name, "x", x_tradewind_token=old)
    assert refused.status == 400 and REGION in refused.message
    assert get(ask, REGION, name, "x", x_tradewind_token=header(put_plain(ask, name), TOKEN)).status == 200


def put_plain(ask, table):
    return ask(REGION, "PutItem", {"TableName": table, "Item": {"p": S("x")}})


# Waiting for regions


def test_a_write_may_wait_until_other_regions_have_it(ask, chaos, table):
    chaos("link", REGION, SECOND_REGION, "--delay", "200ms", "--one-way")
    answer = put(ask, REGION, table, "waited", "1", x_tradewind_wait_for=2)
    assert header(answer, REACHED) == "2"
    assert value(get(ask, SECOND_REGION, table, "waited")) == "1"
    assert header(put(ask, REGION, table, "waited", "2", x_tradewind_wait_for=1), REACHED) == "1"
    assert header(put(ask, REGION, table, "waited", "3"), REACHED) is None


def test_a_write_that_waits_in_vain_stands_and_says_how_many_have_it(ask, chaos, table):
    chaos("link", REGION, SECOND_REGION, "--cut")
    answer = put(ask, REGION, table, "in vain", "1", x_tradewind_wait_for=2, x_tradewind_wait_ms=200)
    assert header(answer, REACHED) == "1" and header(answer, TOKEN)
    assert value(get(ask, REGION, table, "in vain")) == "1"


def test_more_regions_than_there_are_are_not_waited_for(ask, table):
    assert header(put(ask, REGION, table, "many", "1", x_tradewind_wait_for=3), REACHED) == "2"


# What docs/sessions.md shows


def test_the_python_of_the_page_reads_its_own_writes(running, table, chaos):
    chaos("link", REGION, SECOND_REGION, "--delay", "300ms")
    (program,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    shown = {"http://localhost:8000": running.endpoint().url, '"orders"': f'"{table}"', '"id"': '"p"'}
    for old, new in shown.items():
        assert old in program
        program = program.replace(old, new)
    space = {}
    exec(compile(program, "docs/sessions.md", "exec"), space)  # noqa: S102
    assert space["order"]["status"] == "new"
    assert space["regions"] == "2"
