package dynamodb_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"fanfare/local/dynamodb"
)

// The tests of this file and of expression_test.go apply to every DynamoDB. They also run against another endpoint (see
// otherEndpoint). Cases in which DynamoDB Local 1.25 differs from AWS call skipElsewhere.

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.Itoa(n)}
}

type row = map[string]types.AttributeValue

// fill stores rows, 25 at a time.
func fill(t *testing.T, c *client.Client, table string, rows []row) {
	t.Helper()
	for chunk := range slices.Chunk(rows, 25) {
		var writes []types.WriteRequest
		for _, r := range chunk {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: r}})
		}
		out, err := c.BatchWriteItem(t.Context(),
			&client.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: writes}})
		if err != nil || len(out.UnprocessedItems) > 0 {
			t.Fatalf("BatchWriteItem: got %v, %d tables unprocessed", err, len(out.UnprocessedItems))
		}
	}
}

func keyedItem(n int, extra row) row {
	r := row{"pk": text(fmt.Sprintf("key-%06d", n))}
	maps.Copy(r, extra)
	return r
}

// scanAll reads a segment to its end and returns the keys in order, and the number of rows of each page.
func scanAll(t *testing.T, c *client.Client, in client.ScanInput) (keys []string, pages []int) {
	t.Helper()
	for {
		out, err := c.Scan(t.Context(), &in)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range out.Items {
			keys = append(keys, item["pk"].(*types.AttributeValueMemberS).Value)
		}
		pages = append(pages, int(out.ScannedCount))
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return keys, pages
		}
	}
}

func TestItem_Lifecycle(t *testing.T) {
	e := start(t, dynamodb.Options{})
	c, table, ctx := e.sdk(), aws.String(e.table("")), t.Context()
	key := row{"pk": text("a")}

	if out, err := c.GetItem(ctx, &client.GetItemInput{TableName: table, Key: key}); err != nil || out.Item != nil {
		t.Fatalf("absent item: got %v, %v, want none", out.Item, err)
	}
	put := func(n int, condition *string) error {
		_, err := c.PutItem(ctx, &client.PutItemInput{TableName: table, Item: row{"pk": text("a"), "n": number(n)},
			ConditionExpression:                 condition,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld})
		return err
	}
	var failed *types.ConditionalCheckFailedException
	if err := put(0, aws.String("attribute_exists(pk)")); !errors.As(err, &failed) || failed.Item != nil {
		t.Fatalf("conditional put without an item: got %v, want ConditionalCheckFailedException", err)
	}
	unlessThere := aws.String("attribute_not_exists(pk)")
	if err := put(1, unlessThere); err != nil {
		t.Fatal(err)
	}
	if err := put(2, unlessThere); !errors.As(err, &failed) {
		t.Fatalf("second conditional put: got %v, want ConditionalCheckFailedException", err)
	}
	if n := failed.Item["n"].(*types.AttributeValueMemberN).Value; n != "1" {
		t.Errorf("item of the failure: got n = %s, want 1", n)
	}
	updated, err := c.UpdateItem(ctx, &client.UpdateItemInput{TableName: table, Key: key,
		UpdateExpression:          aws.String("ADD n :one"),
		ExpressionAttributeValues: row{":one": number(1)}, ReturnValues: types.ReturnValueAllNew})
	if err != nil || updated.Attributes["n"].(*types.AttributeValueMemberN).Value != "2" || len(updated.Attributes) != 2 {
		t.Fatalf("ALL_NEW: got %v, %v", updated.Attributes, err)
	}
	got, err := c.GetItem(ctx, &client.GetItemInput{TableName: table, Key: key, ProjectionExpression: aws.String("#n"),
		ExpressionAttributeNames: map[string]string{"#n": "n"}, ConsistentRead: aws.Bool(true)})
	if err != nil || len(got.Item) != 1 || got.Item["n"] == nil {
		t.Fatalf("projected item: got %v, %v", got.Item, err)
	}
	_, err = c.DeleteItem(ctx, &client.DeleteItemInput{TableName: table, Key: key,
		ConditionExpression: aws.String("n > :n"), ExpressionAttributeValues: row{":n": number(2)}})
	if !errors.As(err, &failed) {
		t.Fatalf("conditional delete: got %v, want ConditionalCheckFailedException", err)
	}
	deleted, err := c.DeleteItem(ctx, &client.DeleteItemInput{TableName: table, Key: key,
		ReturnValues: types.ReturnValueAllOld})
	if err != nil || len(deleted.Attributes) != 2 {
		t.Fatalf("ALL_OLD: got %v, %v", deleted.Attributes, err)
	}
	if out, err := c.DeleteItem(ctx, &client.DeleteItemInput{TableName: table, Key: key,
		ReturnValues: types.ReturnValueAllOld}); err != nil || out.Attributes != nil {
		t.Fatalf("delete an absent item: got %v, %v, want none", out.Attributes, err)
	}
}

func TestScan_Segments(t *testing.T) {
	e := start(t, dynamodb.Options{})
	c, table := e.sdk(), e.table("")
	const total = 1000
	var rows []row
	for n := range total {
		rows = append(rows, keyedItem(n, nil))
	}
	fill(t, c, table, rows)
	for _, segments := range []int32{1, 2, 3, 7, 64} {
		seen := make(map[string]int)
		for segment := range segments {
			keys, _ := scanAll(t, c, client.ScanInput{TableName: &table, Segment: aws.Int32(segment),
				TotalSegments: aws.Int32(segments), Limit: aws.Int32(50)})
			if share := total / int(segments); len(keys) < share/3 || len(keys) > share*3+10 {
				t.Errorf("segment %d of %d: got %d rows", segment, segments, len(keys))
			}
			for _, key := range keys {
				seen[key]++
			}
		}
		if len(seen) != total {
			t.Errorf("%d segments: got %d rows, want %d", segments, len(seen), total)
		}
		for key, times := range seen {
			if times != 1 {
				t.Fatalf("%d segments: got %s %d times, want once", segments, key, times)
			}
		}
	}
}

func TestScan_StartKeyDeleted(t *testing.T) {
	e := start(t, dynamodb.Options{})
	c, table := e.sdk(), e.table("")
	var rows []row
	for n := range 100 {
		rows = append(rows, keyedItem(n, nil))
	}
	fill(t, c, table, rows)
	order, _ := scanAll(t, c, client.ScanInput{TableName: &table})
	in := &client.ScanInput{TableName: &table, Limit: aws.Int32(10)}
	var read []string
	for {
		out, err := c.Scan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range out.Items {
			read = append(read, item["pk"].(*types.AttributeValueMemberS).Value)
			if _, err := c.DeleteItem(t.Context(), &client.DeleteItemInput{TableName: &table, Key: item}); err != nil {
				t.Fatal(err)
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
	}
	if !slices.Equal(read, order) {
		t.Errorf("scan with deletions: got %d rows, want the %d of the table in order", len(read),
			len(order))
	}
}

func TestScan_PageSize(t *testing.T) {
	e := start(t, dynamodb.Options{})
	c, table := e.sdk(), e.table("")
	// 2 (pk) + 10 (its value) + 4 (data) + 9,984 = 10,000 bytes: the 105th row crosses 1,048,576.
	var rows []row
	for n := range 150 {
		rows = append(rows, keyedItem(n, row{"data": text(strings.Repeat("x", 9984))}))
	}
	for chunk := range slices.Chunk(rows, 25) {
		fill(t, c, table, chunk)
	}
	in := client.ScanInput{TableName: &table}
	if _, pages := scanAll(t, c, in); !slices.Equal(pages, []int{105, 45}) {
		t.Errorf("rows of the pages: got %v, want 105 and 45", pages)
	}
	in.FilterExpression, in.ExpressionAttributeValues = aws.String("begins_with(#d, :y)"), row{":y": text("y")}
	in.ExpressionAttributeNames = map[string]string{"#d": "data"}
	out, err := c.Scan(t.Context(), &in)
	if err != nil || out.Count != 0 || out.ScannedCount != 105 || out.LastEvaluatedKey == nil {
		t.Errorf("page without matches: got count %d, scanned %d, last key %v, %v", out.Count, out.ScannedCount,
			out.LastEvaluatedKey, err)
	}
	for _, test := range []struct {
		consistent bool
		want       float64 // 105 rows of 10,000 bytes are 1,050,000 bytes, 257 units of 4 KB
	}{{true, 257}, {false, 128.5}} {
		out, err := c.Scan(t.Context(), &client.ScanInput{TableName: &table, ConsistentRead: aws.Bool(test.consistent),
			Select:                 types.SelectCount,
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal})
		if err != nil {
			t.Fatal(err)
		}
		if got := *out.ConsumedCapacity.CapacityUnits; got != test.want || out.Count != 105 || out.Items != nil {
			t.Errorf("consistent %v: got %v units, %d counted, %d items, want %v units", test.consistent, got, out.Count,
				len(out.Items), test.want)
		}
	}
}

func TestScan_LimitReturnsKey(t *testing.T) {
	e := start(t, dynamodb.Options{})
	c, table := e.sdk(), e.table("")
	fill(t, c, table, []row{keyedItem(1, nil), keyedItem(2, nil)})
	for _, test := range []struct {
		limit int32
		last  bool
	}{{1, true}, {2, true}, {3, false}} {
		out, err := c.Scan(t.Context(), &client.ScanInput{TableName: &table, Limit: &test.limit})
		if err != nil || (out.LastEvaluatedKey != nil) != test.last {
			t.Errorf("limit %d: got last key %v, %v", test.limit, out.LastEvaluatedKey, err)
		}
	}
}

func TestQuery_Order(t *testing.T) {
	e := start(t, dynamodb.Options{})
	values := map[string][]string{ // in ascending order
		"N": {"-1e30", "-100", "-99.5", "-1.25", "-1.2", "-1", "-0.001", "0", "1e-20", "0.5", "2", "9", "10", "10.5", "100",
			"1e30"},
		"S": {"!", "A", "a", "aa", "ab", "b", "z", "ä", "𝄞"},
		"B": {"AA==", "AAA=", "AQ==", "AQE=", "/w==", "//8="},
	}
	for kind, order := range values {
		t.Run(kind, func(t *testing.T) {
			e.t = t
			table := e.table(kind)
			for i := range order {
				e.put(table, `{"pk":{"S":"a"},"sk":{"`+kind+`":"`+order[(i*7+3)%len(order)]+`"}}`)
				e.put(table, `{"pk":{"S":"b"},"sk":{"`+kind+`":"`+order[(i*5+1)%len(order)]+`"}}`)
			}
			plain := func(v string) string { // as the API answers it
				body := e.must("GetItem", `{"TableName":"`+table+`","Key":{"pk":{"S":"a"},"sk":{"`+kind+`":"`+v+`"}}}`)
				return body["Item"].(map[string]any)["sk"].(map[string]any)[kind].(string)
			}
			ascending := make([]string, len(order))
			for i, v := range order {
				ascending[i] = plain(v)
			}
			query := func(condition string, values ...string) []string {
				body := `{"TableName":"` + table + `","KeyConditionExpression":"pk = :p` + condition +
					`","ExpressionAttributeValues":{":p":{"S":"a"}`
				for i, v := range values {
					body += fmt.Sprintf(`,":%c":{"%s":"%s"}`, 'x'+i, kind, v)
				}
				body += `}`
				var forward, backward []string
				for _, direction := range []struct {
					parameter string
					into      *[]string
				}{{`,"ScanIndexForward":true`, &forward}, {`,"ScanIndexForward":false`, &backward}} {
					start := ""
					for { // two rows a page
						answer := e.must("Query", body+direction.parameter+`,"Limit":2`+start+`}`)
						for _, item := range answer["Items"].([]any) {
							*direction.into = append(*direction.into, item.(map[string]any)["sk"].(map[string]any)[kind].(string))
						}
						if answer["LastEvaluatedKey"] == nil {
							break
						}
						start = `,"ExclusiveStartKey":` + encode(answer["LastEvaluatedKey"])
					}
				}
				slices.Reverse(backward)
				if !slices.Equal(forward, backward) {
					t.Errorf("%s %v: got ascending %v, descending %v", condition, values, forward, backward)
				}
				return forward
			}
			low, high := 2, len(order)-2
			for _, test := range []struct {
				condition string
				values    []string
				want      []string
			}{
				{"", nil, ascending},
				{" AND sk = :x", order[low : low+1], ascending[low : low+1]},
				{" AND sk < :x", order[low : low+1], ascending[:low]},
				{" AND sk <= :x", order[low : low+1], ascending[:low+1]},
				{" AND sk > :x", order[low : low+1], ascending[low+1:]},
				{" AND :x <= sk", order[low : low+1], ascending[low:]},
				{" AND sk BETWEEN :x AND :y", []string{order[low], order[high]}, ascending[low : high+1]},
			} {
				if got := query(test.condition, test.values...); !slices.Equal(got, test.want) {
					t.Errorf("%s %v: got %v, want %v", test.condition, test.values, got, test.want)
				}
			}
			if kind == "S" {
				if got := query(" AND begins_with(sk, :x)", "a"); !slices.Equal(got, []string{"a", "aa", "ab"}) {
					t.Errorf("begins_with a: got %v", got)
				}
			}
		})
	}
}

func TestQuery_InvalidKeyConditions(t *testing.T) {
	e := start(t, dynamodb.Options{})
	table := e.table("N")
	for _, test := range []struct{ condition, values, want string }{
		{"sk = :s", `":s":{"N":"1"}`, "Query condition missed key schema element"},
		{"pk < :p", `":p":{"S":"a"}`, "Query key condition not supported"},
		{"pk = :p AND pk = :p", `":p":{"S":"a"}`, "KeyConditionExpressions must only contain one condition per key"},
		{"pk = :p OR pk = :p", `":p":{"S":"a"}`, "Invalid operator used in KeyConditionExpression: OR"},
		{"NOT pk = :p", `":p":{"S":"a"}`, "Invalid operator used in KeyConditionExpression: NOT"},
		{"pk = :p AND sk <> :s", `":p":{"S":"a"},":s":{"N":"1"}`, "Invalid operator used in KeyConditionExpression: <>"},
		{"pk = :p AND sk IN (:s)", `":p":{"S":"a"},":s":{"N":"1"}`, "Invalid operator used in KeyConditionExpression: IN"},
		{"pk = :p AND attribute_exists(sk)", `":p":{"S":"a"}`, "Invalid operator used in KeyConditionExpression: " +
			"attribute_exists"},
		{"pk = :p AND begins_with(sk, :p)", `":p":{"S":"a"}`, "Condition parameter type does not match schema type"},
		{"pk = :p AND size(sk) = :s", `":p":{"S":"a"},":s":{"N":"1"}`,
			"KeyConditionExpressions cannot contain nested operations"},
		{"pk = sk", ``, "Multiple attribute names used in one condition"},
		{"pk.x = :p", `":p":{"S":"a"}`, "Key attributes must be scalars; list random access '[]' and map lookup '.' are " +
			"not allowed: Key: pk"},
		{"pk = :p", `":p":{"S":""}`, "The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"},
		{"pk = :p", `":p":{"N":"1"}`, "Condition parameter type does not match schema type"},
		{"pk = :p AND elsewhere = :p", `":p":{"S":"a"}`, "Query condition missed key schema element"},
	} {
		t.Run(test.condition, func(t *testing.T) {
			e.t = t
			body := `{"TableName":"` + table + `","KeyConditionExpression":"` + test.condition + `"`
			if test.values != "" {
				body += `,"ExpressionAttributeValues":{` + test.values + `}`
			}
			check(t, e.send("Query", body+"}"), test.want)
		})
	}
}

func TestTransactWriteItems_Atomic(t *testing.T) {
	e := start(t, dynamodb.Options{})
	c, ctx := e.sdk(), t.Context()
	first, second := aws.String(e.table("")), aws.String(e.table(""))
	e.put(*first, `{"pk":{"S":"there"},"n":{"N":"1"}}`)
	transact := func(condition string) error {
		_, err := c.TransactWriteItems(ctx, &client.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
			{Put: &types.Put{TableName: first, Item: row{"pk": text("new")}}},
			{Update: &types.Update{TableName: first, Key: row{"pk": text("there")},
				UpdateExpression:    aws.String("SET n = n + :n"),
				ConditionExpression: aws.String(condition), ExpressionAttributeValues: row{":n": number(1)},
				ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}},
			{ConditionCheck: &types.ConditionCheck{TableName: second, Key: row{"pk": text("gone")},
				ConditionExpression: aws.String("attribute_not_exists(pk)")}},
			{Delete: &types.Delete{TableName: second, Key: row{"pk": text("never was")}}},
		}})
		return err
	}
	var canceled *types.TransactionCanceledException
	if err := transact("n > :n"); !errors.As(err, &canceled) {
		t.Fatalf("transaction with a false condition: got %v, want TransactionCanceledException", err)
	}
	var codes []string
	for _, reason := range canceled.CancellationReasons {
		codes = append(codes, aws.ToString(reason.Code))
	}
	if want := []string{"None", "ConditionalCheckFailed", "None", "None"}; !slices.Equal(codes, want) {
		t.Errorf("reasons: got %v, want %v", codes, want)
	}
	if canceled.CancellationReasons[1].Item["n"] == nil {
		t.Error("item of the failed action: got none")
	}
	if want := "Transaction cancelled, please refer cancellation reasons for specific reasons [None, " +
		"ConditionalCheckFailed, None, None]"; canceled.ErrorMessage() != want {
		t.Errorf("message: got %q", canceled.ErrorMessage())
	}
	if got := e.get(*first, `{"pk":{"S":"new"}}`); got != "" {
		t.Errorf("item after a canceled transaction: got %s, want none", got)
	}
	if err := transact("n = :n"); err != nil {
		t.Fatal(err)
	}
	if got := e.get(*first, `{"pk":{"S":"there"}}`); !sameJSON(t, got, `{"pk":{"S":"there"},"n":{"N":"2"}}`) {
		t.Errorf("item after the transaction: got %s", got)
	}
}

func TestTransactWriteItems_Token(t *testing.T) {
	e := start(t, dynamodb.Options{})
	table := e.table("")
	transaction := func(step string) string {
		return `{"ClientRequestToken":"` + table + `","TransactItems":[{"Update":{"TableName":"` + table +
			`","Key":{"pk":{"S":"a"}},"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"` + step + `"}}}}]}`
	}
	e.must("TransactWriteItems", transaction("1"))
	e.must("TransactWriteItems", transaction("1"))
	if got := e.get(table, `{"pk":{"S":"a"}}`); !sameJSON(t, got, `{"pk":{"S":"a"},"n":{"N":"1"}}`) {
		t.Errorf("after a repeated transaction: got %s, want n = 1", got)
	}
	if a := e.send("TransactWriteItems", transaction("2")); a.code() != "IdempotentParameterMismatchException" {
		t.Errorf("other transaction with the token: got %d %s, want IdempotentParameterMismatchException", a.status, a.code())
	}
}

func TestBatchWriteItem(t *testing.T) {
	e := start(t, dynamodb.Options{})
	table := e.table("")
	fill(t, e.sdk(), table, []row{keyedItem(1, row{"v": text("one")}), keyedItem(2, row{"v": text("two")})})
	put := func(n int) string { return fmt.Sprintf(`{"PutRequest":{"Item":{"pk":{"S":"%d"}}}}`, n) }
	var many []string
	for n := range 26 {
		many = append(many, put(n))
	}
	for _, test := range []struct{ name, writes, want string }{
		{"delete and put", put(1) + `,{"DeleteRequest":{"Key":{"pk":{"S":"key-000001"}}}}`, ""},
		{"twice the same key", put(1) + `,{"DeleteRequest":{"Key":{"pk":{"S":"1"}}}}`,
			"Provided list of item keys contains duplicates"},
		{"neither", `{}`, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the " +
			"supported datatypes"},
		{"bad key", `{"DeleteRequest":{"Key":{"x":{"S":"1"}}}}`, "The provided key element does not match the schema"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e.t = t
			if test.name == "bad key" {
				skipElsewhere(t, "dynalite's tests, which ran against AWS, have this message")
			}
			check(t, e.send("BatchWriteItem", `{"RequestItems":{"`+table+`":[`+test.writes+`]}}`), test.want)
		})
	}
	if a := e.send("BatchWriteItem", `{"RequestItems":{"`+table+`":[`+strings.Join(many,
		",")+`]}}`); a.code() != "ValidationException" {
		t.Errorf("26 writes: got %d %s, want ValidationException", a.status, a.code())
	}
	if got := e.get(table, `{"pk":{"S":"25"}}`); got != "" {
		t.Errorf("item of the refused batch: got %s, want none", got)
	}
}

func TestCapacityUnits(t *testing.T) {
	e := start(t, dynamodb.Options{})
	table := e.table("")
	// for an item of size bytes
	data := func(size int) string { return strings.Repeat("x", size-len("pk")-len("a")-len("d")) }
	units := func(operation, body string) any {
		t.Helper()
		answer := e.must(operation, `{"TableName":"`+table+`","ReturnConsumedCapacity":"TOTAL",`+body+`}`)
		consumed := answer["ConsumedCapacity"].(map[string]any)
		if consumed["TableName"] != table {
			t.Errorf("%s: got capacity of table %v", operation, consumed["TableName"])
		}
		return consumed["CapacityUnits"]
	}
	put := func(size int) string { return `"Item":{"pk":{"S":"a"},"d":{"S":"` + data(size) + `"}}` }
	const key = `"Key":{"pk":{"S":"a"}}`
	for _, test := range []struct {
		operation, body string
		want            float64
	}{
		{"GetItem", key, 0.5}, // no item
		{"GetItem", key + `,"ConsistentRead":true`, 1},
		{"PutItem", put(1024), 1},
		{"PutItem", put(1025), 2},
		{"PutItem", put(10), 2}, // replaces the larger one
		{"PutItem", put(4096), 4},
		{"GetItem", key + `,"ConsistentRead":true`, 1},
		{"GetItem", key + `,"ConsistentRead":true,"ProjectionExpression":"pk"`, 1},
		{"PutItem", put(4097), 5},
		{"GetItem", key + `,"ConsistentRead":true,"ProjectionExpression":"pk"`, 2},
		{"GetItem", key, 1},
		{"DeleteItem", key, 5},
		{"DeleteItem", key, 1},
	} {
		if got := units(test.operation, test.body); got != test.want {
			t.Errorf("%s %.60s: got %v units, want %v", test.operation, test.body, got, test.want)
		}
	}
}

func TestCapacityUnits_Transaction(t *testing.T) {
	skipElsewhere(t, "DynamoDB Local consumes 10 units; the developer guide says two writes of every item")
	e := start(t, dynamodb.Options{})
	table := e.table("")
	transaction := `{"ReturnConsumedCapacity":"TOTAL","TransactItems":[` +
		`{"Put":{"TableName":"` + table + `","Item":{"pk":{"S":"a"},"d":{"S":"` + strings.Repeat("x", 1025-len("pkad")) +
		`"}}}},` +
		`{"Delete":{"TableName":"` + table + `","Key":{"pk":{"S":"b"}}}}]}`
	consumed := e.must("TransactWriteItems", transaction)["ConsumedCapacity"].([]any)[0].(map[string]any)
	if consumed["CapacityUnits"] != 6.0 || consumed["WriteCapacityUnits"] != 6.0 {
		t.Errorf("put of 1,025 bytes and delete without an item: got %v units, want 6", consumed)
	}
}

func TestTable_Lifecycle(t *testing.T) {
	e := start(t, dynamodb.Options{})
	c, ctx, name := e.sdk(), t.Context(), e.table("N")
	described, err := c.DescribeTable(ctx, &client.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	table := described.Table
	if table.TableStatus != types.TableStatusActive || *table.TableName != name || len(table.KeySchema) != 2 ||
		table.KeySchema[1].KeyType != types.KeyTypeRange ||
		table.BillingModeSummary == nil || table.BillingModeSummary.BillingMode != types.BillingModePayPerRequest ||
		!strings.HasSuffix(*table.TableArn, ":table/"+name) {
		t.Errorf("DescribeTable: got %+v", table)
	}
	listed, err := c.ListTables(ctx, &client.ListTablesInput{})
	if err != nil || !slices.Contains(listed.TableNames, name) {
		t.Errorf("ListTables: got %v, %v", listed.TableNames, err)
	}
	var inUse *types.ResourceInUseException
	if _, err := c.CreateTable(ctx, &client.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"),
			AttributeType: types.ScalarAttributeTypeS}}}); !errors.As(err, &inUse) {
		t.Errorf("CreateTable with a used name: got %v, want ResourceInUseException", err)
	}
	ttl, err := c.DescribeTimeToLive(ctx, &client.DescribeTimeToLiveInput{TableName: &name})
	if err != nil || ttl.TimeToLiveDescription.TimeToLiveStatus != types.TimeToLiveStatusDisabled {
		t.Errorf("DescribeTimeToLive: got %+v, %v, want DISABLED", ttl, err)
	}
	if _, err := c.DeleteTable(ctx, &client.DeleteTableInput{TableName: &name}); err != nil {
		t.Fatal(err)
	}
	var notFound *types.ResourceNotFoundException
	if _, err := c.DescribeTable(ctx, &client.DescribeTableInput{TableName: &name}); !errors.As(err, &notFound) {
		t.Errorf("DescribeTable of a deleted table: got %v, want ResourceNotFoundException", err)
	}
	if _, err := c.GetItem(ctx, &client.GetItemInput{TableName: &name, Key: row{"pk": text("a"),
		"sk": number(1)}}); !errors.As(err, &notFound) {
		t.Errorf("GetItem of a deleted table: got %v, want ResourceNotFoundException", err)
	}
	var api smithy.APIError
	if _, err := c.Scan(ctx, &client.ScanInput{TableName: aws.String("a")}); !errors.As(err, &api) ||
		api.ErrorCode() != "ValidationException" {
		t.Errorf("table with a name of one letter: got %v, want ValidationException", err)
	}
}
