"""Reads a table's stream as a consumer would: all shards, parents before their children, from a chosen start."""


def stream_of(client, table):
    return client.describe_table(TableName=table)["Table"]["LatestStreamArn"]


def shards_of(streams, arn):
    """All shards of the stream, over all pages."""
    shards, start = [], {}
    while True:
        description = streams.describe_stream(StreamArn=arn, **start)["StreamDescription"]
        shards += description["Shards"]
        if "LastEvaluatedShardId" not in description:
            return shards
        start = {"ExclusiveStartShardId": description["LastEvaluatedShardId"]}


class Reader:
    """Follows every shard; `read()` returns what is new since the last call."""

    def __init__(self, streams, arn, start="TRIM_HORIZON"):
        self.streams, self.arn, self.start = streams, arn, start
        self.iterators, self.exhausted = {}, set()
        self._discover(start)

    def _discover(self, kind):
        for shard in shards_of(self.streams, self.arn):
            shard_id = shard["ShardId"]
            parent = shard.get("ParentShardId")
            waits = parent in self.iterators and parent not in self.exhausted
            if shard_id not in self.iterators and shard_id not in self.exhausted and not waits:
                answer = self.streams.get_shard_iterator(StreamArn=self.arn, ShardId=shard_id, ShardIteratorType=kind)
                self.iterators[shard_id] = answer["ShardIterator"]

    def read(self):
        """One round over all shards; per shard in order."""
        records = []
        for shard_id, iterator in list(self.iterators.items()):
            answer = self.streams.get_records(ShardIterator=iterator)
            records += answer["Records"]
            if answer.get("NextShardIterator"):
                self.iterators[shard_id] = answer["NextShardIterator"]
            else:
                self.exhausted.add(shard_id)
                del self.iterators[shard_id]
        if self.exhausted:
            self._discover("TRIM_HORIZON")
        return records
