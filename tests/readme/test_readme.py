"""The README's first five minutes have to work as they are written: this runs them word for word.

Only what belongs to the reader's machine is replaced: the port of the running process, and the folder of the binary.
"""

import os
import pathlib
import subprocess

import pytest

from server import BINARY, Server
from walkthrough import shows, steps

ROOT = pathlib.Path(__file__).parents[2]
END_OF_STEP = "=== end of step"
# Five minutes are promised to people, who also read; a slow machine takes one.
WITHIN_S = 180


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server("--data-dir", str(tmp_path_factory.mktemp("data"))) as server:
        yield server
        code = server.stop()
        assert code == 0, server.output()


def of_this_machine(commands, server):
    adapted = commands.replace("localhost:8000", f"localhost:{server.port()}")
    return adapted.replace("$PWD/target/release", str(pathlib.Path(BINARY).parent))


def run(script, environment, within):
    """The exit code (`None`: it took too long) and all output of a shell script."""
    command = ["bash", "-euo", "pipefail", "-c", script]
    options = {"cwd": ROOT, "env": environment, "stdin": subprocess.DEVNULL, "text": True}
    try:
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=within, **options)
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode()
    return ran.returncode, ran.stdout


def test_the_walkthrough_does_what_it_says(server):
    walkthrough = steps((ROOT / "README.md").read_text())
    assert len(walkthrough) >= 8, "the walkthrough is gone"
    script = "".join(f"{of_this_machine(step.commands, server)}\necho '{END_OF_STEP}'\n" for step in walkthrough)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TRADEWIND_"))}
    code, shown = run(script, kept, within=WITHIN_S)
    outputs = shown.split(f"{END_OF_STEP}\n")
    assert code == 0, f"step {len(outputs)} fails:\n{walkthrough[len(outputs) - 1].commands}\n{shown}"
    for step, output in zip(walkthrough, outputs):
        if step.output is not None and not shows(step.output, output):
            pytest.fail(f"{step.commands}\nshows\n\n{output}\nnot\n\n{step.output}", pytrace=False)


def test_an_output_that_differs_is_noticed():
    assert shows("a  b\n…\nz\n", "a b\nc\nd\nz")
    assert shows("…\n", "")
    assert shows("at …: ok\n", "at 9:30: ok\n")
    assert not shows("at …: ok\n", "at 9:30: bad\n")
    assert not shows("a\n", "b\n")
    assert not shows("a\n…\nz\n", "a\nc\n")
