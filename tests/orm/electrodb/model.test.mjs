// ElectroDB on a single-table model: it builds composite keys, conditions and index queries of its own kind.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { Entity, Service } from "electrodb";

const client = new DynamoDBClient({});
const table = `electrodb-${process.pid}`;

const Task = new Entity(
  {
    model: { entity: "task", version: "1", service: "work" },
    attributes: {
      project: { type: "string", required: true },
      id: { type: "string", required: true },
      owner: { type: "string", required: true },
      points: { type: "number", default: 0 },
      labels: { type: "set", items: "string" },
      notes: { type: "list", items: { type: "string" } },
      state: { type: ["open", "closed"], default: "open" },
      changed: { type: "number", watch: "*", set: () => 42 },
    },
    indexes: {
      byProject: { pk: { field: "pk", composite: ["project"] }, sk: { field: "sk", composite: ["id"] } },
      byOwner: {
        index: "gsi1",
        collection: "owned",
        pk: { field: "gsi1pk", composite: ["owner"] },
        sk: { field: "gsi1sk", composite: ["state", "id"] },
      },
    },
  },
  { client, table },
);

before(async () => {
  const key = (hash, range) => [
    { AttributeName: hash, KeyType: "HASH" },
    { AttributeName: range, KeyType: "RANGE" },
  ];
  await client.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: ["pk", "sk", "gsi1pk", "gsi1sk"].map((AttributeName) => ({
        AttributeName,
        AttributeType: "S",
      })),
      KeySchema: key("pk", "sk"),
      GlobalSecondaryIndexes: [
        { IndexName: "gsi1", KeySchema: key("gsi1pk", "gsi1sk"), Projection: { ProjectionType: "ALL" } },
      ],
    }),
  );
  await waitUntilTableExists({ client, maxWaitTime: 30, minDelay: 1 }, { TableName: table });
});

after(() => client.send(new DeleteTableCommand({ TableName: table })));

test("an entity is created once, read and changed", async () => {
  await Task.create({ project: "a", id: "1", owner: "ann", labels: ["x"], notes: ["first"] }).go();
  await assert.rejects(Task.create({ project: "a", id: "1", owner: "ann" }).go(), /conditional request failed/i);
  const { data } = await Task.get({ project: "a", id: "1" }).go();
  assert.deepEqual(data.labels, ["x"]);
  assert.equal(data.state, "open");
  const patched = await Task.patch({ project: "a", id: "1" })
    .add({ points: 3, labels: ["y"] })
    .append({ notes: ["second"] })
    .set({ state: "closed", owner: "ann" })
    .where(({ points }, { lt }) => lt(points, 1))
    .go({ response: "all_new" });
  assert.equal(patched.data.points, 3);
  assert.deepEqual([...patched.data.labels].sort(), ["x", "y"]);
  assert.deepEqual(patched.data.notes, ["first", "second"]);
  await assert.rejects(Task.patch({ project: "a", id: "none" }).set({ points: 1 }).go(), /conditional request failed/i);
});

test("collections are queried by index, filtered and paged", async () => {
  const tasks = Array.from({ length: 30 }, (_, i) => ({
    project: "b",
    id: String(i).padStart(2, "0"),
    owner: "bob",
    points: i,
    state: i % 2 ? "open" : "closed",
  }));
  assert.deepEqual((await Task.put(tasks).go()).unprocessed, []);
  const open = await Task.query.byOwner({ owner: "bob", state: "open" }).go({ pages: "all", limit: 4 });
  assert.equal(open.data.length, 15);
  const some = await Task.query
    .byProject({ project: "b" })
    .between({ id: "05" }, { id: "20" })
    .where(({ points, state }, { gt, eq }) => `${gt(points, 10)} AND ${eq(state, "closed")}`)
    .go({ order: "desc" });
  assert.deepEqual(
    some.data.map((task) => task.id),
    ["20", "18", "16", "14", "12"],
  );
  let cursor = null;
  const seen = [];
  do {
    const page = await Task.query.byProject({ project: "b" }).go({ cursor, limit: 7 });
    seen.push(...page.data);
    cursor = page.cursor;
  } while (cursor);
  assert.equal(seen.length, 30);
  const found = await Task.get(tasks.slice(0, 3).map(({ project, id }) => ({ project, id }))).go();
  assert.equal(found.data.length, 3);
});

test("transactions of a service", async () => {
  const service = new Service({ task: Task }, { client, table });
  const written = await service.transaction
    .write(({ task }) => [
      task.create({ project: "c", id: "1", owner: "cid" }).commit(),
      task.create({ project: "c", id: "2", owner: "cid" }).commit(),
    ])
    .go();
  assert.equal(written.canceled, false);
  const again = await service.transaction
    .write(({ task }) => [
      task.create({ project: "c", id: "3", owner: "cid" }).commit(),
      task.create({ project: "c", id: "1", owner: "cid" }).commit(),
    ])
    .go();
  assert.equal(again.canceled, true);
  assert.deepEqual(
    again.data.map((item) => item.code),
    ["None", "ConditionalCheckFailed"],
  );
  await Task.delete({ project: "c", id: "1" }).go();
  const left = await Task.query.byProject({ project: "c" }).go();
  assert.deepEqual(
    left.data.map((task) => task.id),
    ["2"],
  );
});
