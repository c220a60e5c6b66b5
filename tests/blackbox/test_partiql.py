"""PartiQL: ExecuteStatement, BatchExecuteStatement and ExecuteTransaction over the grammar of the manual.

The same items and rules as everywhere, in another language; consoles and some drivers speak only this one.
"""

import pytest

from marks import differs, differs_often
from rejections import invalid, rejected
from schemas import index, keyed_by
from values import BOOL, NULL, SS, B, L, M, N, S, same_item, unique


@pytest.fixture(scope="module")
def indexed(make_table):
    return make_table(**keyed_by("p:S", "c:N", gsi=[index("by_x", "x:S")]))


@pytest.fixture
def run(client):
    def execute(statement, *parameters, **more):
        given = {"Parameters": list(parameters)} if parameters else {}
        return client.execute_statement(Statement=statement, **given, **more)

    return execute


@pytest.fixture
def rows(client, indexed, pk):
    """Five rows c = 0 … 4 of one partition."""
    for at in range(5):
        client.put_item(
            TableName=indexed,
            Item={
                "p": S(pk),
                "c": N(at),
                "x": S(pk),
                "n": N(at * 10),
                "s": S(f"s{at}"),
                "m": M(a=N(at)),
                "l": L(N(at), N(7)),
            },
        )
    return pk


def get(client, table, **key):
    return client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def numbers(answer):
    return [int(item["c"]["N"]) for item in answer["Items"]]


# Select


def test_select_by_full_key(run, indexed, rows):
    answer = run(f'SELECT * FROM "{indexed}" WHERE p = ? AND c = ?', S(rows), N(3))
    assert numbers(answer) == [3]


def test_select_by_literals(run, indexed, rows):
    assert numbers(run(f"SELECT * FROM \"{indexed}\" WHERE p = '{rows}' AND c = 2")) == [2]


def test_select_a_partition_in_order(run, indexed, rows):
    assert numbers(run(f'SELECT * FROM "{indexed}" WHERE p = ?', S(rows))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("order, expected", [("ASC", [0, 1, 2, 3, 4]), ("DESC", [4, 3, 2, 1, 0])])
def test_select_orders_by_the_sort_key(run, indexed, rows, order, expected):
    assert numbers(run(f'SELECT * FROM "{indexed}" WHERE p = ? ORDER BY c {order}', S(rows))) == expected


@pytest.mark.parametrize(
    "condition, found",
    [
        ("c > 2", [3, 4]),
        ("c >= 2 AND c < 4", [2, 3]),
        ("c BETWEEN 1 AND 3", [1, 2, 3]),
        ("c IN [1, 4]", [1, 4]),
        ("n = 20", [2]),
        ("n <> 20", [0, 1, 3, 4]),
        ("n > 10 AND n < 40", [2, 3]),
        ("n = 0 OR n = 40", [0, 4]),
        ("NOT n = 20", [0, 1, 3, 4]),
        ("n IN [10, 30]", [1, 3]),
        ("s = 's3'", [3]),
        ("begins_with(s, 's')", [0, 1, 2, 3, 4]),
        ("contains(s, '2')", [2]),
        ("m.a = 4", [4]),
        ("l[0] = 1", [1]),
        ("attribute_type(n, 'N')", [0, 1, 2, 3, 4]),
        ("size(s) = 2", [0, 1, 2, 3, 4]),
        ("zz IS MISSING", [0, 1, 2, 3, 4]),
        ("n IS NOT MISSING", [0, 1, 2, 3, 4]),
        ("zz = 1", []),
    ],
)
def test_select_filters(run, indexed, rows, condition, found):
    answer = run(f'SELECT * FROM "{indexed}" WHERE p = ? AND ({condition})', S(rows))
    assert sorted(numbers(answer)) == found


def test_select_projects(run, indexed, rows):
    answer = run(f'SELECT n, m.a, l[1] FROM "{indexed}" WHERE p = ? AND c = 2', S(rows))
    item = answer["Items"][0]
    assert item["n"] == N(20)
    assert N(2) in item.values() and N(7) in item.values()


def test_select_quoted_names(run, client, indexed, pk):
    client.put_item(TableName=indexed, Item={"p": S(pk), "c": N(1), "odd name": S("x"), "size": N(5)})
    answer = run(f'SELECT "odd name", "size" FROM "{indexed}" WHERE p = ? AND "size" = 5', S(pk))
    assert answer["Items"] == [{"odd name": S("x"), "size": N(5)}]


def test_select_from_an_index(run, indexed, rows):
    assert sorted(numbers(run(f'SELECT * FROM "{indexed}"."by_x" WHERE x = ?', S(rows)))) == [0, 1, 2, 3, 4]


def test_select_without_key_scans(run, indexed, rows):
    assert numbers(run(f"SELECT * FROM \"{indexed}\" WHERE s = 's3' AND x = ?", S(rows))) == [3]


def test_keywords_are_in_any_case(run, indexed, rows):
    assert numbers(run(f'select * from "{indexed}" where p = ? and c = 1', S(rows))) == [1]


def test_pages_go_on_by_token(run, indexed, rows):
    found, token = [], {}
    for _ in range(10):
        answer = run(f'SELECT * FROM "{indexed}" WHERE p = ?', S(rows), Limit=2, **token)
        found += numbers(answer)
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert found == [0, 1, 2, 3, 4]


@differs("shows none")
def test_capacity_is_shown(run, indexed, rows):
    answer = run(f'SELECT * FROM "{indexed}" WHERE p = ?', S(rows), ReturnConsumedCapacity="TOTAL", ConsistentRead=True)
    assert answer["ConsumedCapacity"] == {"TableName": indexed, "CapacityUnits": 1.0}


# Insert


def test_insert_takes_every_literal(run, client, table, pk):
    run(
        f"INSERT INTO \"{table}\" VALUE {{'p': '{pk}', 'n': -1.5, 't': true, 'z': null, 'l': [1, 'a'], 'm': {{'k': 'v'}}, 's': <<'a', 'b'>>, 'q': 'it''s'}}"
    )
    assert same_item(
        get(client, table, p=S(pk)),
        {
            "p": S(pk),
            "n": N("-1.5"),
            "t": BOOL(True),
            "z": NULL,
            "l": L(N(1), S("a")),
            "m": M(k=S("v")),
            "s": SS("a", "b"),
            "q": S("it's"),
        },
    )


def test_insert_takes_parameters(run, client, table, pk):
    run(f"INSERT INTO \"{table}\" VALUE {{'p': ?, 'v': ?}}", S(pk), B(b"\x00"))
    assert get(client, table, p=S(pk)) == {"p": S(pk), "v": B(b"\x00")}


@differs("names the error otherwise")
def test_insert_never_overwrites(run, client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "v": S("old")})
    with rejected("DuplicateItemException"):
        run(f"INSERT INTO \"{table}\" VALUE {{'p': ?}}", S(pk))
    assert get(client, table, p=S(pk))["v"] == S("old")


# Update


@pytest.mark.parametrize(
    "change, after",
    [
        ("SET n = 5", {"n": N(5), "s": SS("a", "b"), "l": L(N(1))}),
        ("SET n = n + 1", {"n": N(2), "s": SS("a", "b"), "l": L(N(1))}),
        ("SET a = 'x' SET b = 'y'", {"n": N(1), "s": SS("a", "b"), "l": L(N(1)), "a": S("x"), "b": S("y")}),
        ("REMOVE n", {"s": SS("a", "b"), "l": L(N(1))}),
        ("SET a = 1 REMOVE n", {"a": N(1), "s": SS("a", "b"), "l": L(N(1))}),
        ("SET l = list_append(l, [2])", {"n": N(1), "s": SS("a", "b"), "l": L(N(1), N(2))}),
        ("SET s = set_add(s, <<'c'>>)", {"n": N(1), "s": SS("a", "b", "c"), "l": L(N(1))}),
        ("SET s = set_delete(s, <<'a'>>)", {"n": N(1), "s": SS("b"), "l": L(N(1))}),
        ("SET l[0] = 9", {"n": N(1), "s": SS("a", "b"), "l": L(N(9))}),
    ],
)
def test_update(run, client, table, pk, change, after):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N(1), "s": SS("a", "b"), "l": L(N(1))})
    run(f'UPDATE "{table}" {change} WHERE p = ?', S(pk))
    assert same_item(get(client, table, p=S(pk)), {"p": S(pk), **after})


def test_update_of_a_missing_item_fails(run, client, table, pk):
    with rejected("ConditionalCheckFailedException"):
        run(f'UPDATE "{table}" SET n = 1 WHERE p = ?', S(pk))
    assert get(client, table, p=S(pk)) is None


def test_update_has_conditions(run, client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N(1)})
    with rejected("ConditionalCheckFailedException"):
        run(f'UPDATE "{table}" SET n = 2 WHERE p = ? AND n = 5', S(pk))
    run(f'UPDATE "{table}" SET n = 2 WHERE p = ? AND n = 1', S(pk))
    assert get(client, table, p=S(pk))["n"] == N(2)


@pytest.mark.parametrize(
    "returning, expected",
    [
        ("ALL OLD *", {"n": N(1), "k": S("k")}),
        ("ALL NEW *", {"n": N(2), "k": S("k")}),
        ("MODIFIED OLD *", {"n": N(1)}),
        ("MODIFIED NEW *", {"n": N(2)}),
    ],
)
def test_update_returns(run, client, table, pk, returning, expected):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N(1), "k": S("k")})
    answer = run(f'UPDATE "{table}" SET n = 2 WHERE p = ? RETURNING {returning}', S(pk))
    assert answer["Items"] == [{**expected, **({"p": S(pk)} if returning.startswith("ALL") else {})}]


def test_update_needs_the_full_key(run, indexed, rows):
    with invalid():
        run(f'UPDATE "{indexed}" SET n = 1 WHERE p = ?', S(rows))


# Delete


def test_delete(run, client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "v": S("x")})
    answer = run(f'DELETE FROM "{table}" WHERE p = ? RETURNING ALL OLD *', S(pk))
    assert answer["Items"] == [{"p": S(pk), "v": S("x")}]
    assert get(client, table, p=S(pk)) is None


def test_delete_of_a_missing_item_succeeds(run, table, pk):
    assert run(f'DELETE FROM "{table}" WHERE p = ?', S(pk)).get("Items", []) == []


def test_delete_has_conditions(run, client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N(1)})
    with rejected("ConditionalCheckFailedException"):
        run(f'DELETE FROM "{table}" WHERE p = ? AND n = 2', S(pk))
    assert get(client, table, p=S(pk))


# Refusals


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "nonsense",
        "SELECT",
        "SELECT * FROM",
        'SELECT * FROM "{table}" WHERE',
        'SELECT * FROM "{table}" WHERE p =',
        'SELECT * FROM "{table}" WHERE p = \'x',
        'INSERT INTO "{table}" VALUE',
        'INSERT INTO "{table}" VALUE {{}}',
        "INSERT INTO \"{table}\" VALUE {{'q': 1}}",
        "UPDATE \"{table}\" WHERE p = 'x'",
        "UPDATE \"{table}\" SET p = 'y' WHERE p = 'x'",
        'DELETE FROM "{table}"',
        'DROP TABLE "{table}"',
        'SELECT * FROM "{table}" WHERE p = ?',
        'SELECT count(*) FROM "{table}"',
        'SELECT * FROM "{table}" a JOIN "{table}" b',
    ],
)
@differs_often("answers some of these with a 500")
def test_statements_that_make_no_sense(run, table, statement):
    with invalid():
        run(statement.format(table=table))


def test_an_unknown_table_is_not_found(run):
    with rejected("ResourceNotFoundException"):
        run(f"SELECT * FROM \"{unique('nowhere')}\" WHERE p = 'x'")


def test_a_statement_has_8192_characters_at_most(run, table):
    with invalid():
        run(f"SELECT * FROM \"{table}\" WHERE p = '{'x' * 8200}'")


# Batches


def test_a_batch_of_reads(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "v": S("x")})
    statement = f'SELECT * FROM "{table}" WHERE p = ?'
    answer = client.batch_execute_statement(
        Statements=[
            {"Statement": statement, "Parameters": [S(pk)]},
            {"Statement": statement, "Parameters": [S(pk + "-")]},
        ]
    )
    first, second = answer["Responses"]
    assert first["Item"] == {"p": S(pk), "v": S("x")} and first["TableName"] == table
    assert "Item" not in second and "Error" not in second


def test_a_batch_of_writes_answers_each(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk)})
    insert = f"INSERT INTO \"{table}\" VALUE {{'p': ?}}"
    answer = client.batch_execute_statement(
        Statements=[{"Statement": insert, "Parameters": [S(pk)]}, {"Statement": insert, "Parameters": [S(pk + "2")]}]
    )
    assert answer["Responses"][0]["Error"]["Code"] in ("DuplicateItem", "DuplicateItemException")
    assert "Error" not in answer["Responses"][1]
    assert get(client, table, p=S(pk + "2"))


def test_a_batch_does_not_mix_reads_and_writes(client, table, pk):
    with invalid():
        client.batch_execute_statement(
            Statements=[
                {"Statement": f'SELECT * FROM "{table}" WHERE p = ?', "Parameters": [S(pk)]},
                {"Statement": f"INSERT INTO \"{table}\" VALUE {{'p': ?}}", "Parameters": [S(pk)]},
            ]
        )


def test_a_batch_has_25_statements_at_most(client, table, pk):
    each = {"Statement": f'SELECT * FROM "{table}" WHERE p = ?', "Parameters": [S(pk)]}
    with invalid():
        client.batch_execute_statement(Statements=[each] * 26)


# Transactions


def test_a_transaction_of_writes(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N(1)})
    client.execute_transaction(
        TransactStatements=[
            {"Statement": f'UPDATE "{table}" SET n = 2 WHERE p = ?', "Parameters": [S(pk)]},
            {"Statement": f"INSERT INTO \"{table}\" VALUE {{'p': ?}}", "Parameters": [S(pk + "2")]},
        ]
    )
    assert get(client, table, p=S(pk))["n"] == N(2)
    assert get(client, table, p=S(pk + "2"))


@differs("names the reason otherwise")
def test_a_transaction_is_all_or_nothing(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk)})
    insert = f"INSERT INTO \"{table}\" VALUE {{'p': ?}}"
    with rejected("TransactionCanceledException") as seen:
        client.execute_transaction(
            TransactStatements=[
                {"Statement": insert, "Parameters": [S(pk + "2")]},
                {"Statement": insert, "Parameters": [S(pk)]},
            ]
        )
    assert [reason["Code"] for reason in seen.response["CancellationReasons"]] == ["None", "DuplicateItem"]
    assert get(client, table, p=S(pk + "2")) is None


def test_a_transaction_checks_existence(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N(1)})
    statements = lambda n: [
        {"Statement": f"INSERT INTO \"{table}\" VALUE {{'p': ?}}", "Parameters": [S(f"{pk}{n}")]},
        {"Statement": f'EXISTS(SELECT * FROM "{table}" WHERE p = ? AND n = ?)', "Parameters": [S(pk), N(n)]},
    ]
    client.execute_transaction(TransactStatements=statements(1))
    with rejected("TransactionCanceledException"):
        client.execute_transaction(TransactStatements=statements(2))
    assert get(client, table, p=S(f"{pk}1")) and not get(client, table, p=S(f"{pk}2"))


def test_a_transaction_of_reads(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk)})
    statement = f'SELECT * FROM "{table}" WHERE p = ?'
    answer = client.execute_transaction(
        TransactStatements=[
            {"Statement": statement, "Parameters": [S(pk)]},
            {"Statement": statement, "Parameters": [S(pk + "-")]},
        ]
    )
    assert answer["Responses"][0]["Item"] == {"p": S(pk)}
    assert "Item" not in answer["Responses"][1]
