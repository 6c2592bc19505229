package dynamodb_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"fanfare/local/clock"
	"fanfare/local/dynamodb"
)

// The tests of this file apply to this package only: to what it refuses, to Options and to Faults.

func TestServer_NotEmulated(t *testing.T) {
	skipElsewhere(t, "refusals")
	e := start(t, dynamodb.Options{})
	table := e.table("")
	for _, test := range []struct{ operation, parameters, want string }{
		{"UpdateTable", ``, "DynamoDB_20120810.UpdateTable"},
		{"ExecuteStatement", ``, "DynamoDB_20120810.ExecuteStatement"},
		{"TransactGetItems", ``, "DynamoDB_20120810.TransactGetItems"},
		{"PutItem", `,"Item":{"pk":{"S":"a"}},"Expected":{}`, "Expected"},
		{"PutItem", `,"Item":{"pk":{"S":"a"}},"ConditionalExpression":"x"`, "ConditionalExpression"},
		{"UpdateItem", `,"Key":{"pk":{"S":"a"}},"AttributeUpdates":{}`, "AttributeUpdates"},
		{"GetItem", `,"Key":{"pk":{"S":"a"}},"AttributesToGet":["a"]`, "AttributesToGet"},
		{"Scan", `,"ScanFilter":{}`, "ScanFilter"},
		{"Scan", `,"IndexName":"by-time"`, "The table does not have the specified index: by-time"},
		{"Query", `,"IndexName":"by-time","KeyConditionExpression":"a = :a","ExpressionAttributeValues":{":a":{"S":"a"}}`,
			"The table does not have the specified index: by-time"},
		{"Query", `,"KeyConditions":{}`, "KeyConditions"},
		{"CreateTable", `,"GlobalSecondaryIndexes":[]`, "GlobalSecondaryIndexes"},
		{"CreateTable", `,"StreamSpecification":{"StreamEnabled":true}`, "StreamSpecification"},
		{"CreateTable", `,"SSESpecification":{"Enabled":true}`, "SSESpecification"},
		{"CreateTable", `,"Tags":[]`, "Tags"},
		{"BatchGetItem", ``, "DynamoDB_20120810.BatchGetItem"},
		{"UpdateTimeToLive", ``, "DynamoDB_20120810.UpdateTimeToLive"},
	} {
		t.Run(test.operation+test.parameters, func(t *testing.T) {
			e.t = t
			a := e.send(test.operation, `{"TableName":"`+table+`"`+test.parameters+`}`)
			if a.status != http.StatusBadRequest || !strings.Contains(a.message(), test.want) {
				t.Errorf("got %d %s: %s, want an error that names %s", a.status, a.code(), a.message(), test.want)
			}
		})
	}
}

func TestServer_MalformedRequests(t *testing.T) {
	skipElsewhere(t, "DynamoDB Local answers some with 500 and accepts others")
	e := start(t, dynamodb.Options{})
	table := e.table("")
	const put = `"Item":{"pk":{"S":"a"},"v":`
	for _, test := range []struct{ operation, parameters, kind, want string }{
		{"PutItem", put + `{"S":1}}`, "com.amazon.coral.service#SerializationException", "content of S"},
		{"PutItem", put + `{"BOOL":"x"}}`, "com.amazon.coral.service#SerializationException", "content of a BOOL"},
		{"PutItem", put + `{"B":"x"}}`, "com.amazon.coral.service#SerializationException", "base64"},
		{"PutItem", put + `{"L":{}}}`, "com.amazon.coral.service#SerializationException", "content of L"},
		{"PutItem", put + `{"M":[]}}`, "com.amazon.coral.service#SerializationException", "content of an M"},
		{"PutItem", put + `"x"}`, "com.amazon.coral.service#SerializationException", "attribute value"},
		{"PutItem", put + `{"s":"x"}}`, "com.amazon.coral.validate#ValidationException",
			"Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{"PutItem", put + `{"S":"x","N":"1"}}`, "com.amazon.coral.validate#ValidationException", "more than one datatypes"},
		{"PutItem", put + `{"NULL":false}}`, "com.amazon.coral.validate#ValidationException",
			"Null attribute value types must have the value of true"},
		{"PutItem", put + `{"SS":[]}}`, "com.amazon.coral.validate#ValidationException", "An string set  may not be empty"},
		{"PutItem", put + `{"SS":["a","a"]}}`, "com.amazon.coral.validate#ValidationException",
			"Input collection [a, a] contains duplicates."},
		{"PutItem", put + `{"NS":["1","1.0"]}}`, "com.amazon.coral.validate#ValidationException",
			"Input collection contains duplicates"},
		{"PutItem", put + `{"N":"one"}}`, "com.amazon.coral.validate#ValidationException",
			"The parameter cannot be converted to a numeric value: one"},
		{"PutItem", put + `{"N":"123456789012345678901234567890123456789"}}`,
			"com.amazon.coral.validate#ValidationException", "more than 38 significant digits"},
		{"PutItem", put + `{"N":"1e126"}}`, "com.amazon.coral.validate#ValidationException", "Number overflow"},
		{"PutItem", put + `{"N":"1e-131"}}`, "com.amazon.coral.validate#ValidationException", "Number underflow"},
		{"PutItem", `"Item":{"pk":{"S":""}}`, "com.amazon.coral.validate#ValidationException",
			"cannot contain an empty string value. Key: pk"},
		{"PutItem", `"Item":{"pk":{"S":"a"},"":{"S":"a"}}`, "com.amazon.coral.validate#ValidationException",
			"Empty attribute name"},
		{"PutItem", `"Item":{"pk":{"N":"1"}}`, "com.amazon.coral.validate#ValidationException",
			"Type mismatch for key pk expected: S actual: N"},
		{"PutItem", `"Item":{"x":{"N":"1"}}`, "com.amazon.coral.validate#ValidationException",
			"Missing the key pk in the item"},
		{"PutItem", `"Item":{"pk":{"S":"` + strings.Repeat("x", 2049) + `"}}`,
			"com.amazon.coral.validate#ValidationException", "Size of hashkey"},
		{"PutItem", put + `{"S":"` + strings.Repeat("x", 400<<10) + `"}}`, "com.amazon.coral.validate#ValidationException",
			"Item size has exceeded the maximum allowed size"},
		{"PutItem", put + strings.Repeat(`{"L":[`, 32) + `{"N":"1"}` + strings.Repeat(`]}`, 32) + `}`,
			"com.amazon.coral.validate#ValidationException", "Nesting Levels"},
		{"PutItem", `"X":1`, "com.amazon.coral.validate#ValidationException", "no parameter X"},
		{"GetItem", `"Key":{"pk":{"S":"a"},"x":{"S":"a"}}`, "com.amazon.coral.validate#ValidationException",
			"The provided key element does not match the schema"},
		{"GetItem", `"Key":5`, "com.amazon.coral.service#SerializationException", "Key"},
		{"Scan", `"Limit":0`, "com.amazon.coral.validate#ValidationException", "greater than or equal to 1"},
		{"Scan", `"Limit":"1"`, "com.amazon.coral.service#SerializationException", "Limit"},
		{"Scan", `"Segment":0`, "com.amazon.coral.validate#ValidationException", "The TotalSegments parameter is required"},
		{"Scan", `"Segment":2,"TotalSegments":2`, "com.amazon.coral.validate#ValidationException",
			"Segment: 2 is not less than TotalSegments: 2"},
		{"Scan", `"Select":"COUNT","ProjectionExpression":"a"`, "com.amazon.coral.validate#ValidationException",
			"Cannot specify the ProjectionExpression"},
		{"Scan", `"FilterExpression":"a = :v","ExpressionAttributeValues":{":v":{}}`,
			"com.amazon.coral.validate#ValidationException", "for key :v"},
		{"Scan", `"FilterExpression":"attribute_exists(a)","ExpressionAttributeNames":{"#n":"a"}`,
			"com.amazon.coral.validate#ValidationException", "unused in expressions: keys: {#n}"},
		{"Scan", `"ExpressionAttributeNames":{"#n":"a"}`, "com.amazon.coral.validate#ValidationException",
			"can only be specified when using expressions"},
		{"Scan", `"ReturnConsumedCapacity":"MUCH"`, "com.amazon.coral.validate#ValidationException",
			"returnConsumedCapacity"},
		{"DescribeTable", `"TableName":"none-such"`, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
			"Requested resource not found: Table: none-such not found"},
	} {
		t.Run(test.operation+" "+test.want, func(t *testing.T) {
			e.t = t
			a := e.send(test.operation, `{"TableName":"`+table+`",`+test.parameters+`}`)
			if a.status != http.StatusBadRequest || a.body["__type"] != test.kind || !strings.Contains(a.message(), test.want) {
				t.Errorf("got %d %v: %s, want %s: %s", a.status, a.body["__type"], a.message(), test.kind, test.want)
			}
		})
	}
	for _, body := range []string{"", "{", "[]", "null", "{} {}", `"x"`} {
		if a := e.send("Scan", body); a.code() != "SerializationException" {
			t.Errorf("body %q: got %s", body, a.code())
		}
	}
}

func TestServer_UnsignedRequest(t *testing.T) {
	skipElsewhere(t, "DynamoDB Local answers with other types")
	server := dynamodb.New(dynamodb.Options{})
	defer server.Close()
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	recorder := httptest.NewRecorder()
	server.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusBadRequest || !strings.Contains(recorder.Body.String(),
		"MissingAuthenticationTokenException") {
		t.Errorf("got %d %s, want MissingAuthenticationTokenException", recorder.Code, recorder.Body)
	}
}

func TestAuthorize_EachTable(t *testing.T) {
	skipElsewhere(t, "an option")
	var mu sync.Mutex
	var asked []string
	e := start(t, dynamodb.Options{Region: "eu-west-1", Account: "123456789012", Authorize: func(accessKey, action,
		resource string) error {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, accessKey+" "+action+" "+resource)
		if action == "dynamodb:Scan" {
			return errors.New("User: x is not authorized to perform: dynamodb:Scan on resource: y")
		}
		return nil
	}})
	table := e.table("")
	arn := "arn:aws:dynamodb:eu-west-1:123456789012:table/" + table
	for _, test := range []struct{ operation, body, want string }{
		{"PutItem", `{"TableName":"` + table + `","Item":{"pk":{"S":"a"}}}`, "dynamodb:PutItem " + arn},
		{"GetItem", `{"TableName":"` + arn + `","Key":{"pk":{"S":"a"}}}`, "dynamodb:GetItem " + arn},
		{"BatchWriteItem", `{"RequestItems":{"` + table + `":[{"PutRequest":{"Item":{"pk":{"S":"a"}}}}]}}`,
			"dynamodb:BatchWriteItem " + arn},
		{"TransactWriteItems", `{"TransactItems":[{"ConditionCheck":{"TableName":"` + table +
			`","Key":{"pk":{"S":"a"}},"ConditionExpression":"attribute_exists(pk)"}}]}`, "dynamodb:ConditionCheckItem " + arn},
		{"ListTables", `{}`, "dynamodb:ListTables *"},
		{"Scan", `{"TableName":"` + table + `"}`, "dynamodb:Scan " + arn},
	} {
		mu.Lock()
		asked = nil
		mu.Unlock()
		a := e.send(test.operation, test.body)
		if want := []string{"AKIDTEST " + test.want}; !slices.Equal(asked, want) {
			t.Errorf("%s: got %q, want %q", test.operation, asked, want)
		}
		if denied := test.operation == "Scan"; denied != (a.code() == "AccessDeniedException") {
			t.Errorf("%s: got %d %s: %s, want AccessDeniedException", test.operation, a.status, a.code(), a.message())
		}
	}
	want := "User: x is not authorized to perform: dynamodb:Scan on resource: y"
	if got := e.send("Scan", `{"TableName":"`+table+`"}`).message(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// serve answers one request without a socket, for tests in a synctest bubble.
func serve(server *dynamodb.Server, operation, body string) string {
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDTEST/x")
	recorder := httptest.NewRecorder()
	server.ServeHTTP(recorder, request)
	return recorder.Body.String()
}

func connections(t *testing.T, options dynamodb.Options) *dynamodb.Server {
	t.Helper()
	server := dynamodb.New(options)
	if err := server.CreateTable(dynamodb.TableConfig{
		Name:                 "connections",
		KeySchema:            []dynamodb.KeyElement{{AttributeName: "pk", KeyType: "HASH"}},
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "pk", AttributeType: "S"}},
		BillingMode:          dynamodb.PayPerRequest,
		TTLAttribute:         "expiresAt",
	}); err != nil {
		t.Fatal(err)
	}
	return server
}

func TestTTL_Sweep(t *testing.T) {
	skipElsewhere(t, "time")
	for _, test := range []struct {
		name  string
		speed float64
		delay time.Duration
		alive time.Duration // of real time, after which the item exists
		gone  time.Duration // of real time, after which it does not
	}{
		{"by default after 48 hours", 1, 0, 48 * time.Hour, 48*time.Hour + 3*time.Minute},
		{"at once, but for the sweep", 1, -1, 29 * time.Second, 3 * time.Minute},
		{"after a delay, by a faster clock", 60, time.Hour, 59 * time.Second, 63 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := connections(t, dynamodb.Options{Clock: clock.New(test.speed), TTLDelay: test.delay})
				defer server.Close()
				begin := time.Now()
				for key, expiry := range map[string]int64{"soon": begin.Unix() + 1, "never": begin.Add(1000 * time.Hour).Unix(),
					"ancient": begin.Add(-6 * 365 * 24 * time.Hour).Unix()} {
					serve(server, "PutItem", fmt.Sprintf(`{"TableName":"connections","Item":{"pk":{"S":"%s"},`+
						`"expiresAt":{"N":"%d"}}}`, key, expiry))
				}
				serve(server, "PutItem", `{"TableName":"connections","Item":{"pk":{"S":"not a number"},"expiresAt":{"S":"1"}}}`)
				count := func() string { return serve(server, "Scan", `{"TableName":"connections","Select":"COUNT"}`) }
				time.Sleep(test.alive)
				synctest.Wait()
				if got := count(); !strings.Contains(got, `"Count":4`) {
					t.Errorf("after %v: got %s, want the item", test.alive, got)
				}
				time.Sleep(test.gone - test.alive)
				synctest.Wait()
				if got := count(); !strings.Contains(got, `"Count":3`) ||
					strings.Contains(serve(server, "Scan", `{"TableName":"connections"}`), "soon") {
					t.Errorf("after %v: got %s, want none", test.gone, got)
				}
			})
		})
	}
}

func TestFaults_Repeatable(t *testing.T) {
	skipElsewhere(t, "faults")
	server := connections(t, dynamodb.Options{})
	defer server.Close()
	if err := server.SetFaults(dynamodb.Faults{Throttling: 1.5}); err == nil {
		t.Error("rate of 1.5: got nil, want an error")
	}
	if err := server.SetFaults(dynamodb.Faults{Operations: []string{"Sacn"}}); err == nil {
		t.Error("unknown operation: got nil, want an error")
	}
	faults := dynamodb.Faults{Seed: 7, Operations: []string{"PutItem"}, ProvisionedThroughputExceeded: 0.2,
		Throttling: 0.2, InternalServerError: 0.1}
	run := func() (codes []string) {
		if err := server.SetFaults(faults); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			answer := serve(server, "PutItem", `{"TableName":"connections","Item":{"pk":{"S":"a"}}}`)
			code := "none"
			for _, kind := range []string{"ProvisionedThroughputExceededException", "ThrottlingException",
				"InternalServerError"} {
				if strings.Contains(answer, "#"+kind) {
					code = kind
				}
			}
			codes = append(codes, code)
			if got := serve(server, "Scan", `{"TableName":"connections","Select":"COUNT"}`); strings.Contains(got, "__type") {
				t.Fatalf("Scan, which has no faults: got %s", got)
			}
		}
		return codes
	}
	first := run()
	if !slices.Equal(first, run()) {
		t.Error("same seed: got other faults")
	}
	counts := make(map[string]int)
	for _, code := range first {
		counts[code]++
	}
	if len(counts) != 4 {
		t.Errorf("faults in 300 requests: got %v, want all kinds", counts)
	}
	faults.Seed++
	if slices.Equal(first, run()) {
		t.Error("other seed: got the same faults")
	}
	if err := server.SetFaults(dynamodb.Faults{}); err != nil {
		t.Fatal(err)
	}
	if got := serve(server, "PutItem", `{"TableName":"connections","Item":{"pk":{"S":"a"}}}`); got != "{}" {
		t.Errorf("without faults: got %s", got)
	}
}

func TestFaults_Unprocessed(t *testing.T) {
	skipElsewhere(t, "faults")
	e, server := startWithTable(t)
	c := e.sdk()
	if err := server.SetFaults(dynamodb.Faults{Unprocessed: 0.5}); err != nil {
		t.Fatal(err)
	}
	var writes []types.WriteRequest
	for n := range 25 {
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: keyedItem(n, nil)}})
	}
	rounds := 0
	for pending := map[string][]types.WriteRequest{"connections": writes}; len(pending) > 0; rounds++ {
		before := len(pending["connections"])
		out, err := c.BatchWriteItem(t.Context(), &client.BatchWriteItemInput{RequestItems: pending})
		if _, ok := errors.AsType[*types.ProvisionedThroughputExceededException](err); ok {
			continue // no item was processed
		}
		if err != nil {
			t.Fatal(err)
		}
		if pending = out.UnprocessedItems; len(pending["connections"]) >= before {
			t.Fatalf("got %d of %d items unprocessed, want fewer or an error", len(pending["connections"]), before)
		}
	}
	if rounds < 2 {
		t.Errorf("25 items at a rate of 0.5: got %d rounds, want at least 2", rounds)
	}
	if scanned, err := c.Scan(t.Context(), &client.ScanInput{TableName: aws.String("connections")}); err != nil ||
		scanned.Count != 25 {
		t.Errorf("stored items: got %+v, %v, want 25", scanned, err)
	}
	if err := server.SetFaults(dynamodb.Faults{Unprocessed: 1}); err != nil {
		t.Fatal(err)
	}
	_, err := c.BatchWriteItem(t.Context(),
		&client.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"connections": writes}})
	if _, ok := errors.AsType[*types.ProvisionedThroughputExceededException](err); !ok {
		t.Errorf("batch at a rate of 1: got %v, want ProvisionedThroughputExceededException", err)
	}
}

func startWithTable(t testing.TB) (*endpoint, *dynamodb.Server) {
	server := dynamodb.New(dynamodb.Options{})
	t.Cleanup(server.Close)
	if err := server.CreateTable(dynamodb.TableConfig{
		Name:                 "connections",
		KeySchema:            []dynamodb.KeyElement{{AttributeName: "pk", KeyType: "HASH"}},
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "pk", AttributeType: "S"}},
		BillingMode:          dynamodb.PayPerRequest,
	}); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &endpoint{t: t, url: listener.URL, http: &http.Client{Transport: transport}}, server
}

func TestFaults_AnswerLost(t *testing.T) {
	skipElsewhere(t, "faults")
	server := connections(t, dynamodb.Options{})
	defer server.Close()
	if err := server.SetFaults(dynamodb.Faults{Operations: []string{"PutItem"}, AnswerLost: 1}); err != nil {
		t.Fatal(err)
	}
	if got := serve(server, "PutItem", `{"TableName":"connections","Item":{"pk":{"S":"a"}}}`); !strings.Contains(got,
		"InternalServerError") {
		t.Errorf("answer: got %s", got)
	}
	if got := serve(server, "GetItem", `{"TableName":"connections",`+
		`"Key":{"pk":{"S":"a"}}}`); got != `{"Item":{"pk":{"S":"a"}}}` {
		t.Errorf("item: got %s", got)
	}
}

func TestFaults_Latency(t *testing.T) {
	skipElsewhere(t, "faults")
	synctest.Test(t, func(t *testing.T) {
		server := connections(t, dynamodb.Options{Clock: clock.New(10)})
		defer server.Close()
		if err := server.SetFaults(dynamodb.Faults{Latency: time.Second, Jitter: time.Second}); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		serve(server, "GetItem", `{"TableName":"connections","Key":{"pk":{"S":"a"}}}`)
		if took := time.Since(begin); took < 100*time.Millisecond || took >= 200*time.Millisecond {
			t.Errorf("1 to 2 s at ten times the speed: got %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begin = time.Now()
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("{}"))
		request.Header.Set("X-Amz-Target", "DynamoDB_20120810.Scan")
		server.ServeHTTP(httptest.NewRecorder(), request)
		if took := time.Since(begin); took != 10*time.Millisecond {
			t.Errorf("client that disconnects after 10 ms: got %v", took)
		}
	})
}

// TestServer_ConcurrentClients is for the race detector. It also checks that no scan misses a row that is not deleted.
func TestServer_ConcurrentClients(t *testing.T) {
	skipElsewhere(t, "load")
	e, _ := startWithTable(t)
	c := e.sdk()
	var stay []row
	for n := range 200 {
		stay = append(stay, keyedItem(n, nil))
	}
	fill(t, c, "connections", stay)
	var group sync.WaitGroup
	for writer := range 4 {
		group.Go(func() {
			for n := range 60 {
				come := keyedItem(1000*(writer+1)+n, nil)
				if _, err := c.PutItem(t.Context(), &client.PutItemInput{TableName: aws.String("connections"),
					Item: come}); err != nil {
					t.Error(err)
				}
				if _, err := c.DeleteItem(t.Context(), &client.DeleteItemInput{TableName: aws.String("connections"),
					Key: come}); err != nil {
					t.Error(err)
				}
				if _, err := c.UpdateItem(t.Context(), &client.UpdateItemInput{TableName: aws.String("connections"), Key: stay[n],
					UpdateExpression:          aws.String("ADD n :n"),
					ExpressionAttributeValues: row{":n": number(1)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		keys, _ := scanAll(t, c, client.ScanInput{TableName: aws.String("connections"), Limit: aws.Int32(64)})
		seen := make(map[string]bool)
		for _, key := range keys {
			if seen[key] {
				t.Fatalf("got %s twice", key)
			}
			seen[key] = true
		}
		for _, r := range stay {
			if key := r["pk"].(*types.AttributeValueMemberS).Value; !seen[key] {
				t.Fatalf("got no %s", key)
			}
		}
	}
	group.Wait()
	out, err := c.GetItem(t.Context(), &client.GetItemInput{TableName: aws.String("connections"), Key: stay[0]})
	if err != nil || out.Item["n"].(*types.AttributeValueMemberN).Value != "4" {
		t.Errorf("sum of four writers: got %v, %v", out.Item["n"], err)
	}
}
