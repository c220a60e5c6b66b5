"""Query: order, direction, limits, filters, counts, selections and the positions it may start from.

Every list screen and every one-to-many relation on DynamoDB is a Query; paging must neither lose nor repeat an item.
"""

import pytest

from marks import differs
from rejections import NOT_FOUND, invalid, rejected
from values import N, S, unique

COUNT = 30


@pytest.fixture(scope="module")
def series(client, ranged):
    """A partition of COUNT items c = 000, 001, … whose `n` is even or odd with them."""
    pk = unique()
    for at in range(COUNT):
        client.put_item(
            TableName=ranged,
            Item={"p": S(pk), "c": S(f"{at:03}"), "n": N(at), "parity": S("odd" if at % 2 else "even")},
        )
    return pk


def query(client, ranged, pk, values=None, **more):
    return client.query(
        TableName=ranged,
        KeyConditionExpression="p = :p",
        ExpressionAttributeValues={":p": S(pk), **(values or {})},
        ConsistentRead=True,
        **more,
    )


def pages(client, ranged, pk, values=None, **more):
    """All pages of a query, each as the SDK shows it."""
    answers = [query(client, ranged, pk, values, **more)]
    while "LastEvaluatedKey" in answers[-1]:
        answers.append(query(client, ranged, pk, values, ExclusiveStartKey=answers[-1]["LastEvaluatedKey"], **more))
        assert len(answers) < 200
    return answers


def sort_keys(answers):
    return [item["c"]["S"] for answer in answers for item in answer["Items"]]


ALL = [f"{at:03}" for at in range(COUNT)]


def test_an_empty_partition_answers_no_items(client, ranged, pk):
    answer = query(client, ranged, pk)
    assert (answer["Items"], answer["Count"], answer["ScannedCount"]) == ([], 0, 0)
    assert "LastEvaluatedKey" not in answer


def test_ascending_is_the_default(client, ranged, series):
    assert sort_keys([query(client, ranged, series)]) == ALL


def test_descending_on_request(client, ranged, series):
    assert sort_keys([query(client, ranged, series, ScanIndexForward=False)]) == ALL[::-1]


@pytest.mark.parametrize("limit", [1, 2, 7, COUNT - 1, COUNT, COUNT + 1])
@pytest.mark.parametrize("forward", [True, False])
def test_pages_of_any_size_give_everything_once(client, ranged, series, limit, forward):
    answers = pages(client, ranged, series, Limit=limit, ScanIndexForward=forward)
    assert sort_keys(answers) == (ALL if forward else ALL[::-1])
    assert all(answer["Count"] <= limit for answer in answers)


def test_a_full_page_has_a_key_to_go_on_from(client, ranged, series):
    answer = query(client, ranged, series, Limit=3)
    assert answer["LastEvaluatedKey"] == {"p": S(series), "c": S("002")}


def test_limit_counts_items_before_the_filter(client, ranged, series):
    answer = query(client, ranged, series, {":odd": S("odd")}, Limit=4, FilterExpression="parity = :odd")
    assert (answer["Count"], answer["ScannedCount"]) == (2, 4)
    assert answer["LastEvaluatedKey"]["c"] == S("003")


def test_a_filter_may_leave_a_page_empty_and_still_go_on(client, ranged, series):
    answer = query(client, ranged, series, {":x": N("-1")}, Limit=5, FilterExpression="n = :x")
    assert (answer["Items"], answer["Count"], answer["ScannedCount"]) == ([], 0, 5)
    assert "LastEvaluatedKey" in answer


def test_filtered_pages_give_every_match_once(client, ranged, series):
    answers = pages(client, ranged, series, {":odd": S("odd")}, Limit=4, FilterExpression="parity = :odd")
    assert sort_keys(answers) == ALL[1::2]
    assert sum(answer["ScannedCount"] for answer in answers) == COUNT


def test_count_counts_without_items(client, ranged, series):
    answer = query(client, ranged, series, {":odd": S("odd")}, FilterExpression="parity = :odd", Select="COUNT")
    assert (answer["Count"], answer["ScannedCount"]) == (15, 30)
    assert "Items" not in answer


def test_a_start_key_need_not_exist(client, ranged, series):
    answer = query(client, ranged, series, ExclusiveStartKey={"p": S(series), "c": S("014x")})
    assert sort_keys([answer]) == ALL[15:]


def test_the_start_key_itself_is_left_out(client, ranged, series):
    answer = query(client, ranged, series, ExclusiveStartKey={"p": S(series), "c": S("027")})
    assert sort_keys([answer]) == ["028", "029"]


def test_paging_goes_on_behind_a_deleted_item(client, ranged, pk):
    for at in range(4):
        client.put_item(TableName=ranged, Item={"p": S(pk), "c": S(str(at))})
    first = query(client, ranged, pk, Limit=2)
    client.delete_item(TableName=ranged, Key=first["LastEvaluatedKey"])
    rest = query(client, ranged, pk, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert sort_keys([rest]) == ["2", "3"]


@pytest.mark.parametrize(
    "start",
    [{"p": S("x")}, {"c": S("x")}, {"p": S("x"), "c": N("1")}, {"p": S("x"), "c": S("1"), "z": S("1")}],
    ids=["no sort key", "no partition key", "wrong type", "extra"],
)
def test_a_start_key_must_be_a_key(client, ranged, series, start):
    with invalid(has="The provided starting key is invalid"):
        query(client, ranged, series, ExclusiveStartKey=start)


def test_a_start_key_must_lie_in_the_partition(client, ranged, series):
    message = "The provided starting key is outside query boundaries based on provided conditions"
    with invalid(message):
        query(client, ranged, series, ExclusiveStartKey={"p": S("other"), "c": S("001")})


def test_a_start_key_must_lie_in_the_range(client, ranged, series):
    with invalid("The provided starting key does not match the range key predicate"):
        client.query(
            TableName=ranged,
            KeyConditionExpression="p = :p AND c > :c",
            ExpressionAttributeValues={":p": S(series), ":c": S("010")},
            ExclusiveStartKey={"p": S(series), "c": S("001")},
        )


@pytest.mark.parametrize("condition", ["c = :c", "c >= :c", "begins_with(c, :c)"])
def test_a_start_key_is_held_against_the_sort_key_condition_first(client, ranged, series, condition):
    def begin(start):
        return client.query(
            TableName=ranged,
            KeyConditionExpression=f"p = :p AND {condition}",
            ExpressionAttributeValues={":p": S(series), ":c": S("010")},
            ExclusiveStartKey={"p": S("other"), "c": S(start)},
        )

    with invalid("The query can return at most one row and cannot be restarted"):
        begin("010")
    with invalid("The provided starting key does not match the range key predicate"):
        begin("001")


# Filters


@pytest.mark.parametrize("name", ["p", "c"])
def test_filters_leave_the_key_alone(client, ranged, series, name):
    message = f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}"
    with invalid(message):
        query(client, ranged, series, FilterExpression=f"attribute_exists({name})")


def test_an_empty_filter_is_refused(client, ranged, series):
    with invalid("Invalid FilterExpression: The expression can not be empty;"):
        query(client, ranged, series, FilterExpression="")


@pytest.mark.parametrize(
    "expression, message",
    [
        ("a =", 'Invalid FilterExpression: Syntax error; token: "<EOF>", near: "="'),
        ("name = :p", "Invalid FilterExpression: Attribute name is a reserved keyword; reserved keyword: name"),
        (
            "a = :zz",
            "Invalid FilterExpression: An expression attribute value used in expression is not defined; attribute value: :zz",
        ),
        ("nofunction(a)", "Invalid FilterExpression: Invalid function name; function: nofunction"),
    ],
)
def test_filters_that_make_no_sense(client, ranged, series, expression, message):
    with invalid(message):
        query(client, ranged, series, FilterExpression=expression)


# Select


def test_specific_attributes_need_a_projection(client, ranged, series):
    with invalid():
        query(client, ranged, series, Select="SPECIFIC_ATTRIBUTES")


def test_specific_attributes_with_a_projection(client, ranged, series):
    answer = query(client, ranged, series, Select="SPECIFIC_ATTRIBUTES", ProjectionExpression="n", Limit=1)
    assert answer["Items"] == [{"n": N("0")}]


@pytest.mark.parametrize("select", ["ALL_ATTRIBUTES", "COUNT"])
def test_other_selections_take_no_projection(client, ranged, series, select):
    with invalid():
        query(client, ranged, series, Select=select, ProjectionExpression="n")


def test_all_projected_attributes_need_an_index(client, ranged, series):
    with invalid():
        query(client, ranged, series, Select="ALL_PROJECTED_ATTRIBUTES")


@pytest.mark.parametrize("select", ["count", "ALL"])
def test_selections_are_checked(client, ranged, series, select):
    with invalid(has="select"):
        query(client, ranged, series, Select=select)


# Limits and tables


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_at_least_one(client, ranged, series, limit):
    with invalid(has="Member must have value greater than or equal to 1"):
        query(client, ranged, series, Limit=limit)


def test_an_unknown_table_is_not_found(client, pk):
    with rejected("ResourceNotFoundException", NOT_FOUND):
        query(client, unique("nowhere"), pk)


def test_an_unknown_index_is_a_validation_error(client, ranged, pk):
    with invalid("The table does not have the specified index: nope"):
        query(client, ranged, pk, IndexName="nope")


def test_items_of_neighbouring_partitions_stay_out(client, ranged, pk):
    for tail in ("", "a", "b"):
        client.put_item(TableName=ranged, Item={"p": S(pk + tail), "c": S("1")})
    assert query(client, ranged, pk)["Count"] == 1


def test_a_hash_only_table_answers_one_item(client, table, pk):
    client.put_item(TableName=table, Item={"p": S(pk)})
    assert query(client, table, pk)["Items"] == [{"p": S(pk)}]


def test_a_page_holds_one_megabyte(client, ranged, pk):
    """The limit of 1 MB counts item data, so about 100 KB items come ten to a page, and nothing is lost."""
    for at in range(25):
        client.put_item(TableName=ranged, Item={"p": S(pk), "c": S(f"{at:02}"), "v": S("x" * 100_000)})
    answers = pages(client, ranged, pk)
    assert sort_keys(answers) == [f"{at:02}" for at in range(25)]
    assert [answer["Count"] for answer in answers] == [11, 11, 3]


@differs("counts what the projection leaves")
def test_the_megabyte_counts_before_filter_and_projection(client, ranged, pk):
    for at in range(15):
        client.put_item(TableName=ranged, Item={"p": S(pk), "c": S(f"{at:02}"), "v": S("x" * 100_000)})
    answers = pages(client, ranged, pk, {":z": S("z")}, FilterExpression="v = :z", ProjectionExpression="c")
    assert [answer["ScannedCount"] for answer in answers] == [11, 4]
    assert [answer["Count"] for answer in answers] == [0, 0]


def test_descending_pages_hold_one_megabyte_too(client, ranged, pk):
    for at in range(12):
        client.put_item(TableName=ranged, Item={"p": S(pk), "c": S(f"{at:02}"), "v": S("x" * 300_000)})
    answers = pages(client, ranged, pk, ScanIndexForward=False)
    assert sort_keys(answers) == [f"{at:02}" for at in range(12)][::-1]
    assert max(answer["Count"] for answer in answers) == 4


def test_the_sdk_paginator_sees_everything(client, ranged, series):
    paginator = client.get_paginator("query")
    found = paginator.paginate(
        TableName=ranged,
        KeyConditionExpression="p = :p",
        ExpressionAttributeValues={":p": S(series)},
        PaginationConfig={"PageSize": 4},
    )
    assert sort_keys(list(found)) == ALL
