package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"golang.org/x/sync/errgroup"

	"fanfare/pkg/ledger"
)

// rows returns the connection ids of the table.
func (w *world) rows(t *testing.T) []string {
	t.Helper()
	var ids []string
	pages := dynamodb.NewScanPaginator(w.dynamodb, &dynamodb.ScanInput{TableName: aws.String("websocket_connections"), ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			ids = append(ids, item["connectionId"].(*types.AttributeValueMemberS).Value)
		}
	}
	return ids
}

// enqueue publishes as a backend does, and returns the broadcast's id.
func (w *world) enqueue(t *testing.T, body string) string {
	t.Helper()
	out, err := w.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(w.queuePrefix + "broadcast"), MessageBody: &body})
	if err != nil {
		t.Fatal(err)
	}
	return *out.MessageId
}

// report waits until nothing of the broadcast is outstanding and returns what the ledger says of it.
func (w *world) report(t *testing.T, id string) ledger.Report {
	t.Helper()
	table := &ledger.Table{Client: w.dynamodb, Name: "websocket_broadcasts"}
	var r ledger.Report
	eventually(t, "the ledger settles broadcast "+id, func() bool {
		var err error
		if r, err = table.Report(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return r.Dispatched && r.Outstanding == 0
	})
	return r
}

func TestAThousandClientsReceiveEverythingOnce(t *testing.T) {
	const audience, abrupt, messages = 1000, 50, 20
	w := start(t)
	clients := make([]*client, audience+abrupt)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range clients {
		group.Go(func() (err error) {
			clients[i], err = dial(t.Context(), w.webSocket)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range clients {
			c.conn.Close()
		}
	})
	if n := len(w.rows(t)); n != audience+abrupt {
		t.Fatalf("%d rows for %d connections", n, audience+abrupt)
	}

	// Some go without a word: their rows go as well.
	for _, c := range clients[audience:] {
		c.abort()
	}
	clients = clients[:audience]
	eventually(t, "the rows of those who left are deleted", func() bool { return len(w.rows(t)) == audience })

	// Others have left without anybody noticing: the sender learns of it.
	for i := range 30 {
		if _, err := w.dynamodb.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("websocket_connections"), Item: map[string]types.AttributeValue{
			"connectionId": &types.AttributeValueMemberS{Value: fmt.Sprintf("GhostGhost%05d=", i)},
			"connectedAt":  &types.AttributeValueMemberN{Value: "1000"},
			"expiresAt":    &types.AttributeValueMemberN{Value: "99999999999"},
		}}); err != nil {
			t.Fatal(err)
		}
	}

	want := make(map[string]bool)
	ids := make(map[string]string)
	for i := range messages {
		payload := fmt.Sprintf("message %d", i)
		want[payload] = true
		if i%2 == 0 {
			ids[clients[i].publish(t, payload)] = payload
		} else {
			ids[w.enqueue(t, payload)] = payload
		}
	}
	if len(ids) != messages {
		t.Fatalf("%d broadcast ids for %d messages", len(ids), messages)
	}
	delivered, gone := 0, 0
	repeatable := make(map[string]int) // by payload
	for id, payload := range ids {
		r := w.report(t, id)
		if repeatable[payload] = r.AllRepeatable(); repeatable[payload] > 0 {
			t.Logf("%q may have been repeated, says the ledger: %v", payload, r.Repeatable)
		}
		if r.Delivered != audience || r.AllFailed() != 0 || r.Audience != r.Delivered+r.Gone {
			t.Errorf("broadcast %s: %+v", id, r)
		}
		delivered, gone = delivered+r.Delivered, gone+r.Gone
	}
	if delivered != audience*messages || gone < 30 {
		t.Errorf("%d delivered and %d gone, want %d and at least 30", delivered, gone, audience*messages)
	}
	if n := len(w.rows(t)); n != audience {
		t.Errorf("%d rows are left, want %d", n, audience)
	}

	// Every post has been made by now, so what comes after a last message would be a repetition. There is none unless the
	// ledger says so: of a post that had no answer in its time, as on a machine that stands still.
	last := w.enqueue(t, "the last")
	for i, c := range clients {
		c.has(t, "the last")
		got := make(map[string]bool)
		for _, f := range c.received() {
			if got[f] {
				repeatable[f]--
			}
			got[f] = true
		}
		delete(got, "the last")
		if !maps.Equal(got, want) {
			t.Fatalf("client %d received %d different frames", i, len(got))
		}
	}
	repeatable["the last"] += w.report(t, last).AllRepeatable()
	for payload, n := range repeatable {
		if n < 0 {
			t.Errorf("%q was repeated %d times more often than the ledger says", payload, -n)
		}
	}
}

func TestWhatAClientGetsBack(t *testing.T) {
	w := start(t)
	a, b := connect(t, w.webSocket), connect(t, w.webSocket)
	for _, payload := range []string{
		"hello",
		`{"action":"unknown","of":"no account"}`,
		`{"action":7}`,
		"control \x00\x01\x1b characters",
		`a lone surrogate's escape: "\ud800"`,
		"\u2028 🎺 \uffff",
		strings.Repeat("x", 32<<10),
	} {
		id := a.publish(t, payload)
		a.has(t, payload)
		b.has(t, payload)
		if r := w.report(t, id); r.Delivered != 2 {
			t.Errorf("%.40q: %+v", payload, r)
		}
	}
	a.send(t, `{"action":"ping"}`)
	if answer := a.await(t); answer["type"] != "pong" {
		t.Errorf("the answer to a ping is %v", answer)
	}
	if err := w.stop(); err != nil { // and has said everything
		t.Fatal(err)
	}
	if n := strings.Count(w.printed(), " published "); n != 7 {
		t.Errorf("default ran %d times for 7 messages: a ping is answered without a function", n)
	}
}

func TestAcknowledgementsMayBeOff(t *testing.T) {
	w := start(t, "--parameter", "Acknowledgements=off")
	a := connect(t, w.webSocket)
	a.send(t, "hello")
	a.has(t, "hello")
	a.send(t, `{"action":"ping"}`)
	if answer := a.await(t); answer["type"] != "pong" {
		t.Errorf("the first answer is %v", answer)
	}
}

func TestABackendMayExcludeConnections(t *testing.T) {
	w := start(t)
	a := connect(t, w.webSocket)
	first := w.rows(t)
	b := connect(t, w.webSocket)
	if _, err := w.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: aws.String(w.queuePrefix + "broadcast"), MessageBody: aws.String("not for a"),
		MessageAttributes: stringAttributes("exclude", strings.Join(first, ",")),
	}); err != nil {
		t.Fatal(err)
	}
	b.has(t, "not for a")
	w.enqueue(t, "for both")
	a.has(t, "for both")
	if got := a.received(); !slices.Equal(got, []string{"for both"}) {
		t.Errorf("a received %q", got)
	}
}
