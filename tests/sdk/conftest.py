"""One `tradewind dev` that verifies signatures, a proxy in front of it that fails, and the environment SDKs read."""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "blackbox"))

from endpoints import ACCESS_KEY, REGION, SECRET_KEY  # noqa: E402
from flaky import Flaky  # noqa: E402
from server import Server  # noqa: E402


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """What a suite finds in its environment: where to go and as whom, and nothing of this machine's own settings."""
    credentials = tmp_path_factory.mktemp("auth") / "credentials"
    credentials.write_text(f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
    arguments = ["--in-memory", "--auth", "--credentials", str(credentials)]
    with Server(*arguments) as server, Flaky(server.endpoint().url) as flaky:
        yield {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": server.endpoint().url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "TRADEWIND_FLAKY_ENDPOINT": flaky.url,
        }
        assert server.stop() == 0, server.output()
