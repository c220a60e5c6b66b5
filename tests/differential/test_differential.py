"""The same generated requests to Tradewind and to Amazon's DynamoDB Local, whose answers have to be equal, save for known
differences. It finds what nobody thought of testing.

`TRADEWIND_DIFFERENTIAL_SEEDS` says how many scenarios are run (from seed 0), `TRADEWIND_DIFFERENTIAL_SEED` runs one. A failure
shows the fewest requests that still differ.
"""

import json
import os

import pytest

import known
from answers import normal
from scenarios import scenario

ONE = os.environ.get("TRADEWIND_DIFFERENTIAL_SEED")
SEEDS = [int(ONE)] if ONE else range(int(os.environ.get("TRADEWIND_DIFFERENTIAL_SEEDS", "300")))
# Shrinking runs scenarios again; this many times at most.
MAX_SHRINKS = 200


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_are_equal(ours, local, seed):
    made = scenario(seed)
    found = difference(ours, local, made, made.requests)
    if found is None:
        return
    requests = shrink(ours, local, made, found)
    _, operation, body, mine, theirs = difference(ours, local, made, requests) or found
    steps = "\n".join(f"  {name} {json.dumps(step, ensure_ascii=False)}" for name, step in requests)
    pytest.fail(
        f"seed {seed}, table {json.dumps(made.schema)}:\n{steps}\n"
        f"the last one, {operation}, is answered\n  ours:  {mine}\n  local: {theirs}",
        pytrace=False,
    )


def difference(ours, local, made, requests):
    """The first request answered differently: (place, operation, body, ours, local)."""
    for endpoint in (ours, local):
        endpoint.call("CreateTable", made.schema)
    try:
        for place, (operation, body) in enumerate(requests):
            (mine, my_body), (theirs, their_body) = (exchange(endpoint, operation, body) for endpoint in (ours, local))
            if mine == theirs:
                continue
            if known.explained(operation, body, mine, theirs) is None:
                return place, operation, body, my_body, their_body
            # From here on the two may have different items.
            if (mine.get("error") is None) != (theirs.get("error") is None):
                return None
        return None
    finally:
        for endpoint in (ours, local):
            endpoint.call("DeleteTable", {"TableName": made.table})


def exchange(endpoint, operation, body):
    answer = endpoint.send(operation, body)
    parsed = answer.json()
    return normal(operation, answer.status, parsed), parsed


def shrink(ours, local, made, found):
    """Leaves out requests before the one that differs, as long as one differs at the end."""
    requests = made.requests[: found[0] + 1]
    place, tries = 0, 0
    while place < len(requests) - 1 and tries < MAX_SHRINKS:
        fewer = requests[:place] + requests[place + 1 :]
        tries += 1
        again = difference(ours, local, made, fewer)
        if again is not None and again[0] == len(fewer) - 1:
            requests = fewer
        else:
            place += 1
    return requests
