"""Attribute values as DynamoDB JSON spells them, named as in the DynamoDB manual, and names that never repeat."""

import uuid


def S(text):
    return {"S": text}


def N(number):
    return {"N": str(number)}


def B(raw):
    return {"B": raw}


def BOOL(truth):
    return {"BOOL": truth}


def L(*elements):
    return {"L": list(elements)}


def M(**entries):
    return {"M": entries}


def SS(*members):
    return {"SS": list(members)}


def NS(*members):
    return {"NS": [str(member) for member in members]}


def BS(*members):
    return {"BS": list(members)}


NULL = {"NULL": True}


def unique(prefix="k"):
    """A string that no other test, worker or run uses."""
    return f"{prefix}-{uuid.uuid4().hex[:16]}"


def nested(depth, leaf=None):
    """A value in which `depth` maps lie inside each other."""
    value = leaf or S("leaf")
    for _ in range(depth):
        value = M(a=value)
    return value


def without_order(value):
    """The value in a form that compares equal whatever the order of set members."""
    kind, content = next(iter(value.items()))
    if kind in ("SS", "NS", "BS"):
        return (kind, tuple(sorted(content)))
    if kind == "L":
        return (kind, tuple(without_order(element) for element in content))
    if kind == "M":
        return (kind, tuple(sorted((name, without_order(entry)) for name, entry in content.items())))
    return (kind, content)


def same_item(left, right):
    return without_order({"M": left}) == without_order({"M": right})
