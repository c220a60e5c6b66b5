"""Fixtures: the endpoint (ours is started once per session and worker), clients, raw requests, tables that clean up."""

import os
import pathlib
import subprocess
import tempfile

import pytest

from cluster import Cluster, Shape
from endpoints import REGION, Endpoint, identify
from lifecycle import drop, wait_until_active
from rejections import trust_texts_of
from schemas import keyed_by
from server import BINARY, Server
from values import unique

GIVEN_URL = os.environ.get("TRADEWIND_TEST_ENDPOINT")
# Storage nodes on PostgreSQL instead of one `tradewind dev`.
SHAPE = Shape.of(os.environ["TRADEWIND_TEST_CLUSTER"]) if os.environ.get("TRADEWIND_TEST_CLUSTER") else None


def pytest_configure(config):
    config.endpoint_kind = identify(GIVEN_URL) if GIVEN_URL else "tradewind"
    trust_texts_of(config.endpoint_kind)


def pytest_collection_modifyitems(config, items):
    for item in items:
        for mark in list(item.iter_markers()):
            translated = _translate(mark, config.endpoint_kind)
            if translated:
                item.add_marker(translated)


def _translate(mark, kind):
    """What one of our markers means on this kind of endpoint."""
    reason = mark.args[0] if mark.args else ""
    if mark.name == "differs_in_dynamodb_local" and kind == "dynamodb-local":
        return pytest.mark.xfail(reason=reason, strict=True)
    if mark.name == "differs_often_in_dynamodb_local" and kind == "dynamodb-local":
        return pytest.mark.xfail(reason=reason, strict=False)
    if mark.name == "hangs_dynamodb_local" and kind == "dynamodb-local":
        return pytest.mark.skip(reason=reason)
    if mark.name == "tradewind_only" and kind != "tradewind":
        return pytest.mark.skip(reason=f"concerns tradewind only: {reason}")
    if mark.name == "embedded_only" and SHAPE:
        return pytest.mark.skip(reason=reason)
    if mark.name == "cluster_only" and not SHAPE:
        return pytest.mark.skip(reason=f"only with TRADEWIND_TEST_CLUSTER: {reason}")
    if mark.name == "not_on_aws" and kind == "aws":
        return pytest.mark.skip(reason=reason)
    return None


@pytest.fixture(scope="session")
def endpoint():
    """The server under test."""
    if GIVEN_URL:
        yield Endpoint(GIVEN_URL.rstrip("/"), identify(GIVEN_URL))
        return
    if not pathlib.Path(BINARY).exists():
        pytest.exit(f"no {BINARY}: build it, or set TRADEWIND_BIN or TRADEWIND_TEST_ENDPOINT", returncode=3)
    if SHAPE:
        with Cluster(SHAPE) as cluster:
            yield cluster.endpoint()
            codes = cluster.stop()
            assert not any(codes), f"the nodes ended with {codes}:\n{cluster.output()}"
        return
    with Server("--in-memory") as server:
        yield server.endpoint()
        code = server.stop()
        assert code == 0, f"tradewind dev ended with {code}:\n{server.output()}"


@pytest.fixture(scope="session")
def client_for(endpoint):
    """A DynamoDB client of a region: `client_for("eu-west-1")`."""
    return lambda region: endpoint.client("dynamodb", region)


@pytest.fixture(scope="session")
def client(endpoint):
    return endpoint.client("dynamodb", REGION)


@pytest.fixture(scope="session")
def streams(endpoint):
    return endpoint.client("dynamodbstreams", REGION)


@pytest.fixture(scope="session")
def call(endpoint):
    """Sends a request given as JSON, past every check of the SDK."""
    return endpoint.call


@pytest.fixture(scope="session")
def send(endpoint):
    """Sends a raw signed request and returns the HTTP answer."""
    return endpoint.send


@pytest.fixture(scope="module")
def make_table(client):
    """Creates tables from `keyed_by(..)` arguments, waits until they are ACTIVE, deletes them after the module."""
    names = []

    def create(**schema):
        name = schema.pop("TableName", None) or unique("bb")
        client.create_table(TableName=name, **schema)
        names.append(name)
        wait_until_active(client, name)
        return name

    yield create
    for name in names:
        drop(client, name)


@pytest.fixture(scope="module")
def table(make_table):
    """A table with the string partition key `p`, shared by the tests of a module."""
    return make_table(**keyed_by("p:S"))


@pytest.fixture(scope="module")
def ranged(make_table):
    """A table with the string partition key `p` and the string sort key `c`, shared by the tests of a module."""
    return make_table(**keyed_by("p:S", "c:S"))


@pytest.fixture
def pk():
    """A partition key value that no other test uses, so that tests can share tables."""
    return unique("p")


@pytest.fixture
def small_disk():
    """A file system that is soon full; mounting one takes root."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tradewind-small-"))
    # PostgreSQL runs as another user.
    folder.chmod(0o755)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()
