"""docs/compatibility.md accounts for every operation that DynamoDB and its Streams have, by botocore's model: none is left
out, none is made up, and those it calls absent are.
"""

import pathlib
import re

import botocore.session
import pytest

from rejections import rejected

pytestmark = pytest.mark.tradewind_only("its own documentation")

PAGE = pathlib.Path(__file__).parents[2] / "docs/compatibility.md"


def operations():
    """Of the page's table of operations: name → what it says."""
    section = PAGE.read_text().split("## Operations")[1].split("\n## ")[0]
    said = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 2 and cells[0]:
            names = re.sub(r"\([^)]*\)", "", cells[0]).split(",")
            said.update({name.strip(): cells[1] for name in names if re.fullmatch(r"[A-Z]\w+", name.strip())})
    return said


def modelled():
    session = botocore.session.get_session()
    return {
        name
        for service in ("dynamodb", "dynamodbstreams")
        for name in session.get_service_model(service).operation_names
    }


def test_every_operation_is_accounted_for():
    assert set(operations()) == modelled()


ABSENT = sorted(name for name, said in operations().items() if said.startswith("no operation"))


@pytest.mark.parametrize("operation", ABSENT)
def test_what_is_said_to_be_absent_is(call, operation):
    with rejected("UnknownOperationException"):
        call(operation, {})


@pytest.mark.parametrize("operation", sorted(set(operations()) - set(ABSENT)))
def test_what_is_said_to_work_is_known(send, operation):
    prefix = "DynamoDBStreams_20120810" if "Stream" in operation and "Kinesis" not in operation else "DynamoDB_20120810"
    if operation in ("GetRecords", "GetShardIterator"):
        prefix = "DynamoDBStreams_20120810"
    answer = send(operation, {}, prefix=prefix)
    assert answer.status == 200 or answer.code != "UnknownOperationException"
