// What docs/sessions.md shows for this SDK: a session over two regions reads its own writes.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  UpdateTableCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { Session } from "./session.mjs";

const here = new DynamoDBClient({});
const there = new DynamoDBClient({ region: "eu-west-1" });
const table = `session-${process.pid}`;

async function untilReplicated() {
  for (;;) {
    const { Table } = await here.send(new DescribeTableCommand({ TableName: table }));
    if (Table.Replicas?.[0]?.ReplicaStatus === "ACTIVE" && Table.TableStatus === "ACTIVE") return;
    await new Promise((next) => setTimeout(next, 20));
  }
}

test("a session reads its own writes in every region", async () => {
  await here.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
      KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
    }),
  );
  await waitUntilTableExists({ client: here, minDelay: 1, maxWaitTime: 20 }, { TableName: table });
  const replica = [{ Create: { RegionName: "eu-west-1" } }];
  await here.send(new UpdateTableCommand({ TableName: table, ReplicaUpdates: replica }));
  await untilReplicated();
  await waitUntilTableExists({ client: there, minDelay: 1, maxWaitTime: 20 }, { TableName: table });

  const session = new Session();
  const [writer, reader] = [session.join(here), session.join(there)];
  for (let round = 0; round < 20; round += 1) {
    const item = { id: { S: "one" }, round: { N: `${round}` } };
    await writer.send(new PutItemCommand({ TableName: table, Item: item }));
    const { Item } = await reader.send(new GetItemCommand({ TableName: table, Key: { id: item.id } }));
    assert.deepEqual(Item, item);
  }
  assert.equal(session.tokens.length, 20);

  for (const client of [there, here]) await client.send(new DeleteTableCommand({ TableName: table }));
});
