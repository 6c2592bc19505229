package ingress_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/pkg/access"
	"fanfare/pkg/broadcast"
	"fanfare/pkg/ingress"
	"fanfare/pkg/queue"
	"fanfare/pkg/registry"
	"fanfare/publish"
	"fanfare/test/awstest"
)

func TestConnectAndDisconnect(t *testing.T) {
	table := &registry.Table{Client: awstest.Tables(t), Name: "connections"}
	arrival := time.Now().Add(time.Hour) // so that a slow machine does not exceed the time to connect
	if err := ingress.Connect(t.Context(), table, "a=", arrival); err != nil {
		t.Fatal(err)
	}
	connections, _, err := table.Page(t.Context(), 0, 1, "")
	if err != nil || len(connections) != 1 || connections[0].ID != "a=" {
		t.Errorf("after connect: got %v, %v, want a=", connections, err)
	}
	if err := ingress.Disconnect(t.Context(), table, "a="); err != nil {
		t.Fatal(err)
	}
	if connections, _, err := table.Page(t.Context(), 0, 1, ""); err != nil || len(connections) != 0 {
		t.Errorf("after disconnect: got %v, %v, want none", connections, err)
	}
	missing := &registry.Table{Client: table.Client, Name: "missing"}
	for verb, err := range map[string]error{
		"register":   ingress.Connect(t.Context(), missing, "a=", arrival),
		"unregister": ingress.Disconnect(t.Context(), missing, "a="),
	} {
		if err == nil || !strings.Contains(err.Error(), verb+" connection a=") {
			t.Errorf("missing table: got %v, want an error with %q", err, verb+" connection a=")
		}
	}
}

// slow is a registry whose Add takes a time. With ignoresContext it does not end with the context.
type slow struct {
	ingress.Registry
	takes          time.Duration
	ignoresContext bool
}

func (s slow) Add(ctx context.Context, _ broadcast.Connection) error {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		if !s.ignoresContext {
			return ctx.Err()
		}
		<-time.After(s.takes)
	}
	return nil
}

// From ten seconds after its arrival a 410 for a connection means that it is gone, so it must be open by then, or
// refused.
func TestConnect_Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			r       slow
			refused bool
		}{
			{slow{takes: 5 * time.Second}, false},
			{slow{takes: 9 * time.Second}, true},
			{slow{takes: 9 * time.Second, ignoresContext: true}, true},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			err := ingress.Connect(ctx, test.r, "a=", time.Now().Add(-time.Second)) // the function took a second to start
			cancel()
			if (err != nil) != test.refused {
				t.Errorf("%v, ignores the context: %v: got %v, want refused = %v",
					test.r.takes, test.r.ignoresContext, err, test.refused)
			}
		}
	})
}

type unavailable struct{}

func (unavailable) Publish(context.Context, string, []byte) error {
	return errors.New("the queue is down")
}

func TestPublisher_Reply(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	for _, test := range []struct {
		name, frame string
		code        string // of the error frame
	}{
		{"text", "hello", ""},
		{"json with an unknown action", `{"action":"unknown"}`, ""},
		{"control characters", "a\x00b", ""},
		{"a lone surrogate's escape", `"\ud800"`, ""},
		{"the largest", strings.Repeat("x", broadcast.MaxPayloadBytes), ""},
		{"empty", "", ingress.CodeEmpty},
		{"too large", strings.Repeat("x", broadcast.MaxPayloadBytes+1), ingress.CodeTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			publisher := ingress.Publisher{Queue: &queue.Broadcasts{Client: client, URL: urls[0]}}
			reply, err := publisher.Publish(t.Context(), ingress.Client{Connection: "a="}, []byte(test.frame))
			if err != nil {
				t.Fatal(err)
			}
			if reply.Code != test.code {
				t.Errorf("got code %q, want %q", reply.Code, test.code)
			}
			want := `{"type":"ack","id":"` + reply.ID + `"}`
			if test.code != "" {
				want = `{"type":"error","code":"` + test.code + `","message":"` + reply.Message + `"}`
			} else if !strings.HasPrefix(reply.ID, "c-") || publish.CheckID(reply.ID) != nil {
				t.Errorf("got id %q, want a broadcast id that begins with c-", reply.ID)
			}
			if reply.Frame() != want {
				t.Errorf("got frame %s, want %s", reply.Frame(), want)
			}
		})
	}
}

func TestPublisher_QueueFails(t *testing.T) {
	client := ingress.Client{Connection: "a="}
	reply, err := ingress.Publisher{Queue: unavailable{}}.Publish(t.Context(), client, []byte("hello"))
	if err == nil {
		t.Error("got no error, want one")
	}
	if reply.Type != "error" || reply.Code != ingress.CodeUnavailable || reply.ID != "" {
		t.Errorf("got reply %+v, want an error with code %s", reply, ingress.CodeUnavailable)
	}
	if strings.Contains(reply.Frame(), "down") {
		t.Errorf("got frame %s, want one without the internal error", reply.Frame())
	}
}

// quotas allows `left` more frames, or fails if left is negative.
type quotas struct{ left, asked int }

func (q *quotas) Take(context.Context, string) (bool, error) {
	q.asked++
	if q.left < 0 {
		return false, errors.New("the table is down")
	}
	q.left--
	return q.left >= 0, nil
}

// forbidden fails a test that publishes.
type forbidden struct{ t *testing.T }

func (f forbidden) Publish(context.Context, string, []byte) error {
	f.t.Error("got a message on the queue, want none")
	return nil
}

func TestPublisher_Refusals(t *testing.T) {
	for _, test := range []struct {
		name    string
		refusal *access.Refusal
		quota   quotas
		frame   string
		code    string
		asked   int  // calls of Take
		failed  bool // Publish returns an error
	}{
		{
			name: "no right", refusal: &access.Refusal{Code: access.CodeNoRight, Message: "no"}, quota: quotas{left: 9},
			frame: "hello", code: access.CodeNoRight,
		},
		{name: "too large", quota: quotas{left: 9}, frame: "hello world", code: ingress.CodeTooLarge},
		{name: "empty", quota: quotas{left: 9}, code: ingress.CodeEmpty},
		{name: "too fast", frame: "hello", code: ingress.CodeTooFast, asked: 1},
		{
			name: "quota table down", quota: quotas{left: -1}, frame: "hello",
			code: ingress.CodeUnavailable, asked: 1, failed: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			publisher := ingress.Publisher{Queue: forbidden{t}, MaxBytes: 10, Quota: &test.quota}
			client := ingress.Client{Connection: "a=", Refusal: test.refusal}
			reply, err := publisher.Publish(t.Context(), client, []byte(test.frame))
			if reply.Type != "error" || reply.Code != test.code || reply.Message == "" || (err != nil) != test.failed {
				t.Errorf("got %+v, %v, want code %s with a message, failed = %v", reply, err, test.code, test.failed)
			}
			if test.quota.asked != test.asked {
				t.Errorf("got %d calls of Take, want %d", test.quota.asked, test.asked)
			}
		})
	}
}
