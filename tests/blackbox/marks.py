"""Short names for the suite's markers, for use on tests and on single parameters."""

import pytest


def differs(reason):
    """AWS does as the test says; DynamoDB Local is known not to."""
    return pytest.mark.differs_in_dynamodb_local(reason)


def differs_often(reason):
    """For whole files: DynamoDB Local answers some of the tests otherwise, so none of them is held against it."""
    return pytest.mark.differs_often_in_dynamodb_local(reason)


def hangs(reason):
    """As `differs`, but DynamoDB Local hangs or dies of it, so the test is not run there."""
    return pytest.mark.hangs_dynamodb_local(reason)


def case(*values, differs_locally=None, name=None):
    """A parameter set; `differs_locally` says why DynamoDB Local answers otherwise."""
    return pytest.param(*values, id=name, marks=[differs(differs_locally)] if differs_locally else [])
