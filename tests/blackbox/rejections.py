"""How a test says that a request must be refused: by error code and text, exactly as the SDK shows them."""

import contextlib
import os
import re

from botocore.exceptions import ClientError

OMPVI = "One or more parameter values were invalid: "
CONDITION_FAILED = "The conditional request failed"
NOT_FOUND = "Requested resource not found"
WRONG_KEY = "The provided key element does not match the schema"


#: False on DynamoDB Local, which words many messages in its own way; codes are compared everywhere.
compare_texts = True


def trust_texts_of(endpoint_kind):
    """Decides for the session whether texts are compared."""
    global compare_texts
    compare_texts = endpoint_kind != "dynamodb-local" or "TRADEWIND_TEST_LOCAL_TEXTS" in os.environ


class Rejection:
    """What `rejected` saw, for tests that look closer."""

    code = message = response = None


@contextlib.contextmanager
def rejected(code, message=None, *, has=None, matches=None):
    """The block must raise `code`, or one of several; `message` is compared whole, `has` as a part, `matches` as a pattern."""
    seen = Rejection()
    try:
        yield seen
    except ClientError as error:
        seen.response = error.response
        seen.code = error.response["Error"]["Code"]
        seen.message = error.response["Error"].get("Message", "")
    else:
        raise AssertionError(f"accepted, but {code} was expected")
    allowed = (code,) if isinstance(code, str) else code
    assert seen.code in allowed, f"{seen.code}: {seen.message}"
    if compare_texts:
        check_text(seen, message, has, matches)


def check_text(seen, message, has, matches):
    assert message is None or seen.message == message, f"text {seen.message!r}, not {message!r}"
    assert has is None or has in seen.message, f"text {seen.message!r} without {has!r}"
    assert matches is None or re.search(matches, seen.message), f"text {seen.message!r} not like {matches!r}"


def invalid(message=None, **comparison):
    """The block must raise ValidationException."""
    return rejected("ValidationException", message, **comparison)
