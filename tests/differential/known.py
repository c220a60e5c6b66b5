"""Where DynamoDB Local is known to differ from AWS, and ours follows AWS. Each entry says why; a difference that none of
them explains fails the run.
"""

from dataclasses import dataclass
from typing import Callable


@dataclass
class Known:
    reason: str
    explains: Callable


KNOWN = []


def known(reason):
    """Declares that `explains(operation, body, ours, local)` recognises a known difference."""

    def declare(explains):
        KNOWN.append(Known(reason, explains))
        return explains

    return declare


def explained(operation, body, ours, local):
    """The reason for a difference, if it is known."""
    for each in KNOWN:
        if each.explains(operation, body, ours, local):
            return each.reason
    return None


def fails(side, code=None):
    return side.get("error") is not None and code in (None, side["error"])


@known("DynamoDB Local tells the capacity of a DeleteItem with ReturnValues that nobody asked for")
def capacity_unasked(operation, body, ours, local):
    without = {name: value for name, value in local.items() if name != "ConsumedCapacity"}
    return operation == "DeleteItem" and "ReturnConsumedCapacity" not in body and without == ours


@known("reading nothing costs the least there is, on AWS; DynamoDB Local counts 0")
def empty_reads_cost(operation, body, ours, local):
    if operation not in ("Query", "Scan") or fails(ours) or fails(local) or ours.get("ScannedCount") != 0:
        return False
    rest = [{name: value for name, value in side.items() if name != "ConsumedCapacity"} for side in (ours, local)]
    return rest[0] == rest[1] and local.get("ConsumedCapacity", {}).get("CapacityUnits") == 0


@known("key attributes in an update are refused before the condition is looked at (recorded by dynalite on AWS)")
def keys_before_conditions(operation, body, ours, local):
    return (
        operation == "UpdateItem"
        and fails(ours, "ValidationException")
        and fails(local, "ConditionalCheckFailedException")
    )


@known(
    "a transaction's invalid action is a cancellation reason, with None for the others; DynamoDB Local refuses the request"
)
def invalid_actions_cancel(operation, body, ours, local):
    return (
        operation in ("TransactWriteItems", "TransactGetItems")
        and fails(ours, "TransactionCanceledException")
        and "ValidationError" in ours["reasons"]
        and (fails(local, "ValidationException") or fails(local, "TransactionCanceledException"))
    )


@known(
    "a request with two actions on one item, or one no item could satisfy, is refused before conditions are looked at"
)
def malformed_transactions_come_first(operation, body, ours, local):
    return (
        operation == "TransactWriteItems"
        and fails(ours, "ValidationException")
        and not fails(local, "ValidationException")
    )


@known("REMOVE and DELETE of parts of a missing item are ignored, on AWS (Alternator's tests)")
def removing_from_nothing(operation, body, ours, local):
    takes = any(word in str(body) for word in ("REMOVE", "DELETE"))
    return (
        operation in ("UpdateItem", "TransactWriteItems")
        and takes
        and not fails(ours)
        and fails(local, "ValidationException")
    )


@known("an index key of the wrong type is refused, however it is written; DynamoDB Local lets some updates through")
def index_keys_have_their_type(operation, body, ours, local):
    refused = fails(ours, "ValidationException") or "ValidationError" in ours.get("reasons", [])
    return operation in ("UpdateItem", "TransactWriteItems") and refused and not fails(local)


@known("a filter on a global index sees what the index projects; DynamoDB Local looks at the whole item in scans")
def filters_see_projections(operation, body, ours, local):
    return (
        operation == "Scan"
        and "IndexName" in body
        and "FilterExpression" in body
        and not fails(ours)
        and not fails(local)
    )


@known(
    "an index that neither the old nor the new item is in costs nothing; DynamoDB Local charges where a key attribute changed"
)
def untouched_indexes_cost_nothing(operation, body, ours, local):
    if operation not in ("PutItem", "UpdateItem", "DeleteItem") or fails(ours) or fails(local):
        return False
    without = [{name: value for name, value in side.items() if name != "ConsumedCapacity"} for side in (ours, local)]
    mine, theirs = (side.get("ConsumedCapacity", {}) for side in (ours, local))
    return (
        without[0] == without[1]
        and mine.get("Table") == theirs.get("Table")
        and mine["CapacityUnits"] < theirs["CapacityUnits"]
    )


@known("conditions come before the paths of updates in a transaction's actions")
def conditions_before_paths(operation, body, ours, local):
    return (
        operation == "TransactWriteItems"
        and fails(ours, "TransactionCanceledException")
        and "ConditionalCheckFailed" in ours["reasons"]
        and fails(local, "ValidationException")
    )


@known("what if_not_exists would fall back on is not looked at where the path exists (dynalite reads AWS so)")
def defaults_are_lazy(operation, body, ours, local):
    return "if_not_exists" in str(body) and not fails(ours) and fails(local, "ValidationException")
