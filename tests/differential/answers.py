"""Answers in a form that can be compared: without what may differ, such as the order of sets, and with what may not."""

import json
from decimal import Decimal


def normal(operation, status, body):
    """What has to be equal on both sides."""
    if status != 200:
        return {
            "error": body.get("__type", "").split("#")[-1],
            "reasons": reasons(body),
            "item": unordered(body.get("Item")),
        }
    answer = {name: value for name, value in body.items() if name != "ItemCollectionMetrics"}
    # Which pages a scan has, and in which order its items come, is each server's own affair.
    if operation == "Scan":
        answer["Items"] = in_any_order(answer.get("Items", []))
    if operation == "BatchGetItem":
        answer["Responses"] = {table: in_any_order(items) for table, items in answer["Responses"].items()}
    if operation == "Query" and "Items" in answer:
        answer["Items"] = ties_in_any_order(answer["Items"])
    return unordered(answer)


def reasons(body):
    return [reason.get("Code") for reason in body.get("CancellationReasons") or []]


def in_any_order(items):
    return sorted((unordered(item) for item in items), key=lambda item: json.dumps(item, sort_keys=True))


def ties_in_any_order(items):
    """Rows of an index with equal keys have no order among each other."""
    ordered, run = [], []
    for item in items:
        if run and item.get("h") != run[-1].get("h"):
            ordered, run = ordered + in_any_order(run), []
        run.append(item)
    return ordered + in_any_order(run)


def unordered(value):
    """Sets sorted; numbers by value."""
    if isinstance(value, dict):
        if len(value) == 1:
            ((kind, content),) = value.items()
            if kind == "NS" and isinstance(content, list):
                return {"NS": sorted((plain(number) for number in content), key=Decimal)}
            if kind in ("SS", "BS") and isinstance(content, list):
                return {kind: sorted(content)}
            if kind == "N" and isinstance(content, str):
                return {"N": plain(content)}
        return {name: unordered(each) for name, each in value.items()}
    if isinstance(value, list):
        return [unordered(each) for each in value]
    return value


def plain(number):
    """In full: DynamoDB Local leaves numbers inside of lists and maps as they were written."""
    return format(Decimal(number).normalize(), "f")
