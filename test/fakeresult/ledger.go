package fakeresult

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Item is an item of a DynamoDB table in the JSON of its API.
type Item map[string]any

// S, N, B, L, M and SS return attribute values of DynamoDB.
func S(v string) any         { return map[string]any{"S": v} }
func N(v int) any            { return map[string]any{"N": fmt.Sprint(v)} }
func B(v bool) any           { return map[string]any{"BOOL": v} }
func M(v map[string]any) any { return map[string]any{"M": v} }
func SS(v ...string) any     { return map[string]any{"SS": v} }
func L(numbers ...int) any {
	list := []any{}
	for _, n := range numbers {
		list = append(list, N(n))
	}
	return map[string]any{"L": list}
}

// Plan returns the plan of a broadcast whose table was read in one stretch.
func Plan(buckets ...int) Item {
	return Item{"part": S("plan.0/1.0"), "segment": N(0), "segments": N(1), "stretch": N(0), "buckets": L(buckets...),
		"emitted": B(true), "at": N(1)}
}

// Batch returns the settled batch of that number of the plan.
func Batch(number, size, delivered, gone int) Item {
	return Item{"part": S(fmt.Sprintf("batch.0/1.0.%d", number)), "size": N(size), "attempt": N(0), "settled": B(true),
		"delivered": N(delivered), "gone": N(gone), "left": N(0), "posts": N(size)}
}

// Ledger is a fake DynamoDB with one table, which answers Query.
type Ledger struct {
	Table string
	Page  int    // items per page; 0: all
	Fault string // if not empty, the code of the error of every call
	// Parts returns the parts of a broadcast. asked is the number of earlier reads.
	Parts func(id string, asked int) []Item

	mu    sync.Mutex
	asked map[string]int
	began map[string][]Item // remaining items of queries with more pages
}

// Serve starts the ledger until the test ends and returns its endpoint.
func (l *Ledger) Serve(t testing.TB) string {
	l.asked, l.began = map[string]int{}, map[string][]Item{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("request: %v", err)
		}
		answer, failed := l.answer(r.Header.Get("X-Amz-Target"), body)
		text, err := json.Marshal(answer)
		if err != nil {
			t.Errorf("answer: %v", err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Header().Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE(text)))
		if failed {
			w.WriteHeader(http.StatusBadRequest)
		}
		if _, err := w.Write(text); err != nil {
			t.Errorf("answer: %v", err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Asked returns the number of reads of a broadcast.
func (l *Ledger) Asked(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[id]
}

func (l *Ledger) answer(target string, body []byte) (answer map[string]any, failed bool) {
	fail := func(code string) (map[string]any, bool) {
		return map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": "made up"}, true
	}
	var q struct {
		TableName                 string
		ConsistentRead            bool
		KeyConditionExpression    string
		ExpressionAttributeValues map[string]struct{ S string }
		ExclusiveStartKey         map[string]struct{ S string }
	}
	if err := json.Unmarshal(body, &q); err != nil || target != "DynamoDB_20120810.Query" || !q.ConsistentRead ||
		q.KeyConditionExpression != "broadcastId = :id" {
		return fail("ValidationException")
	}
	if l.Fault != "" {
		return fail(l.Fault)
	}
	if q.TableName != l.Table {
		return fail("ResourceNotFoundException")
	}
	id := q.ExpressionAttributeValues[":id"].S
	l.mu.Lock()
	defer l.mu.Unlock()
	items := l.began[id]
	if after, more := q.ExclusiveStartKey["part"]; !more {
		items = l.Parts(id, l.asked[id])
		l.asked[id]++
	} else if len(items) == 0 || q.ExclusiveStartKey["broadcastId"].S != id || after.S == "" {
		return fail("ValidationException")
	}
	page := items
	answer = map[string]any{}
	if l.Page > 0 && len(items) > l.Page {
		page = items[:l.Page]
		answer["LastEvaluatedKey"] = Item{"broadcastId": S(id), "part": page[l.Page-1]["part"]}
	}
	l.began[id] = items[len(page):]
	answer["Items"], answer["Count"] = append([]Item{}, page...), len(page)
	return answer, false
}
