"""Runs `make` targets one after another, says what each took, and ends with the sum of all tests: `N passed, M failed`.

A failing stage does not keep later ones from running, so that one run shows everything; only what cannot be built ends it.
The exit code is 0 only if every stage succeeded.
"""

import os
import re
import subprocess
import sys
import time

# The closing lines of cargo's test runner and of pytest.
CARGO = re.compile(r"^test result: \w+\. (?P<passed>\d+) passed; (?P<failed>\d+) failed")
PYTEST = re.compile(r"^=*\s*(?=.*\b(passed|failed|errors?)\b).* in [\d.]+s")
COUNT = re.compile(r"(\d+) (passed|failed|errors?)\b")
ENDS_EVERYTHING = {"build"}
# Logs are read by people and by the lines above: no colours, whatever the caller's terminal likes.
PLAIN = {"CARGO_TERM_COLOR": "never", "NO_COLOR": "1", "PY_COLORS": "0"}


def main(stages):
    passed, failed, broken = 0, 0, []
    began = time.monotonic()
    for stage in stages:
        ok, counted = run(stage)
        passed, failed = passed + counted[0], failed + counted[1]
        if not ok:
            broken.append(stage)
            if stage in ENDS_EVERYTHING:
                break
    print(f"\nall stages: {time.monotonic() - began:.0f} s")
    if broken:
        print(f"failed stages: {', '.join(broken)}")
        # A stage without tests that fails (formatting, clippy) counts as one.
        failed = max(failed, 1)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if broken else 0


def run(stage):
    """Shows the stage's output as it comes; returns whether it succeeded, and its (passed, failed)."""
    print(f"\n=== {stage}", flush=True)
    began, counts = time.monotonic(), [0, 0]
    command = ["make", "--no-print-directory", stage]
    process = subprocess.Popen(
        command, env={**os.environ, **PLAIN}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    for line in process.stdout:
        print(line, end="", flush=True)
        for at, more in enumerate(counted_in(line)):
            counts[at] += more
    ok = process.wait() == 0
    print(f"=== {stage}: {'ok' if ok else 'FAILED'}, {time.monotonic() - began:.0f} s", flush=True)
    return ok, counts


def counted_in(line):
    if match := CARGO.match(line):
        return int(match["passed"]), int(match["failed"])
    if PYTEST.match(line):
        counts = {kind.removesuffix("s"): int(number) for number, kind in COUNT.findall(line)}
        return counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)
    return 0, 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
