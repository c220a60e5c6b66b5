"""The one place where tests wait: for a condition, with a bound, never for a time."""

import time


def eventually(probe, within=15.0, every=0.02, saying=""):
    """Calls `probe` until it returns something true and returns that; an AssertionError counts as "not yet"."""
    deadline = time.monotonic() + within
    while True:
        try:
            found, failure = probe(), None
        except AssertionError as error:
            found, failure = None, error
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {saying or probe}") from failure
        time.sleep(every)
