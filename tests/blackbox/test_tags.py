"""Tags: put, replace, list in pages, remove. Cost allocation and every infrastructure tool use them."""

import pytest

from lifecycle import drop, wait_until_gone
from marks import differs_often
from rejections import NOT_FOUND, invalid, rejected
from schemas import keyed_by
from values import unique
from waiting import eventually

pytestmark = differs_often("has no tags")


@pytest.fixture
def arn(client, make_table):
    name = make_table(**keyed_by("p:S"))
    return client.describe_table(TableName=name)["Table"]["TableArn"]


def tags(client, arn):
    return {tag["Key"]: tag["Value"] for tag in client.list_tags_of_resource(ResourceArn=arn)["Tags"]}


def settled_tags(client, arn, expected):
    return eventually(lambda: tags(client, arn) == expected, within=30, saying=f"tags are {expected}")


def test_a_table_has_no_tags_at_first(client, arn):
    assert tags(client, arn) == {}


def test_tags_are_put_and_replaced(client, arn):
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    settled_tags(client, arn, {"a": "1", "b": ""})
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}])
    settled_tags(client, arn, {"a": "2", "b": ""})


def test_tags_are_removed(client, arn):
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    settled_tags(client, arn, {"a": "1", "b": "2"})
    client.untag_resource(ResourceArn=arn, TagKeys=["a", "never there"])
    settled_tags(client, arn, {"b": "2"})


def test_tags_may_come_with_the_table(client, make_table):
    name = make_table(**keyed_by("p:S"), Tags=[{"Key": "team", "Value": "x"}])
    arn = client.describe_table(TableName=name)["Table"]["TableArn"]
    settled_tags(client, arn, {"team": "x"})


@pytest.mark.parametrize(
    "operation, more", [("TagResource", {"Tags": [{"Key": "a", "Value": "b"}]}), ("UntagResource", {"TagKeys": ["a"]})]
)
def test_success_has_an_empty_body(send, arn, operation, more):
    answer = send(operation, {"ResourceArn": arn, **more})
    assert (answer.status, answer.body) == (200, b"")


def test_a_missing_table_is_not_found(client, arn):
    with rejected("ResourceNotFoundException"):
        client.list_tags_of_resource(ResourceArn=arn + "-nowhere")


@pytest.mark.parametrize(
    "operation, more, named",
    [
        ("list_tags_of_resource", {}, True),
        ("tag_resource", {"Tags": [{"Key": "a", "Value": "b"}]}, True),
        ("untag_resource", {"TagKeys": ["a"]}, False),
    ],
)
def test_a_missing_table_is_named_by_all_but_one(client, arn, operation, more, named):
    arn += "-nowhere"
    with rejected("ResourceNotFoundException", NOT_FOUND + (f": ResourcArn: {arn} not found" if named else "")):
        getattr(client, operation)(ResourceArn=arn, **more)


@pytest.mark.parametrize("operation", ["list_tags_of_resource", "tag_resource", "untag_resource"])
def test_an_arn_must_be_one(client, operation):
    more = {"tag_resource": {"Tags": [{"Key": "a", "Value": "b"}]}, "untag_resource": {"TagKeys": ["a"]}}
    with rejected(("ValidationException", "AccessDeniedException")):
        getattr(client, operation)(ResourceArn="no-arn-at-all", **more.get(operation, {}))


@pytest.mark.parametrize(
    "tag",
    [{"Key": "", "Value": "x"}, {"Key": "x" * 129, "Value": "x"}, {"Key": "x", "Value": "x" * 257}, {"Key": "x"}],
    ids=lambda t: str(t)[:30],
)
def test_tags_have_bounds(client, arn, tag):
    with invalid():
        client.tag_resource(ResourceArn=arn, Tags=[tag])


@pytest.mark.parametrize(
    "key, value", [("ok", "#!%%^$$&"), ("->>;-)])", "ok"), ("!!!\\|", "<><"), ("a\tb", "x"), ("aws:team", "x")]
)
def test_tags_hold_letters_digits_spaces_and_a_few_signs(client, arn, key, value):
    with invalid():
        client.tag_resource(ResourceArn=arn, Tags=[{"Key": key, "Value": value}])
    with invalid():
        client.create_table(TableName=unique("tags"), **keyed_by("p:S"), Tags=[{"Key": key, "Value": value}])
    assert tags(client, arn) == {}


def test_tags_are_of_any_script(client, arn):
    every = {"größe": "ö 1+-=._:/@", "日本": "語", "a b": ""}
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in every.items()])
    settled_tags(client, arn, every)


def test_a_new_table_of_the_same_name_has_no_old_tags(client, make_table):
    name = make_table(**keyed_by("p:S"), Tags=[{"Key": "old", "Value": "x"}])
    drop(client, name)
    wait_until_gone(client, name)
    make_table(TableName=name, **keyed_by("p:S"))
    arn = client.describe_table(TableName=name)["Table"]["TableArn"]
    assert tags(client, arn) == {}
