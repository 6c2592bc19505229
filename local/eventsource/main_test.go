package eventsource_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"go.uber.org/goleak"

	"fanfare/local/eventsource"
	"fanfare/local/sqs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// visibility is the queue's visibility timeout in tests.
const visibility = 60 * time.Second

// function is an Invoker that records events and answers them by call.
type function struct {
	call func(n int, event events.SQSEvent) (response string, err error) // n counts from 1; nil answers "null"

	mu      sync.Mutex
	events  []events.SQSEvent
	times   []time.Duration // of the invocations, since start
	traces  []string
	start   time.Time
	running int
	most    int // maximum of running
}

func (f *function) Invoke(ctx context.Context, name string, payload []byte, trace string) ([]byte, error) {
	if name != "worker" {
		return nil, fmt.Errorf("invoke: got function %q, want worker", name)
	}
	var event events.SQSEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.events = append(f.events, event)
	f.times = append(f.times, time.Since(f.start))
	f.traces = append(f.traces, trace)
	n := len(f.events)
	f.running++
	f.most = max(f.most, f.running)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running--
		f.mu.Unlock()
	}()
	if f.call == nil {
		return []byte("null"), nil
	}
	response, err := f.call(n, event)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return []byte(response), err
}

// invocations returns the bodies of each event, joined by commas, and the times of the events.
func (f *function) invocations() (bodies []string, times []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, event := range f.events {
		var part []string
		for _, m := range event.Records {
			part = append(part, m.Body)
		}
		bodies = append(bodies, strings.Join(part, ","))
	}
	return bodies, slices.Clone(f.times)
}

func (f *function) seen() []events.SQSEvent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.events)
}

func (f *function) traced() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.traces)
}

func (f *function) peak() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

func (f *function) atATime() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running
}

// watchedQueue reports a Receive after the end of ctx.
type watchedQueue struct {
	*sqs.Server
	t *testing.T
}

func (q watchedQueue) Receive(
	ctx context.Context, queueARN string, limit int, wait time.Duration,
) ([]sqs.Message, error) {
	if ctx.Err() != nil {
		q.t.Error("Receive: called after the end of ctx")
	}
	return q.Server.Receive(ctx, queueARN, limit, wait)
}

// mappingFixture is a queue and its running mapping, in synctest's time.
type mappingFixture struct {
	t     *testing.T
	sqs   *sqs.Server
	queue string // ARN
	stop  func() error
}

// withMapping runs a test with a mapping in a synctest bubble. The mapping runs until stop or the end of the test.
func withMapping(t *testing.T, m eventsource.Mapping, f *function, test func(*mappingFixture)) {
	synctest.Test(t, func(t *testing.T) {
		server := sqs.New(sqs.Options{})
		defer server.Close()
		arn, err := server.CreateQueue(sqs.QueueConfig{
			Name: "q", Attributes: map[string]string{"VisibilityTimeout": fmt.Sprint(visibility.Seconds())},
		})
		if err != nil {
			t.Fatal(err)
		}
		m.QueueARN, m.FunctionName, m.VisibilityTimeout = arn, "worker", visibility
		f.start = time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- eventsource.Run(ctx, m, watchedQueue{server, t}, f, eventsource.Options{}) }()
		w := &mappingFixture{t: t, sqs: server, queue: arn}
		w.stop = sync.OnceValue(func() error {
			synctest.Wait() // so that no poller is between its check of ctx and Receive
			cancel()
			return <-ended
		})
		test(w)
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

// advance sleeps and then waits until all goroutines are blocked.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// send sends messages in batches of ten, with a trace header if it is not "".
func (w *mappingFixture) send(trace string, bodies ...string) {
	w.t.Helper()
	sendTo(w.t, w.sqs, trace, nil, bodies...)
}

func sendTo(t *testing.T, server *sqs.Server, trace string, attributes map[string]any, bodies ...string) {
	t.Helper()
	for len(bodies) > 0 {
		n := min(10, len(bodies))
		var entries []map[string]any
		for i, body := range bodies[:n] {
			entries = append(entries, map[string]any{
				"Id": fmt.Sprint(i), "MessageBody": body, "MessageAttributes": attributes,
			})
		}
		bodies = bodies[n:]
		request, err := json.Marshal(map[string]any{"QueueUrl": "http://127.0.0.1/000000000000/q", "Entries": entries})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/", strings.NewReader(string(request)))
		r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessageBatch")
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		if trace != "" {
			r.Header.Set("X-Amzn-Trace-Id", trace)
		}
		out := httptest.NewRecorder()
		server.ServeHTTP(out, r)
		if out.Code != 200 || strings.Contains(out.Body.String(), "Failed") {
			t.Fatalf("send: got %d %s, want 200", out.Code, out.Body)
		}
	}
}

// numbers returns the numbers from 1 to n.
func numbers(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(i+1))
	}
	return out
}

// remaining returns the number of messages in the queue, visible or not.
func (w *mappingFixture) remaining() int {
	w.t.Helper()
	r := httptest.NewRequest("POST", "/", strings.NewReader(
		`{"QueueUrl":"http://127.0.0.1/000000000000/q","AttributeNames":["All"]}`))
	r.Header.Set("X-Amz-Target", "AmazonSQS.GetQueueAttributes")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	out := httptest.NewRecorder()
	w.sqs.ServeHTTP(out, r)
	var answer struct{ Attributes map[string]string }
	if err := json.Unmarshal(out.Body.Bytes(), &answer); err != nil || out.Code != 200 {
		w.t.Fatalf("queue attributes: got %d %s, error %v", out.Code, out.Body, err)
	}
	n := 0
	for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"} {
		var part int
		if _, err := fmt.Sscan(answer.Attributes[name], &part); err != nil {
			w.t.Fatal(name, err)
		}
		n += part
	}
	return n
}
