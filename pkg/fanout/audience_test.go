package fanout_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/fanout"
	"fanfare/pkg/ledger"
	"fanfare/pkg/registry"
	"fanfare/test/awstest"
)

// Promise 2 (audience), at a size at which every segment of the table has several pages of 1 MB.
func TestDispatcher_LargeAudience(t *testing.T) {
	const audience = 200_000
	client := awstest.Tables(t)
	fill(t, client, audience)

	queues := &queues{}
	d := &fanout.Dispatcher{
		Registry: &registry.Table{Client: client, Name: "connections"},
		Ledger:   &ledger.Table{Client: client, Name: "broadcasts"},
		Batches:  queues, Continuations: queues, DeadLetters: queues,
		Segments: 4, BatchConnections: 500, BatchPosts: 5000, Senders: 10, Reserve: time.Second,
	}
	results := d.Dispatch(t.Context(), []broadcast.Request{request("m"), request("n")})
	noErrors(t, results)
	for _, r := range results {
		reached, ids := queues.reached(r.Request.Message.ID)
		if len(reached) != audience || r.Connections != audience {
			t.Errorf("%s: got %d connections, and %d in the result, want %d",
				r.Request.Message.ID, len(reached), r.Connections, audience)
		}
		for id, n := range reached {
			if n != 1 {
				t.Fatalf("%s: %s: got %d batches, want 1", r.Request.Message.ID, id, n)
			}
		}
		for id, n := range ids {
			if n != 1 {
				t.Errorf("batch %s: got it %d times, want once", id, n)
			}
		}
	}
	for _, b := range queues.batches {
		if len(b.Connections) > 750 {
			t.Errorf("batch %s: got %d connections, want at most 750", b.ID, len(b.Connections))
		}
	}
}

// fill writes n rows of about 100 bytes, so that a page of 1 MB holds about ten thousand. It builds the JSON itself,
// because the SDK would take most of the test's time.
func fill(t *testing.T, client *dynamodb.Client, n int) {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	for first := 0; first < n; first += 25 {
		var rows []string
		for i := first; i < min(first+25, n); i++ {
			rows = append(rows, fmt.Sprintf(`{"PutRequest":{"Item":{"connectionId":{"S":"L0SM9cOF%07d="},`+
				`"connectedAt":{"N":"%d"},"expiresAt":{"N":"%d"},"more":{"S":"an attribute of a later release"}}}}`,
				i, at.UnixMilli(), at.Add(2*time.Hour).Unix()))
		}
		request, err := http.NewRequestWithContext(t.Context(), "POST", *client.Options().BaseEndpoint,
			strings.NewReader(`{"RequestItems":{"connections":[`+strings.Join(rows, ",")+`]}}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Amz-Target", "DynamoDB_20120810.BatchWriteItem")
		request.Header.Set("Content-Type", "application/x-amz-json-1.0")
		request.Header.Set("Authorization", "AWS4-HMAC-SHA256 "+
			"Credential=test/20261123/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"UnprocessedItems":{}`) {
			t.Fatalf("write rows: got %s %s %v", response.Status, body, err)
		}
	}
}
