package handler_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
	"golang.org/x/time/rate"

	"fanfare/pkg/handler"
)

// lookup returns the value at a path of keys and list indices in template.yaml. Intrinsic functions are kept as they
// are.
func lookup(t *testing.T, path ...any) string {
	t.Helper()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	node := document.Content[0]
	for _, step := range path {
		switch step := step.(type) {
		case int:
			node = node.Content[step]
		case string:
			var next *yaml.Node
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == step {
					next = node.Content[i+1]
				}
			}
			if next == nil {
				t.Fatalf("template.yaml has no %v", path)
			}
			node = next
		}
	}
	return node.Value
}

// The handlers rely on the template's timeouts, batch sizes, receive counts and partial batch responses. AWS asks for a
// visibility timeout of at least six times the function's timeout.
func TestHandlers_Template(t *testing.T) {
	seconds := func(d time.Duration) string { return fmt.Sprint(int(d / time.Second)) }
	broadcasts := []any{"Resources", "DispatcherFunction", "Properties", "Events", "Broadcasts", "Properties"}
	continuations := []any{"Resources", "DispatcherFunction", "Properties", "Events", "Continuations", "Properties"}
	batches := []any{"Resources", "SenderFunction", "Properties", "Events", "Batches", "Properties"}
	for _, test := range []struct {
		path []any
		want string
	}{
		{[]any{"Resources", "DispatcherFunction", "Properties", "Timeout"}, seconds(handler.DispatcherTimeout)},
		{[]any{"Resources", "SenderFunction", "Properties", "Timeout"}, seconds(handler.SenderTimeout)},
		{slices.Concat(broadcasts, []any{"BatchSize"}), "10"},
		{slices.Concat(broadcasts, []any{"FunctionResponseTypes", 0}), "ReportBatchItemFailures"},
		{slices.Concat(continuations, []any{"BatchSize"}), "10"},
		{slices.Concat(continuations, []any{"FunctionResponseTypes", 0}), "ReportBatchItemFailures"},
		{slices.Concat(batches, []any{"BatchSize"}), "1"},
		{slices.Concat(batches, []any{"FunctionResponseTypes", 0}), "ReportBatchItemFailures"},
		{[]any{"Resources", "BroadcastQueue", "Properties", "VisibilityTimeout"}, seconds(6 * handler.DispatcherTimeout)},
		{[]any{"Resources", "ContinuationQueue", "Properties", "VisibilityTimeout"}, seconds(6 * handler.DispatcherTimeout)},
		{[]any{"Resources", "SendQueue", "Properties", "VisibilityTimeout"}, seconds(6 * handler.SenderTimeout)},
		{
			[]any{"Resources", "BroadcastQueue", "Properties", "RedrivePolicy", "maxReceiveCount"},
			fmt.Sprint(handler.MaxReceives),
		},
		{[]any{"Resources", "SendQueue", "Properties", "RedrivePolicy", "maxReceiveCount"}, fmt.Sprint(handler.MaxReceives)},
	} {
		if got := lookup(t, test.path...); got != test.want {
			t.Errorf("%v: got %s, want %s", test.path, got, test.want)
		}
	}
	if got, limit := handler.DispatcherReserve, handler.DispatcherTimeout; got >= limit {
		t.Errorf("DispatcherReserve: got %v, want less than %v", got, limit)
	}
	if got, limit := handler.SenderReserve, handler.SenderTimeout; got >= limit {
		t.Errorf("SenderReserve: got %v, want less than %v", got, limit)
	}
}

func TestBatchPosts(t *testing.T) {
	for _, test := range []struct{ postsPerSecond, senders, want int }{
		{5000, 10, 5000}, {1000, 3, 3333}, {1, 1000, 1},
	} {
		if got := handler.BatchPosts(test.postsPerSecond, test.senders); got != test.want {
			t.Errorf("BatchPosts(%d, %d): got %d, want %d", test.postsPerSecond, test.senders, got, test.want)
		}
	}
}

func TestPace(t *testing.T) {
	for _, test := range []struct {
		postsPerSecond float64
		senders        int
		limit          rate.Limit
		burst          int
	}{{5000, 10, 500, 10}, {10, 10, 1, 1}} {
		got := handler.Pace(test.postsPerSecond, test.senders)
		if got.Limit() != test.limit || got.Burst() != test.burst {
			t.Errorf("Pace(%v, %d): got %v with burst %d, want %v with %d",
				test.postsPerSecond, test.senders, got.Limit(), got.Burst(), test.limit, test.burst)
		}
	}
}
