"""ProjectionExpression: which parts of an item come back, in which shape, and which lists of paths are refused.

The same rules serve GetItem, BatchGetItem, TransactGetItems, Query and Scan.
"""

import re

import pytest

from rejections import invalid
from values import L, M, N, S, unique

ITEM = {
    "a": S("a"),
    "b": N("1"),
    "m": M(x=S("mx"), y=M(z=S("deep"), w=N("2")), l=L(N("0"), N("1"))),
    "l": L(S("0"), S("1"), M(k=S("v"), o=S("other")), L(S("n0"), S("n1"))),
    "name": S("reserved"),
    "d.ot": S("dotted"),
}


@pytest.fixture(scope="module")
def subject(client, ranged):
    key = {"p": S(unique()), "c": S("1")}
    client.put_item(TableName=ranged, Item={**key, **ITEM})
    return key


SHAPES = [
    ("a", {"a": S("a")}),
    ("a, b", {"a": S("a"), "b": N("1")}),
    ("b,a", {"a": S("a"), "b": N("1")}),
    ("zz", {}),
    ("a, zz", {"a": S("a")}),
    ("m.x", {"m": M(x=S("mx"))}),
    ("m.x, m.y.z", {"m": M(x=S("mx"), y=M(z=S("deep")))}),
    ("m.zz", {}),
    ("m.y.z, m.y.w", {"m": M(y=M(z=S("deep"), w=N("2")))}),
    ("l[0]", {"l": L(S("0"))}),
    ("l[2]", {"l": L(M(k=S("v"), o=S("other")))}),
    ("l[2].k", {"l": L(M(k=S("v")))}),
    ("l[1], l[0]", {"l": L(S("0"), S("1"))}),
    ("l[3][1]", {"l": L(L(S("n1")))}),
    ("l[0], l[3][0]", {"l": L(S("0"), L(S("n0")))}),
    ("l[2].k, l[2].o", {"l": L(M(k=S("v"), o=S("other")))}),
    ("l[9]", {}),
    ("l[0], l[9]", {"l": L(S("0"))}),
    ("m.l[1]", {"m": M(l=L(N("1")))}),
    ("a.x", {}),
    ("a[0]", {}),
    ("m[0]", {}),
    ("l.k", {}),
    ("#n", {"name": S("reserved")}),
    ("#d", {"d.ot": S("dotted")}),
    ("m.#x", {"m": M(x=S("mx"))}),
    (" a ,\n b ", {"a": S("a"), "b": N("1")}),
]
NAMES = {"#n": "name", "#d": "d.ot", "#x": "x"}


def arguments(expression):
    used = {name: NAMES[name] for name in re.findall(r"#\w+", expression) if name in NAMES}
    return {"ProjectionExpression": expression, **({"ExpressionAttributeNames": used} if used else {})}


@pytest.mark.parametrize("expression, shape", SHAPES, ids=[e for e, _ in SHAPES])
def test_get_item_projects(client, ranged, subject, expression, shape):
    answer = client.get_item(TableName=ranged, Key=subject, ConsistentRead=True, **arguments(expression))
    assert answer["Item"] == shape


def test_every_reader_projects_alike(client, ranged, subject):
    expression, shape = "m.x, l[2].k, #n", {"m": M(x=S("mx")), "l": L(M(k=S("v"))), "name": S("reserved")}
    asked = arguments(expression)
    value = {":p": subject["p"]}
    query = client.query(
        TableName=ranged, KeyConditionExpression="p = :p", ExpressionAttributeValues=value, ConsistentRead=True, **asked
    )
    scan = client.scan(
        TableName=ranged, FilterExpression="p = :p", ExpressionAttributeValues=value, ConsistentRead=True, **asked
    )
    batch = client.batch_get_item(RequestItems={ranged: {"Keys": [subject], **asked}})
    transaction = client.transact_get_items(TransactItems=[{"Get": {"TableName": ranged, "Key": subject, **asked}}])
    assert query["Items"] == [shape]
    assert scan["Items"] == [shape]
    assert batch["Responses"][ranged] == [shape]
    assert transaction["Responses"] == [{"Item": shape}]


OVERLAP = (
    "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: {}, path two: {}"
)
CONFLICT = (
    "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: {}, path two: {}"
)


@pytest.mark.parametrize(
    "expression, message",
    [
        ("a, a", OVERLAP.format("[a]", "[a]")),
        ("m, m.x", OVERLAP.format("[m]", "[m, x]")),
        ("m.x, m", OVERLAP.format("[m, x]", "[m]")),
        ("l[0], l[0].k", OVERLAP.format("[l, [0]]", "[l, [0], k]")),
        ("l, l[0]", OVERLAP.format("[l]", "[l, [0]]")),
        ("m.a, m[1]", CONFLICT.format("[m, a]", "[m, [1]]")),
        ("name", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("m.Data", "Attribute name is a reserved keyword; reserved keyword: Data"),
        ("#zz", "An expression attribute name used in the document path is not defined; attribute name: #zz"),
        ("", "The expression can not be empty;"),
    ],
)
def test_projections_that_make_no_sense(client, ranged, subject, expression, message):
    with invalid("Invalid ProjectionExpression: " + message):
        client.get_item(TableName=ranged, Key=subject, ProjectionExpression=expression)


def test_an_overlap_may_hide_behind_names(client, ranged, subject):
    with invalid("Invalid ProjectionExpression: " + OVERLAP.format("[a]", "[a]")):
        client.get_item(
            TableName=ranged, Key=subject, ProjectionExpression="a, #a", ExpressionAttributeNames={"#a": "a"}
        )


@pytest.mark.parametrize(
    "expression, token",
    [
        ("a b", "b"),
        ("a,", "<EOF>"),
        (",a", ","),
        ("a,,b", ","),
        ("a.", "<EOF>"),
        (".a", "."),
        ("a[", "<EOF>"),
        ("a[x]", "x"),
        ("a[-1]", "-"),
        ("a[0", "<EOF>"),
        ("a]", "]"),
        (":v", ":v"),
        ("*", "*"),
        ("a = b", "="),
        ("size(a)", "("),
        ("a-b", "-"),
        ("(a)", "("),
    ],
)
def test_syntax_errors_name_the_token(client, ranged, subject, expression, token):
    with invalid(matches=f'^Invalid ProjectionExpression: Syntax error; token: "{re.escape(token)}'):
        client.get_item(TableName=ranged, Key=subject, ProjectionExpression=expression)


def test_a_path_has_at_most_32_levels(client, ranged, subject):
    deepest = ".".join("a" for _ in range(32))
    assert client.get_item(TableName=ranged, Key=subject, ProjectionExpression=deepest)["Item"] == {}
    with invalid("Invalid ProjectionExpression: The document path has too many nesting levels; nesting levels: 33"):
        client.get_item(TableName=ranged, Key=subject, ProjectionExpression=deepest + ".a")


def test_an_index_beyond_reason_is_refused(client, ranged, subject):
    with invalid(has="List index is not within the allowable range; index: [99999999999"):
        client.get_item(TableName=ranged, Key=subject, ProjectionExpression="l[99999999999]")
