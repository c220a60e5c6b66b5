"""No answer, and no other region, sees a write before its fsync: read off the server's own system calls.

A process that is killed leaves its page cache behind, so a kill proves nothing about fsync. What a crash of the machine
would leave is what was synced, and the order of the calls tells what anybody could have seen before that.
"""

import pathlib
import re
import shutil

import pytest

from endpoints import REGION, SECOND_REGION
from lifecycle import wait_until_active
from schemas import keyed_by
from server import Server
from values import S
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only("traces the server"),
    pytest.mark.embedded_only("traces `tradewind dev`"),
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed"),
    pytest.mark.timeout(180),
]

WRITES = 10
CALL = re.compile(r"^(\d+) +(\w+)\(\d+<([^>]*(?:->[^>]*)?)>(.*)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")


def is_write(name):
    return name in ("write", "writev", "pwrite64", "sendto")


class Trace:
    """System calls as (name, file, text). One that writes stands where it began, since others may read from there on;
    any other stands where it ended."""

    def __init__(self, lines):
        self.calls, begun = [], {}
        for line in lines:
            if resumed := RESUMED.match(line):
                if call := begun.pop(resumed[1], None):
                    name, file, text = call
                    self.calls.append((name, file, text + resumed[3]))
            elif call := CALL.match(line):
                thread, name, file, text = call.groups()
                if text.endswith("<unfinished ...>") and not is_write(name):
                    begun[thread] = (name, file, text)
                else:
                    self.calls.append((name, file, text))

    def first(self, after, wanted):
        return next((at for at in range(after, len(self.calls)) if wanted(*self.calls[at])), None)


def check(trace, marker):
    """The write of `marker` was synced before the client was answered and before another region wrote it."""

    def in_journal_of(region):
        return lambda name, file, text: (
            is_write(name) and file.endswith(".jnl") and f"/{region}/" in file and marker in text
        )

    asked = trace.first(0, lambda name, file, text: name == "recvfrom" and "Item" in text and marker in text)
    assert asked is not None, "the request is in the trace"
    connection = trace.calls[asked][1]
    answered = trace.first(asked, lambda name, file, text: file == connection and "HTTP/1.1 200 OK" in text)
    assert answered is not None, "the client is answered"
    written = trace.first(asked, in_journal_of(REGION))
    assert written is not None and written < answered, "answered before it was synced: it was not even written"
    file = trace.calls[written][1]
    synced = trace.first(written, lambda name, of, text: name in ("fsync", "fdatasync") and of == file)
    assert synced is not None and synced < answered, "answered before it was synced"
    elsewhere = trace.first(asked, in_journal_of(SECOND_REGION))
    assert elsewhere is not None, "the other region follows"
    assert synced < elsewhere, "seen by another region before it was synced"


@pytest.fixture
def traced(tmp_path):
    """Writes in one region of a traced server, one after another, each seen in the other before the next."""

    def run(*arguments):
        file = tmp_path / "trace"
        calls = "trace=fdatasync,fsync,write,writev,pwrite64,sendto,recvfrom,read"
        tracer = ("strace", "-f", "-yy", "-s", "4096", "-e", calls, "-e", "signal=none", "-o", str(file))
        with Server(*arguments, under=tracer, within=60) as running:
            client = running.endpoint(REGION).client()
            other = running.endpoint(SECOND_REGION).client()
            client.create_table(TableName="traced", **keyed_by("p:S"))
            client.update_table(TableName="traced", ReplicaUpdates=[{"Create": {"RegionName": SECOND_REGION}}])
            wait_until_active(client, "traced")
            wait_until_active(other, "traced")
            markers = [f"marker-{at:04}" for at in range(WRITES)]
            for marker in markers:
                client.put_item(TableName="traced", Item={"p": S(marker)})
                eventually(lambda: other.get_item(TableName="traced", Key={"p": S(marker)}).get("Item"), within=30)
            assert running.stop(within=60) == 0
        return Trace(pathlib.Path(file).read_text(errors="replace").splitlines()), markers

    return run


def test_nothing_is_seen_before_it_is_synced(traced, tmp_path):
    trace, markers = traced("--data-dir", str(tmp_path / "data"))
    for marker in markers:
        check(trace, marker)


def test_the_same_check_fails_with_durability_off(traced):
    trace, markers = traced("--in-memory")
    with pytest.raises(AssertionError, match="answered before it was synced"):
        check(trace, markers[0])


def test_a_full_disk_fails_writes_and_not_reads(small_disk):
    with Server("--data-dir", str(small_disk / "data"), "--regions", REGION) as running:
        client = running.endpoint().client()
        client.create_table(TableName="filled", **keyed_by("p:S"))
        client.put_item(TableName="filled", Item={"p": S("first")})
        filler = small_disk / "filler"
        free = shutil.disk_usage(small_disk).free
        with open(filler, "wb") as file:
            file.write(b"\0" * (free - 20 * 1024 * 1024))

        def refused():
            try:
                client.put_item(TableName="filled", Item={"p": S("more"), "v": S("x" * 300_000)})
                return None
            except client.exceptions.ClientError as error:
                return error.response

        answer = eventually(refused, within=60, saying="writes are refused")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] >= 500
        assert "disk full" in answer["Error"]["Message"]
        assert client.get_item(TableName="filled", Key={"p": S("first")})["Item"]
        filler.unlink()
        eventually(lambda: refused() is None, within=60, saying="writes go on once there is space")
