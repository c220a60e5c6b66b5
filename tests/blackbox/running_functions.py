"""What tests of functions share: packages made on the spot, handlers that note what they get, mappings that are ready."""

import io
import json
import pathlib
import textwrap
import zipfile

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from endpoints import REGION
from lifecycle import wait_until_active
from schemas import keyed_by
from server import run
from streaming import stream_of
from values import S, unique
from waiting import eventually

ROLE = "arn:aws:iam::000000000000:role/any"
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


def zipped(source, name="app.py"):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, textwrap.dedent(source))
    return target.getvalue()


class Notes:
    """Lines of JSON that a handler has written down."""

    def __init__(self, file):
        self.file = pathlib.Path(file)

    def lines(self):
        text = self.file.read_text() if self.file.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def records(self):
        return [record for line in self.lines() for record in line["event"].get("Records", [])]

    def keys(self):
        return [record["dynamodb"]["Keys"]["p"]["S"] for record in self.records()]

    def heal(self):
        """Tells the handler that the world is well again."""
        pathlib.Path(f"{self.file}.healed").touch()


# `note` and `is_healed` are for handlers to use; what they do besides is each test's own.
NOTING = """
import json, os

def note(event, **more):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(json.dumps({"event": event, **more}) + "\\n")

def is_healed():
    return os.path.exists(os.environ["NOTES"] + ".healed")

"""


def create(functions, notes, source, handler="app.handler", **more):
    name = unique("f")
    settings = {"Runtime": "python3.12", "Role": ROLE, "Timeout": 20, **more}
    variables = {"NOTES": str(notes.file)} if notes else {}
    functions.create_function(
        FunctionName=name,
        Handler=handler,
        Code={"ZipFile": zipped(NOTING + textwrap.dedent(source))},
        Environment={"Variables": variables},
        **settings,
    )
    return name


def attach(functions, dynamodb, table, function, **more):
    mapping = functions.create_event_source_mapping(
        EventSourceArn=stream_of(dynamodb, table),
        FunctionName=function,
        **{"StartingPosition": "TRIM_HORIZON", **more},
    )
    uuid = mapping["UUID"]
    wait_for_state(functions, uuid, "Disabled" if more.get("Enabled") is False else "Enabled")
    return uuid


def wait_for_state(functions, uuid, state):
    read = lambda: functions.get_event_source_mapping(UUID=uuid)["State"]
    eventually(lambda: read() == state, within=30, saying=f"the mapping is {state}")


def make_table(dynamodb, **more):
    name = unique("fn")
    dynamodb.create_table(TableName=name, **keyed_by("p:S"), StreamSpecification=STREAM, **more)
    wait_until_active(dynamodb, name)
    return name


def put(dynamodb, table, key, **attributes):
    dynamodb.put_item(TableName=table, Item={"p": S(key), **attributes})


def lambda_get(running, path):
    """Asks for what Lambda has no operation for."""
    endpoint = running.endpoint()
    request = AWSRequest(method="GET", url=endpoint.url + path)
    SigV4Auth(endpoint.credentials(), "lambda", REGION).add_auth(request)
    answer = endpoint.exchange("GET", path, b"", dict(request.headers.items()))
    assert answer.status == 200, answer.body
    return answer.json()


class Tool:
    """`tradewind function …` against one server."""

    def __init__(self, server):
        self.endpoint = server.endpoint()
        self.environment = {
            "AWS_ACCESS_KEY_ID": self.endpoint.access_key,
            "AWS_SECRET_ACCESS_KEY": self.endpoint.secret_key,
            "TRADEWIND_ENDPOINT": self.endpoint.url,
        }

    def run(self, *arguments):
        return run("function", *arguments, environment=self.environment, within=60)

    def __call__(self, *arguments):
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def json(self, *arguments):
        return json.loads(self(*arguments, "--json"))
