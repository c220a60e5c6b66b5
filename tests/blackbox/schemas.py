"""CreateTable arguments from short descriptions: `keyed_by("p:S", "c:N", gsi=[index("by_x", "x:S")])`."""


def key_schema(*attributes, hash_count=1):
    roles = ["HASH"] * hash_count + ["RANGE"] * (len(attributes) - hash_count)
    names = [attribute.split(":")[0] for attribute in attributes]
    return [{"AttributeName": name, "KeyType": role} for name, role in zip(names, roles)]


def definitions(attributes):
    pairs = dict(attribute.split(":") for attribute in attributes)
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in pairs.items()]


def index(name, *attributes, projection="ALL", include=None, hash_count=1):
    """A secondary index on the attributes; `include` names the non-key attributes of an INCLUDE projection."""
    projected = (
        {"ProjectionType": "INCLUDE", "NonKeyAttributes": include} if include else {"ProjectionType": projection}
    )
    return {
        "IndexName": name,
        "KeySchema": key_schema(*attributes, hash_count=hash_count),
        "Projection": projected,
        "attributes": list(attributes),
    }


def keyed_by(*attributes, gsi=(), lsi=(), **more):
    """Arguments of CreateTable, without the name, of an on-demand table."""
    every = list(attributes) + [attribute for each in (*gsi, *lsi) for attribute in each["attributes"]]
    arguments = {
        "KeySchema": key_schema(*attributes),
        "AttributeDefinitions": definitions(every),
        "BillingMode": "PAY_PER_REQUEST",
        **more,
    }
    for parameter, indexes in (("GlobalSecondaryIndexes", gsi), ("LocalSecondaryIndexes", lsi)):
        if indexes:
            arguments[parameter] = [without_attributes(each) for each in indexes]
    return arguments


def without_attributes(described):
    return {name: value for name, value in described.items() if name != "attributes"}
