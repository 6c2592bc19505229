package dynamodb

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzProtocol sends arbitrary bodies to every operation. The answer must be JSON and no internal error, and the server
// must accept every item that a Scan returns afterwards.
func FuzzProtocol(f *testing.F) {
	seeds := map[string][]string{
		"PutItem": {`{"TableName":"fuzz","Item":{"pk":{"S":"a"},"n":{"N":"1.50"},"l":{"L":[{"NULL":true},{"B":"AQ=="}]},` +
			`"m":{"M":{"x":{"SS":["a"]}}}},"ConditionExpression":"attribute_not_exists(pk)","ReturnValues":"ALL_OLD"}`},
		"UpdateItem": {`{"TableName":"fuzz","Key":{"pk":{"S":"a"}},"UpdateExpression":"SET n = if_not_exists(n, :n) + :n, ` +
			`l[3] = :l REMOVE m.x ADD s :s","ExpressionAttributeValues":{":n":{"N":"1e3"},":l":{"BOOL":true},":s":{"NS":["1",` +
			`"2"]}},"ReturnValues":"UPDATED_NEW"}`,
			`{"TableName":"fuzz","Key":{"pk":{"S":"seed"}},"UpdateExpression":"SET #m.y = list_append(l, :l) DELETE s :s",` +
				`"ExpressionAttributeNames":{"#m":"m"},"ExpressionAttributeValues":{":l":{"L":[]},":s":{"SS":["a"]}}}`},
		"DeleteItem": {`{"TableName":"fuzz","Key":{"pk":{"S":"a"}},"ConditionExpression":"n BETWEEN :a AND :b OR ` +
			`NOT contains(l, :a)","ExpressionAttributeValues":{":a":{"N":"1"},":b":{"N":"2"}}}`},
		"GetItem": {`{"TableName":"fuzz","Key":{"pk":{"S":"seed"}},"ProjectionExpression":"m.x, l[1]",` +
			`"ReturnConsumedCapacity":"INDEXES"}`},
		"Scan": {`{"TableName":"fuzz","Segment":1,"TotalSegments":3,"Limit":2,` +
			`"ExclusiveStartKey":{"pk":{"S":"a"}},"FilterExpression":"size(l) > :n",` +
			`"ExpressionAttributeValues":{":n":{"N":"0"}}}`},
		"Query": {`{"TableName":"fuzz","KeyConditionExpression":"pk = :p",` +
			`"ExpressionAttributeValues":{":p":{"S":"seed"}},"ScanIndexForward":false,"Select":"COUNT"}`},
		"BatchWriteItem": {`{"RequestItems":{"fuzz":[{"PutRequest":{"Item":{"pk":{"S":"b"}}}},` +
			`{"DeleteRequest":{"Key":{"pk":{"S":"a"}}}}]}}`},
		"TransactWriteItems": {`{"TransactItems":[{"Put":{"TableName":"fuzz","Item":{"pk":{"S":"c"}}}},` +
			`{"ConditionCheck":{"TableName":"fuzz","Key":{"pk":{"S":"a"}},"ConditionExpression":"attribute_exists(pk)"}}]}`},
		"CreateTable": {`{"TableName":"more","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"a",` +
			`"KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"N"}]}`},
		"ListTables":    {`{"Limit":1,"ExclusiveStartTableName":"a"}`},
		"DescribeTable": {`{"TableName":"arn:aws:dynamodb:us-east-1:000000000000:table/fuzz"}`},
	}
	count := 0
	for operation, bodies := range seeds {
		for _, body := range bodies {
			f.Add(operation, body)
			count++
		}
	}
	if count < len(operations)-4 { // operations like DescribeTable need no seeds
		f.Fatalf("got %d seeds for %d operations", count, len(operations))
	}
	server := New(Options{})
	f.Cleanup(server.Close)
	send := func(operation, body string) (int, string) {
		request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		request.Header.Set("X-Amz-Target", targetPrefix+operation)
		request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDTEST/x")
		recorder := httptest.NewRecorder()
		server.ServeHTTP(recorder, request)
		return recorder.Code, recorder.Body.String()
	}
	f.Fuzz(func(t *testing.T, operation, body string) {
		server.mu.Lock()
		clear(server.tables)
		server.mu.Unlock()
		if err := server.CreateTable(TableConfig{Name: "fuzz", BillingMode: PayPerRequest,
			KeySchema: []KeyElement{{"pk", "HASH"}}, AttributeDefinitions: []AttributeDefinition{{"pk", "S"}}}); err != nil {
			t.Fatal(err)
		}
		send("PutItem", `{"TableName":"fuzz","Item":{"pk":{"S":"seed"},"s":{"SS":["a","b"]},"l":{"L":[{"N":"1"}]},`+
			`"m":{"M":{"x":{"S":"y"}}}}}`)
		status, answer := send(operation, body)
		if status != http.StatusOK && status != http.StatusBadRequest {
			t.Errorf("got status %d: %s", status, answer)
		}
		if !json.Valid([]byte(answer)) {
			t.Errorf("got %q, want JSON", answer)
		}
		_, answer = send("Scan", `{"TableName":"fuzz"}`)
		var page struct{ Items []json.RawMessage }
		if err := json.Unmarshal([]byte(answer), &page); err != nil {
			t.Fatalf("decode %q: %v", answer, err)
		}
		for _, item := range page.Items {
			if status, answer := send("PutItem", `{"TableName":"fuzz","Item":`+string(item)+`}`); status != http.StatusOK {
				t.Errorf("put the stored item %s: got %s, want success", item, answer)
			}
		}
	})
}

// FuzzExpressions parses arbitrary texts as every kind of expression and evaluates those that are valid. Each must give
// a result or a failure that names the expression, and an update must not change the item that it was applied to.
func FuzzExpressions(f *testing.F) {
	seeds := []string{
		"a = :a AND NOT (b.c[0] <> :b OR size(#n) > :a)", "attribute_type(a, :a) OR " +
			"attribute_not_exists(l[1].x)", "a IN (:a, :b, b) AND begins_with(a, :a)",
		"a BETWEEN :a AND :b", "contains(l, :b)", "((a = :a))", "SET a = if_not_exists(b.c, :a) + :b, l[2] = " +
			"list_append(l, :l) REMOVE b ADD #n :b DELETE s :s",
		"SET a = (:a)", "a, b.c, l[0], #n", "a.", "#", ":a :b", "[", "a[99999999999999999999]", "set", "NOT NOT a = :a",
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	sampleItem := func() item {
		request, err := parseRequest([]byte(`{"Item":{"a":{"S":"x"},"n":{"N":"1"},"b":{"M":{"c":{"L":[{"N":"1"}]}}},` +
			`"l":{"L":[{"N":"1"},{"M":{"x":{"S":"y"}}}]},"s":{"SS":["p","q"]}}}`))
		if err != nil {
			f.Fatal(err)
		}
		return request.item("Item")
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, member := range []string{"ConditionExpression", "UpdateExpression", "ProjectionExpression",
			"KeyConditionExpression"} {
			m := &members{values: map[string]any{member: text,
				"ExpressionAttributeNames": map[string]any{"#n": "n"},
				"ExpressionAttributeValues": map[string]any{":a": map[string]any{"S": "x"}, ":b": map[string]any{"N": "2"},
					":s": map[string]any{"SS": []any{"p"}}, ":l": map[string]any{"L": []any{}}}}}
			ph := m.placeholders()
			if m.failure != nil {
				t.Fatal(m.failure)
			}
			it := sampleItem()
			var err error
			switch member {
			case "ProjectionExpression":
				var p projection
				if p, err = m.parseProjection(ph); err == nil {
					p.apply(it)
				}
			case "UpdateExpression":
				var u *update
				if u, err = m.parseUpdate(ph); err == nil {
					if changed, err := u.apply(it); err == nil {
						newProjection(u.paths()).apply(changed)
						changed.appendJSON(nil)
					}
				}
			default:
				var c condition
				if c, err = m.parseCondition(member, ph); err == nil {
					c.holds(it)
					c.holds(nil)
					_, _ = newKeyCondition(c, schema{keyAttribute{"a", kindString}, keyAttribute{"n", kindNumber}})
				}
			}
			if invalid, ok := errors.AsType[*failure](err); ok && !strings.HasPrefix(invalid.message, "Invalid "+member+": ") {
				t.Errorf("%s %q: got %v", member, text, err)
			}
			if want := sampleItem(); !it.equal(want) {
				t.Errorf("item after %s %q: got %s, want it unchanged", member, text, it.appendJSON(nil))
			}
		}
	})
}
