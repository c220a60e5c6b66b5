"""Scan: whole tables in pages and in parallel segments, each item exactly once, filters after counting.

Backups, migrations and counts are scans; a segment that overlaps or a page that skips corrupts them quietly.
"""

import pytest

from rejections import NOT_FOUND, invalid, rejected
from schemas import keyed_by
from values import N, S, unique

COUNT = 200


@pytest.fixture(scope="module")
def filled(client, make_table):
    table = make_table(**keyed_by("p:S", "c:N"))
    for start in range(0, COUNT, 25):
        rows = [{"p": S(f"p{at % 40}"), "c": N(at), "odd": N(at % 2)} for at in range(start, start + 25)]
        client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": row}} for row in rows]})
    return table


def pages(client, table, **more):
    answers = [client.scan(TableName=table, ConsistentRead=True, **more)]
    while "LastEvaluatedKey" in answers[-1]:
        start = answers[-1]["LastEvaluatedKey"]
        answers.append(client.scan(TableName=table, ConsistentRead=True, ExclusiveStartKey=start, **more))
        assert len(answers) < 1000
    return answers


def numbers(answers):
    return [int(item["c"]["N"]) for answer in answers for item in answer["Items"]]


def test_a_scan_sees_everything_once(client, filled):
    assert sorted(numbers(pages(client, filled))) == list(range(COUNT))


@pytest.mark.parametrize("limit", [1, 3, 50, COUNT, COUNT + 1])
def test_pages_of_any_size_give_everything_once(client, filled, limit):
    answers = pages(client, filled, Limit=limit)
    assert sorted(numbers(answers)) == list(range(COUNT))
    assert all(answer["ScannedCount"] <= limit for answer in answers)


def test_partitions_come_in_key_order_inside(client, filled):
    answers = pages(client, filled)
    seen = {}
    for answer in answers:
        for item in answer["Items"]:
            seen.setdefault(item["p"]["S"], []).append(int(item["c"]["N"]))
    assert all(found == sorted(found) for found in seen.values())


def test_a_filter_counts_what_it_dropped(client, filled):
    answers = pages(client, filled, FilterExpression="odd = :one", ExpressionAttributeValues={":one": N("1")})
    assert sum(answer["Count"] for answer in answers) == COUNT // 2
    assert sum(answer["ScannedCount"] for answer in answers) == COUNT


def test_limit_counts_before_the_filter(client, filled):
    answer = client.scan(
        TableName=filled,
        Limit=10,
        FilterExpression="odd = :none",
        ExpressionAttributeValues={":none": N("7")},
        ConsistentRead=True,
    )
    assert (answer["Count"], answer["ScannedCount"]) == (0, 10)
    assert set(answer["LastEvaluatedKey"]) == {"p", "c"}


def test_a_filter_may_use_the_key(client, filled):
    answers = pages(client, filled, FilterExpression="p = :p", ExpressionAttributeValues={":p": S("p7")})
    assert sorted(numbers(answers)) == [7, 47, 87, 127, 167]


def test_count_counts_without_items(client, filled):
    answers = pages(client, filled, Select="COUNT")
    assert sum(answer["Count"] for answer in answers) == COUNT
    assert all("Items" not in answer for answer in answers)


@pytest.mark.parametrize("segments", [1, 2, 3, 7, 64])
def test_segments_cover_everything_once(client, filled, segments):
    found = []
    for segment in range(segments):
        found += numbers(pages(client, filled, Segment=segment, TotalSegments=segments))
    assert sorted(found) == list(range(COUNT))


def test_segments_in_pages_cover_everything_once(client, filled):
    found = []
    for segment in range(4):
        found += numbers(pages(client, filled, Segment=segment, TotalSegments=4, Limit=3))
    assert sorted(found) == list(range(COUNT))


def test_the_last_of_a_million_segments_is_allowed(client, filled):
    answer = client.scan(TableName=filled, Segment=999_999, TotalSegments=1_000_000)
    assert answer["Count"] <= COUNT


def test_a_segment_lies_below_the_total(client, filled):
    message = (
        "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
        "Segment: 4 is not less than TotalSegments: 4"
    )
    with invalid(message):
        client.scan(TableName=filled, Segment=4, TotalSegments=4)


def test_a_segment_needs_a_total(client, filled):
    message = (
        "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"
    )
    with invalid(message):
        client.scan(TableName=filled, Segment=0)


def test_a_total_needs_a_segment(client, filled):
    message = (
        "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"
    )
    with invalid(message):
        client.scan(TableName=filled, TotalSegments=4)


@pytest.mark.parametrize(
    "segment, total, text",
    [
        (-1, 4, "Member must have value greater than or equal to 0"),
        (0, 0, "Member must have value greater than or equal to 1"),
        (0, 1_000_001, "Member must have value less than or equal to 1000000"),
        (1_000_000, 1_000_000, "Member must have value less than or equal to 999999"),
    ],
)
def test_segments_have_bounds(client, filled, segment, total, text):
    with invalid(has=text):
        client.scan(TableName=filled, Segment=segment, TotalSegments=total)


def test_a_start_key_belongs_to_its_segment(client, filled):
    """A cursor of one segment given to another is refused rather than scanned twice."""
    cursors = {}
    for segment in range(2):
        answer = client.scan(TableName=filled, Segment=segment, TotalSegments=2, Limit=5, ConsistentRead=True)
        cursors[segment] = answer["LastEvaluatedKey"]
    with invalid():
        client.scan(TableName=filled, Segment=0, TotalSegments=2, ExclusiveStartKey=cursors[1])


@pytest.mark.parametrize(
    "start", [{"p": S("x")}, {"p": N("1"), "c": N("1")}, {"p": S("x"), "c": N("1"), "d": S("x")}], ids=str
)
def test_a_start_key_must_be_a_key(client, filled, start):
    with invalid(has="The provided starting key is invalid"):
        client.scan(TableName=filled, ExclusiveStartKey=start)


def test_an_empty_table_answers_no_items(client, make_table):
    table = make_table(**keyed_by("p:S"))
    answer = client.scan(TableName=table)
    assert (answer["Items"], answer["Count"], answer["ScannedCount"]) == ([], 0, 0)
    assert "LastEvaluatedKey" not in answer


def test_an_unknown_table_is_not_found(client):
    with rejected("ResourceNotFoundException", NOT_FOUND):
        client.scan(TableName=unique("nowhere"))


def test_an_unknown_index_is_a_validation_error(client, filled):
    with invalid("The table does not have the specified index: nope"):
        client.scan(TableName=filled, IndexName="nope")


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_is_at_least_one(client, filled, limit):
    with invalid(has="Member must have value greater than or equal to 1"):
        client.scan(TableName=filled, Limit=limit)


@pytest.mark.parametrize("parameter", ["FilterExpression", "ProjectionExpression"])
def test_empty_expressions_are_refused(client, filled, parameter):
    with invalid(f"Invalid {parameter}: The expression can not be empty;"):
        client.scan(TableName=filled, **{parameter: ""})


def test_a_page_holds_one_megabyte(client, make_table):
    table = make_table(**keyed_by("p:S"))
    for at in range(15):
        client.put_item(TableName=table, Item={"p": S(f"{at:02}"), "c": N(at), "v": S("x" * 100_000)})
    answers = pages(client, table)
    assert sorted(numbers(answers)) == list(range(15))
    assert len(answers) >= 2 and max(answer["Count"] for answer in answers) <= 11


def test_items_written_before_a_scan_began_are_seen(client, make_table):
    """Writers that go on while a scan pages must not make it lose what was there from the start."""
    table = make_table(**keyed_by("p:S"))
    for at in range(60):
        client.put_item(TableName=table, Item={"p": S(f"old{at}"), "c": N(at)})
    found, start = [], {}
    for step in range(200):
        answer = client.scan(TableName=table, Limit=7, ConsistentRead=True, **start)
        found += [item["p"]["S"] for item in answer["Items"]]
        client.put_item(TableName=table, Item={"p": S(f"new{step}")})
        if "LastEvaluatedKey" not in answer:
            break
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert {f"old{at}" for at in range(60)} <= set(found)
    assert len(found) == len(set(found))
