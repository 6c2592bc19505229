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
	"fanfare/test/awstest"
)

func TestConnectAndDisconnect(t *testing.T) {
	table := &registry.Table{Client: awstest.Tables(t), Name: "connections"}
	arrival := time.Now().Add(time.Hour) // so that the time for it is not up, however slow the machine
	if err := ingress.Connect(t.Context(), table, "a=", arrival); err != nil {
		t.Fatal(err)
	}
	if connections, _, err := table.Page(t.Context(), 0, 1, ""); err != nil || len(connections) != 1 || connections[0].ID != "a=" {
		t.Errorf("after connect: %v, %v", connections, err)
	}
	if err := ingress.Disconnect(t.Context(), table, "a="); err != nil {
		t.Fatal(err)
	}
	if connections, _, err := table.Page(t.Context(), 0, 1, ""); err != nil || len(connections) != 0 {
		t.Errorf("after disconnect: %v, %v", connections, err)
	}
	nowhere := &registry.Table{Client: table.Client, Name: "nowhere"}
	for verb, err := range map[string]error{
		"register":   ingress.Connect(t.Context(), nowhere, "a=", arrival),
		"unregister": ingress.Disconnect(t.Context(), nowhere, "a="),
	} {
		if err == nil || !strings.Contains(err.Error(), verb+" connection a=") {
			t.Errorf("without a table: %v", err)
		}
	}
}

// slow takes its time, and heeds the context or not.
type slow struct {
	ingress.Registry
	takes time.Duration
	deaf  bool
}

func (s slow) Add(ctx context.Context, _ broadcast.Connection) error {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		if !s.deaf {
			return ctx.Err()
		}
		<-time.After(s.takes)
	}
	return nil
}

// Ten seconds after its arrival a 410 for a connection means that it is gone, so it has to be open by then, or refused.
func TestAConnectionThatTakesTooLongIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			r       slow
			refused bool
		}{{slow{takes: 5 * time.Second}, false}, {slow{takes: 9 * time.Second}, true}, {slow{takes: 9 * time.Second, deaf: true}, true}} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			err := ingress.Connect(ctx, test.r, "a=", time.Now().Add(-time.Second)) // the function took a second to start
			cancel()
			if (err != nil) != test.refused {
				t.Errorf("%+v: %v", test.r, err)
			}
		}
	})
}

type unavailable struct{}

func (unavailable) Publish(context.Context, []byte) (string, error) {
	return "", errors.New("the queue is down")
}

func TestPublishAnswersTheClient(t *testing.T) {
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
			door := ingress.Door{Queue: &queue.Broadcasts{Client: client, URL: urls[0]}}
			reply, err := door.Publish(t.Context(), ingress.Client{Connection: "a="}, []byte(test.frame))
			if err != nil {
				t.Fatal(err)
			}
			if reply.Code != test.code {
				t.Errorf("code %q, want %q", reply.Code, test.code)
			}
			want := `{"type":"ack","id":"` + reply.ID + `"}`
			if test.code != "" {
				want = `{"type":"error","code":"` + test.code + `","message":"` + reply.Message + `"}`
			} else if reply.ID == "" {
				t.Error("no id")
			}
			if reply.Frame() != want {
				t.Errorf("frame %s, want %s", reply.Frame(), want)
			}
		})
	}
}

func TestNothingIsAcknowledgedThatTheQueueHasNot(t *testing.T) {
	reply, err := ingress.Door{Queue: unavailable{}}.Publish(t.Context(), ingress.Client{Connection: "a="}, []byte("hello"))
	if err == nil {
		t.Error("the operator does not learn of it")
	}
	if reply.Type != "error" || reply.Code != ingress.CodeUnavailable || reply.ID != "" {
		t.Errorf("the client is told %+v", reply)
	}
	if strings.Contains(reply.Frame(), "down") {
		t.Errorf("the client is told what only the operator should know: %s", reply.Frame())
	}
}

// quotas lets so many frames pass.
type quotas struct{ left, asked int }

func (q *quotas) Take(context.Context, string) (bool, error) {
	q.asked++
	if q.left < 0 {
		return false, errors.New("the table is down")
	}
	q.left--
	return q.left >= 0, nil
}

// nobody fails a test that publishes.
type nobody struct{ t *testing.T }

func (n nobody) Publish(context.Context, []byte) (string, error) {
	n.t.Error("it was published")
	return "", nil
}

func TestTheDoorStaysShut(t *testing.T) {
	for _, test := range []struct {
		name    string
		refusal *access.Refusal
		quota   quotas
		frame   string
		code    string
		asked   int  // whether the quota is counted
		failed  bool // whether the operator learns of it
	}{
		{name: "no right", refusal: &access.Refusal{Code: access.CodeNoRight, Message: "no"}, quota: quotas{left: 9}, frame: "hello", code: access.CodeNoRight},
		{name: "too large", quota: quotas{left: 9}, frame: "hello world", code: ingress.CodeTooLarge},
		{name: "empty", quota: quotas{left: 9}, code: ingress.CodeEmpty},
		{name: "too fast", frame: "hello", code: ingress.CodeTooFast, asked: 1},
		{name: "nobody can count", quota: quotas{left: -1}, frame: "hello", code: ingress.CodeUnavailable, asked: 1, failed: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			door := ingress.Door{Queue: nobody{t}, MaxBytes: 10, Quota: &test.quota}
			reply, err := door.Publish(t.Context(), ingress.Client{Connection: "a=", Refusal: test.refusal}, []byte(test.frame))
			if reply.Type != "error" || reply.Code != test.code || reply.Message == "" || (err != nil) != test.failed || test.quota.asked != test.asked {
				t.Errorf("%+v, %v, the quota was asked %d times", reply, err, test.quota.asked)
			}
		})
	}
}
