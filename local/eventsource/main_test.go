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

const visibility = 60 * time.Second

// function is an Invoker in place of Lambda: it keeps the events and answers by call.
type function struct {
	call func(n int, event events.SQSEvent) (response string, err error) // n counts from 1; nil answers "null"

	mu      sync.Mutex
	events  []events.SQSEvent
	times   []time.Duration // when, since the start
	traces  []string
	start   time.Time
	running int
	most    int // that ran at a time
}

func (f *function) Invoke(ctx context.Context, name string, payload []byte, trace string) ([]byte, error) {
	if name != "worker" {
		return nil, fmt.Errorf("invoked %q", name)
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

// invocations returns the bodies of each event, joined by commas, and when it came.
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

// watchedQueue tells of a Receive after the end.
type watchedQueue struct {
	*sqs.Server
	t *testing.T
}

func (q watchedQueue) Receive(ctx context.Context, queueARN string, max int, wait time.Duration) ([]sqs.Message, error) {
	if ctx.Err() != nil {
		q.t.Error("received after the end")
	}
	return q.Server.Receive(ctx, queueARN, max, wait)
}

// world is a queue with a mapping on it, in synctest's time.
type world struct {
	t     *testing.T
	sqs   *sqs.Server
	queue string // ARN
	stop  func() error
}

// inWorld runs a test in a bubble of time of its own: the mapping runs from the start until stop or the test's end.
func inWorld(t *testing.T, m eventsource.Mapping, f *function, test func(*world)) {
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
		w := &world{t: t, sqs: server, queue: arn}
		w.stop = sync.OnceValue(func() error {
			synctest.Wait() // so that nobody is between having looked for the end and receiving
			cancel()
			return <-ended
		})
		test(w)
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

// pass lets time pass, and then everything happen that is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// send puts messages on the queue, ten at a time, with a trace header if it is not "".
func (w *world) send(trace string, bodies ...string) {
	w.t.Helper()
	sendTo(w.t, w.sqs, trace, nil, bodies...)
}

func sendTo(t *testing.T, server *sqs.Server, trace string, attributes map[string]any, bodies ...string) {
	t.Helper()
	for len(bodies) > 0 {
		n := min(10, len(bodies))
		var entries []map[string]any
		for i, body := range bodies[:n] {
			entries = append(entries, map[string]any{"Id": fmt.Sprint(i), "MessageBody": body, "MessageAttributes": attributes})
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
			t.Fatalf("send: %d %s", out.Code, out.Body)
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

// remaining returns how many messages the queue holds, whether visible or not.
func (w *world) remaining() int {
	w.t.Helper()
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"QueueUrl":"http://127.0.0.1/000000000000/q","AttributeNames":["All"]}`))
	r.Header.Set("X-Amz-Target", "AmazonSQS.GetQueueAttributes")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	out := httptest.NewRecorder()
	w.sqs.ServeHTTP(out, r)
	var answer struct{ Attributes map[string]string }
	if err := json.Unmarshal(out.Body.Bytes(), &answer); err != nil || out.Code != 200 {
		w.t.Fatalf("queue attributes: %d %s", out.Code, out.Body)
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
