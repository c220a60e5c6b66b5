"""Requests made at random from a seed: the same seed gives the same scenario, on any machine.

A scenario is a table's schema and some dozens of requests on few keys and few attributes, so that they meet. Most are
valid; some are damaged, because errors have to be the same too.
"""

import random
import re
import string
from dataclasses import dataclass

KEYS = {"S": ["a", "b", "ab", "ä", "z" * 30], "N": ["1", "2", "-1.5", "10", "1e2"], "B": ["YQ==", "YWI=", "/w=="]}
NAMES = ["a", "b", "c1", "size", "x.y"]
NUMBERS = ["0", "1", "2", "-1", "3.50", "1e3", "0.001", "12345678901234567890", "-7.25", "1E-5", "99"]
TEXTS = ["", "a", "b", "abc", "abcd", "ä", "A"]
BLOBS = ["", "YQ==", "YWI=", "/w=="]
COMPARATORS = ["=", "<>", "<", "<=", ">", ">="]


@dataclass
class Scenario:
    table: str
    hash: str
    range: str | None
    schema: dict
    requests: list


def scenario(seed, length=40):
    return Maker(random.Random(seed), f"differential-{seed}").scenario(length)


class Maker:
    """Makes one scenario; `names` and `values` collect the placeholders of the request being made."""

    def __init__(self, chance, table):
        self.chance, self.table = chance, table
        self.names, self.values = {}, {}

    def pick(self, options):
        return self.chance.choice(list(options))

    def often(self, probability):
        return self.chance.random() < probability

    # --- the table

    def scenario(self, length):
        self.hash = self.pick("SSNB")
        self.range = self.pick(["S", "N", "B", "N", None])
        requests = [self.request() for _ in range(length)]
        return Scenario(self.table, self.hash, self.range, self.schema(), requests)

    def schema(self):
        attributes = {"p": self.hash, "g": "S", "h": "N"}
        key = [{"AttributeName": "p", "KeyType": "HASH"}]
        schema = {"TableName": self.table, "BillingMode": "PAY_PER_REQUEST"}
        if self.range:
            attributes["c"] = self.range
            key.append({"AttributeName": "c", "KeyType": "RANGE"})
            schema["LocalSecondaryIndexes"] = [
                self.index("local", [("p", "HASH"), ("h", "RANGE")], {"ProjectionType": "KEYS_ONLY"})
            ]
        schema["GlobalSecondaryIndexes"] = [
            self.index("global", [("g", "HASH"), ("h", "RANGE")], {"ProjectionType": "ALL"}),
            self.index("narrow", [("g", "HASH")], {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]}),
        ]
        schema["KeySchema"] = key
        schema["AttributeDefinitions"] = [
            {"AttributeName": name, "AttributeType": kind} for name, kind in attributes.items()
        ]
        return schema

    @staticmethod
    def index(name, key, projection):
        schema = [{"AttributeName": attribute, "KeyType": kind} for attribute, kind in key]
        return {"IndexName": name, "KeySchema": schema, "Projection": projection}

    # --- values

    def key(self):
        key = {"p": self.key_value(self.hash)}
        if self.range:
            key["c"] = self.key_value(self.range)
        if self.often(0.02):
            key.pop(self.pick(key))
        return key

    def key_value(self, kind):
        if self.often(0.01):
            kind = self.pick(KEYS)
        return {kind: self.pick(KEYS[kind])}

    def value(self, depth=0):
        kind = self.pick(["S", "N", "N", "B", "BOOL", "NULL", "SS", "NS", "BS"] + (["L", "M"] * 2 if depth < 3 else []))
        match kind:
            case "S":
                return {"S": self.pick(TEXTS)}
            case "N":
                return {"N": self.pick(NUMBERS)}
            case "B":
                return {"B": self.pick(BLOBS)}
            case "BOOL":
                return {"BOOL": self.often(0.5)}
            case "NULL":
                return {"NULL": True}
            case "SS":
                return {"SS": self.chance.sample(TEXTS[1:], self.chance.randint(1, 3))}
            case "NS":
                return {"NS": self.chance.sample(NUMBERS, self.chance.randint(1, 3))}
            case "BS":
                return {"BS": self.chance.sample(BLOBS[1:], self.chance.randint(1, 2))}
            case "L":
                return {"L": [self.value(depth + 1) for _ in range(self.chance.randint(0, 3))]}
            case _:
                names = self.chance.sample(NAMES, self.chance.randint(0, 3))
                return {"M": {name: self.value(depth + 1) for name in names}}

    def item(self):
        item = {name: self.value() for name in self.chance.sample(NAMES, self.chance.randint(0, 4))}
        if self.often(0.6):
            item["g"] = {"S": self.pick(["x", "y"])}
        if self.often(0.6):
            item["h"] = {"N": self.pick(NUMBERS)}
        if self.often(0.02):
            item[self.pick("gh")] = self.value()
        return {**item, **self.key()}

    # --- expressions

    def path(self):
        path = self.name(self.pick([*NAMES, *NAMES, "g", "h", "p"]))
        while self.often(0.25):
            path += f"[{self.chance.randint(0, 2)}]" if self.often(0.5) else "." + self.name(self.pick(NAMES))
        return path

    def name(self, name):
        if name.isalnum() and name != "size" and self.often(0.5):
            return name
        placeholder = f"#n{NAMES.index(name) if name in NAMES else name}"
        self.names[placeholder] = name
        return placeholder

    def operand(self):
        return self.path() if self.often(0.3) else self.constant(self.value())

    def constant(self, value):
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = value
        return placeholder

    def condition(self, depth=0):
        kind = self.chance.randint(0, 9 if depth < 3 else 6)
        match kind:
            case 0 | 1:
                return f"{self.path()} {self.pick(COMPARATORS)} {self.operand()}"
            case 2:
                return f"{self.pick(['attribute_exists', 'attribute_not_exists'])}({self.path()})"
            case 3:
                low, high = self.chance.choice([({"N": "0"}, {"N": "50"}), ({"S": "a"}, {"S": "b"})])
                return f"{self.path()} BETWEEN {self.constant(low)} AND {self.constant(high)}"
            case 4:
                among = ", ".join(self.operand() for _ in range(self.chance.randint(1, 3)))
                return f"{self.path()} IN ({among})"
            case 5:
                if self.often(0.3):
                    kinds = ["S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"]
                    return f"attribute_type({self.path()}, {self.constant({'S': self.pick(kinds)})})"
                if self.often(0.5):
                    return f"begins_with({self.path()}, {self.constant({'S': self.pick(TEXTS)})})"
                return f"contains({self.path()}, {self.operand()})"
            case 6:
                return f"size({self.path()}) {self.pick(COMPARATORS)} {self.constant({'N': self.pick('0123')})}"
            case 7:
                return f"NOT {self.condition(depth + 1)}"
            case _:
                joined = f"{self.condition(depth + 1)} {self.pick(['AND', 'OR'])} {self.condition(depth + 1)}"
                return f"({joined})" if self.often(0.5) else joined

    def update(self):
        clauses = []
        if self.often(0.8):
            clauses.append("SET " + ", ".join(self.assignment() for _ in range(self.chance.randint(1, 2))))
        if self.often(0.4):
            clauses.append("REMOVE " + ", ".join(self.path() for _ in range(self.chance.randint(1, 2))))
        if self.often(0.3):
            clauses.append(
                f"ADD {self.path()} {self.constant(self.pick([{'N': '1'}, {'NS': ['1', '2']}, {'SS': ['a']}]))}"
            )
        if self.often(0.2):
            clauses.append(f"DELETE {self.path()} {self.constant(self.pick([{'NS': ['1']}, {'SS': ['a', 'b']}]))}")
        self.chance.shuffle(clauses)
        return " ".join(clauses) or f"SET {self.assignment()}"

    def assignment(self):
        path = self.path()
        match self.chance.randint(0, 4):
            case 0:
                return f"{path} = {self.operand()}"
            case 1:
                number = self.constant({"N": self.pick(NUMBERS)})
                return f"{path} = {self.path()} {self.pick('+-')} {number}"
            case 2:
                return f"{path} = if_not_exists({self.path()}, {self.operand()})"
            case 3:
                return f"{path} = list_append({self.path()}, {self.constant({'L': [self.value()]})})"
            case _:
                return f"{path} = {self.constant(self.value())}"

    def projection(self):
        return ", ".join(self.path() for _ in range(self.chance.randint(1, 3)))

    def damaged(self, text):
        """Most texts as they are, some with a piece missing or too much."""
        if not self.often(0.03):
            return text
        at = self.chance.randrange(len(text) + 1)
        if self.often(0.5):
            return text[:at] + text[at + 1 :]
        return text[:at] + self.pick([*string.punctuation, " and ", " :zz ", "#zz", " size ", " 1 "]) + text[at:]

    # --- requests

    def request(self):
        self.names, self.values = {}, {}
        kinds = [
            (self.put, 8),
            (self.update_item, 8),
            (self.delete, 3),
            (self.get, 3),
            (self.query, 6),
            (self.scan, 3),
            (self.batch_write, 2),
            (self.batch_get, 2),
            (self.transact_write, 3),
            (self.transact_get, 1),
        ]
        make = self.chance.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        operation, body = make()
        return operation, self.with_placeholders(body)

    def with_placeholders(self, body):
        text = " ".join(str(value) for name, value in body.items() if name.endswith("Expression"))
        names = {name: value for name, value in self.names.items() if name in text}
        values = {name: value for name, value in self.values.items() if re.search(f"{name}(?!\\d)", text)}
        if names:
            body["ExpressionAttributeNames"] = names
        if values:
            body["ExpressionAttributeValues"] = values
        self.names, self.values = {}, {}
        return body

    def conditional(self, body, probability=0.4):
        if self.often(probability):
            body["ConditionExpression"] = self.damaged(self.condition())
            if self.often(0.3):
                body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return body

    def write(self, body, returns):
        body["TableName"] = self.table
        if self.often(0.4):
            body["ReturnValues"] = self.pick(returns)
        if self.often(0.3):
            body["ReturnConsumedCapacity"] = self.pick(["TOTAL", "INDEXES"])
        return self.conditional(body)

    def put(self):
        return "PutItem", self.write({"Item": self.item()}, ["NONE", "ALL_OLD"])

    def delete(self):
        return "DeleteItem", self.write({"Key": self.key()}, ["NONE", "ALL_OLD"])

    def update_item(self):
        returns = ["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"]
        body = self.write({"Key": self.key(), "UpdateExpression": self.damaged(self.update())}, returns)
        return "UpdateItem", self.guarded(body)

    def guarded(self, body):
        """What only takes away creates no item on AWS, but does in DynamoDB Local: only for items that exist."""
        if not any(word in body["UpdateExpression"] for word in ("SET", "ADD")):
            body["ConditionExpression"] = "attribute_exists(p)"
        return body

    def read(self, body):
        body["TableName"] = self.table
        if self.often(0.3):
            body["ConsistentRead"] = True
        if self.often(0.3):
            body["ReturnConsumedCapacity"] = self.pick(["TOTAL", "INDEXES"])
        return body

    def get(self):
        body = self.read({"Key": self.key()})
        if self.often(0.5):
            body["ProjectionExpression"] = self.damaged(self.projection())
        return "GetItem", body

    def query(self):
        body = self.read({})
        index = self.pick([None, None, "local", "global", "narrow"])
        if index:
            body["IndexName"] = index
        body["KeyConditionExpression"] = self.damaged(self.key_condition(index))
        self.page(body)
        if self.often(0.3):
            body["ScanIndexForward"] = False
        return "Query", body

    def key_condition(self, index):
        hash_name, hash_values = ("g", [{"S": "x"}, {"S": "y"}]) if index in ("global", "narrow") else ("p", None)
        condition = (
            f"{hash_name} = {self.constant(self.pick(hash_values) if hash_values else self.key_value(self.hash))}"
        )
        kind = "N" if index in ("local", "global") else self.range if index is None else None
        if kind and self.often(0.6):
            name = "h" if index else "c"
            condition += " AND " + self.sort_condition(name, kind)
        return condition

    def sort_condition(self, name, kind):
        values = KEYS[kind]
        if kind != "N" and self.often(0.2):
            return f"begins_with({name}, {self.constant({kind: self.pick(values)})})"
        if self.often(0.2):
            return f"{name} BETWEEN {self.constant({kind: values[0]})} AND {self.constant({kind: values[1]})}"
        return f"{name} {self.pick(['=', '<', '<=', '>', '>='])} {self.constant({kind: self.pick(values)})}"

    def page(self, body):
        if self.often(0.3):
            body["FilterExpression"] = self.damaged(self.condition())
        if self.often(0.2):
            body["ProjectionExpression"] = self.projection()
        elif self.often(0.2):
            body["Select"] = self.pick(["COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"])

    def scan(self):
        body = self.read({})
        if self.often(0.3):
            body["IndexName"] = self.pick(["global", "narrow"])
            body.pop("ConsistentRead", None)
        self.page(body)
        return "Scan", body

    def batch_write(self):
        writes = []
        for _ in range(self.chance.randint(1, 4)):
            put = {"PutRequest": {"Item": self.item()}}
            writes.append(put if self.often(0.7) else {"DeleteRequest": {"Key": self.key()}})
        return "BatchWriteItem", {"RequestItems": {self.table: writes}}

    def batch_get(self):
        keys = [self.key() for _ in range(self.chance.randint(1, 3))]
        return "BatchGetItem", {"RequestItems": {self.table: {"Keys": keys}}}

    def transact_write(self):
        return "TransactWriteItems", {"TransactItems": [self.action() for _ in range(self.chance.randint(1, 3))]}

    def action(self):
        """Each action has placeholders of its own."""
        self.names, self.values = {}, {}
        match self.chance.randint(0, 3):
            case 0:
                kind, body = "Put", self.conditional({"Item": self.item()})
            case 1:
                kind, body = "Delete", self.conditional({"Key": self.key()})
            case 2:
                body = self.conditional({"Key": self.key(), "UpdateExpression": self.update()})
                kind, body = "Update", self.guarded(body)
            case _:
                kind, body = "ConditionCheck", self.conditional({"Key": self.key()}, probability=1)
        body["TableName"] = self.table
        return {kind: self.with_placeholders(body)}

    def transact_get(self):
        keys = [self.key() for _ in range(self.chance.randint(1, 3))]
        return "TransactGetItems", {"TransactItems": [{"Get": {"TableName": self.table, "Key": key}} for key in keys]}
