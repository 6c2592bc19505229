package chaos

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/ledger"
	"fanfare/pkg/queue"
	"fanfare/test/audit"
	"fanfare/test/localtest"
)

// settle waits until no delivery of any broadcast is outstanding. Meanwhile it sends back, as an operator would, the
// messages that SQS has moved to a dead-letter queue without an entry in the ledger, and returns their number.
func (g *clientGroup) settle(t *testing.T) (redriven int) {
	t.Helper()
	open := slices.Clone(g.ids)
	table := g.Ledger()
	tries := 0
	for begin := time.Now(); len(open) > 0; tries++ {
		open = slices.DeleteFunc(open, func(id string) bool {
			r, err := table.Report(t.Context(), id)
			return err == nil && r.Dispatched && r.Outstanding == 0
		})
		if time.Since(begin) > 2*localtest.Deadline {
			t.Fatalf("got %d broadcasts with outstanding deliveries, want none; the first is %s", len(open), open[0])
		}
		if tries%20 == 19 {
			redriven += g.redrive(t)
		}
		time.Sleep(300 * time.Millisecond)
	}
	return redriven
}

func (g *clientGroup) redrive(t *testing.T) (n int) {
	t.Helper()
	continuations := &queue.Continuations{Client: g.SQS, URL: g.QueueURL(continuationQueue)}
	batches := &queue.Batches{Client: g.SQS, URL: g.QueueURL(sendQueue)}
	for name, send := range map[string]func(context.Context, queue.Letter) error{
		broadcastLetterQueue:    continuations.Redrive,
		continuationLetterQueue: continuations.Redrive,
		sendLetterQueue:         batches.Redrive,
	} {
		letters := &queue.DeadLetters{
			Client: g.SQS, URL: g.QueueURL(name), FromPublishers: name == broadcastLetterQueue,
		}
		if err := letters.Each(t.Context(), func(l queue.Letter) (bool, error) {
			if l.Reason != "" {
				return false, nil // the ledger counts it as failed
			}
			n++
			return true, send(t.Context(), l)
		}); err != nil {
			t.Error(err)
		}
	}
	return n
}

// publishFinal publishes three final broadcasts and waits until the clients have received them.
func (g *clientGroup) publishFinal(t *testing.T, clients []*client) (redriven int) {
	t.Helper()
	const messages = 3
	g.final.Store(int64(g.sequence + 1))
	for range messages {
		g.enqueue(t, 100)
	}
	redriven = g.settle(t)
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		lacking := 0
		for _, c := range clients {
			if c.final.Load() < messages {
				lacking++
			}
		}
		if lacking == 0 {
			return redriven
		}
		if time.Since(begin) > localtest.Deadline {
			t.Errorf("got %d clients without the final broadcasts, want none", lacking)
			return redriven
		}
	}
}

// attemptReasons returns the reason of each attempt from the ledger's table, by "broadcast/batch"; "" for a first
// attempt.
func (s *system) attemptReasons(t *testing.T) map[string]string {
	t.Helper()
	reasons := make(map[string]string)
	pages := dynamodb.NewScanPaginator(s.DynamoDB, &dynamodb.ScanInput{
		TableName: aws.String(s.Outputs["BroadcastsTableName"]), ConsistentRead: aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			var part struct {
				BroadcastID string `dynamodbav:"broadcastId"`
				Part        string `dynamodbav:"part"`
				Reason      string `dynamodbav:"reason"`
			}
			if err := attributevalue.UnmarshalMap(item, &part); err != nil {
				t.Fatal(err)
			}
			if batch, ok := strings.CutPrefix(part.Part, "batch."); ok {
				reasons[part.BroadcastID+"/"+batch] = part.Reason
			}
		}
	}
	return reasons
}

// checkDeadLetters checks that a client whose own buffer stays full leaves no dead letter, also under other faults: a
// dead letter that names one of the stalled connections must have met another fault in most of its attempts.
func (s *system) checkDeadLetters(t *testing.T, stalled map[string]time.Time) {
	t.Helper()
	attempts := s.attemptReasons(t)
	letters := &queue.DeadLetters{Client: s.SQS, URL: s.QueueURL(sendLetterQueue)}
	if err := letters.Each(t.Context(), func(l queue.Letter) (bool, error) {
		b, err := broadcast.DecodeBatch(l.Body)
		if err != nil {
			return false, err
		}
		isStalled := func(id string) bool { return !stalled[id].IsZero() }
		if !slices.ContainsFunc(slices.Concat(b.Connections, b.Settling), isStalled) {
			return false, nil
		}
		// Each attempt has recorded the reason for the next one; the last reason is the letter's.
		reasons := []string{l.Reason}
		for id := b.ID; len(reasons) < l.Attempts; {
			id = id[:max(0, strings.LastIndexByte(id, '~'))]
			reasons = append(reasons, attempts[b.Messages[0].ID+"/"+id])
		}
		full := 0 // attempts that met a 429, as posts to a client that does not read do
		for _, reason := range reasons {
			if reason == broadcast.ReasonThrottled || reason == broadcast.ReasonBufferFull {
				full++
			}
		}
		if 2*full >= len(reasons) {
			t.Errorf("got a dead letter of batch %s for a client that does not read, after %v (last attempt first), want none",
				b.ID, reasons)
		}
		return false, nil
	}); err != nil {
		t.Error(err)
	}
}

// reports adds the ledger's reports to the trail, and returns them. Only the given causes allow repeated deliveries.
func (g *clientGroup) reports(t *testing.T, causes ...string) (reports []ledger.Report) {
	t.Helper()
	table := g.Ledger()
	for _, id := range g.ids {
		r, err := table.Report(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(r.Repeatable, func(cause string, _ int) bool { return !slices.Contains(causes, cause) })
		reports = append(reports, r)
		if err := g.trail.Report(id, audit.Report{
			Audience: r.Audience, Delivered: r.Delivered, Gone: r.Gone, Failed: r.Failed, Outstanding: r.Outstanding,
			Repeatable: r.AllRepeatable(),
		}); err != nil {
			t.Fatal(err)
		}
	}
	return reports
}

// total returns the sum of reports.
func total(reports []ledger.Report) ledger.Report {
	sum := ledger.Report{Failed: make(map[string]int), Repeatable: make(map[string]int)}
	for _, r := range reports {
		sum.Audience, sum.Delivered, sum.Gone = sum.Audience+r.Audience, sum.Delivered+r.Delivered, sum.Gone+r.Gone
		sum.Posts, sum.Retries = sum.Posts+r.Posts, sum.Retries+r.Retries
		for reason, n := range r.Failed {
			sum.Failed[reason] += n
		}
		for cause, n := range r.Repeatable {
			sum.Repeatable[cause] += n
		}
	}
	return sum
}
