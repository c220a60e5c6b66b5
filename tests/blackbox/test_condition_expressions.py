"""ConditionExpression: every operator and function against items that have, lack or mistype the attribute.

Optimistic locking and uniqueness are built from these; a wrong answer for a missing attribute loses data silently.
The same evaluator serves filters, so the table of truths below is run through both.
"""

import re

import pytest

from marks import case
from rejections import CONDITION_FAILED, invalid, rejected
from values import BOOL, BS, NS, NULL, SS, B, L, M, N, S, unique

ITEM = {
    "s": S("hello"),
    "n": N("10"),
    "b": B(b"\x01\x02\x03"),
    "t": BOOL(True),
    "f": BOOL(False),
    "nul": NULL,
    "ss": SS("a", "b", "c"),
    "ns": NS("1", "2"),
    "bs": BS(b"x", b"y"),
    "l": L(S("one"), N("2"), M(k=S("v"))),
    "m": M(a=N("1"), b=M(c=S("deep")), l=L(N("5"))),
    "blank": S(""),
    "same": S("hello"),
}

V = {
    ":hello": S("hello"),
    ":hell": S("hell"),
    ":ell": S("ell"),
    ":z": S("z"),
    ":a": S("a"),
    ":empty": S(""),
    ":n1": N("1"),
    ":n5": N("5"),
    ":n10": N("10.0"),
    ":n11": N("11"),
    ":n2": N("2"),
    ":n3": N("3"),
    ":n0": N("0"),
    ":b": B(b"\x01\x02\x03"),
    ":b1": B(b"\x01"),
    ":b2": B(b"\x02"),
    ":bz": B(b"\xff"),
    ":x": B(b"x"),
    ":t": BOOL(True),
    ":f": BOOL(False),
    ":null": NULL,
    ":ss": SS("c", "a", "b"),
    ":ss2": SS("a"),
    ":ns": NS("2.0", "1"),
    ":bs": BS(b"y", b"x"),
    ":l": L(S("one"), N("2.0"), M(k=S("v"))),
    ":l2": L(S("one")),
    ":m": M(b=M(c=S("deep")), a=N("1"), l=L(N("5"))),
    ":kv": M(k=S("v")),
    ":S": S("S"),
    ":N": S("N"),
    ":B": S("B"),
    ":SS": S("SS"),
    ":NS": S("NS"),
    ":BS": S("BS"),
    ":L": S("L"),
    ":M": S("M"),
    ":BOOL": S("BOOL"),
    ":NULL": S("NULL"),
}

TRUE = """
s = :hello | s <> :z | s < :z | s <= :hello | s > :a | s >= :hello | :hello = s | s = same | :n5 < n | s <> :n10
n = :n10 | n > :n5 | n < :n11 | n BETWEEN :n5 AND :n11 | n BETWEEN :n10 AND :n10 | n IN (:n1, :n10) | n in (:n10)
b = :b | b > :b1 | b < :bz | begins_with(b, :b1) | contains(b, :b2) | size(b) = :n3 | b between :b1 and :bz
t = :t | f = :f | t <> :f | nul = :null | t <> f | blank = :empty | size(blank) = :n0
ss = :ss | ss <> :ss2 | ns = :ns | bs = :bs | l = :l | m = :m | l <> :l2 | l[2] = :kv
attribute_exists(s) | attribute_exists(m.b.c) | attribute_exists(l[2].k) | attribute_exists(m.l[0])
attribute_not_exists(zz) | attribute_not_exists(m.zz) | attribute_not_exists(l[7]) | attribute_not_exists(s.a) | attribute_not_exists(zz.a.b[3])
attribute_type(s, :S) | attribute_type(n, :N) | attribute_type(b, :B) | attribute_type(ss, :SS) | attribute_type(ns, :NS)
attribute_type(bs, :BS) | attribute_type(l, :L) | attribute_type(m, :M) | attribute_type(t, :BOOL) | attribute_type(nul, :NULL)
begins_with(s, :hell) | begins_with(s, :hello) | begins_with(s, :empty) | contains(s, :ell) | contains(s, :empty)
contains(ss, :a) | contains(ns, :n2) | contains(bs, :x) | contains(l, :n2) | contains(l, :kv) | NOT contains(ss, :z)
size(s) = :n5 | size(ss) = :n3 | size(l) = :n3 | size(m) = :n3 | size(:hell) < :n5 | size(s) > size(ss) | :n5 = size(s) | size(ns) between :n1 and :n3
zz <> :hello | zz <> yy | s <> zz | zz <> zz2 | NOT zz = :hello | NOT n < :n1 | not s = :z
s = :hello AND n = :n10 | s = :z OR n = :n10 | s = :z OR s = :a OR s = :hello | (s = :hello) AND (n = :n10) | s = :hello and NOT (n = :n1)
s = :hello OR s = :z AND n = :n1 | NOT s = :z AND n = :n10 | NOT (s = :z AND n = :n10) | (s = :z OR s = :hello) AND n = :n10
m.a = :n1 | m.b.c <> :hello | l[0] <> :hello | m.l[0] = :n5 | l[1] = :n2 | n = :n10 AND (m.a = :n1 OR (s = :z AND n = :n1))
s IN (:z, n, :hello) | same IN (s) | n BETWEEN m.a AND :n11 | :n5 BETWEEN m.a AND n
"""

FALSE = """
s = :z | s <> :hello | s < :a | s > :z | s = :n10 | n = :hello | s < :n11 | n > :a | b = :hello | t = :f | t = :hello | nul = :t
s > n | s <= n | n BETWEEN :hell AND :z | s BETWEEN :n1 AND :n5 | s IN (:n1) | ss = :a | l = :ss | ss = :ns | m = :kv
zz = :hello | zz = yy | s = zz | zz < :hello | zz > :hello | zz <= :hello | zz >= :hello | zz < yy | zz BETWEEN :a AND :z | zz IN (:hello)
attribute_exists(zz) | attribute_exists(m.zz) | attribute_exists(l[9]) | attribute_exists(s.a) | attribute_exists(zz.a) | attribute_not_exists(s)
attribute_type(s, :N) | attribute_type(zz, :S) | attribute_type(t, :NULL) | attribute_type(ss, :L)
begins_with(s, :ell) | begins_with(zz, :hell) | begins_with(n, :hell) | begins_with(s, :b) | begins_with(ss, :a) | begins_with(l, :a)
contains(s, :z) | contains(zz, :a) | contains(s, :n1) | contains(ns, :a) | contains(ss, :n1) | contains(l, :n1) | contains(n, :n1) | contains(m, :a) | contains(s, :b)
size(zz) = :n1 | size(n) = :n2 | size(n) > :n0 | size(t) = :n1 | size(nul) >= :n0 | size(s) = :hello | size(zz) < :n11
NOT s = :hello | NOT zz <> :hello | s = :hello AND n = :n1 | (s = :z OR s = :hello) AND n = :n1 | not (s = :hello OR n = :n1)
m.a = :n2 | m.b = :n1 | l[0] = :hello | l[5] = :n2 | m[0] = :n1 | l.a = :n1
"""


def lines(text):
    return [part.strip() for line in text.strip().splitlines() for part in line.split(" | ")]


TRUTHS = [(c, True) for c in lines(TRUE)]
TRUTHS += [(c, False) for c in lines(FALSE)]


def values_of(condition):
    return {name: V[name] for name in re.findall(r":\w+", condition)}


@pytest.fixture(scope="module")
def subject(client, table):
    """The item that all conditions look at."""
    key = {"p": S(unique())}
    client.put_item(TableName=table, Item={**key, **ITEM})
    return key


@pytest.mark.parametrize("condition, truth", TRUTHS, ids=[c for c, _ in TRUTHS])
def test_conditions_on_writes(client, table, subject, condition, truth):
    values = values_of(condition)
    arguments = {"ExpressionAttributeValues": values} if values else {}
    write = lambda: client.update_item(TableName=table, Key=subject, ConditionExpression=condition, **arguments)
    if truth:
        write()
    else:
        with rejected("ConditionalCheckFailedException", CONDITION_FAILED):
            write()


def test_conditions_decide_the_same_in_filters(client, ranged):
    """One item, every condition: a filter keeps the item exactly when a write condition holds."""
    pk = unique()
    client.put_item(TableName=ranged, Item={"p": S(pk), "c": S("1"), **ITEM})
    wrong = [condition for condition, truth in TRUTHS if filtered(client, ranged, pk, condition) != truth]
    assert wrong == []


def filtered(client, ranged, pk, condition):
    answer = client.query(
        TableName=ranged,
        KeyConditionExpression="p = :p",
        FilterExpression=condition,
        ExpressionAttributeValues={":p": S(pk), **values_of(condition)},
    )
    assert answer["ScannedCount"] == 1
    return answer["Count"] == 1


# Missing items


@pytest.mark.parametrize(
    "condition, truth",
    [
        ("attribute_not_exists(a)", True),
        ("attribute_not_exists(p)", True),
        ("a <> :v", True),
        ("NOT a = :v", True),
        ("NOT attribute_exists(a)", True),
        ("a <> b", True),
        ("attribute_exists(a)", False),
        ("attribute_exists(p)", False),
        ("a = :v", False),
        ("a < :v", False),
        ("size(a) < :v", False),
        ("begins_with(a, :v)", False),
        ("contains(a, :v)", False),
        ("a IN (:v)", False),
        ("a BETWEEN :v AND :v", False),
    ],
)
@pytest.mark.parametrize("operation", ["put", "delete", "update"])
def test_conditions_on_a_missing_item(client, table, pk, operation, condition, truth):
    values = {"ExpressionAttributeValues": {":v": S("x")}} if ":v" in condition else {}
    target = {"Item": {"p": S(pk)}} if operation == "put" else {"Key": {"p": S(pk)}}
    write = lambda: getattr(client, f"{operation}_item")(
        TableName=table, ConditionExpression=condition, **target, **values
    )
    if truth:
        write()
    else:
        with rejected("ConditionalCheckFailedException"):
            write()


@pytest.mark.parametrize(
    "value, size",
    [(S("abc"), 3), (S("é🦀"), 3), (B(b"\x00" * 7), 7), (L(), 0), (M(a=S("x")), 1), (NS("1", "2"), 2)],
)
def test_size_counts(client, table, pk, value, size):
    client.put_item(TableName=table, Item={"p": S(pk), "v": value})
    client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        ConditionExpression="size(v) = :n",
        ExpressionAttributeValues={":n": N(size)},
    )


# Errors

PREFIX = "Invalid ConditionExpression: "


@pytest.mark.parametrize(
    "condition, values, message",
    [
        case(
            "size = :v",
            {":v": N("1")},
            "Attribute name is a reserved keyword; reserved keyword: size",
            differs_locally="does not reserve the word",
        ),
        ("a = :v AND Status = :v", {":v": N("1")}, "Attribute name is a reserved keyword; reserved keyword: Status"),
        ("m.name = :v", {":v": N("1")}, "Attribute name is a reserved keyword; reserved keyword: name"),
        (
            "#a = :v",
            {":v": N("1")},
            "An expression attribute name used in the document path is not defined; attribute name: #a",
        ),
        ("a = :w", {}, "An expression attribute value used in expression is not defined; attribute value: :w"),
        ("nofunction(a)", {}, "Invalid function name; function: nofunction"),
        ("ATTRIBUTE_EXISTS(a)", {}, "Invalid function name; function: ATTRIBUTE_EXISTS"),
        ("Size(a) = :v", {":v": N("1")}, "Invalid function name; function: Size"),
        (
            "if_not_exists(a, :v)",
            {":v": N("1")},
            "The function is not allowed in a condition expression; function: if_not_exists",
        ),
        (
            "list_append(a, :v)",
            {":v": L()},
            "The function is not allowed in a condition expression; function: list_append",
        ),
        ("size(a)", {}, "The function is not allowed to be used this way in an expression; function: size"),
        (
            "attribute_exists(a) = :v",
            {":v": BOOL(True)},
            "The function is not allowed to be used this way in an expression; function: attribute_exists",
        ),
        (
            "attribute_exists(a, b)",
            {},
            "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2",
        ),
        (
            "begins_with(a)",
            {},
            "Incorrect number of operands for operator or function; operator or function: begins_with, number of operands: 1",
        ),
        (
            "contains(a, :v, :v)",
            {":v": S("x")},
            "Incorrect number of operands for operator or function; operator or function: contains, number of operands: 3",
        ),
        (
            "size(a, b) = :v",
            {":v": N("1")},
            "Incorrect number of operands for operator or function; operator or function: size, number of operands: 2",
        ),
        (
            "attribute_exists(:v)",
            {":v": S("x")},
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "attribute_not_exists(:v)",
            {":v": S("x")},
            "Operator or function requires a document path; operator or function: attribute_not_exists",
        ),
        (
            "begins_with(a, :v)",
            {":v": N("1")},
            "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
        ),
        (
            "begins_with(a, :v)",
            {":v": SS("1")},
            "Incorrect operand type for operator or function; operator or function: begins_with, operand type: SS",
        ),
        (
            "attribute_type(a, :v)",
            {":v": N("1")},
            "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N",
        ),
        (
            "attribute_type(a, :v)",
            {":v": S("STRING")},
            "Invalid attribute type name found; type: STRING, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        ),
        (
            "size(:v) = :v",
            {":v": N("1")},
            "Incorrect operand type for operator or function; operator or function: size, operand type: N",
        ),
        (
            "a < :v",
            {":v": BOOL(True)},
            "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
        ),
        (
            "a >= :v",
            {":v": L()},
            "Incorrect operand type for operator or function; operator or function: >=, operand type: L",
        ),
        (
            "a > :v",
            {":v": SS("1")},
            "Incorrect operand type for operator or function; operator or function: >, operand type: SS",
        ),
        (
            "a <= :v",
            {":v": NULL},
            "Incorrect operand type for operator or function; operator or function: <=, operand type: NULL",
        ),
        (
            "a BETWEEN :v AND :w",
            {":v": M(), ":w": M()},
            "Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: M",
        ),
        (
            "a = a",
            {},
            "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]",
        ),
        (
            "a.b <> a.b",
            {},
            "The first operand must be distinct from the remaining operands for this operator or function; operator: <>, first operand: [a, b]",
        ),
        (
            "a BETWEEN :v AND a",
            {":v": N("2")},
            "The first operand must be distinct from the remaining operands for this operator or function; operator: BETWEEN, first operand: [a]",
        ),
        (
            "a BETWEEN :v AND :w",
            {":v": N("2"), ":w": N("1")},
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
            "lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}",
        ),
        (
            "a BETWEEN :v AND :w",
            {":v": N("2"), ":w": S("1")},
            "The BETWEEN operator requires same data type for lower and upper bounds; "
            "lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {S:1}",
        ),
        ("((a = :v))", {":v": N("1")}, "The expression has redundant parentheses;"),
        ("((a = :v AND b = :v))", {":v": N("1")}, "The expression has redundant parentheses;"),
    ],
)
def test_conditions_that_make_no_sense(client, table, pk, condition, values, message):
    arguments = {"ExpressionAttributeValues": values} if values else {}
    with invalid(PREFIX + message):
        client.put_item(TableName=table, Item={"p": S(pk)}, ConditionExpression=condition, **arguments)


@pytest.mark.parametrize("condition", ["size(size(a)) = :v", "a IN (a)"])
def test_conditions_that_are_refused_in_whatever_words(client, table, pk, condition):
    values = {"ExpressionAttributeValues": {":v": N("1")}} if ":v" in condition else {}
    with invalid():
        client.put_item(TableName=table, Item={"p": S(pk)}, ConditionExpression=condition, **values)


def test_an_empty_condition_is_refused(client, table, pk):
    with invalid(PREFIX + "The expression can not be empty;"):
        client.put_item(TableName=table, Item={"p": S(pk)}, ConditionExpression="")


@pytest.mark.parametrize(
    "condition, token",
    [
        ("a", "<EOF>"),
        ("a =", "<EOF>"),
        ("= :v", "="),
        ("a = :v AND", "<EOF>"),
        ("AND a = :v", "AND"),
        ("a = :v OR OR a = :v", "OR"),
        ("a = 1", "1"),
        ("a == :v", "="),
        ("a != :v", "!"),
        ("a => :v", ">"),
        ("a BETWEEN :v", "<EOF>"),
        ("a BETWEEN :v, :v", ","),
        ("a IN :v", ":v"),
        ("a IN ()", ")"),
        ("a IN (:v", "<EOF>"),
        ("a IN (:v,)", ")"),
        ("(a = :v", "<EOF>"),
        ("a = :v)", ")"),
        ("NOT", "<EOF>"),
        ("a LIKE :v", "LIKE"),
        ("attribute_exists a", "a"),
        ("attribute_exists(a", "<EOF>"),
        ("attribute_exists()", ")"),
        ("a = :v = :v", "="),
        ("a + :v = :v", "+"),
        ("a IS NULL", "IS"),
        ("a = 'x'", "'"),
        ("a[x] = :v", "x"),
        ("a.1 = :v", "1"),
        ("1a = :v", "1"),
        ("_a = :v", "_"),
        ("a = :v, b = :v", ","),
        ("a = :", ":"),
        ("# = :v", "#"),
        ("a = :v\x00", "\x00"),
        ("a = :v é", "é"),
    ],
)
def test_syntax_errors_name_the_token(client, table, pk, condition, token):
    with invalid(matches=f'^{PREFIX}Syntax error; token: "{re.escape(token)}'):
        client.put_item(
            TableName=table,
            Item={"p": S(pk)},
            ConditionExpression=condition,
            ExpressionAttributeValues={":v": S("x")},
        )


def test_in_takes_a_hundred_operands(client, table, pk):
    values = {f":v{at}": N(at) for at in range(100)}
    client.put_item(TableName=table, Item={"p": S(pk), "a": N("99")})
    client.put_item(
        TableName=table,
        Item={"p": S(pk)},
        ConditionExpression=f"a IN ({', '.join(values)})",
        ExpressionAttributeValues=values,
    )


def test_in_takes_no_more_than_a_hundred_operands(client, table, pk):
    values = {f":v{at}": N(at) for at in range(101)}
    with invalid():
        client.put_item(
            TableName=table,
            Item={"p": S(pk)},
            ConditionExpression=f"a IN ({', '.join(values)})",
            ExpressionAttributeValues=values,
        )
