"""A load that keeps books: every write it was told of has to be there afterwards, once."""

import threading

from botocore.exceptions import BotoCoreError, ClientError

from schemas import keyed_by
from streaming import shards_of, stream_of
from values import N, S
from waiting import eventually

# What a client may retry; everything else is an error of ours.
RETRYABLE = {
    "InternalServerError",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
}


def make_ledger_table(client, name):
    client.create_table(
        TableName=name,
        **keyed_by("p:S"),
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    return name


class Account:
    """What one writer knows of one counter."""

    def __init__(self):
        self.value = 0
        # Additions since `value` was answered whose outcome is not known.
        self.unknown = 0

    def added(self, value):
        assert self.value < value <= self.value + 1 + self.unknown, (
            f"{value} after {self.value} and {self.unknown} of unknown outcome: applied twice, or lost"
        )
        self.value, self.unknown = value, 0

    def check(self, value):
        assert self.value <= value <= self.value + self.unknown, (value, self.value, self.unknown)


class Ledger:
    """Writers that count with ADD, put items of new names and move pairs in transactions, until the block ends.

    `clients` are used in turn, each after another has failed. An error that no client should see ends the block with it.
    """

    def __init__(self, clients, table, tag, workers=6, tolerant=True):
        self.clients, self.table, self.tag, self.tolerant = clients, table, tag, tolerant
        self.put, self.accounts, self.pairs, self.failures = {}, {}, {}, []
        self.acknowledged, self.faults = 0, 0
        self.errors, self.stopping = [], threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(at,), daemon=True) for at in range(workers)]

    def _run(self, worker):
        turn = worker
        try:
            while not self.stopping.is_set():
                self._one(worker, turn)
                turn += 1
        except Exception as error:
            self.errors.append(error)

    def _one(self, worker, turn):
        client = self.clients[turn % len(self.clients)]
        work = (self._count, self._put, self._count, self._move)[turn % 4]
        try:
            work(client, worker, turn)
            self.acknowledged += 1
        except (BotoCoreError, ClientError, OSError) as error:
            self.faults += 1
            self.failures.append(repr(error))
            if not self.tolerant or not is_retryable(error):
                raise
            self.stopping.wait(0.05)

    def _count(self, client, worker, turn):
        key = f"{self.tag}-count-{worker}-{turn % 8}"
        account = self.accounts.setdefault(key, Account())
        account.unknown += 1
        answer = client.update_item(
            TableName=self.table,
            Key={"p": S(key)},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": N(1)},
            ReturnValues="UPDATED_NEW",
        )
        account.unknown -= 1
        account.added(int(answer["Attributes"]["n"]["N"]))

    def _put(self, client, worker, turn):
        key = f"{self.tag}-put-{worker}-{turn}"
        client.put_item(TableName=self.table, Item={"p": S(key), "n": N(turn)})
        self.put[key] = turn

    def _move(self, client, worker, turn):
        """Both sides are counted in one transaction, wherever they lie."""
        pair = f"{self.tag}-pair-{worker}-{turn % 3}"
        account = self.pairs.setdefault(pair, Account())
        account.unknown += 1
        update = {
            "TableName": self.table,
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": N(1)},
        }
        try:
            client.transact_write_items(
                TransactItems=[{"Update": {**update, "Key": {"p": S(f"{pair}-{side}")}}} for side in "ab"]
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "TransactionCanceledException":
                account.unknown -= 1
            raise
        account.unknown -= 1
        account.value += 1

    def wait_for(self, more, within=None):
        """Until so many more writes were acknowledged; by a machine that does other things too."""
        target, within = self.acknowledged + more, within or 30 + more / 10
        eventually(lambda: self.errors or self.acknowledged >= target, within=within, saying=f"{more} more writes")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=60)
        if self.errors and kind is None:
            raise self.errors[0]

    def check(self, client, streams):
        """Everything that was acknowledged is there, nothing twice, and the log is whole."""
        items = everything(client, self.table)
        self.check_books(items)
        check_log(client, streams, self.table, items)

    def check_books(self, items):
        assert not any(thread.is_alive() for thread in self.threads), "a writer hangs"
        lost = [key for key, turn in self.put.items() if items.get(key) != turn]
        assert not lost, f"{len(lost)} of {len(self.put)} acknowledged puts are not there, as {lost[:3]}"
        for key, account in self.accounts.items():
            account.check(items.get(key, 0))
        for pair, account in self.pairs.items():
            sides = [items.get(f"{pair}-{side}", 0) for side in "ab"]
            assert sides[0] == sides[1], f"{pair}: half a transaction: {sides}"
            account.check(sides[0])


def is_retryable(error):
    if not isinstance(error, ClientError):
        return True
    code = error.response["Error"]["Code"]
    if code == "TransactionCanceledException":
        reasons = {reason["Code"] for reason in error.response.get("CancellationReasons", [])}
        return reasons <= {"None", "TransactionConflict"}
    return code in RETRYABLE


def everything(client, table):
    """Every item's number by its key, by strong reads."""
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return {item["p"]["S"]: int(item["n"]["N"]) for page in pages for item in page["Items"]}


def check_log(client, streams, table, items):
    """Sequences have no gap and no repetition, and replaying the log gives the table."""
    replayed, arn = {}, stream_of(client, table)
    for shard in shards_of(streams, arn):
        records = read_shard(streams, arn, shard["ShardId"])
        numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in records]
        gaps = [(a, b) for a, b in zip(numbers, numbers[1:]) if b != a + 1]
        assert not gaps, f"{shard['ShardId']}: sequences jump or repeat: {gaps[:3]}"
        for record in records:
            image = record["dynamodb"]["NewImage"]
            key, number = image["p"]["S"], int(image["n"]["N"])
            assert "-put-" in key or number == replayed.get(key, 0) + 1, f"{key}: {number} after {replayed.get(key)}"
            replayed[key] = number
    assert replayed == items


def read_shard(streams, arn, shard):
    position = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    position, records, empty = position["ShardIterator"], [], 0
    while position and empty < 2:
        answer = streams.get_records(ShardIterator=position)
        records += answer["Records"]
        empty = 0 if answer["Records"] else empty + 1
        position = answer.get("NextShardIterator")
    return records
