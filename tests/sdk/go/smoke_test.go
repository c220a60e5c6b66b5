// The AWS SDK for Go v2 against the endpoint of the environment (AWS_ENDPOINT_URL; TRADEWIND_FLAKY_ENDPOINT is the same
// behind a proxy that fails every other request). It checks what this SDK does by itself: marshalling, waiters,
// paginators, error types, checksums and retries.
package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/smithy-go"
)

var (
	ctx     = context.Background()
	table   = aws.String(fmt.Sprintf("go-%d", os.Getpid()))
	db      *dynamodb.Client
	streams *dynamodbstreams.Client
)

type row struct {
	P      string            `dynamodbav:"p"`
	C      int               `dynamodbav:"c"`
	Kind   string            `dynamodbav:"kind,omitempty"`
	N      float64           `dynamodbav:"n"`
	Bytes  []byte            `dynamodbav:"bytes,omitempty"`
	Tags   []string          `dynamodbav:"tags,stringset,omitempty"`
	Map    map[string]string `dynamodbav:"map,omitempty"`
	List   []int             `dynamodbav:"list,omitempty"`
	Absent *string           `dynamodbav:"absent"`
}

func TestMain(m *testing.M) {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		panic(err)
	}
	db = dynamodb.NewFromConfig(settings, func(options *dynamodb.Options) { options.RetryMaxAttempts = 1 })
	streams = dynamodbstreams.NewFromConfig(settings)
	create()
	code := m.Run()
	drop()
	os.Exit(code)
}

func create() {
	_, err := db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   table,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("p"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("c"), AttributeType: types.ScalarAttributeTypeN},
			{AttributeName: aws.String("kind"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: keys("p", "c"),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String("by-kind"),
			KeySchema:  keys("kind", "c"),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		}},
		StreamSpecification: &types.StreamSpecification{
			StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages,
		},
	})
	must(err)
	must(dynamodb.NewTableExistsWaiter(db).Wait(ctx, &dynamodb.DescribeTableInput{TableName: table}, 30*time.Second))
}

func drop() {
	_, err := db.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table})
	must(err)
	must(dynamodb.NewTableNotExistsWaiter(db).Wait(ctx, &dynamodb.DescribeTableInput{TableName: table}, 30*time.Second))
}

func TestTablesAreDescribedAndListed(t *testing.T) {
	described, err := db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: table})
	check(t, err)
	equal(t, types.TableStatusActive, described.Table.TableStatus)
	if time.Since(*described.Table.CreationDateTime) > time.Hour {
		t.Errorf("created %v", described.Table.CreationDateTime)
	}
	found := false
	pages := dynamodb.NewListTablesPaginator(db, &dynamodb.ListTablesInput{Limit: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		check(t, err)
		found = found || len(page.TableNames) == 1 && page.TableNames[0] == *table
	}
	equal(t, true, found)
}

func TestItemsKeepTheirTypes(t *testing.T) {
	item := row{P: "types", C: 1, N: 12.5, Bytes: []byte{0, 1, 255}, Tags: []string{"a", "b"},
		Map: map[string]string{"x": "🌊"}, List: []int{1, 2}}
	put(t, item)
	var read row
	got, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: key("types", 1), ConsistentRead: aws.Bool(true)})
	check(t, err)
	check(t, attributevalue.UnmarshalMap(got.Item, &read))
	equal(t, item, read)
	_, err = db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: key("types", 1)})
	check(t, err)
	got, err = db.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: key("types", 1)})
	check(t, err)
	equal(t, 0, len(got.Item))
}

func TestExpressionsDecideAndChange(t *testing.T) {
	put(t, row{P: "expressions", C: 1, N: 1, List: []int{1}})
	built, err := expression.NewBuilder().
		WithUpdate(expression.Set(expression.Name("n"), expression.Name("n").Plus(expression.Value(1))).
			Set(expression.Name("list"), expression.Name("list").ListAppend(expression.Value([]int{2})))).
		WithCondition(expression.Name("n").Between(expression.Value(0), expression.Value(1))).Build()
	check(t, err)
	updated, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: table, Key: key("expressions", 1), UpdateExpression: built.Update(),
		ConditionExpression: built.Condition(), ExpressionAttributeNames: built.Names(),
		ExpressionAttributeValues: built.Values(), ReturnValues: types.ReturnValueAllNew,
	})
	check(t, err)
	var after row
	check(t, attributevalue.UnmarshalMap(updated.Attributes, &after))
	equal(t, row{P: "expressions", C: 1, N: 2, List: []int{1, 2}}, after)
}

func TestQueriesPageInBothDirections(t *testing.T) {
	fill(t, "pages", 25)
	input := dynamodb.QueryInput{
		TableName: table, Limit: aws.Int32(7), KeyConditionExpression: aws.String("p = :p AND c >= :from"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": text("pages"), ":from": number(5)},
	}
	var seen []int
	pages := dynamodb.NewQueryPaginator(db, &input)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		check(t, err)
		seen = append(seen, sorts(t, page.Items)...)
	}
	equal(t, 20, len(seen))
	equal(t, 5, seen[0])
	equal(t, 24, seen[19])
	backwards := input
	backwards.ScanIndexForward = aws.Bool(false)
	last, err := db.Query(ctx, &backwards)
	check(t, err)
	equal(t, []int{24, 23, 22, 21, 20, 19, 18}, sorts(t, last.Items))
	index, err := db.Query(ctx, &dynamodb.QueryInput{
		TableName: table, IndexName: aws.String("by-kind"), KeyConditionExpression: aws.String("kind = :k"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":k": text("pages-1")},
	})
	check(t, err)
	equal(t, int32(12), index.Count)
}

func TestBatchesWriteAndRead(t *testing.T) {
	fill(t, "batch", 10)
	got, err := db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		*table: {Keys: []map[string]types.AttributeValue{key("batch", 3), key("batch", 4), key("batch", 99)}},
	}})
	check(t, err)
	equal(t, 2, len(got.Responses[*table]))
	equal(t, 0, len(got.UnprocessedKeys))
}

func TestTransactionsAreAllOrNothing(t *testing.T) {
	write := func(c int, condition *string) types.TransactWriteItem {
		return types.TransactWriteItem{Put: &types.Put{TableName: table, Item: key("transaction", c), ConditionExpression: condition}}
	}
	_, err := db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{write(1, nil), write(2, nil)}})
	check(t, err)
	_, err = db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		write(3, nil), write(1, aws.String("attribute_not_exists(p)")),
	}})
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) {
		t.Fatalf("got %v", err)
	}
	equal(t, "ConditionalCheckFailed", *canceled.CancellationReasons[1].Code)
	read := func(c int) types.TransactGetItem {
		return types.TransactGetItem{Get: &types.Get{TableName: table, Key: key("transaction", c)}}
	}
	got, err := db.TransactGetItems(ctx, &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{read(2), read(3)}})
	check(t, err)
	equal(t, 2, len(got.Responses[0].Item))
	equal(t, 0, len(got.Responses[1].Item))
}

func TestStreamsShowEveryChangeInOrder(t *testing.T) {
	put(t, row{P: "streamed", C: 1, N: 1})
	put(t, row{P: "streamed", C: 1, N: 2})
	_, err := db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: key("streamed", 1)})
	check(t, err)
	described, err := db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: table})
	check(t, err)
	stream, err := streams.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: described.Table.LatestStreamArn})
	check(t, err)
	var kinds []string
	for _, shard := range stream.StreamDescription.Shards {
		start, err := streams.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
			StreamArn: described.Table.LatestStreamArn, ShardId: shard.ShardId,
			ShardIteratorType: streamtypes.ShardIteratorTypeTrimHorizon,
		})
		check(t, err)
		page, err := streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: start.ShardIterator})
		check(t, err)
		for _, record := range page.Records {
			if value, ok := record.Dynamodb.Keys["p"].(*streamtypes.AttributeValueMemberS); ok && value.Value == "streamed" {
				kinds = append(kinds, string(record.EventName))
			}
		}
	}
	equal(t, []string{"INSERT", "MODIFY", "REMOVE"}, kinds)
}

func TestErrorsAreOfTheirTypes(t *testing.T) {
	_, err := db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("no-such-table")})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Fatalf("got %v", err)
	}
	equal(t, "Requested resource not found: Table: no-such-table not found", missing.ErrorMessage())
	put(t, row{P: "errors", C: 1, N: 1})
	_, err = db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: table, Item: key("errors", 1), ConditionExpression: aws.String("attribute_not_exists(p)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) || len(failed.Item) == 0 {
		t.Fatalf("got %v", err)
	}
	_, err = db.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: map[string]types.AttributeValue{"p": text("x")}})
	var other smithy.APIError
	if !errors.As(err, &other) || other.ErrorCode() != "ValidationException" {
		t.Fatalf("got %v", err)
	}
}

func TestFailedRequestsAreTriedAgain(t *testing.T) {
	url := os.Getenv("TRADEWIND_FLAKY_ENDPOINT")
	if url == "" {
		t.Skip("no TRADEWIND_FLAKY_ENDPOINT")
	}
	settings, err := config.LoadDefaultConfig(ctx)
	check(t, err)
	patient := dynamodb.NewFromConfig(settings, func(options *dynamodb.Options) {
		options.BaseEndpoint = aws.String(url)
		options.RetryMaxAttempts = 6
	})
	attempts := 0
	for range 6 {
		listed, err := patient.ListTables(ctx, &dynamodb.ListTablesInput{})
		check(t, err)
		results, _ := retry.GetAttemptResults(listed.ResultMetadata)
		attempts += len(results.Results)
	}
	if attempts <= 6 {
		t.Errorf("%d attempts", attempts)
	}
}

func fill(t *testing.T, p string, count int) {
	t.Helper()
	var writes []types.WriteRequest
	for c := range count {
		item, err := attributevalue.MarshalMap(row{P: p, C: c, Kind: fmt.Sprintf("%s-%d", p, c%2)})
		check(t, err)
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
	}
	done, err := db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{*table: writes}})
	check(t, err)
	equal(t, 0, len(done.UnprocessedItems))
}

func put(t *testing.T, item row) {
	t.Helper()
	marshalled, err := attributevalue.MarshalMap(item)
	check(t, err)
	_, err = db.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: marshalled})
	check(t, err)
}

func sorts(t *testing.T, items []map[string]types.AttributeValue) []int {
	t.Helper()
	var rows []row
	check(t, attributevalue.UnmarshalListOfMaps(items, &rows))
	var numbers []int
	for _, each := range rows {
		numbers = append(numbers, each.C)
	}
	return numbers
}

func keys(hash, sort string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: aws.String(hash), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(sort), KeyType: types.KeyTypeRange},
	}
}

func key(p string, c int) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"p": text(p), "c": number(c)}
}

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func number(value int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(value)}
}

func equal(t *testing.T, want, got any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Errorf("want %v, got %v", want, got)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(strings.TrimSpace(err.Error()))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
