"""Numbers: 38 digits, exact, one canonical spelling, and equality and order by value.

Money and counters live in them; floating point anywhere in a server shows here first.
"""

import pytest

from marks import case
from rejections import invalid
from schemas import keyed_by
from values import NS, L, M, N, S


def stored(client, table, pk, number):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N(number)})
    return client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)["Item"]["n"]["N"]


@pytest.mark.parametrize(
    "given, canonical",
    [
        ("0", "0"),
        ("-0", "0"),
        ("0.000", "0"),
        ("-0.0", "0"),
        ("00012", "12"),
        ("1.0", "1"),
        ("1.50", "1.5"),
        ("100", "100"),
        ("1E3", "1000"),
        ("1e3", "1000"),
        ("1.5E+2", "150"),
        ("12e-3", "0.012"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("5.", "5"),
        ("-1.230", "-1.23"),
        ("0.0e126", "0"),
        ("1" * 38, "1" * 38),
        ("-" + "9" * 38, "-" + "9" * 38),
        ("0." + "1" * 38, "0." + "1" * 38),
        ("1" + "0" * 125, "1" + "0" * 125),
        ("9." + "9" * 37 + "E125", "9" * 38 + "0" * 88),
        ("1E-130", "0." + "0" * 129 + "1"),
        ("-1E-130", "-0." + "0" * 129 + "1"),
        ("123456789012345678901234567890.12345678", "123456789012345678901234567890.12345678"),
        ("1.2345678901234567890123456789012345678", "1.2345678901234567890123456789012345678"),
        ("0.1e126", "1" + "0" * 125),
        ("1" + "0" * 60 + "e-60", "1"),
    ],
    ids=lambda text: text[:24],
)
def test_numbers_come_back_canonical(client, table, pk, given, canonical):
    assert stored(client, table, pk, given) == canonical


def test_a_leading_plus_is_accepted(client, table, pk):
    assert stored(client, table, pk, "+7") == "7"


@pytest.mark.parametrize(
    "text", ["abc", "1a", "NaN", "Infinity", "-Infinity", "0x10", "1 2", " 1", "1e", "--1", "1.2.3", "1_000"]
)
def test_what_is_no_number_is_refused_by_name(client, table, pk, text):
    with invalid(has="The parameter cannot be converted to a numeric value"):
        client.put_item(TableName=table, Item={"p": S(pk), "n": N(text)})


def test_an_empty_number_is_refused(client, table, pk):
    with invalid("The parameter cannot be converted to a numeric value"):
        client.put_item(TableName=table, Item={"p": S(pk), "n": N("")})


def test_the_text_of_a_bad_number_is_shown(client, table, pk):
    with invalid("The parameter cannot be converted to a numeric value: abc"):
        client.put_item(TableName=table, Item={"p": S(pk), "n": N("abc")})


@pytest.mark.parametrize(
    "number", ["1" * 39, "0." + "1" * 39, "1" + "0" * 37 + "1", "-" + "1" * 39, "1." + "0" * 38 + "1"]
)
def test_more_than_38_digits_are_refused(client, table, pk, number):
    with invalid("Attempting to store more than 38 significant digits in a Number"):
        client.put_item(TableName=table, Item={"p": S(pk), "n": N(number)})


OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"


@pytest.mark.parametrize("number", ["1E126", "-1E126", "1" + "0" * 126, "9" * 38 + "E100"])
def test_too_large_is_an_overflow(client, table, pk, number):
    with invalid(OVERFLOW):
        client.put_item(TableName=table, Item={"p": S(pk), "n": N(number)})


@pytest.mark.parametrize("number", ["1E-131", "-1E-131", "0.1E-130"])
def test_too_small_is_an_underflow(client, table, pk, number):
    with invalid(UNDERFLOW):
        client.put_item(TableName=table, Item={"p": S(pk), "n": N(number)})


@pytest.mark.parametrize("place", ["list", "map", "set"])
def test_nested_numbers_are_checked_too(client, table, pk, place):
    value = {"list": L(N("x")), "map": M(a=N("x")), "set": NS("x")}[place]
    with invalid(has="The parameter cannot be converted to a numeric value"):
        client.put_item(TableName=table, Item={"p": S(pk), "n": value})


@pytest.mark.parametrize(
    "place",
    [case(place, differs_locally="keeps the given spelling inside documents") for place in ("list", "map")] + ["set"],
)
def test_nested_numbers_become_canonical(client, table, pk, place):
    value = {"list": L(N("1.0e1")), "map": M(a=N("1.0e1")), "set": NS("1.0e1")}[place]
    client.put_item(TableName=table, Item={"p": S(pk), "n": value})
    item = client.get_item(TableName=table, Key={"p": S(pk)}, ConsistentRead=True)["Item"]
    assert item["n"] == {"list": L(N("10")), "map": M(a=N("10")), "set": NS("10")}[place]


# Arithmetic


def computed(client, table, pk, start, expression, operand):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N(start)})
    answer = client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        UpdateExpression=expression,
        ExpressionAttributeValues={":x": N(operand)},
        ReturnValues="UPDATED_NEW",
    )
    return answer["Attributes"]["n"]["N"]


@pytest.mark.parametrize(
    "start, operand, total",
    [
        ("0.1", "0.2", "0.3"),
        ("1", "-1", "0"),
        ("-5", "3", "-2"),
        ("9" * 37, "1", "1" + "0" * 37),
        ("99999999999999999999999999999999999998", "1", "9" * 38),
        ("1E-130", "1E-130", "0." + "0" * 129 + "2"),
        ("1E125", "1E125", "2" + "0" * 125),
        ("12345678901234567890", "0.123456789012345678", "12345678901234567890.123456789012345678"),
        ("1e30", "1e-7", "1" + "0" * 30 + "." + "0" * 6 + "1"),
    ],
)
def test_sums_are_exact(client, table, pk, start, operand, total):
    assert computed(client, table, pk, start, "SET n = n + :x", operand) == total
    assert computed(client, table, pk, start, "ADD n :x", operand) == total


@pytest.mark.parametrize(
    "start, operand, difference", [("0.3", "0.1", "0.2"), ("1", "1", "0"), ("1", "1E-37", "0." + "9" * 37)]
)
def test_differences_are_exact(client, table, pk, start, operand, difference):
    assert computed(client, table, pk, start, "SET n = n - :x", operand) == difference


@pytest.mark.parametrize(
    "start, operand",
    [("9E125", "9E125"), ("1E50", "1"), ("-9E125", "-9E125")],
)
def test_a_sum_that_does_not_fit_is_refused(client, table, pk, start, operand):
    for expression in ("SET n = n + :x", "ADD n :x"):
        with invalid(OVERFLOW):
            computed(client, table, pk, start, expression, operand)


# Equality and order by value


def test_a_key_is_its_value_not_its_spelling(client, make_table):
    table = make_table(**keyed_by("n:N"))
    client.put_item(TableName=table, Item={"n": N("1.00"), "v": S("first")})
    client.put_item(TableName=table, Item={"n": N("1e0"), "v": S("second")})
    assert client.get_item(TableName=table, Key={"n": N("01")}, ConsistentRead=True)["Item"] == {
        "n": N("1"),
        "v": S("second"),
    }
    assert client.scan(TableName=table, ConsistentRead=True)["Count"] == 1


def test_zero_is_one_key_however_spelled(client, make_table):
    table = make_table(**keyed_by("n:N"))
    for spelling in ("0", "-0", "0.0", "0e5"):
        client.put_item(TableName=table, Item={"n": N(spelling)})
    assert client.scan(TableName=table, ConsistentRead=True)["Count"] == 1


ORDERED = [
    "-9E125",
    "-1000",
    "-99.5",
    "-10",
    "-9",
    "-1.5",
    "-1",
    "-0.5",
    "-1E-130",
    "0",
    "1E-130",
    "0.5",
    "1",
    "1.5",
    "9",
    "10",
    "99.5",
    "100",
    "1000",
    "9E125",
]


@pytest.fixture(scope="module")
def numeric(make_table, client):
    table = make_table(**keyed_by("p:S", "n:N"))
    for number in reversed(ORDERED):
        client.put_item(TableName=table, Item={"p": S("o"), "n": N(number), "given": S(number)})
    return table


@pytest.mark.parametrize("forward", [True, False])
def test_sort_keys_are_ordered_by_value(client, numeric, forward):
    answer = client.query(
        TableName=numeric,
        KeyConditionExpression="p = :p",
        ExpressionAttributeValues={":p": S("o")},
        ScanIndexForward=forward,
    )
    given = [item["given"]["S"] for item in answer["Items"]]
    assert given == (ORDERED if forward else ORDERED[::-1])


@pytest.mark.parametrize(
    "condition, low, high, expected",
    [
        ("n < :a", "-1", None, 6),
        ("n <= :a", "-1.0", None, 7),
        ("n > :a", "99.50", None, 3),
        ("n >= :a", "99.50", None, 4),
        ("n = :a", "1e1", None, 1),
        ("n BETWEEN :a AND :b", "-1", "1", 7),
    ],
)
def test_ranges_of_numbers_compare_by_value(client, numeric, condition, low, high, expected):
    values = {":p": S("o"), ":a": N(low), **({":b": N(high)} if high else {})}
    answer = client.query(
        TableName=numeric, KeyConditionExpression=f"p = :p AND {condition}", ExpressionAttributeValues=values
    )
    assert answer["Count"] == expected


@pytest.mark.parametrize("other", ["10", "10.0", "1E1", "010", "100e-1"])
def test_conditions_compare_by_value(client, table, pk, other):
    client.put_item(TableName=table, Item={"p": S(pk), "n": N("10"), "l": L(N("10")), "m": M(a=N("10"))})
    client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        UpdateExpression="SET ok = :n",
        ConditionExpression="n = :n AND l = :l AND m = :m AND contains(l, :n) AND n IN (:n)",
        ExpressionAttributeValues={":n": N(other), ":l": L(N(other)), ":m": M(a=N(other))},
    )


def test_sets_of_numbers_compare_by_value(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk), "s": NS("1", "2", "3")})
    answer = client.update_item(
        TableName=table,
        Key={"p": S(pk)},
        UpdateExpression="DELETE s :gone",
        ConditionExpression="s = :all AND contains(s, :two)",
        ExpressionAttributeValues={":gone": NS("1.0", "2e0"), ":all": NS("3.0", "2", "1e0"), ":two": N("2.0")},
        ReturnValues="ALL_NEW",
    )
    assert answer["Attributes"]["s"] == NS("3")


@pytest.mark.parametrize("members", [("1", "1.0"), ("1", "1"), ("10", "1e1"), ("0", "-0")])
def test_sets_hold_no_number_twice(client, table, pk, members):
    with invalid(has="Input collection"):
        client.put_item(TableName=table, Item={"p": S(pk), "s": NS(*members)})
