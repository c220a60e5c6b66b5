// The AWS SDK for JavaScript v3 against the endpoint of the environment (AWS_ENDPOINT_URL; TRADEWIND_FLAKY_ENDPOINT is the
// same behind a proxy that fails every other request). It checks what this SDK does by itself: marshalling, waiters,
// paginators, error classes and retries.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  BatchGetItemCommand,
  ConditionalCheckFailedException,
  CreateTableCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  ListTablesCommand,
  ResourceNotFoundException,
  TransactionCanceledException,
  paginateListTables,
  waitUntilTableExists,
  waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";
import {
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
} from "@aws-sdk/client-dynamodb-streams";
import {
  BatchWriteCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  ExecuteStatementCommand,
  GetCommand,
  PutCommand,
  QueryCommand,
  TransactGetCommand,
  TransactWriteCommand,
  UpdateCommand,
  paginateQuery,
  paginateScan,
} from "@aws-sdk/lib-dynamodb";

const low = new DynamoDBClient({ maxAttempts: 1 });
const db = DynamoDBDocumentClient.from(low);
const streams = new DynamoDBStreamsClient({});
const table = `javascript-${process.pid}`;
const at = (p, c, rest = {}) => ({ p, c, ...rest });

before(async () => {
  await low.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [
        { AttributeName: "p", AttributeType: "S" },
        { AttributeName: "c", AttributeType: "N" },
        { AttributeName: "kind", AttributeType: "S" },
      ],
      KeySchema: [
        { AttributeName: "p", KeyType: "HASH" },
        { AttributeName: "c", KeyType: "RANGE" },
      ],
      GlobalSecondaryIndexes: [
        {
          IndexName: "by-kind",
          KeySchema: [
            { AttributeName: "kind", KeyType: "HASH" },
            { AttributeName: "c", KeyType: "RANGE" },
          ],
          Projection: { ProjectionType: "ALL" },
        },
      ],
      StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
    }),
  );
  await waitUntilTableExists({ client: low, maxWaitTime: 30, minDelay: 1 }, { TableName: table });
});

after(async () => {
  await low.send(new DeleteTableCommand({ TableName: table }));
  await waitUntilTableNotExists({ client: low, maxWaitTime: 30, minDelay: 1 }, { TableName: table });
});

test("tables are described and listed", async () => {
  const { Table } = await low.send(new DescribeTableCommand({ TableName: table }));
  assert.equal(Table.TableStatus, "ACTIVE");
  assert.ok(Table.CreationDateTime instanceof Date);
  assert.match(Table.TableArn, new RegExp(`^arn:aws:dynamodb:.*:table/${table}$`));
  const names = [];
  for await (const page of paginateListTables({ client: low, pageSize: 1 }, {})) names.push(...page.TableNames);
  assert.ok(names.includes(table));
});

test("items keep every type", async () => {
  const item = at("types", 1, {
    text: "tränen 🌊",
    empty: "",
    number: 12.5,
    large: 12345678901234567890n,
    yes: true,
    nothing: null,
    list: [1, "two", [false]],
    map: { inner: { deep: "x" } },
    bytes: new Uint8Array([0, 1, 255]),
    texts: new Set(["a", "b"]),
    numbers: new Set([1, 2]),
  });
  await db.send(new PutCommand({ TableName: table, Item: item }));
  const { Item } = await db.send(new GetCommand({ TableName: table, Key: at("types", 1), ConsistentRead: true }));
  assert.deepEqual(Item, item);
  const gone = await db.send(new DeleteCommand({ TableName: table, Key: at("types", 1), ReturnValues: "ALL_OLD" }));
  assert.deepEqual(gone.Attributes, item);
  assert.equal((await db.send(new GetCommand({ TableName: table, Key: at("types", 1) }))).Item, undefined);
});

test("expressions decide and change", async () => {
  const Key = at("expressions", 1);
  await db.send(new PutCommand({ TableName: table, Item: { ...Key, n: 1, list: ["a"] } }));
  const { Attributes } = await db.send(
    new UpdateCommand({
      TableName: table,
      Key,
      UpdateExpression: "SET n = n + :one, #l = list_append(#l, :more) REMOVE gone ADD tags :tags",
      ConditionExpression: "attribute_exists(p) AND n BETWEEN :zero AND :one",
      ExpressionAttributeNames: { "#l": "list" },
      ExpressionAttributeValues: { ":zero": 0, ":one": 1, ":more": ["b"], ":tags": new Set(["t"]) },
      ReturnValues: "ALL_NEW",
    }),
  );
  assert.deepEqual(Attributes, { ...Key, n: 2, list: ["a", "b"], tags: new Set(["t"]) });
});

test("queries page in both directions", async () => {
  await fill("pages", 25);
  const query = {
    TableName: table,
    KeyConditionExpression: "p = :p AND c >= :from",
    ExpressionAttributeValues: { ":p": "pages", ":from": 5 },
  };
  const seen = [];
  for await (const page of paginateQuery({ client: db, pageSize: 7 }, { ...query })) seen.push(...page.Items);
  assert.deepEqual(
    seen.map((item) => item.c),
    Array.from({ length: 20 }, (_, i) => i + 5),
  );
  const last = await db.send(new QueryCommand({ ...query, ScanIndexForward: false, Limit: 2 }));
  assert.deepEqual(
    last.Items.map((item) => item.c),
    [24, 23],
  );
  const index = await db.send(
    new QueryCommand({
      TableName: table,
      IndexName: "by-kind",
      KeyConditionExpression: "kind = :k",
      ExpressionAttributeValues: { ":k": "pages-odd" },
    }),
  );
  assert.equal(index.Count, 12);
});

test("scans in segments see everything once", async () => {
  await fill("scanned", 20);
  const segments = [0, 1, 2].map(async (Segment) => {
    const found = [];
    const scan = {
      TableName: table,
      Segment,
      TotalSegments: 3,
      FilterExpression: "p = :p",
      ExpressionAttributeValues: { ":p": "scanned" },
    };
    for await (const page of paginateScan({ client: db, pageSize: 10 }, scan)) found.push(...page.Items);
    return found.map((item) => item.c);
  });
  const all = (await Promise.all(segments)).flat().sort((a, b) => a - b);
  assert.deepEqual(
    all,
    Array.from({ length: 20 }, (_, i) => i),
  );
});

test("batches write and read", async () => {
  await fill("batch", 10);
  const { Responses, UnprocessedKeys } = await low.send(
    new BatchGetItemCommand({
      RequestItems: {
        [table]: { Keys: [3, 4, 99].map((c) => ({ p: { S: "batch" }, c: { N: String(c) } })), ConsistentRead: true },
      },
    }),
  );
  assert.equal(Responses[table].length, 2);
  assert.deepEqual(UnprocessedKeys, {});
});

test("transactions are all or nothing", async () => {
  const Put = (c, condition) => ({
    Put: { TableName: table, Item: at("transaction", c), ConditionExpression: condition },
  });
  await db.send(new TransactWriteCommand({ TransactItems: [Put(1), Put(2)] }));
  await assert.rejects(
    db.send(new TransactWriteCommand({ TransactItems: [Put(3), Put(1, "attribute_not_exists(p)")] })),
    (error) => {
      assert.ok(error instanceof TransactionCanceledException);
      assert.deepEqual(
        error.CancellationReasons.map((reason) => reason.Code),
        ["None", "ConditionalCheckFailed"],
      );
      return true;
    },
  );
  const Get = (c) => ({ Get: { TableName: table, Key: at("transaction", c) } });
  const { Responses } = await db.send(new TransactGetCommand({ TransactItems: [Get(1), Get(3)] }));
  assert.deepEqual(
    Responses.map((response) => response.Item),
    [at("transaction", 1), undefined],
  );
});

test("statements of PartiQL", async () => {
  const run = (Statement, Parameters) => db.send(new ExecuteStatementCommand({ Statement, Parameters }));
  await run(`INSERT INTO "${table}" VALUE {'p': ?, 'c': ?, 'n': 1}`, ["partiql", 1]);
  const { Items } = await run(`SELECT n FROM "${table}" WHERE p = ? AND c = 1`, ["partiql"]);
  assert.deepEqual(Items, [{ n: 1 }]);
});

test("streams show every change in order", async () => {
  const Key = at("streamed", 1);
  await db.send(new PutCommand({ TableName: table, Item: { ...Key, n: 1 } }));
  await db.send(new PutCommand({ TableName: table, Item: { ...Key, n: 2 } }));
  await db.send(new DeleteCommand({ TableName: table, Key }));
  const { Table } = await low.send(new DescribeTableCommand({ TableName: table }));
  const seen = [];
  const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn: Table.LatestStreamArn }));
  for (const shard of StreamDescription.Shards) seen.push(...(await recordsOf(Table.LatestStreamArn, shard.ShardId)));
  const ours = seen.filter((record) => record.dynamodb.Keys.p.S === "streamed");
  assert.deepEqual(
    ours.map((record) => record.eventName),
    ["INSERT", "MODIFY", "REMOVE"],
  );
  assert.deepEqual(ours[1].dynamodb.OldImage.n, { N: "1" });
});

test("errors are of their classes", async () => {
  await assert.rejects(
    low.send(new DescribeTableCommand({ TableName: "no-such-table" })),
    (error) =>
      error instanceof ResourceNotFoundException &&
      error.message === "Requested resource not found: Table: no-such-table not found" &&
      error.$metadata.httpStatusCode === 400 &&
      error.$metadata.requestId.length > 20,
  );
  const Key = at("errors", 1);
  await db.send(new PutCommand({ TableName: table, Item: { ...Key, n: 1 } }));
  const put = new PutCommand({
    TableName: table,
    Item: Key,
    ConditionExpression: "attribute_not_exists(p)",
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  });
  await assert.rejects(
    db.send(put),
    (error) => error instanceof ConditionalCheckFailedException && error.Item !== undefined,
  );
  await assert.rejects(db.send(new GetCommand({ TableName: table, Key: { p: "x" } })), { name: "ValidationException" });
});

test("failed requests are tried again", { skip: !process.env.TRADEWIND_FLAKY_ENDPOINT }, async () => {
  const patient = new DynamoDBClient({ endpoint: process.env.TRADEWIND_FLAKY_ENDPOINT, maxAttempts: 6 });
  let attempts = 0;
  for (let i = 0; i < 6; i++) {
    const { $metadata } = await patient.send(new ListTablesCommand({}));
    attempts += $metadata.attempts;
  }
  assert.ok(attempts > 6, `${attempts} attempts`);
});

async function fill(p, count) {
  const puts = Array.from({ length: count }, (_, c) => ({
    PutRequest: { Item: at(p, c, { kind: `${p}-${c % 2 ? "odd" : "even"}` }) },
  }));
  for (let i = 0; i < count; i += 25) {
    const { UnprocessedItems } = await db.send(
      new BatchWriteCommand({ RequestItems: { [table]: puts.slice(i, i + 25) } }),
    );
    assert.deepEqual(UnprocessedItems, {});
  }
}

async function recordsOf(StreamArn, ShardId) {
  const start = { StreamArn, ShardId, ShardIteratorType: "TRIM_HORIZON" };
  const { ShardIterator } = await streams.send(new GetShardIteratorCommand(start));
  const { Records } = await streams.send(new GetRecordsCommand({ ShardIterator }));
  return Records;
}
