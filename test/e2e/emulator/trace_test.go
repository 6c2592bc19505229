package emulator

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/gobwas/ws"

	"fanfare/local/stack"
	"fanfare/local/template"
	"fanfare/local/xray"
)

// One trace follows a broadcast from the client's frame through both queues to the posts.
func TestOneTraceFollowsABroadcast(t *testing.T) {
	t.Parallel()
	w := start(t, writeTemplate(t, ours(t)), stack.Options{
		XRay: "127.0.0.1:0", Template: template.Options{Parameters: map[string]string{"Access": "open"}},
	})
	ctx := patient(t)
	c, err := dial(ctx, t, w.url(0), ws.Dialer{})
	must(t, err)
	must(t, c.send("hello"))
	must(t, c.has(ctx, "hello"))

	// What each function does for the broadcast, in the order of the path. What a queue hands on is the child of the call
	// that put it there.
	path := []struct {
		step   string
		is     func(s xray.Segment) bool
		parent int // in path; -1: the function's own segment, which Lambda writes
	}{
		{"default stores the frame on the broadcast queue", call("SendMessage"), -1},
		{"the dispatcher reads the table", call("Scan"), 0},
		{"the dispatcher puts batches on the send queue", call("SendMessageBatch"), 0},
		{"the sender posts", func(s xray.Segment) bool { return s.Name == "post batch" }, 2},
	}
	found := func(trace string, is func(xray.Segment) bool) (first xray.Segment, ok bool) {
		for _, document := range w.Traces.Segments(trace) {
			document.Walk(func(s xray.Segment) {
				if !ok && is(s) {
					first, ok = s, true
				}
			})
		}
		return first, ok
	}
	trace := ""
	must(t, until(ctx, "default's segment has come", func() bool {
		for _, document := range w.Traces.Segments("") {
			document.Walk(func(s xray.Segment) {
				if path[0].is(s) {
					trace = document.TraceID
				}
			})
		}
		return trace != ""
	}))
	var steps []xray.Segment
	for _, p := range path {
		must(t, until(ctx, "the trace shows that "+p.step, func() bool {
			_, ok := found(trace, p.is)
			return ok
		}))
		s, _ := found(trace, p.is)
		if s.Error || s.Fault || s.Throttle || s.Duration() <= 0 {
			t.Errorf("%s: %s", p.step, s.Document)
		}
		if p.parent >= 0 && s.ParentID != steps[p.parent].ID {
			t.Errorf("%s as the child of %q, not of %q, when %s", p.step, s.ParentID, steps[p.parent].ID, path[p.parent].step)
		}
		steps = append(steps, s)
	}
	if delivered := steps[3].Annotations["delivered"]; delivered != 1.0 {
		t.Errorf("the sender says %v were delivered", delivered)
	}
	if n := w.Traces.Refused(); n > 0 {
		t.Errorf("%d datagrams were no segments", n)
	}

	// The same, for people.
	response, err := http.Get(w.AWSEndpoint + "/_local/traces/" + trace)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	var documents []xray.Segment
	if err := json.Unmarshal(body, &documents); err != nil || len(documents) < 3 {
		t.Errorf("/_local/traces has %d documents, %v:\n%.500s", len(documents), err, body)
	}
}

// call tells whether a segment is a call of AWS.
func call(operation string) func(xray.Segment) bool {
	return func(s xray.Segment) bool { return s.Namespace == "aws" && s.AWS["operation"] == operation }
}
