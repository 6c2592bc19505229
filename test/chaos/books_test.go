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
)

// connections returns what is in the connections table: ids, and when they connected.
func (w *world) connections(t *testing.T) map[string]time.Time {
	t.Helper()
	rows := make(map[string]time.Time)
	pages := dynamodb.NewScanPaginator(w.db, &dynamodb.ScanInput{TableName: aws.String("websocket_connections"), ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("connectionId, connectedAt")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			var row struct {
				ConnectionID string `dynamodbav:"connectionId"`
				ConnectedAt  int64  `dynamodbav:"connectedAt"`
			}
			if err := attributevalue.UnmarshalMap(item, &row); err != nil {
				t.Fatal(err)
			}
			rows[row.ConnectionID] = time.UnixMilli(row.ConnectedAt)
		}
	}
	return rows
}

// settle waits until nothing of any broadcast is outstanding. What SQS has moved to a dead-letter queue without its having
// been accounted for is sent back, as an operator would; it returns how much.
func (c *crowd) settle(t *testing.T) (redriven int) {
	t.Helper()
	open := slices.Clone(c.ids)
	tries := 0
	for begin := time.Now(); len(open) > 0; tries++ {
		open = slices.DeleteFunc(open, func(id string) bool {
			r, err := c.books.Report(t.Context(), id)
			return err == nil && r.Dispatched && r.Outstanding == 0
		})
		if time.Since(begin) > 2*patience {
			t.Fatalf("%d broadcasts are outstanding; the first is %s", len(open), open[0])
		}
		if tries%20 == 19 {
			redriven += c.redrive(t)
		}
		time.Sleep(300 * time.Millisecond)
	}
	return redriven
}

func (c *crowd) redrive(t *testing.T) (n int) {
	t.Helper()
	for name, back := range map[string]func(context.Context, queue.Letter) error{
		"broadcast": (&queue.Broadcasts{Client: c.mq, URL: c.queues + "broadcast"}).Redrive,
		"send":      (&queue.Batches{Client: c.mq, URL: c.queues + "send"}).Redrive,
	} {
		letters := &queue.DeadLetters{Client: c.mq, URL: c.queues + name + "-dead-letter"}
		if err := letters.Each(t.Context(), func(l queue.Letter) (bool, error) {
			if l.Reason != "" {
				return false, nil // accounted for
			}
			n++
			return true, back(t.Context(), l)
		}); err != nil {
			t.Error(err)
		}
	}
	return n
}

// last publishes a few last broadcasts and waits until the clients have them.
func (c *crowd) last(t *testing.T, clients []*client) (redriven int) {
	t.Helper()
	const messages = 3
	c.finale.Store(int64(c.sequence + 1))
	for range messages {
		c.enqueue(t, 100)
	}
	redriven = c.settle(t)
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		lacking := 0
		for _, k := range clients {
			if k.finale.Load() < messages {
				lacking++
			}
		}
		if lacking == 0 {
			return redriven
		}
		if time.Since(begin) > patience {
			t.Errorf("%d clients have not received the last broadcasts", lacking)
			return redriven
		}
	}
}

// reasons returns why each attempt was made, by broadcast and batch; empty for the first. It is from the ledger's table.
func (w *world) reasons(t *testing.T) map[string]string {
	t.Helper()
	reasons := make(map[string]string)
	pages := dynamodb.NewScanPaginator(w.db, &dynamodb.ScanInput{TableName: aws.String("websocket_broadcasts"), ConsistentRead: aws.Bool(true)})
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

// noLetters holds the system to it that a client whose own buffer stays full leaves nothing on the dead-letter queue,
// whatever other faults are about: a letter that names one of the deaf has to have met such a fault at most of its attempts.
func (w *world) noLetters(t *testing.T, deaf map[string]time.Time) {
	t.Helper()
	why := w.reasons(t)
	letters := &queue.DeadLetters{Client: w.mq, URL: w.queues + "send-dead-letter"}
	if err := letters.Each(t.Context(), func(l queue.Letter) (bool, error) {
		b, err := broadcast.DecodeBatch(l.Body)
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(slices.Concat(b.Connections, b.Settling), func(id string) bool { return !deaf[id].IsZero() }) {
			return false, nil
		}
		// Each attempt but the last has given its successor the reason.
		reasons := []string{l.Reason}
		for id := b.ID; len(reasons) < l.Attempts; {
			id = id[:max(0, strings.LastIndexByte(id, '~'))]
			reasons = append(reasons, why[b.Messages[0].ID+"/"+id])
		}
		full := 0 // whoever does not read is answered 429 for that
		for _, reason := range reasons {
			if reason == broadcast.ReasonThrottled || reason == broadcast.ReasonBufferFull {
				full++
			}
		}
		if 2*full >= len(reasons) {
			t.Errorf("the dead-letter queue holds batch %s for a client that does not read; its attempts met, from the last on, %v", b.ID, reasons)
		}
		return false, nil
	}); err != nil {
		t.Error(err)
	}
}

// reports puts the books into the trail, and returns them. What the ledger says may have been repeated counts for the causes
// named.
func (c *crowd) reports(t *testing.T, causes ...string) (reports []ledger.Report) {
	t.Helper()
	for _, id := range c.ids {
		r, err := c.books.Report(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(r.Repeatable, func(cause string, _ int) bool { return !slices.Contains(causes, cause) })
		reports = append(reports, r)
		if err := c.trail.Report(id, audit.Report{
			Audience: r.Audience, Delivered: r.Delivered, Gone: r.Gone, Failed: r.Failed, Outstanding: r.Outstanding, Repeatable: r.AllRepeatable(),
		}); err != nil {
			t.Fatal(err)
		}
	}
	return reports
}

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
