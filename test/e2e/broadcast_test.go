package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"golang.org/x/sync/errgroup"

	publisher "fanfare/publish"
	"fanfare/test/localtest"
	"fanfare/test/wsclient"
)

// If SQS stores a message and its answer is lost, the SDK sends it again. Each client receives each message once
// nevertheless, from backends and from clients.
func TestBroadcast_LostAnswers(t *testing.T) {
	const messages = 20
	p := start(t, "--fault", "sqs.ServerErrorDone=0.5", "--fault", "sqs.Operations=SendMessage")
	clients := []*wsclient.Client{connect(t, p), connect(t, p), connect(t, p)}
	q := publisher.Queue{Client: p.SQS, URL: p.Outputs["BroadcastQueueUrl"]}
	want := make(map[string]int)
	var group errgroup.Group
	for i := range messages {
		m := publisher.Message{Payload: fmt.Appendf(nil, "from a backend %d", i), ID: fmt.Sprintf("order-%d", i)}
		want[string(m.Payload)] = 1
		group.Go(func() error {
			_, err := q.Send(t.Context(), m)
			for tries := 1; err != nil && tries < 20; tries++ { // every answer may be lost again
				_, err = q.Send(t.Context(), m)
			}
			return err
		})
		text := fmt.Sprintf("from a client %d", i)
		want[text] = 1 // also without an acknowledgement: the fault loses answers, not messages
		if err := clients[0].Send(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "all publishes of the client are answered", func() bool {
		return len(clients[0].Frames())-len(broadcasts(clients[0])) == messages
	})
	for _, frame := range clients[0].Frames() {
		if reply, ok := wsclient.ParseReply(frame); ok && reply.Type != "ack" && reply.Code != "unavailable" {
			t.Errorf("publish: got %s, want an ack, or unavailable", frame)
		}
	}
	localtest.Eventually(t, "all queues are empty", func() bool {
		for _, name := range []string{"broadcast", "continuation", "send"} {
			if p.Queued(t, "websocket-"+name) > 0 {
				return false
			}
		}
		return true
	})
	for i := range messages {
		r := p.Report(t, fmt.Sprintf("order-%d", i))
		if r.Delivered != len(clients) || r.AllRepeatable() != 0 {
			t.Errorf("broadcast %s: got %d delivered, %v repeatable, want %d and none",
				r.BroadcastID, r.Delivered, r.Repeatable, len(clients))
		}
	}
	for i, c := range clients {
		localtest.Eventually(t, "all messages have arrived", func() bool { return len(broadcasts(c)) >= len(want) })
		got := make(map[string]int)
		for _, text := range broadcasts(c) {
			got[text]++
		}
		if !maps.Equal(got, want) {
			t.Errorf("client %d: got %d frames: %v, want each message once", i, len(broadcasts(c)), got)
		}
	}
}

// Each of a thousand clients receives each of twenty messages once, among clients that leave and rows without a client.
func TestBroadcast_ThousandClients(t *testing.T) {
	const audience, abrupt, gone, messages = 1000, 50, 30, 20
	p := start(t)
	clients := make([]*wsclient.Client, audience+abrupt)
	var group errgroup.Group
	group.SetLimit(16)
	ctx := localtest.Context(t)
	for i := range clients {
		group.Go(func() (err error) {
			clients[i], err = wsclient.Dial(ctx, p.WebSocket, wsclient.Options{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range clients {
			c.Abort()
		}
	})
	if got, want := len(p.ConnectionRows(t)), audience+abrupt; got != want {
		t.Fatalf("got %d rows, want %d", got, want)
	}

	// The rows of clients that leave without a close frame are deleted.
	for _, c := range clients[audience:] {
		c.Abort()
	}
	clients = clients[:audience]
	localtest.Eventually(t, "the rows of clients that left are deleted", func() bool {
		return len(p.ConnectionRows(t)) == audience
	})

	// Further rows have no connection. The sender finds out, and deletes them.
	p.AddGoneConnections(t, gone)

	want := make(map[string]bool)
	ids := make(map[string]string)
	for i := range messages {
		payload := fmt.Sprintf("message %d", i)
		want[payload] = true
		if i%2 == 0 {
			ids[publish(t, clients[i], payload)] = payload
		} else {
			ids[p.Enqueue(t, payload)] = payload
		}
	}
	if got := len(ids); got != messages {
		t.Fatalf("got %d broadcast ids, want %d", got, messages)
	}
	deliveredSum, goneSum := 0, 0
	repeatable := make(map[string]int) // by payload
	for id, payload := range ids {
		r := p.Report(t, id)
		if repeatable[payload] = r.AllRepeatable(); repeatable[payload] > 0 {
			t.Logf("the ledger allows repeated deliveries of %q: %v", payload, r.Repeatable)
		}
		if r.Delivered != audience || r.AllFailed() != 0 || r.Audience != r.Delivered+r.Gone {
			t.Errorf("broadcast %s: got %+v, want %d delivered and the others gone", id, r, audience)
		}
		deliveredSum, goneSum = deliveredSum+r.Delivered, goneSum+r.Gone
	}
	if deliveredSum != audience*messages || goneSum < gone {
		t.Errorf("got %d delivered and %d gone, want %d and at least %d", deliveredSum, goneSum, audience*messages, gone)
	}
	if got := len(p.ConnectionRows(t)); got != audience {
		t.Errorf("got %d rows at the end, want %d", got, audience)
	}

	// All posts have been made, so a frame before the last message is not followed by a repeat of it. The ledger counts
	// the posts that may have been repeated, such as those without an answer in time on a machine that stalls.
	last := p.Enqueue(t, "the last")
	for i, c := range clients {
		c.MustAwait(t, "the last")
		got := make(map[string]bool)
		for _, frame := range broadcasts(c) {
			if got[frame] {
				repeatable[frame]--
			}
			got[frame] = true
		}
		delete(got, "the last")
		if !maps.Equal(got, want) {
			t.Fatalf("client %d: got %d different frames, want the %d that were published", i, len(got), messages)
		}
	}
	repeatable["the last"] += p.Report(t, last).AllRepeatable()
	for payload, n := range repeatable {
		if n < 0 {
			t.Errorf("%q: got %d more repeated deliveries than the ledger allows, want 0", payload, -n)
		}
	}
}

// A payload arrives as it was sent, at the publisher too, and a ping is answered without a function.
func TestBroadcast_Payloads(t *testing.T) {
	p := start(t)
	a, b := connect(t, p), connect(t, p)
	payloads := []string{
		"hello",
		`{"action":"unknown","of":"another application"}`,
		`{"action":7}`,
		"control \x00\x01\x1b characters",
		`a lone surrogate's escape: "\ud800"`,
		"\u2028 🎺 \uffff",
		strings.Repeat("x", 32<<10),
	}
	for _, payload := range payloads {
		id := publish(t, a, payload)
		a.MustAwait(t, payload)
		b.MustAwait(t, payload)
		if r := p.Report(t, id); r.Delivered != 2 {
			t.Errorf("%.40q: got %+v, want 2 delivered", payload, r)
		}
	}
	a.MustSend(t, `{"action":"ping"}`)
	if got := a.MustReply(t); got.Type != "pong" {
		t.Errorf("ping: got %+v, want a pong", got)
	}
	if err := p.Stop(); err != nil { // completes the log
		t.Fatal(err)
	}
	if got := strings.Count(p.Log(), " published "); got != len(payloads) {
		t.Errorf("got %d messages in the log of default, want %d and none for the ping", got, len(payloads))
	}
}

func TestParameter_AcknowledgementsOff(t *testing.T) {
	p := start(t, "--parameter", "Acknowledgements=off")
	a := connect(t, p)
	a.MustSend(t, "hello")
	a.MustAwait(t, "hello")
	a.MustSend(t, `{"action":"ping"}`)
	if got := a.MustReply(t); got.Type != "pong" {
		t.Errorf("first reply: got %+v, want a pong", got)
	}
}

// A backend excludes connections from a broadcast.
func TestBroadcast_Exclude(t *testing.T) {
	p := start(t)
	a := connect(t, p)
	excluded := slices.Collect(maps.Keys(p.ConnectionRows(t)))
	b := connect(t, p)
	if _, err := p.SQS.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: aws.String(p.Outputs["BroadcastQueueUrl"]), MessageBody: aws.String("not for a"),
		MessageAttributes: stringAttributes("exclude", strings.Join(excluded, ",")),
	}); err != nil {
		t.Fatal(err)
	}
	b.MustAwait(t, "not for a")
	p.Enqueue(t, "for both")
	a.MustAwait(t, "for both")
	if got, want := a.Frames(), []string{"for both"}; !slices.Equal(got, want) {
		t.Errorf("a: got %q, want %q", got, want)
	}
}
