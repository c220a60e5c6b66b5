"""PynamoDB on a small model: it creates its table with an index, and builds conditions, updates and pages itself."""

import os
from datetime import UTC, datetime

import pytest
from pynamodb.attributes import (
    JSONAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, PutError, TransactWriteError, UpdateError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
REGION = os.environ["AWS_REGION"]


class ByKind(GlobalSecondaryIndex):
    class Meta:
        index_name = "by-kind"
        projection = AllProjection()
        billing_mode = "PAY_PER_REQUEST"

    kind = UnicodeAttribute(hash_key=True)
    at = NumberAttribute(range_key=True)


class Place(MapAttribute):
    city = UnicodeAttribute()
    floor = NumberAttribute(default=0)


class Event(Model):
    class Meta:
        table_name = f"pynamodb-{os.getpid()}"
        host = ENDPOINT
        region = REGION
        billing_mode = "PAY_PER_REQUEST"

    owner = UnicodeAttribute(hash_key=True)
    at = NumberAttribute(range_key=True)
    kind = UnicodeAttribute(default="plain")
    tags = UnicodeSetAttribute(null=True)
    place = Place(null=True)
    steps = ListAttribute(default=list)
    extra = JSONAttribute(null=True)
    made = UTCDateTimeAttribute(default=lambda: datetime.now(UTC))
    seen = NumberAttribute(default=0)
    by_kind = ByKind()


class Versioned(Model):
    class Meta:
        table_name = f"pynamodb-versioned-{os.getpid()}"
        host = ENDPOINT
        region = REGION
        billing_mode = "PAY_PER_REQUEST"

    name = UnicodeAttribute(hash_key=True)
    version = VersionAttribute()


@pytest.fixture(scope="module", autouse=True)
def tables():
    for model in (Event, Versioned):
        model.create_table(wait=True)
    yield
    for model in (Event, Versioned):
        model.delete_table()


def test_a_model_is_saved_and_read():
    event = Event("ann", 1, tags={"a", "b"}, place=Place(city="Oslo"), steps=[1, "two"], extra={"x": [None]})
    event.save(Event.owner.does_not_exist())
    read = Event.get("ann", 1, consistent_read=True)
    assert read.attribute_values.keys() == event.attribute_values.keys()
    assert (read.tags, read.place.city, list(read.steps), read.extra) == ({"a", "b"}, "Oslo", [1, "two"], {"x": [None]})
    with pytest.raises(PutError) as refused:
        event.save(Event.owner.does_not_exist())
    assert refused.value.cause_response_code == "ConditionalCheckFailedException"


def test_updates_by_actions():
    event = Event("upd", 1, steps=["a"])
    event.save()
    event.update(
        actions=[Event.seen.add(2), Event.steps.set(Event.steps.append(["b"])), Event.tags.add({"new"})],
        condition=Event.seen < 1,
    )
    assert (event.seen, list(event.steps), event.tags) == (2, ["a", "b"], {"new"})
    with pytest.raises(UpdateError):
        event.update(actions=[Event.seen.set(0)], condition=Event.seen == 99)


def test_queries_scans_and_batches():
    with Event.batch_write() as batch:
        for at in range(60):
            batch.save(Event("many", at, kind=f"kind-{at % 2}"))
    assert [event.at for event in Event.query("many", Event.at.between(5, 9), scan_index_forward=False)] == [
        9,
        8,
        7,
        6,
        5,
    ]
    assert Event.count("many") == 60
    pages = Event.query("many", page_size=7)
    assert [event.at for event in pages] == list(range(60))
    first = Event.query("many", limit=10)
    assert len(list(first)) == 10
    assert len(list(Event.query("many", last_evaluated_key=first.last_evaluated_key))) == 50
    assert Event.by_kind.count("kind-1") == 30
    assert sum(1 for _ in Event.scan(Event.owner == "many", segment=0, total_segments=1)) == 60
    assert len(list(Event.batch_get([("many", 1), ("many", 2), ("nobody", 3)]))) == 2


def test_a_missing_model_does_not_exist():
    with pytest.raises(DoesNotExist):
        Event.get("nobody", 1)


def test_versions_guard_against_lost_updates():
    Versioned("x").save()
    mine, theirs = Versioned.get("x"), Versioned.get("x")
    theirs.save()
    with pytest.raises(PutError):
        mine.save()
    assert Versioned.get("x").version == 2


def test_transactions():
    connection = Connection(region=REGION, host=ENDPOINT)
    with TransactWrite(connection=connection) as write:
        write.save(Event("t", 1))
        write.save(Event("t", 2))
    with pytest.raises(TransactWriteError) as refused, TransactWrite(connection=connection) as write:
        write.save(Event("t", 3))
        write.delete(Event("t", 1), condition=Event.seen == 9)
    # PynamoDB sends deletions first.
    assert [reason and reason.code for reason in refused.value.cancellation_reasons] == ["ConditionalCheckFailed", None]
    with TransactGet(connection=connection) as get:
        found = get.get(Event, "t", 2)
        missing = get.get(Event, "t", 3)
    assert found.get().at == 2
    with pytest.raises(DoesNotExist):
        missing.get()
