package ledger_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/ledger"
	"fanfare/test/awstest"
)

// A permanent refusal is returned at once. Other failures are retried by the caller.
func TestTable_SettleRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		code   string
		final  bool
	}{
		{"no permission", 400, "com.amazon.coral.service#AccessDeniedException", true},
		{"no permission, by status", 403, "com.amazon.coral.service#AccessDeniedException", true},
		{"no such table", 400, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", true},
		{"a malformed request", 400, "com.amazon.coral.validate#ValidationException", true},
		{"no such credentials", 400, "com.amazon.coral.service#UnrecognizedClientException", true},
		{"the table's throughput", 400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", false},
		{"the account's throughput", 400, "com.amazonaws.dynamodb.v20120810#RequestLimitExceeded", false},
		{"the service's throttling", 400, "com.amazonaws.dynamodb.v20120810#ThrottlingException", false},
		{"transaction in progress", 400, "com.amazonaws.dynamodb.v20120810#TransactionInProgressException", false},
		{"a conflicting transaction", 400, "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", false},
		{"an error of DynamoDB", 500, "com.amazonaws.dynamodb.v20120810#InternalServerError", false},
		{"an error of a load balancer", 503, "", false},
		{"a proxy's refusal", 403, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var requests atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				io.Copy(io.Discard, r.Body)
				w.WriteHeader(test.status)
				if test.code != "" {
					io.WriteString(w, `{"__type":"`+test.code+`","message":"no"}`)
				}
			}))
			defer server.Close()
			cfg := awstest.Config(server.URL)
			if !test.final { // the SDK does not retry the others
				cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
			}
			table := &ledger.Table{Client: dynamodb.NewFromConfig(cfg), Name: "broadcasts"}
			err := table.Settle(t.Context(), "b", "me", []broadcast.Outcome{{BroadcastID: "m"}}, "")
			if err == nil || errors.Is(err, broadcast.ErrRefused) != test.final || errors.Is(err, broadcast.ErrLapsed) {
				t.Errorf("Settle: got %v, want an error, ErrRefused = %v", err, test.final)
			}
			if test.final && !strings.Contains(err.Error(), test.code[strings.Index(test.code, "#")+1:]) {
				t.Errorf("Settle: got %v, want it to contain %s", err, test.code)
			}
			if n := requests.Swap(0); n != 1 {
				t.Errorf("Settle: got %d requests, want 1", n)
			}
			claim := broadcast.Claim{BroadcastID: "m", BatchID: "b", Owner: "me", Until: time.Now()}
			if _, err := table.Claim(t.Context(), claim); err == nil {
				t.Error("Claim: got no error, want one")
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("Claim: got %d requests, want 1", n)
			}
		})
	}
}

func TestTable_SettleNoTable(t *testing.T) {
	table := &ledger.Table{Client: awstest.Tables(t), Name: "missing"}
	err := table.Settle(t.Context(), "b", "me", []broadcast.Outcome{{BroadcastID: "m"}}, "")
	if !errors.Is(err, broadcast.ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
}
