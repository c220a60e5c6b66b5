"""A region of real processes whose database goes back to a backup, and whose links two replicators share.

Why it exists: what one replicator finds has to stop the links of the other, which knows of it by the catalogue only; and
`tradewind replication repair` has to work while both run, whichever is asked and whichever dies.
"""

import contextlib
import json
import tempfile

import pytest

from postgres import Postgres
from regions import NAMES, Regions
from test_regions import ask, global_table, keys, pytestmark, tool  # noqa: F401
from values import S, unique
from waiting import eventually

HERE, REACHED, CUT_OFF = NAMES
PARTITIONS = 4


@pytest.fixture
def postgres():
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def regions(postgres):
    with tempfile.TemporaryDirectory(prefix="tradewind-repair-") as folder:
        urls = {name: postgres.create_database() for name in NAMES}
        regions = Regions(folder, urls, None, proxied=True, replicators=2)
        try:
            regions.start()
            yield regions
        finally:
            # Shown where a test has failed.
            print(regions.output())
            with contextlib.suppress(AssertionError, OSError):
                print(json.dumps(ask(regions.by_name[HERE], "replication")))
            regions.close()


def put(regions, table, name, *wanted):
    for key in wanted:
        regions.by_name[name].client().put_item(TableName=table, Item={"p": S(key)})


def several(name):
    """Some for every partition."""
    return [f"{name} {nth}" for nth in range(24)]


def all_stand_still(region, table):
    """Every link of it, and each replicator has its half."""
    answer = ask(region, "replication")
    states = [link["state"] for link in answer["links"] if link["table"] == table]
    shares = [each["links"] for each in answer["replicators"]]
    return states == ["diverged"] * 2 * PARTITIONS and shares == [PARTITIONS] * 2


def start(processes):
    for process in processes:
        process.launch()
    for process in processes:
        process.wait_until_ready()


def test_repair_with_two_replicators(regions, postgres):
    table, here = global_table(regions), regions.by_name[HERE]
    put(regions, table, HERE, "before")
    eventually(lambda: "before" in keys(regions, table, CUT_OFF), within=60, saying="it is everywhere")
    backup = unique("backup").replace("-", "_").lower()
    regions.stop(here)
    postgres.copy(regions.urls[HERE], backup)
    start(here.processes)
    # A single write of a single partition is lost, and a single link can find that out.
    for proxy in regions.proxies[HERE, CUT_OFF]:
        proxy.cut(True)
    put(regions, table, HERE, "lost")
    eventually(lambda: "lost" in keys(regions, table, REACHED), within=60, saying="one other region has it")
    regions.stop(here)
    postgres.copy(f"/{backup}", regions.urls[HERE].rsplit("/", 1)[1])
    start(here.processes)
    for proxy in regions.proxies[HERE, CUT_OFF]:
        proxy.cut(False)
    eventually(lambda: all_stand_still(here, table), within=60, saying="the links of both replicators stand still")
    put(regions, table, HERE, *several("between"))
    # After a restart, without the region that knows better, they remember.
    for proxy in regions.proxies[HERE, REACHED]:
        proxy.cut(True)
    for replicator in here.replicators:
        replicator.kill()
    start(here.replicators)
    eventually(lambda: all_stand_still(here, table), within=60, saying="they still do")
    put(regions, table, CUT_OFF, "back")
    eventually(lambda: "back" in keys(regions, table, HERE), within=60, saying="it takes what comes")
    assert keys(regions, table, CUT_OFF) == {"before", "back"}
    # A repair that cannot be finished changes nothing of that, and another replicator can be asked for the next.
    unreached = tool(here, "replication", "repair", table)
    assert unreached.returncode == 1 and f"region {REACHED} cannot be reached" in unreached.stderr, unreached.stderr
    for proxy in regions.proxies[HERE, REACHED]:
        proxy.cut(False)
    here.replicators[0].kill()
    eventually(lambda: repaired(here, table), within=60, saying="the other replicator repairs the table")
    here.replicators[0].launch()
    put(regions, table, HERE, *several("after"))
    everything = {"before", "lost", "back", *several("between"), *several("after")}
    for name in NAMES:
        has_all = lambda name=name: keys(regions, table, name) == everything  # noqa: E731
        eventually(has_all, within=60, saying=f"{name} has everything")
    assert tool(here, "verify", table).returncode == 0
    needless = tool(here, "replication", "repair", table)
    assert needless.returncode == 1 and "nothing to repair" in needless.stderr, needless.stderr


def repaired(region, table):
    """Refused while the lease of the dead one runs, which is asked first."""
    done = tool(region, "replication", "repair", table)
    return done.returncode == 0 and "repaired" in done.stdout
