"""Reads a walkthrough out of a Markdown file: its `sh` blocks, each with the `text` block that shows its output, if any.

In an expected output `…` stands for any text, and on a line of its own for any lines; runs of spaces are all the same.
"""

import re
from dataclasses import dataclass

BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:\s*^```text\n(?P<output>.*?)^```\n)?", re.DOTALL | re.MULTILINE)


@dataclass
class Step:
    commands: str
    output: str | None


def steps(markdown):
    return [Step(match["commands"], match["output"]) for match in BLOCK.finditer(markdown)]


def shows(expected, actual):
    """Whether `actual` is what the walkthrough says."""
    return _matches(_lines(expected), _lines(actual))


def _lines(text):
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def _matches(expected, actual):
    if not expected:
        return not actual
    if expected[0] == "…":
        return any(_matches(expected[1:], actual[skipped:]) for skipped in range(len(actual) + 1))
    return bool(actual) and _line_matches(expected[0], actual[0]) and _matches(expected[1:], actual[1:])


def _line_matches(expected, actual):
    return re.fullmatch(".*".join(map(re.escape, expected.split("…"))), actual) is not None
