"""Runs the smoke suite of each SDK and mapper with its own tools, against one server. Users bring these clients, and each
has ways of its own: how it signs, retries, checks checksums, pages, and reads errors.

Whatever a suite needs is installed below `target/sdk`; a suite whose tools this machine does not have fails.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parents[1]
TARGET = pathlib.Path(os.environ.get("TRADEWIND_SDK_TARGET") or TESTS.parent / "target/sdk")
WITHIN = 900


def run(command, folder, environment):
    """The command's output; it must succeed."""
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN
    )
    output = done.stdout + done.stderr
    print(output)
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{output}"
    return output


def passed(output, pattern, at_least):
    """A runner that found no tests has shown nothing."""
    found = re.search(pattern, output)
    assert found and int(found[1]) >= at_least, output


def copied(suite):
    """Suites whose tools install beside the sources run on a copy."""
    folder = TARGET / suite.name
    folder.mkdir(parents=True, exist_ok=True)
    for file in suite.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    return folder


def node(suite, environment, at_least):
    folder = copied(suite)
    install = ["npm", "ci", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"]
    installed = folder / "node_modules/.package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (suite / "package-lock.json").stat().st_mtime:
        run(install, folder, environment)
    passed(run(["npm", "test", "--silent"], folder, environment), r"(?:#|ℹ) pass (\d+)", at_least)


@pytest.mark.timeout(WITHIN)
def test_javascript(environment):
    node(TESTS / "sdk/javascript", environment, 12)


def test_the_page_on_sessions_shows_the_middleware_that_is_run():
    program = (TESTS / "sdk/javascript/session.mjs").read_text()
    assert f"```js\n{program}```" in (TESTS.parent / "docs/sessions.md").read_text()


@pytest.mark.timeout(WITHIN)
def test_go(environment):
    tools = {"GOPATH": TARGET / "go", "GOCACHE": TARGET / "go-cache", "GOFLAGS": "-modcacherw"}
    environment = {**environment, **{name: str(value) for name, value in tools.items()}}
    output = run(["go", "test", "-count=1", "-v", "./..."], TESTS / "sdk/go", environment)
    assert len(re.findall(r"^--- PASS", output, re.MULTILINE)) >= 9, output


@pytest.mark.timeout(WITHIN)
def test_rust(environment):
    environment = {**environment, "CARGO_TARGET_DIR": str(TARGET / "rust")}
    command = ["cargo", "test", "--locked", "--test", "smoke"]
    passed(run(command, TESTS / "sdk/rust", environment), r"(\d+) passed", 9)


@pytest.mark.timeout(WITHIN)
def test_java(environment):
    command = ["mvn", "--batch-mode", f"-Dmaven.repo.local={TARGET / 'maven'}", f"-Doutput={TARGET / 'java'}", "test"]
    passed(run(command, TESTS / "sdk/java", environment), r"Tests run: (\d+), Failures: 0, Errors: 0, Skipped: 0", 10)


@pytest.mark.timeout(WITHIN)
def test_electrodb(environment):
    node(TESTS / "orm/electrodb", environment, 3)


@pytest.mark.timeout(WITHIN)
def test_dynamoose(environment):
    node(TESTS / "orm/dynamoose", environment, 3)


@pytest.mark.timeout(WITHIN)
def test_pynamodb(environment):
    suite, packages = TESTS / "orm/pynamodb", TARGET / "pynamodb"
    requirements = suite / "requirements.txt"
    installed = packages / requirements.read_text().splitlines()[-1]
    if not installed.exists():
        shutil.rmtree(packages, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--target", str(packages), "-r", str(requirements)], suite, environment)
        installed.touch()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_model.py"]
    passed(run(command, suite, {**environment, "PYTHONPATH": str(packages)}), r"(\d+) passed", 6)
