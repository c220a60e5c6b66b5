"""UpdateExpression: SET, REMOVE, ADD and DELETE against real items, and every way to write one wrongly.

Updates read the item as it was before, whatever the order of clauses; counters, queues and maps in items rely on it.
"""

import re

import pytest

from marks import case
from rejections import invalid, rejected
from values import BS, NS, SS, L, M, N, S, same_item


@pytest.fixture
def change(client, table, pk):
    """Puts an item of the given attributes, updates it, and returns what it is then, without its key."""

    def run(before, expression, values=None, names=None, **more):
        if before is not None:
            client.put_item(TableName=table, Item={"p": S(pk), **before})
        arguments = dict(more)
        if values:
            arguments["ExpressionAttributeValues"] = values
        if names:
            arguments["ExpressionAttributeNames"] = names
        client.update_item(TableName=table, Key={"p": S(pk)}, UpdateExpression=expression, **arguments)
        item = client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)["Item"]
        return {name: value for name, value in item.items() if name != "p"}

    return run


# What the clauses do

WORKS = [
    ("set", {}, "SET a = :x", {":x": S("x")}, {"a": S("x")}),
    ("set overwrites", {"a": N("1")}, "SET a = :x", {":x": S("x")}, {"a": S("x")}),
    ("set copies", {"a": N("1")}, "SET b = a", None, {"a": N("1"), "b": N("1")}),
    ("set swaps", {"a": N("1"), "b": N("2")}, "SET a = b, b = a", None, {"a": N("2"), "b": N("1")}),
    ("keywords in any case", {"a": N("1"), "b": N("1")}, "sEt a = :x ReMoVe b", {":x": N("5")}, {"a": N("5")}),
    ("clauses in any order", {"b": N("1")}, "REMOVE b SET a = b", None, {"a": N("1")}),
    (
        "all clauses",
        {"n": N("1"), "s": SS("a", "b"), "r": S("r")},
        "REMOVE r DELETE s :b ADD n :one SET x = n",
        {":one": N("1"), ":b": SS("b")},
        {"n": N("2"), "s": SS("a"), "x": N("1")},
    ),
    ("plus", {"n": N("1")}, "SET n = n + :x", {":x": N("2")}, {"n": N("3")}),
    ("minus", {"n": N("1")}, "SET n = n - :x", {":x": N("2")}, {"n": N("-1")}),
    ("minus from a value", {"n": N("1")}, "SET n = :x - n", {":x": N("2")}, {"n": N("1")}),
    ("sum of two values", {}, "SET n = :x + :x", {":x": N("2")}, {"n": N("4")}),
    (
        "sum of two attributes",
        {"a": N("1"), "b": N("2")},
        "SET n = a + b",
        None,
        {"a": N("1"), "b": N("2"), "n": N("3")},
    ),
    ("nested path", {"m": M(a=S("1"))}, "SET m.b = :x", {":x": S("2")}, {"m": M(a=S("1"), b=S("2"))}),
    (
        "deep path",
        {"m": M(a=M(b=L(M(c=N("1")))))},
        "SET m.a.b[0].c = :x",
        {":x": N("2")},
        {"m": M(a=M(b=L(M(c=N("2")))))},
    ),
    ("list element", {"l": L(N("1"), N("2"))}, "SET l[1] = :x", {":x": S("x")}, {"l": L(N("1"), S("x"))}),
    ("past the end appends", {"l": L(N("1"))}, "SET l[9] = :x", {":x": N("2")}, {"l": L(N("1"), N("2"))}),
    (
        "several past the end in order",
        {"l": L(N("0"))},
        "SET l[7] = :b, l[3] = :a, l[9] = :c",
        {":a": N("1"), ":b": N("2"), ":c": N("3")},
        {"l": L(N("0"), N("1"), N("2"), N("3"))},
    ),
    ("list in list", {"l": L(L(N("1")))}, "SET l[0][0] = :x", {":x": N("2")}, {"l": L(L(N("2")))}),
    ("if_not_exists of missing", {}, "SET n = if_not_exists(n, :x)", {":x": N("5")}, {"n": N("5")}),
    ("if_not_exists of present", {"n": N("1")}, "SET n = if_not_exists(n, :x)", {":x": N("5")}, {"n": N("1")}),
    ("if_not_exists of another path", {"o": N("7")}, "SET n = if_not_exists(q, o)", None, {"o": N("7"), "n": N("7")}),
    ("if_not_exists in a sum", {}, "SET n = if_not_exists(n, :z) + :x", {":z": N("0"), ":x": N("3")}, {"n": N("3")}),
    (
        "if_not_exists on both sides",
        {},
        "SET n = if_not_exists(n, :x) + if_not_exists(m, :x)",
        {":x": N("3")},
        {"n": N("6")},
    ),
    ("if_not_exists in parentheses", {}, "SET n = (if_not_exists(n, :x))", {":x": N("3")}, {"n": N("3")}),
    ("if_not_exists of a missing parent", {}, "SET n = if_not_exists(q.r, :x)", {":x": N("3")}, {"n": N("3")}),
    (
        "if_not_exists nested in itself",
        {},
        "SET n = if_not_exists(a, if_not_exists(b, :x))",
        {":x": N("3")},
        {"n": N("3")},
    ),
    ("list_append", {"l": L(N("1"))}, "SET l = list_append(l, :x)", {":x": L(N("2"))}, {"l": L(N("1"), N("2"))}),
    (
        "list_append in front",
        {"l": L(N("1"))},
        "SET l = list_append(:x, l)",
        {":x": L(N("2"))},
        {"l": L(N("2"), N("1"))},
    ),
    ("list_append to itself", {"l": L(N("1"))}, "SET l = list_append(l, l)", None, {"l": L(N("1"), N("1"))}),
    (
        "list_append of empty",
        {},
        "SET l = list_append(if_not_exists(l, :e), :x)",
        {":e": L(), ":x": L(N("2"))},
        {"l": L(N("2"))},
    ),
    ("parentheses", {"n": N("1")}, "SET n = (n + :x)", {":x": N("1")}, {"n": N("2")}),
    ("remove", {"a": N("1"), "b": N("2")}, "REMOVE a", None, {"b": N("2")}),
    ("remove several", {"a": N("1"), "b": N("2"), "c": N("3")}, "REMOVE a, c", None, {"b": N("2")}),
    ("remove missing", {"a": N("1")}, "REMOVE b", None, {"a": N("1")}),
    ("remove nested", {"m": M(a=N("1"), b=N("2"))}, "REMOVE m.a", None, {"m": M(b=N("2"))}),
    ("remove the last entry", {"m": M(a=N("1"))}, "REMOVE m.a", None, {"m": M()}),
    ("remove missing entry", {"m": M(a=N("1"))}, "REMOVE m.z", None, {"m": M(a=N("1"))}),
    (
        "remove elements by old index",
        {"l": L(N("0"), N("1"), N("2"), N("3"))},
        "REMOVE l[0], l[2]",
        None,
        {"l": L(N("1"), N("3"))},
    ),
    ("remove past the end", {"l": L(N("0"))}, "REMOVE l[5]", None, {"l": L(N("0"))}),
    (
        "set and remove elements",
        {"l": L(N("0"), N("1"), N("2"))},
        "SET l[2] = :x REMOVE l[0]",
        {":x": N("9")},
        {"l": L(N("1"), N("9"))},
    ),
    ("add to missing", {}, "ADD n :x", {":x": N("5")}, {"n": N("5")}),
    ("add to number", {"n": N("1")}, "ADD n :x", {":x": N("-3")}, {"n": N("-2")}),
    ("add new set", {}, "ADD s :x", {":x": SS("a")}, {"s": SS("a")}),
    ("add to string set", {"s": SS("a")}, "ADD s :x", {":x": SS("a", "b")}, {"s": SS("a", "b")}),
    ("add to number set", {"s": NS("1")}, "ADD s :x", {":x": NS("1.0", "2")}, {"s": NS("1", "2")}),
    ("add to binary set", {"s": BS(b"1")}, "ADD s :x", {":x": BS(b"2")}, {"s": BS(b"1", b"2")}),
    ("add nested", {"m": M(n=N("1"))}, "ADD m.n :x", {":x": N("1")}, {"m": M(n=N("2"))}),
    ("add to list element", {"l": L(N("1"))}, "ADD l[0] :x", {":x": N("1")}, {"l": L(N("2"))}),
    ("add nested new", {"m": M()}, "ADD m.n :x", {":x": N("1")}, {"m": M(n=N("1"))}),
    ("add several", {"a": N("1")}, "ADD a :x, b :x", {":x": N("1")}, {"a": N("2"), "b": N("1")}),
    ("delete members", {"s": SS("a", "b", "c")}, "DELETE s :x", {":x": SS("a", "z")}, {"s": SS("b", "c")}),
    ("delete all members", {"s": SS("a"), "k": N("1")}, "DELETE s :x", {":x": SS("a")}, {"k": N("1")}),
    ("delete from missing", {"k": N("1")}, "DELETE s :x", {":x": SS("a")}, {"k": N("1")}),
    ("delete from number set", {"s": NS("1", "2")}, "DELETE s :x", {":x": NS("2.00")}, {"s": NS("1")}),
    ("whitespace", {"n": N("1")}, "  SET\n\tn=n+:x\r\n ", {":x": N("1")}, {"n": N("2")}),
]


@pytest.mark.parametrize("before, expression, values, after", [w[1:] for w in WORKS], ids=[w[0] for w in WORKS])
def test_updates(change, before, expression, values, after):
    assert same_item(change(before, expression, values), after)


def test_names_may_stand_for_reserved_or_odd_attributes(change):
    before = {"size": N("1"), "a.b": N("1"), "m": M(**{"x-y": N("1")})}
    after = change(
        before,
        "SET #s = #s + :x, #d = #d + :x, m.#e = m.#e + :x",
        {":x": N("1")},
        {"#s": "size", "#d": "a.b", "#e": "x-y"},
    )
    assert after == {"size": N("2"), "a.b": N("2"), "m": M(**{"x-y": N("2")})}


def test_a_name_placeholder_is_one_name_and_no_path(change):
    after = change({"m": M(a=N("1"))}, "SET #x = :x", {":x": N("5")}, {"#x": "m.a"})
    assert after == {"m": M(a=N("1")), "m.a": N("5")}


@pytest.mark.parametrize("word", ["SET", "REMOVE", "ADD", "DELETE"])
def test_update_words_are_not_variables_where_they_start_a_clause(change, word):
    with invalid(has="Invalid UpdateExpression: Syntax error"):
        change({}, f"{word}")


# What the item at hand forbids

INVALID_PATH = "The document path provided in the update expression is invalid for update"
MISSING = "The provided expression refers to an attribute that does not exist in the item"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"


@pytest.mark.parametrize(
    "before, expression, values, message",
    [
        ({}, "SET m.a = :x", {":x": N("1")}, INVALID_PATH),
        ({"m": S("s")}, "SET m.a = :x", {":x": N("1")}, INVALID_PATH),
        ({"m": L()}, "SET m.a = :x", {":x": N("1")}, INVALID_PATH),
        ({"m": M()}, "SET m[0] = :x", {":x": N("1")}, INVALID_PATH),
        ({"m": M()}, "SET m.a.b = :x", {":x": N("1")}, INVALID_PATH),
        ({}, "SET l[0] = :x", {":x": N("1")}, INVALID_PATH),
        ({}, "REMOVE m.a", None, INVALID_PATH),
        ({"m": S("s")}, "REMOVE m.a", None, INVALID_PATH),
        ({"m": M()}, "REMOVE m.a.b", None, INVALID_PATH),
        ({}, "ADD m.n :x", {":x": N("1")}, INVALID_PATH),
        ({}, "SET a = b", None, MISSING),
        ({}, "SET a = b + :x", {":x": N("1")}, MISSING),
        ({"m": M()}, "SET a = m.b", None, MISSING),
        ({"l": L()}, "SET a = l[0]", None, MISSING),
        ({}, "SET l = list_append(l, :x)", {":x": L()}, MISSING),
        ({"a": S("s")}, "SET a = a + :x", {":x": N("1")}, WRONG_TYPE),
        ({"a": N("1"), "b": S("s")}, "SET a = a + b", None, WRONG_TYPE),
        ({"a": N("1"), "b": L()}, "SET a = list_append(a, b)", None, WRONG_TYPE),
        ({"a": SS("s")}, "SET a = list_append(a, :x)", {":x": L()}, WRONG_TYPE),
        ({"a": S("s")}, "ADD a :x", {":x": N("1")}, WRONG_TYPE),
        ({"a": L()}, "ADD a :x", {":x": N("1")}, WRONG_TYPE),
        ({"a": SS("s")}, "ADD a :x", {":x": NS("1")}, WRONG_TYPE),
        ({"a": N("1")}, "ADD a :x", {":x": NS("1")}, WRONG_TYPE),
        ({"a": S("s")}, "DELETE a :x", {":x": SS("s")}, WRONG_TYPE),
        ({"a": NS("1")}, "DELETE a :x", {":x": SS("1")}, WRONG_TYPE),
    ],
)
def test_updates_that_do_not_fit_the_item(client, table, pk, change, before, expression, values, message):
    with invalid(message):
        change(before, expression, values)
    item = client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)["Item"]
    assert item == {"p": S(pk), **before}


# What no item could satisfy

PREFIX = "Invalid UpdateExpression: "


@pytest.mark.parametrize(
    "expression, values, message",
    [
        ("SET a = :x SET b = :x", {":x": N("1")}, 'The "SET" section can only be used once in an update expression;'),
        ("REMOVE a REMOVE b", None, 'The "REMOVE" section can only be used once in an update expression;'),
        (
            "ADD a :x SET c = :x ADD b :x",
            {":x": N("1")},
            'The "ADD" section can only be used once in an update expression;',
        ),
        (
            "SET a = :x, a = :x",
            {":x": N("1")},
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]",
        ),
        (
            "SET a = :x, a.b = :x",
            {":x": N("1")},
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a, b]",
        ),
        (
            "SET a.b = :x REMOVE a",
            {":x": N("1")},
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a]",
        ),
        (
            "SET a[0] = :x, a[0].b = :x",
            {":x": N("1")},
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, [0]], path two: [a, [0], b]",
        ),
        (
            "SET a.b = :x, a[1] = :x",
            {":x": N("1")},
            "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, [1]]",
        ),
        case(
            "SET size = :x",
            {":x": N("1")},
            "Attribute name is a reserved keyword; reserved keyword: size",
            differs_locally="does not reserve the word",
        ),
        ("REMOVE m.Value", None, "Attribute name is a reserved keyword; reserved keyword: Value"),
        ("SET a = NAME", None, "Attribute name is a reserved keyword; reserved keyword: NAME"),
        (
            "SET #a = :x",
            {":x": N("1")},
            "An expression attribute name used in the document path is not defined; attribute name: #a",
        ),
        ("SET a = :y", None, "An expression attribute value used in expression is not defined; attribute value: :y"),
        ("SET a = nofunction(:x)", {":x": N("1")}, "Invalid function name; function: nofunction"),
        ("SET a = size(b)", None, "The function is not allowed in an update expression; function: size"),
        (
            "SET a = attribute_exists(b)",
            None,
            "The function is not allowed in an update expression; function: attribute_exists",
        ),
        (
            "SET a = if_not_exists(b)",
            None,
            "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1",
        ),
        (
            "SET a = list_append(b)",
            None,
            "Incorrect number of operands for operator or function; operator or function: list_append, number of operands: 1",
        ),
        (
            "SET a = if_not_exists(:x, b)",
            {":x": N("1")},
            "Operator or function requires a document path; operator or function: if_not_exists",
        ),
        (
            "SET a = list_append(b, :x)",
            {":x": S("1")},
            "Incorrect operand type for operator or function; operator or function: list_append, operand type: S",
        ),
        (
            "SET a = b + :x",
            {":x": S("1")},
            "Incorrect operand type for operator or function; operator or function: +, operand type: S",
        ),
        (
            "SET a = b - :x",
            {":x": L()},
            "Incorrect operand type for operator or function; operator or function: -, operand type: L",
        ),
    ],
)
def test_expressions_that_make_no_sense(change, expression, values, message):
    with invalid(PREFIX + message):
        change({}, expression, values)


@pytest.mark.parametrize(
    "expression, value, message",
    [
        ("ADD a :x", S("1"), "operator: ADD, operand type: STRING"),
        ("ADD a :x", L(), "operator: ADD, operand type: LIST"),
        ("ADD a :x", M(), "operator: ADD, operand type: MAP"),
        ("DELETE a :x", N("1"), "operator: DELETE, operand type: NUMBER"),
        ("DELETE a :x", M(), "operator: DELETE, operand type: MAP"),
    ],
)
def test_add_and_delete_refuse_other_types_of_operands(change, expression, value, message):
    with invalid(has=f"{PREFIX}Incorrect operand type for operator or function; {message}"):
        change({}, expression, {":x": value})


def test_an_empty_expression_is_refused(change):
    with invalid(PREFIX + "The expression can not be empty;"):
        change({}, "")


@pytest.mark.parametrize(
    "expression, token",
    [
        ("SET", "<EOF>"),
        ("SET a", "<EOF>"),
        ("SET a = ", "<EOF>"),
        ("SET a = :x,", "<EOF>"),
        ("SET a == :x", "="),
        ("SET a := :x", ":"),
        ("a = :x", "a"),
        ("SET a = :x b = :x", "b"),
        ("SET a + :x", "+"),
        ("SET a = 1", "1"),
        ("SET a = 'text'", "'"),
        ('SET a = "text"', '"'),
        ("SET a-b = :x", "-"),
        ("SET a = :x + :x + :x", "+"),
        ("SET a = b * :x", "*"),
        ("SET a[:x] = :x", ":x"),
        ("SET a[b] = :x", "b"),
        ("SET a[-1] = :x", "-"),
        ("SET a[] = :x", "]"),
        ("SET a. = :x", "="),
        ("SET .a = :x", "."),
        ("SET a..b = :x", "."),
        ("SET :x = a", ":x"),
        ("REMOVE", "<EOF>"),
        ("REMOVE a b", "b"),
        ("REMOVE a,,b", ","),
        ("REMOVE :x", ":x"),
        ("ADD a", "<EOF>"),
        ("ADD a b", "b"),
        ("ADD a = :x", "="),
        ("DELETE a", "<EOF>"),
        ("SET a = (:x", "<EOF>"),
        ("SET a = :x)", ")"),
        ("SET a = if_not_exists(b, :x", "<EOF>"),
        ("SET a = if_not_exists(b :x)", ":x"),
        ("SET a = list_append(b, :x + :x)", "+"),
        ("SET a = :x;", ";"),
        ("UPDATE a = :x", "UPDATE"),
        ("SET a = :x AND b = :x", "AND"),
        ("SET a = @x", "@"),
    ],
)
def test_syntax_errors_name_the_token(change, expression, token):
    with invalid(matches=f'^{PREFIX}Syntax error; token: "{re.escape(token)}"'):
        change({}, expression, {":x": N("1")})


@pytest.mark.parametrize(
    "expression, near",
    [
        ("SET a == :x", '"=", near: "== :x"'),
        ("SET a = :x b = :x", '"b", near: ":x b ="'),
        ("REMOVE a b", '"b", near: "a b"'),
        ("SET a = :x,", '"<EOF>", near: ","'),
    ],
)
def test_syntax_errors_show_the_neighbours(change, expression, near):
    with invalid(PREFIX + f"Syntax error; token: {near}"):
        change({}, expression, {":x": N("1")})


def test_an_index_beyond_reason_is_refused(change):
    with invalid(has="List index is not within the allowable range"):
        change({"l": L()}, "SET l[99999999999] = :x", {":x": N("1")})


def test_a_failed_condition_comes_before_a_wrong_path(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk)})
    with rejected("ConditionalCheckFailedException"):
        client.update_item(
            TableName=table,
            Key={"p": S(pk)},
            UpdateExpression="SET m.a = :x",
            ConditionExpression="attribute_exists(zz)",
            ExpressionAttributeValues={":x": N("1")},
        )


def test_an_update_may_make_a_set_where_a_condition_reads_it(change):
    after = change(
        {"version": N("3")},
        "SET #v = #v + :one, body = :b",
        {":one": N("1"), ":b": S("new"), ":seen": N("3")},
        {"#v": "version"},
        ConditionExpression="#v = :seen",
    )
    assert after == {"version": N("4"), "body": S("new")}


@pytest.mark.parametrize("level", [31, 32])
def test_an_update_may_not_nest_too_deep(change, level):
    value = S("leaf")
    for _ in range(level):
        value = M(a=value)
    with invalid(has="Nesting Levels have exceeded supported limits"):
        change({"m": M()}, "SET m.x = :x", {":x": value})
