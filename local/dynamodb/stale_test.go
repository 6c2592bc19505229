package dynamodb_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/local/clock"
	"fanfare/local/dynamodb"
)

// A read without ConsistentRead returns the rows as they were StaleBy ago, a consistent one returns all writes.
func TestFaults_Stale(t *testing.T) {
	skipElsewhere(t, "faults")
	for _, read := range []struct{ operation, parameters string }{
		{"GetItem", `"Key":{"pk":{"S":"a"}}`},
		{"Scan", `"Select":"ALL_ATTRIBUTES"`},
		{"Query", `"KeyConditionExpression":"pk = :a","ExpressionAttributeValues":{":a":{"S":"a"}}`},
		{"Query", `"KeyConditionExpression":"pk = :a","ExpressionAttributeValues":{":a":{"S":"a"}},"ScanIndexForward":false`},
	} {
		t.Run(read.operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := connections(t, dynamodb.Options{Clock: clock.New(60)})
				defer server.Close()
				versions := func(consistent bool) string {
					return serve(server, read.operation,
						fmt.Sprintf(`{"TableName":"connections","ConsistentRead":%v,%s}`, consistent, read.parameters))
				}
				expect := func(step string, stale, current string) {
					t.Helper()
					for consistent, want := range map[bool]string{false: stale, true: current} {
						got := versions(consistent)
						if want == "" && strings.Contains(got, `"v"`) || !strings.Contains(got, want) {
							t.Errorf("%s, consistent %v: got %s, want %q", step, consistent, got, want)
						}
					}
				}
				put := func(version int) {
					serve(server, "PutItem",
						fmt.Sprintf(`{"TableName":"connections","Item":{"pk":{"S":"a"},"v":{"N":"%d"}}}`, version))
				}
				fault := func(f dynamodb.Faults) {
					if err := server.SetFaults(f); err != nil {
						t.Fatal(err)
					}
				}
				put(1)
				fault(dynamodb.Faults{Stale: 1, StaleBy: 10 * time.Minute})
				expect("before any write", `"1"`, `"1"`)
				put(2)
				expect("after a write", `"1"`, `"2"`)
				time.Sleep(5 * time.Second)
				put(3)
				expect("after another", `"1"`, `"3"`)
				time.Sleep(5 * time.Second)
				expect("10 minutes after the first", `"2"`, `"3"`)
				serve(server, "DeleteItem", `{"TableName":"connections","Key":{"pk":{"S":"a"}}}`)
				time.Sleep(5 * time.Second)
				expect("after a deletion", `"3"`, ``)
				time.Sleep(5 * time.Second)
				expect("10 minutes after the deletion", ``, ``)
				put(4)
				fault(dynamodb.Faults{StaleBy: 10 * time.Minute})
				expect("a rate of 0", `"4"`, `"4"`)
				fault(dynamodb.Faults{Stale: 1})
				expect("a time of 0", `"4"`, `"4"`)
			})
		})
	}
}

// Tables that are made after the fault was set are stale, too.
func TestFaults_StaleNewTable(t *testing.T) {
	skipElsewhere(t, "faults")
	server := dynamodb.New(dynamodb.Options{})
	defer server.Close()
	if err := server.SetFaults(dynamodb.Faults{Stale: 1, StaleBy: -1}); err == nil {
		t.Error("negative time: got nil, want an error")
	}
	if err := server.SetFaults(dynamodb.Faults{Stale: 1, StaleBy: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := server.CreateTable(dynamodb.TableConfig{
		Name:                 "late",
		KeySchema:            []dynamodb.KeyElement{{AttributeName: "pk", KeyType: "HASH"}},
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "pk", AttributeType: "S"}},
		BillingMode:          dynamodb.PayPerRequest,
	}); err != nil {
		t.Fatal(err)
	}
	serve(server, "PutItem", `{"TableName":"late","Item":{"pk":{"S":"a"}}}`)
	for consistent, want := range map[bool]string{false: `"Count":0`, true: `"Count":1`} {
		got := serve(server, "Scan", fmt.Sprintf(`{"TableName":"late","ConsistentRead":%v,"Select":"COUNT"}`, consistent))
		if !strings.Contains(got, want) {
			t.Errorf("consistent %v: got %s, want %s", consistent, got, want)
		}
	}
}
