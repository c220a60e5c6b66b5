// The AWS SDK for Java 2.x against the endpoint of the environment (AWS_ENDPOINT_URL; TRADEWIND_FLAKY_ENDPOINT is the same
// behind a proxy that fails every other request). It checks what this SDK does by itself: its model, waiters, paginators,
// exception classes, checksums and retries, and the enhanced client's beans.

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.net.URI;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.awscore.retry.AwsRetryStrategy;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.enhanced.dynamodb.DynamoDbEnhancedClient;
import software.amazon.awssdk.enhanced.dynamodb.Key;
import software.amazon.awssdk.enhanced.dynamodb.TableSchema;
import software.amazon.awssdk.enhanced.dynamodb.mapper.annotations.DynamoDbBean;
import software.amazon.awssdk.enhanced.dynamodb.mapper.annotations.DynamoDbPartitionKey;
import software.amazon.awssdk.enhanced.dynamodb.mapper.annotations.DynamoDbSortKey;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeDefinition;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.BatchGetItemResponse;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.awssdk.services.dynamodb.model.CancellationReason;
import software.amazon.awssdk.services.dynamodb.model.ConditionalCheckFailedException;
import software.amazon.awssdk.services.dynamodb.model.DynamoDbException;
import software.amazon.awssdk.services.dynamodb.model.KeySchemaElement;
import software.amazon.awssdk.services.dynamodb.model.KeyType;
import software.amazon.awssdk.services.dynamodb.model.KeysAndAttributes;
import software.amazon.awssdk.services.dynamodb.model.ProjectionType;
import software.amazon.awssdk.services.dynamodb.model.PutRequest;
import software.amazon.awssdk.services.dynamodb.model.QueryRequest;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.dynamodb.model.ReturnValue;
import software.amazon.awssdk.services.dynamodb.model.ReturnValuesOnConditionCheckFailure;
import software.amazon.awssdk.services.dynamodb.model.ScalarAttributeType;
import software.amazon.awssdk.services.dynamodb.model.Shard;
import software.amazon.awssdk.services.dynamodb.model.ShardIteratorType;
import software.amazon.awssdk.services.dynamodb.model.StreamViewType;
import software.amazon.awssdk.services.dynamodb.model.TableStatus;
import software.amazon.awssdk.services.dynamodb.model.TransactWriteItem;
import software.amazon.awssdk.services.dynamodb.model.TransactionCanceledException;
import software.amazon.awssdk.services.dynamodb.model.WriteRequest;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;

class SmokeTest {
    static final String TABLE = "java-" + ProcessHandle.current().pid();
    static DynamoDbClient db;

    @BeforeAll
    static void create() {
        db = DynamoDbClient.builder()
                .overrideConfiguration(config -> config.retryStrategy(AwsRetryStrategy.doNotRetry()))
                .build();
        db.createTable(request -> request.tableName(TABLE)
                .billingMode(BillingMode.PAY_PER_REQUEST)
                .attributeDefinitions(
                        attribute("p", ScalarAttributeType.S),
                        attribute("c", ScalarAttributeType.N),
                        attribute("kind", ScalarAttributeType.S))
                .keySchema(element("p", KeyType.HASH), element("c", KeyType.RANGE))
                .globalSecondaryIndexes(index -> index.indexName("by-kind")
                        .keySchema(element("kind", KeyType.HASH), element("c", KeyType.RANGE))
                        .projection(projection -> projection.projectionType(ProjectionType.ALL)))
                .streamSpecification(
                        stream -> stream.streamEnabled(true).streamViewType(StreamViewType.NEW_AND_OLD_IMAGES)));
        db.waiter().waitUntilTableExists(request -> request.tableName(TABLE));
    }

    @AfterAll
    static void drop() {
        db.deleteTable(request -> request.tableName(TABLE));
        db.waiter().waitUntilTableNotExists(request -> request.tableName(TABLE));
    }

    @Test
    void tablesAreDescribedAndListed() {
        assertEquals(
                TableStatus.ACTIVE,
                db.describeTable(request -> request.tableName(TABLE)).table().tableStatus());
        List<String> names = db.listTablesPaginator(request -> request.limit(1)).tableNames().stream().toList();
        assertTrue(names.contains(TABLE));
    }

    @Test
    void itemsKeepEveryType() {
        Map<String, AttributeValue> item = key("types", 1);
        item.put("text", text("tränen 🌊"));
        item.put("number", AttributeValue.fromN("-12.5"));
        item.put("bytes", AttributeValue.fromB(SdkBytes.fromByteArray(new byte[] {0, 1, -1})));
        item.put("yes", AttributeValue.fromBool(true));
        item.put("nothing", AttributeValue.fromNul(true));
        item.put("list", AttributeValue.fromL(List.of(number(1), text("two"))));
        item.put("map", AttributeValue.fromM(key("inner", 2)));
        item.put("texts", AttributeValue.fromSs(List.of("a", "b")));
        put(item);
        assertEquals(item, get("types", 1));
        db.deleteItem(request -> request.tableName(TABLE).key(key("types", 1)));
        assertFalse(db.getItem(request -> request.tableName(TABLE).key(key("types", 1))).hasItem());
    }

    @Test
    void expressionsDecideAndChange() {
        Map<String, AttributeValue> item = key("expressions", 1);
        item.put("n", number(1));
        put(item);
        Map<String, AttributeValue> updated = db.updateItem(request -> request.tableName(TABLE)
                        .key(key("expressions", 1))
                        .updateExpression("SET n = n + :one, #s = :s")
                        .conditionExpression("n BETWEEN :zero AND :one")
                        .expressionAttributeNames(Map.of("#s", "size"))
                        .expressionAttributeValues(Map.of(":one", number(1), ":zero", number(0), ":s", text("large")))
                        .returnValues(ReturnValue.UPDATED_NEW))
                .attributes();
        assertEquals(Map.of("n", number(2), "size", text("large")), updated);
    }

    @Test
    void queriesAndScansPage() {
        fill("pages", 25);
        QueryRequest query = QueryRequest.builder()
                .tableName(TABLE)
                .keyConditionExpression("p = :p AND c >= :from")
                .expressionAttributeValues(Map.of(":p", text("pages"), ":from", number(5)))
                .limit(7)
                .build();
        assertEquals(
                IntStream.range(5, 25).boxed().toList(),
                sorts(db.queryPaginator(query).items().stream().toList()));
        assertEquals(
                List.of(24, 23),
                sorts(db.query(query.toBuilder().scanIndexForward(false).limit(2).build()).items()));
        assertEquals(
                12,
                db.query(request -> request.tableName(TABLE)
                                .indexName("by-kind")
                                .keyConditionExpression("kind = :k")
                                .expressionAttributeValues(Map.of(":k", text("pages-1"))))
                        .count());
        long scanned = db
                .scanPaginator(request -> request.tableName(TABLE)
                        .limit(4)
                        .filterExpression("p = :p")
                        .expressionAttributeValues(Map.of(":p", text("pages"))))
                .items()
                .stream()
                .count();
        assertEquals(25, scanned);
    }

    @Test
    void batchesReadWhatTheyWrote() {
        fill("batch", 10);
        BatchGetItemResponse got = db.batchGetItem(request -> request.requestItems(Map.of(
                TABLE,
                KeysAndAttributes.builder()
                        .keys(List.of(key("batch", 3), key("batch", 4), key("batch", 99)))
                        .build())));
        assertEquals(2, got.responses().get(TABLE).size());
        assertTrue(got.unprocessedKeys().isEmpty());
    }

    @Test
    void transactionsAreAllOrNothing() {
        db.transactWriteItems(request -> request.transactItems(write(1, null), write(2, null)));
        TransactionCanceledException canceled = assertThrows(
                TransactionCanceledException.class,
                () -> db.transactWriteItems(
                        request -> request.transactItems(write(3, null), write(1, "attribute_not_exists(p)"))));
        assertEquals(
                List.of("None", "ConditionalCheckFailed"),
                canceled.cancellationReasons().stream().map(CancellationReason::code).toList());
        assertNull(get("transaction", 3));
    }

    @Test
    void streamsShowEveryChangeInOrder() {
        put(key("streamed", 1));
        Map<String, AttributeValue> changed = key("streamed", 1);
        changed.put("n", number(2));
        put(changed);
        db.deleteItem(request -> request.tableName(TABLE).key(key("streamed", 1)));
        String arn = db.describeTable(request -> request.tableName(TABLE)).table().latestStreamArn();
        List<String> kinds = new ArrayList<>();
        try (DynamoDbStreamsClient streams = DynamoDbStreamsClient.create()) {
            for (Shard shard : streams.describeStream(request -> request.streamArn(arn)).streamDescription().shards()) {
                String start = streams.getShardIterator(request -> request.streamArn(arn)
                                .shardId(shard.shardId())
                                .shardIteratorType(ShardIteratorType.TRIM_HORIZON))
                        .shardIterator();
                for (Record record : streams.getRecords(request -> request.shardIterator(start)).records()) {
                    if (record.dynamodb().keys().get("p").equals(text("streamed"))) {
                        kinds.add(record.eventNameAsString());
                    }
                }
            }
        }
        assertEquals(List.of("INSERT", "MODIFY", "REMOVE"), kinds);
    }

    @Test
    void errorsAreOfTheirClasses() {
        ResourceNotFoundException missing = assertThrows(
                ResourceNotFoundException.class,
                () -> db.describeTable(request -> request.tableName("no-such-table")));
        assertEquals(
                "Requested resource not found: Table: no-such-table not found",
                missing.awsErrorDetails().errorMessage());
        assertTrue(missing.requestId().length() > 20);
        put(key("errors", 1));
        ConditionalCheckFailedException failed = assertThrows(
                ConditionalCheckFailedException.class,
                () -> db.putItem(request -> request.tableName(TABLE)
                        .item(key("errors", 1))
                        .conditionExpression("attribute_not_exists(p)")
                        .returnValuesOnConditionCheckFailure(ReturnValuesOnConditionCheckFailure.ALL_OLD)));
        assertEquals(key("errors", 1), failed.item());
        DynamoDbException wrong = assertThrows(
                DynamoDbException.class, () -> db.getItem(request -> request.tableName(TABLE).key(Map.of("p", text("x")))));
        assertEquals("ValidationException", wrong.awsErrorDetails().errorCode());
    }

    @Test
    void failedRequestsAreTriedAgain() {
        String url = System.getenv("TRADEWIND_FLAKY_ENDPOINT");
        assumeTrue(url != null, "no TRADEWIND_FLAKY_ENDPOINT");
        try (DynamoDbClient patient = DynamoDbClient.builder()
                .endpointOverride(URI.create(url))
                .overrideConfiguration(config -> config.retryStrategy(
                        AwsRetryStrategy.standardRetryStrategy().toBuilder().maxAttempts(6).build()))
                .build()) {
            for (int i = 0; i < 6; i++) {
                assertTrue(patient.listTables().tableNames().contains(TABLE));
            }
        }
        try (DynamoDbClient impatient = DynamoDbClient.builder()
                .endpointOverride(URI.create(url))
                .overrideConfiguration(config -> config.retryStrategy(AwsRetryStrategy.doNotRetry()))
                .build()) {
            assertInstanceOf(RuntimeException.class, assertThrows(Throwable.class, () -> {
                for (int i = 0; i < 6; i++) {
                    impatient.listTables();
                }
            }));
        }
    }

    @DynamoDbBean
    public static class Order {
        private String p;
        private int c;
        private Set<String> tags;

        @DynamoDbPartitionKey
        public String getP() {
            return p;
        }

        public void setP(String p) {
            this.p = p;
        }

        @DynamoDbSortKey
        public int getC() {
            return c;
        }

        public void setC(int c) {
            this.c = c;
        }

        public Set<String> getTags() {
            return tags;
        }

        public void setTags(Set<String> tags) {
            this.tags = tags;
        }
    }

    @Test
    void beansOfTheEnhancedClientAreStored() {
        var orders = DynamoDbEnhancedClient.builder()
                .dynamoDbClient(db)
                .build()
                .table(TABLE, TableSchema.fromBean(Order.class));
        Order order = new Order();
        order.setP("beans");
        order.setC(7);
        order.setTags(Set.of("a", "b"));
        orders.putItem(order);
        Order read = orders.getItem(Key.builder().partitionValue("beans").sortValue(7).build());
        assertEquals(Set.of("a", "b"), read.getTags());
    }

    static TransactWriteItem write(int c, String condition) {
        return TransactWriteItem.builder()
                .put(put -> put.tableName(TABLE).item(key("transaction", c)).conditionExpression(condition))
                .build();
    }

    static void fill(String p, int count) {
        List<WriteRequest> writes = IntStream.range(0, count)
                .mapToObj(c -> {
                    Map<String, AttributeValue> item = key(p, c);
                    item.put("kind", text(p + "-" + c % 2));
                    return WriteRequest.builder().putRequest(PutRequest.builder().item(item).build()).build();
                })
                .toList();
        assertTrue(db.batchWriteItem(request -> request.requestItems(Map.of(TABLE, writes)))
                .unprocessedItems()
                .isEmpty());
    }

    static void put(Map<String, AttributeValue> item) {
        db.putItem(request -> request.tableName(TABLE).item(item));
    }

    static Map<String, AttributeValue> get(String p, int c) {
        var got = db.getItem(request -> request.tableName(TABLE).key(key(p, c)).consistentRead(true));
        return got.hasItem() ? got.item() : null;
    }

    static List<Integer> sorts(List<Map<String, AttributeValue>> items) {
        return items.stream().map(item -> Integer.valueOf(item.get("c").n())).collect(Collectors.toList());
    }

    static Map<String, AttributeValue> key(String p, int c) {
        return new HashMap<>(Map.of("p", text(p), "c", number(c)));
    }

    static AttributeValue text(String value) {
        return AttributeValue.fromS(value);
    }

    static AttributeValue number(int value) {
        return AttributeValue.fromN(Integer.toString(value));
    }

    static AttributeDefinition attribute(String name, ScalarAttributeType type) {
        return AttributeDefinition.builder().attributeName(name).attributeType(type).build();
    }

    static KeySchemaElement element(String name, KeyType type) {
        return KeySchemaElement.builder().attributeName(name).keyType(type).build();
    }
}
