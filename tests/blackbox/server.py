"""Starts and ends `tradewind dev` processes; used by the session's own server and by the process tests."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile

from endpoints import ACCESS_KEY, REGION, SECRET_KEY, Endpoint
from waiting import eventually

BINARY = os.environ.get("TRADEWIND_BIN") or str(pathlib.Path(__file__).parents[2] / "target/debug/tradewind")


class Server:
    """One `tradewind dev` process that has written its ready file."""

    def __init__(
        self, *arguments, port=0, within=30.0, environment=None, credentials=(ACCESS_KEY, SECRET_KEY), under=()
    ):
        """`under` is a program that runs ours, such as a tracer."""
        self.folder = tempfile.TemporaryDirectory(prefix="tradewind-test-")
        self.ready_file = pathlib.Path(self.folder.name) / "ready.json"
        self.log = open(pathlib.Path(self.folder.name) / "stderr", "w+b")
        self.credentials = credentials
        command = [*under, BINARY, "dev", "--port", str(port), "--ready-file", str(self.ready_file), *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env={**os.environ, **(environment or {})},
        )
        self.ready = self._wait_until_ready(within)

    def _wait_until_ready(self, within):
        try:
            return eventually(self._read_ready_file, within=within, every=0.005, saying="the ready file appears")
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.output()}") from error

    def _read_ready_file(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"tradewind ended with {self.process.returncode}: {self.output()}")
        try:
            return json.loads(self.ready_file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def output(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text(errors="replace")

    @property
    def pid(self):
        """Of ours, also when another program runs it."""
        return self.ready["pid"]

    def port(self, region="all"):
        return self.ready["ports"][region]

    def endpoint(self, region="all"):
        url = f"http://127.0.0.1:{self.port(region)}"
        return Endpoint(url, "tradewind", self.ready["ports"], *self.credentials)

    def stop(self, how=signal.SIGTERM, within=10.0):
        """Asks the process to end and returns its exit code."""
        if self.process.poll() is None:
            os.kill(self.pid, how)
        return self.process.wait(timeout=within)

    def kill(self):
        """Ends the process at once, as a crash would."""
        self.process.kill()
        self.process.wait(timeout=10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
        self.log.close()
        self.folder.cleanup()


def run(*arguments, environment=None, within=20.0):
    """Runs the binary to its end, e.g. one of the tools; returns the finished process with text output."""
    return subprocess.run(
        [BINARY, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within,
        env={**os.environ, "AWS_REGION": REGION, **(environment or {})},
    )
