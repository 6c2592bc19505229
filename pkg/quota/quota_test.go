package quota_test

import (
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dynamodbclient "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"fanfare/local/dynamodb"
	"fanfare/pkg/quota"
	"fanfare/test/awstest"
)

// table returns an empty quotas table.
func table(t *testing.T, rate, burst int) *quota.Table {
	t.Helper()
	server := dynamodb.New(dynamodb.Options{})
	t.Cleanup(server.Close)
	err := server.CreateTable(dynamodb.TableConfig{
		Name: "quotas", BillingMode: dynamodb.PayPerRequest, TTLAttribute: "expiresAt",
		KeySchema: []dynamodb.KeyElement{
			{AttributeName: "connectionId", KeyType: "HASH"}, {AttributeName: "window", KeyType: "RANGE"},
		},
		AttributeDefinitions: []dynamodb.AttributeDefinition{
			{AttributeName: "connectionId", AttributeType: "S"}, {AttributeName: "window", AttributeType: "N"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	client := dynamodbclient.NewFromConfig(awstest.Config(listener.URL))
	return &quota.Table{Client: client, Name: "quotas", Rate: rate, Burst: burst}
}

func TestTable_TakeRate(t *testing.T) {
	q := table(t, 2, 10) // windows of five seconds
	clock := time.Unix(1_800_000_000, 0)
	q.Now = func() time.Time { return clock }
	taken := 0
	for range 100 { // a client that tries five times a second for twenty seconds
		ok, err := q.Take(t.Context(), "a=")
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			taken++
		}
		clock = clock.Add(200 * time.Millisecond)
	}
	if taken != 40 {
		t.Errorf("got %d publishes in twenty seconds, want 40", taken)
	}
	if ok, err := q.Take(t.Context(), "b="); !ok || err != nil {
		t.Errorf("another connection: got %v, %v, want true", ok, err)
	}
}

// Concurrent processes lose no count.
func TestTable_TakeConcurrently(t *testing.T) {
	q := table(t, 1, 25)
	at := time.Unix(1_800_000_000, 0)
	q.Now = func() time.Time { return at }
	var taken atomic.Int64
	var processes sync.WaitGroup
	for range 10 {
		processes.Go(func() {
			for range 10 {
				ok, err := q.Take(t.Context(), "a=")
				if err != nil {
					t.Error(err)
				}
				if ok {
					taken.Add(1)
				}
			}
		})
	}
	processes.Wait()
	if taken.Load() != 25 {
		t.Errorf("got %d of 100 publishes, want 25", taken.Load())
	}
}

func TestTable_TakeExpiry(t *testing.T) {
	q := table(t, 10, 5) // windows of half a second
	q.Now = func() time.Time { return time.UnixMilli(1_800_000_000_750) }
	if _, err := q.Take(t.Context(), "a="); err != nil {
		t.Fatal(err)
	}
	out, err := q.Client.Scan(t.Context(), &dynamodbclient.ScanInput{TableName: &q.Name})
	if err != nil || len(out.Items) != 1 {
		t.Fatalf("got %v, %v, want one row", out, err)
	}
	if n, ok := out.Items[0]["expiresAt"].(*types.AttributeValueMemberN); !ok || n.Value != "1800000002" {
		t.Errorf("got expiresAt %v, want 1800000002", out.Items[0]["expiresAt"])
	}
	q.Name = "missing"
	if ok, err := q.Take(t.Context(), "a="); ok || err == nil {
		t.Errorf("missing table: got %v, %v, want an error", ok, err)
	}
}
