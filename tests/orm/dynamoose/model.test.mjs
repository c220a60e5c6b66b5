// Dynamoose on a small model: it creates and waits for its table, and speaks through conditions, queries and
// transactions of its own making.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import dynamoose from "dynamoose";

const db = new dynamoose.aws.ddb.DynamoDB({ endpoint: process.env.AWS_ENDPOINT_URL });
dynamoose.aws.ddb.set(db);
const name = `dynamoose-${process.pid}`;

const schema = new dynamoose.Schema(
  {
    author: { type: String, hashKey: true },
    title: { type: String, rangeKey: true },
    year: { type: Number, index: { name: "by-year", rangeKey: "title" } },
    tags: { type: Set, schema: [String] },
    chapters: { type: Array, schema: [{ type: Object, schema: { name: String, pages: Number } }] },
    sold: { type: Number, default: 0 },
  },
  { timestamps: true },
);
const Book = dynamoose.model(name, schema, { throughput: "ON_DEMAND", waitForActive: { check: { frequency: 200 } } });
new dynamoose.Table(name, [Book], { throughput: "ON_DEMAND", waitForActive: { check: { frequency: 200 } } });

before(async () => {
  await Book.create({ author: "Woolf", title: "Orlando", year: 1928, tags: new Set(["novel"]) });
});

after(() => db.deleteTable({ TableName: name }));

test("a document is created once, read and changed", async () => {
  const book = await Book.get({ author: "Woolf", title: "Orlando" });
  assert.equal(book.year, 1928);
  assert.ok(book.tags.has("novel"));
  assert.ok(book.createdAt instanceof Date);
  await assert.rejects(Book.create({ author: "Woolf", title: "Orlando", year: 1 }), {
    name: "ConditionalCheckFailedException",
  });
  const changed = await Book.update(
    { author: "Woolf", title: "Orlando" },
    { $ADD: { sold: 5 }, $SET: { chapters: [{ name: "One", pages: 20 }] } },
    { condition: new dynamoose.Condition().filter("sold").lt(5) },
  );
  assert.equal(changed.sold, 5);
  assert.deepEqual(
    changed.chapters.map((chapter) => chapter.pages),
    [20],
  );
});

test("queries, scans and batches", async () => {
  const books = Array.from({ length: 12 }, (_, i) => ({ author: "Many", title: `t${i + 10}`, year: 2000 + (i % 2) }));
  assert.deepEqual((await Book.batchPut(books)).unprocessedItems, []);
  const some = await Book.query("author").eq("Many").where("title").between("t12", "t15").sort("descending").exec();
  assert.deepEqual(
    some.map((book) => book.title),
    ["t15", "t14", "t13", "t12"],
  );
  const even = await Book.query("year").eq(2000).using("by-year").exec();
  assert.equal(even.count, 6);
  const page = await Book.query("author").eq("Many").limit(5).exec();
  const next = await Book.query("author").eq("Many").startAt(page.lastKey).all().exec();
  assert.equal(page.count + next.count, 12);
  const scanned = await Book.scan("author").eq("Many").parallel(2).all().exec();
  assert.equal(scanned.length, 12);
  const got = await Book.batchGet([
    { author: "Many", title: "t10" },
    { author: "Many", title: "none" },
  ]);
  assert.equal(got.length, 1);
});

test("transactions", async () => {
  await dynamoose.transaction([
    Book.transaction.create({ author: "T", title: "1" }),
    Book.transaction.update({ author: "Woolf", title: "Orlando" }, { $SET: { year: 1929 } }),
  ]);
  await assert.rejects(
    dynamoose.transaction([
      Book.transaction.create({ author: "T", title: "2" }),
      Book.transaction.create({ author: "T", title: "1" }),
    ]),
    { name: "TransactionCanceledException" },
  );
  assert.equal((await Book.query("author").eq("T").exec()).count, 1);
  await Book.delete({ author: "T", title: "1" });
  assert.equal(await Book.get({ author: "T", title: "1" }), undefined);
});
