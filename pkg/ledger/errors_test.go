package ledger_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/ledger"
	"fanfare/test/awstest"
)

// claimError claims a batch of the broadcast b and returns the error.
func claimError(t *testing.T, table *ledger.Table, batch string, until time.Time) error {
	c := broadcast.Claim{BroadcastID: "b", BatchID: batch, Owner: "me", Until: until, Size: 1}
	_, err := table.Claim(t.Context(), c)
	return err
}

// Every failure of DynamoDB reaches the caller.
func TestTable_Missing(t *testing.T) {
	table, present := newTable(t)
	table.Name = "missing"
	ctx, plan := t.Context(), broadcast.Plan{Segments: 1, At: *present}
	_, planErr := table.Plan(ctx, "b", plan)
	_, plansErr := table.Plans(ctx, "b")
	_, reportErr := table.Report(ctx, "b")
	for call, err := range map[string]error{
		"Plan": planErr, "Plans": plansErr, "Report": reportErr, "Claim": claimError(t, table, "0/1.0.0", *present),
		"Emitted": table.Emitted(ctx, "b", plan),
		"Settle":  table.Settle(ctx, "0/1.0.0", "me", []broadcast.Outcome{{BroadcastID: "b"}}, ""),
	} {
		if err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
			t.Errorf("%s: got %v, want ResourceNotFoundException", call, err)
		}
	}
}

// A report needs both the plans and the batches.
func TestTable_ReportPartlyUnreadable(t *testing.T) {
	for name, prefix := range map[string]string{"plans": "plan.", "batches": "batch."} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			if strings.Contains(string(body), `"`+prefix+`"`) {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no"}`)
				return
			}
			fmt.Fprint(w, `{"Items":[],"Count":0,"ScannedCount":0}`)
		}))
		table := &ledger.Table{Client: dynamodb.NewFromConfig(awstest.Config(server.URL)), Name: "broadcasts"}
		if _, err := table.Report(t.Context(), "b"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error about them", name, err)
		}
		server.Close()
	}
}

// A row that another program wrote is an error, not a count.
func TestTable_MalformedRows(t *testing.T) {
	table, present := newTable(t)
	put := func(broadcastID, part string, other map[string]types.AttributeValue) {
		t.Helper()
		item := map[string]types.AttributeValue{
			"broadcastId": &types.AttributeValueMemberS{Value: broadcastID},
			"part":        &types.AttributeValueMemberS{Value: part},
		}
		maps.Copy(item, other)
		_, err := table.Client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("broadcasts"), Item: item})
		if err != nil {
			t.Fatal(err)
		}
	}
	text := &types.AttributeValueMemberS{Value: "text"}
	put("b", "plan.0/1.0", map[string]types.AttributeValue{"buckets": text})
	put("b", "batch.0/1.0.0", map[string]types.AttributeValue{"settled": text})
	put("claims", "batch.0/1.0.0", map[string]types.AttributeValue{
		"claims": &types.AttributeValueMemberSS{Value: []string{"many me"}},
	})
	if _, err := table.Plan(t.Context(), "b", broadcast.Plan{Segments: 1, At: *present}); err == nil {
		t.Error("Plan: got no error, want one")
	}
	if _, err := table.Plans(t.Context(), "b"); err == nil {
		t.Error("Plans: got no error, want one")
	}
	if err := claimError(t, table, "0/1.0.0", *present); err == nil {
		t.Error("Claim: got no error, want one")
	}
	if _, err := table.Report(t.Context(), "claims"); err == nil || !strings.Contains(err.Error(), `claim "many me"`) {
		t.Errorf("Report: got %v, want an error about the claim", err)
	}
	if _, err := table.Report(t.Context(), "b"); err == nil {
		t.Error("Report: got no error, want one")
	}
}

// A broadcast is dispatched when the batches of every plan are on the queue, and the plans cover every segment.
func TestTable_ReportDispatched(t *testing.T) {
	first := broadcast.Plan{Segments: 2, Stretch: 0, End: "e="}
	rest := broadcast.Plan{Segments: 2, Stretch: 1}
	other := broadcast.Plan{Segment: 1, Segments: 2}
	for _, test := range []struct {
		name    string
		plans   []broadcast.Plan
		emitted []broadcast.Plan
		want    bool
	}{
		{"all", []broadcast.Plan{first, rest, other}, []broadcast.Plan{first, rest, other}, true},
		{"one not emitted", []broadcast.Plan{first, rest, other}, []broadcast.Plan{first, other}, false},
		{"the end of a segment missing", []broadcast.Plan{first, other}, []broadcast.Plan{first, other}, false},
		{"the start of a segment missing", []broadcast.Plan{rest, other}, []broadcast.Plan{rest, other}, false},
		{"a segment missing", []broadcast.Plan{first, rest}, []broadcast.Plan{first, rest}, false},
		{"only a split", []broadcast.Plan{{Segments: 1, Split: 2}}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			table, present := newTable(t)
			for _, p := range test.plans {
				p.At = *present
				if _, err := table.Plan(t.Context(), "b", p); err != nil {
					t.Fatal(err)
				}
			}
			for _, p := range test.emitted {
				if err := table.Emitted(t.Context(), "b", p); err != nil {
					t.Fatal(err)
				}
			}
			if r, err := table.Report(t.Context(), "b"); err != nil || r.Dispatched != test.want {
				t.Errorf("got %v, %v, want %v", r.Dispatched, err, test.want)
			}
		})
	}
}
