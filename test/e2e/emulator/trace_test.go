package emulator

import (
	"encoding/json"
	"net/http"
	"testing"

	"fanfare/local/stack"
	"fanfare/local/template"
	"fanfare/local/xray"
	"fanfare/test/localtest"
	"fanfare/test/wsclient"
)

// One trace follows a broadcast from the client's frame through both queues to the posts.
func TestTrace_Broadcast(t *testing.T) {
	t.Parallel()
	s := start(t, writeTemplate(t, fanfareTemplate(t)), stack.Options{
		XRay: "127.0.0.1:0", Template: template.Options{Parameters: map[string]string{"Access": "open"}},
	})
	c := wsclient.Connect(t, s.WebSocket, wsclient.Options{})
	c.MustSend(t, "hello")
	c.MustAwait(t, "hello")

	// The segments of the functions in the order of the path. The receiver of a queue message continues the trace below
	// the call that sent the message.
	path := []struct {
		step   string
		match  func(s xray.Segment) bool
		parent int // index in path; -1 for the function's own segment, which Lambda writes
	}{
		{"default stores the frame on the broadcast queue", isCall("SendMessage"), -1},
		{"the dispatcher reads the table", isCall("Scan"), 0},
		{"the dispatcher puts batches on the send queue", isCall("SendMessageBatch"), 0},
		{"the sender posts", func(s xray.Segment) bool { return s.Name == "post batch" }, 2},
	}
	find := func(trace string, match func(xray.Segment) bool) (first xray.Segment, traceID string) {
		for _, document := range s.Traces.Segments(trace) {
			document.Walk(func(s xray.Segment) {
				if traceID == "" && match(s) {
					first, traceID = s, document.TraceID
				}
			})
		}
		return first, traceID
	}
	trace := ""
	localtest.Eventually(t, "the segment of default has arrived", func() bool {
		_, trace = find("", path[0].match)
		return trace != ""
	})
	var steps []xray.Segment
	for _, p := range path {
		var segment xray.Segment
		localtest.Eventually(t, "the trace has a segment of the step: "+p.step, func() bool {
			var found string
			segment, found = find(trace, p.match)
			return found != ""
		})
		if segment.Error || segment.Fault || segment.Throttle || segment.Duration() <= 0 {
			t.Errorf("%s: got %s, want a success with a duration", p.step, segment.Document)
		}
		if p.parent >= 0 && segment.ParentID != steps[p.parent].ID {
			t.Errorf("%s: got parent %q, want %q of the step: %s",
				p.step, segment.ParentID, steps[p.parent].ID, path[p.parent].step)
		}
		steps = append(steps, segment)
	}
	if got := steps[3].Annotations["delivered"]; got != 1.0 {
		t.Errorf("annotation delivered: got %v, want 1", got)
	}
	if got := s.Traces.Refused(); got > 0 {
		t.Errorf("got %d datagrams that were no segments, want 0", got)
	}

	// The control API has the same trace.
	code, body := request(t, s, "GET", "/_local/traces/"+trace, "")
	var documents []xray.Segment
	if err := json.Unmarshal([]byte(body), &documents); code != http.StatusOK || err != nil || len(documents) < 3 {
		t.Errorf("/_local/traces: got %d, %d documents, %v:\n%.500s\nwant at least 3", code, len(documents), err, body)
	}
}

// isCall returns a function that reports whether a segment is a call of that operation of AWS.
func isCall(operation string) func(xray.Segment) bool {
	return func(s xray.Segment) bool { return s.Namespace == "aws" && s.AWS["operation"] == operation }
}
