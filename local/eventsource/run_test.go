package eventsource_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/local/eventsource"
	"fanfare/local/sqs"
)

// A message for an idle queue reaches the function at once, however long the mapping has waited.
func TestRun_DeliversAtOnce(t *testing.T) {
	f := &function{}
	withMapping(t, eventsource.Mapping{}, f, func(w *mappingFixture) {
		for i, wait := range []time.Duration{0, 7 * time.Second, time.Hour} {
			advance(wait)
			sent := time.Since(f.start)
			w.send("", "hello")
			synctest.Wait()
			_, times := f.invocations()
			if len(times) != i+1 || times[i] != sent {
				t.Fatalf("got invocations at %v, want the last at %v", times, sent)
			}
		}
		if n := w.remaining(); n != 0 {
			t.Errorf("remaining messages after success: got %d, want 0", n)
		}
	})
}

func TestRun_Batches(t *testing.T) {
	type send struct {
		at     time.Duration
		bodies []string
	}
	for _, test := range []struct {
		name    string
		mapping eventsource.Mapping
		sends   []send
		want    []string // bodies of each event, and its time
	}{
		{name: "default size", sends: []send{{0, numbers(12)}}, want: []string{"1,2,3,4,5,6,7,8,9,10 @0s", "11,12 @0s"}},
		{name: "size 2", mapping: eventsource.Mapping{BatchSize: 2}, sends: []send{{0, numbers(4)}},
			want: []string{"1,2 @0s", "3,4 @0s"}},
		{name: "window from the first message", mapping: eventsource.Mapping{Window: 3 * time.Second},
			sends: []send{{time.Second, []string{"a"}}}, want: []string{"a @4s"}},
		{name: "full batch", mapping: eventsource.Mapping{BatchSize: 15, Window: 300 * time.Second},
			sends: []send{{time.Second, numbers(15)}}, want: []string{strings.Join(numbers(15), ",") + " @1s"}},
		{name: "window longer than a poll", mapping: eventsource.Mapping{BatchSize: 100, Window: 50 * time.Second},
			sends: []send{{0, []string{"a"}}}, want: []string{"a @50s"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &function{}
			withMapping(t, test.mapping, f, func(w *mappingFixture) {
				for _, send := range test.sends {
					advance(send.at - time.Since(f.start))
					w.send("", send.bodies...)
				}
				advance(visibility - time.Second)
				bodies, times := f.invocations()
				got := make([]string, len(bodies))
				for i := range bodies {
					got[i] = fmt.Sprintf("%s @%v", bodies[i], times[i])
				}
				slices.Sort(got)
				slices.Sort(test.want)
				if !slices.Equal(got, test.want) {
					t.Errorf("got events %q, want %q", got, test.want)
				}
				if n := w.remaining(); n != 0 {
					t.Errorf("remaining messages: got %d, want 0", n)
				}
			})
		})
	}
}

// Ten messages of 1 MiB do not fit in one event. They arrive in several events, each message once.
func TestRun_PayloadLimit(t *testing.T) {
	f := &function{}
	withMapping(t, eventsource.Mapping{BatchSize: 20, Window: time.Second}, f, func(w *mappingFixture) {
		for range 10 {
			w.send("", strings.Repeat("x", 1<<20))
		}
		advance(5 * time.Second)
		total := 0
		for _, event := range f.seen() {
			size := 0
			for _, m := range event.Records {
				size += len(m.Body)
			}
			if size >= 6<<20 {
				t.Errorf("event size: got at least %d bytes, want less than %d", size, 6<<20)
			}
			total += len(event.Records)
		}
		if total != 10 || w.remaining() != 0 {
			t.Errorf("got %d messages in %d events and %d remaining, want 10 and 0", total, len(f.seen()), w.remaining())
		}
	})
}

func TestRun_BatchResponses(t *testing.T) {
	all := []string{"a", "b", "c"}
	id := func(event events.SQSEvent, body string) string {
		i := slices.IndexFunc(event.Records, func(m events.SQSMessage) bool { return m.Body == body })
		return event.Records[i].MessageId
	}
	fixed := func(response string) func(int, events.SQSEvent) (string, error) {
		return func(int, events.SQSEvent) (string, error) { return response, nil }
	}
	for _, test := range []struct {
		name   string
		report bool
		call   func(int, events.SQSEvent) (string, error)
		kept   []string
	}{
		{"success", false, fixed(`"fine"`), nil},
		{"no flag, any response", false, fixed(`{"batchItemFailures":[{"itemIdentifier":"x"}]}`), nil},
		{"error", false, func(int, events.SQSEvent) (string, error) { return "", errors.New("broken") }, all},
		{"error with the flag", true, func(int, events.SQSEvent) (string, error) { return "", errors.New("broken") }, all},
		{"empty list", true, fixed(`{"batchItemFailures":[]}`), nil},
		{"null list", true, fixed(`{"batchItemFailures":null}`), nil},
		{"empty object", true, fixed(`{}`), nil},
		{"null", true, fixed(`null`), nil},
		{"nothing", true, fixed(``), nil},
		{"one failed", true, func(_ int, e events.SQSEvent) (string, error) {
			return fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%q}]}`, id(e, "b")), nil
		}, []string{"b"}},
		{"duplicate identifier", true, func(_ int, e events.SQSEvent) (string, error) {
			return fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%[1]q},{"itemIdentifier":%[1]q}]}`,
				id(e, "b")), nil
		}, []string{"b"}},
		{"all failed", true, func(_ int, e events.SQSEvent) (string, error) {
			return fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%q},{"itemIdentifier":%q},{"itemIdentifier":%q}]}`,
				id(e, "a"), id(e, "b"), id(e, "c")), nil
		}, all},
		{"known and unknown identifiers", true, func(_ int, e events.SQSEvent) (string, error) {
			return fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%q},{"itemIdentifier":"other"}]}`, id(e, "b")), nil
		}, all},
		{"empty id", true, fixed(`{"batchItemFailures":[{"itemIdentifier":""}]}`), all},
		{"null id", true, fixed(`{"batchItemFailures":[{"itemIdentifier":null}]}`), all},
		{"wrong key in an item", true, fixed(`{"batchItemFailures":[{"id":"x"}]}`), all},
		{"key in another case", true, func(_ int, e events.SQSEvent) (string, error) {
			return fmt.Sprintf(`{"batchItemFailures":[{"ItemIdentifier":%q}]}`, id(e, "b")), nil
		}, all},
		{"list is an object", true, fixed(`{"batchItemFailures":{}}`), all},
		{"invalid JSON", true, fixed(`{"batchItemFailures":[`), all},
		{"not an object", true, fixed(`"fine"`), all},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &function{}
			f.call = func(n int, event events.SQSEvent) (string, error) {
				if n > 1 {
					return "", nil
				}
				return test.call(n, event)
			}
			withMapping(t, eventsource.Mapping{ReportBatchItemFailures: test.report}, f, func(w *mappingFixture) {
				w.send("", all...)
				advance(visibility - time.Nanosecond)
				if n := w.remaining(); n != len(test.kept) || len(f.seen()) != 1 {
					t.Fatalf("got %d messages in the queue after %d invocations, want %d after 1",
						n, len(f.seen()), len(test.kept))
				}
				advance(time.Second)
				var again []string
				for _, event := range f.seen()[1:] {
					for _, m := range event.Records {
						again = append(again, m.Body)
						if n := m.Attributes["ApproximateReceiveCount"]; n != "2" {
							t.Errorf("receive count of message %s: got %s, want 2", m.Body, n)
						}
					}
				}
				slices.Sort(again)
				if !slices.Equal(again, test.kept) || w.remaining() != 0 {
					t.Errorf("received again: got %q, want %q; %d remaining, want 0", again, test.kept, w.remaining())
				}
			})
		})
	}
}

// While all pollers are busy, concurrency grows from 5 by 300 a minute. It falls back when the queue is empty.
func TestRun_ConcurrencyGrows(t *testing.T) {
	hold := make(chan struct{})
	f := &function{}
	f.call = func(int, events.SQSEvent) (string, error) { <-hold; return "", nil }
	withMapping(t, eventsource.Mapping{BatchSize: 1}, f, func(w *mappingFixture) {
		hold = make(chan struct{})
		w.send("", numbers(2000)...)
		for _, step := range []struct {
			at   time.Duration
			want int
		}{{0, 5}, {time.Second, 10}, {30 * time.Second, 155}, {visibility - time.Second, 300}} {
			advance(step.at - time.Since(f.start))
			if n := f.atATime(); n != step.want {
				t.Errorf("concurrent invocations after %v: got %d, want %d", step.at, n, step.want)
			}
		}
		close(hold)
		synctest.Wait()
		advance(time.Hour)
		hold = make(chan struct{})
		w.send("", numbers(20)...)
		synctest.Wait()
		if n := f.atATime(); n != 5 {
			t.Errorf("concurrent invocations after an idle hour: got %d, want 5", n)
		}
		close(hold)
	})
}

func TestRun_MaximumConcurrency(t *testing.T) {
	for _, most := range []int{2, 7} {
		f := &function{call: func(int, events.SQSEvent) (string, error) { time.Sleep(time.Second); return "", nil }}
		withMapping(t, eventsource.Mapping{BatchSize: 1, MaximumConcurrency: most}, f, func(w *mappingFixture) {
			w.send("", numbers(100)...)
			advance(50 * time.Second)
			if f.peak() != most || w.remaining() != 0 {
				t.Errorf("concurrent invocations: got %d, want %d; %d messages remaining, want 0",
					f.peak(), most, w.remaining())
			}
		})
	}
}

type throttle struct{}

func (throttle) Error() string   { return "Rate Exceeded" }
func (throttle) Throttled() bool { return true }

func TestRun_Throttled(t *testing.T) {
	t.Run("for a while", func(t *testing.T) {
		f := &function{call: func(n int, _ events.SQSEvent) (string, error) {
			if n <= 5 {
				return "", fmt.Errorf("invoke: %w", throttle{})
			}
			return "", nil
		}}
		withMapping(t, eventsource.Mapping{}, f, func(w *mappingFixture) {
			w.send("", "a")
			advance(visibility - time.Second)
			_, times := f.invocations()
			want := []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond,
				1500 * time.Millisecond, 3100 * time.Millisecond}
			if !slices.Equal(times, want) || w.remaining() != 0 {
				t.Errorf("got invocations at %v, want %v; %d messages remaining, want 0", times, want, w.remaining())
			}
		})
	})
	t.Run("longer than the visibility timeout", func(t *testing.T) {
		var last time.Duration
		f := &function{}
		f.call = func(_ int, event events.SQSEvent) (string, error) {
			if event.Records[0].Attributes["ApproximateReceiveCount"] == "1" {
				last = time.Since(f.start)
				return "", throttle{}
			}
			return "", nil
		}
		withMapping(t, eventsource.Mapping{}, f, func(w *mappingFixture) {
			w.send("", "a")
			advance(2 * visibility)
			if last != visibility || w.remaining() != 0 {
				t.Errorf("last try: got %v, want %v; %d messages remaining, want 0", last, visibility, w.remaining())
			}
		})
	})
	t.Run("during shutdown", func(t *testing.T) {
		f := &function{call: func(int, events.SQSEvent) (string, error) { return "", throttle{} }}
		withMapping(t, eventsource.Mapping{}, f, func(w *mappingFixture) {
			w.send("", "a")
			advance(time.Second)
			before := time.Now()
			if err := w.stop(); err != nil || time.Since(before) != 0 {
				t.Errorf("stop: got %v after %v, want no error at once", err, time.Since(before))
			}
			if n := w.remaining(); n != 1 {
				t.Errorf("remaining messages: got %d, want 1", n)
			}
		})
	})
}

// Failures reduce the concurrency, unless the function reports them by message.
func TestRun_BackOff(t *testing.T) {
	for _, test := range []struct {
		report bool
		want   int
	}{{false, 2}, {true, 5}} {
		failing := true
		hold := make(chan struct{})
		f := &function{}
		f.call = func(int, events.SQSEvent) (string, error) {
			if failing {
				return "", errors.New("broken")
			}
			<-hold
			return "", nil
		}
		withMapping(t, eventsource.Mapping{BatchSize: 1, ReportBatchItemFailures: test.report}, f, func(w *mappingFixture) {
			hold = make(chan struct{})
			w.send("", numbers(30)...)
			synctest.Wait()
			failing = false
			w.send("", numbers(30)...)
			synctest.Wait()
			if n := f.atATime(); n != test.want {
				t.Errorf("concurrent invocations after failures (reported: %v): got %d, want %d", test.report, n, test.want)
			}
			close(hold)
		})
	}
}

func TestRun_Trace(t *testing.T) {
	const header = "Root=1-68c563c1-1c676b964b597a606c1dfd90;Parent=713749d60fdfaa5e;Sampled=1;Lineage=1:283dea05:3"
	f := &function{}
	withMapping(t, eventsource.Mapping{Window: time.Second}, f, func(w *mappingFixture) {
		w.send("", "untraced")
		w.send(header, "traced")
		advance(2 * time.Second)
		w.send("", "untraced")
		advance(2 * time.Second)
		if !slices.Contains(f.traced(), header) || !slices.Contains(f.traced(), "") {
			t.Errorf("traces: got %q, want %q and an empty one", f.traced(), header)
		}
	})
}

// After the end of ctx nothing is received, and running invocations finish and delete their messages.
func TestRun_Stop(t *testing.T) {
	f := &function{call: func(int, events.SQSEvent) (string, error) { time.Sleep(10 * time.Second); return "", nil }}
	withMapping(t, eventsource.Mapping{BatchSize: 1, MaximumConcurrency: 2}, f, func(w *mappingFixture) {
		w.send("", numbers(10)...)
		advance(time.Second)
		if err := w.stop(); err != nil || time.Since(f.start) != 10*time.Second {
			t.Errorf("stop: got %v after %v, want no error after 10s", err, time.Since(f.start))
		}
		w.send("", "later")
		advance(time.Second)
		if n := w.remaining(); len(f.seen()) != 2 || n != 9 {
			t.Errorf("got %d invocations and %d remaining messages, want 2 and 9", len(f.seen()), n)
		}
	})
}

// The end of ctx closes the window of an incomplete batch, which is processed.
func TestRun_StopWhileGathering(t *testing.T) {
	f := &function{}
	withMapping(t, eventsource.Mapping{BatchSize: 100, Window: 100 * time.Second}, f, func(w *mappingFixture) {
		w.send("", numbers(3)...)
		advance(time.Second)
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		bodies, times := f.invocations()
		if !slices.Equal(bodies, []string{"1,2,3"}) || times[0] != time.Second || w.remaining() != 0 {
			t.Errorf("got invocations with %q at %v and %d remaining messages, want one with all after 1s",
				bodies, times, w.remaining())
		}
	})
}

func TestRun_StopWhileIdle(t *testing.T) {
	f := &function{}
	withMapping(t, eventsource.Mapping{}, f, func(w *mappingFixture) {
		advance(time.Second)
		if err := w.stop(); err != nil || time.Since(f.start) != time.Second {
			t.Errorf("stop: got %v after %v, want no error after 1s", err, time.Since(f.start))
		}
	})
}

func TestRun_Disabled(t *testing.T) {
	f := &function{}
	withMapping(t, eventsource.Mapping{Disabled: true}, f, func(w *mappingFixture) {
		w.send("", "a")
		advance(time.Hour)
		if n := w.remaining(); len(f.seen()) != 0 || n != 1 {
			t.Errorf("got %d invocations and %d messages, want 0 and 1", len(f.seen()), n)
		}
	})
}

// brokenQueue fails a number of times.
type brokenQueue struct {
	*sqs.Server
	failures atomic.Int64
}

func (q *brokenQueue) Receive(
	ctx context.Context, queueARN string, limit int, wait time.Duration,
) ([]sqs.Message, error) {
	if q.failures.Add(-1) >= 0 {
		return nil, errors.New("no such queue")
	}
	return q.Server.Receive(ctx, queueARN, limit, wait)
}

func TestRun_Refusals(t *testing.T) {
	good := eventsource.Mapping{QueueARN: "arn:aws:sqs:us-east-1:000000000000:q", FunctionName: "worker"}
	for _, test := range []struct {
		change func(*eventsource.Mapping)
		want   string
	}{
		{func(m *eventsource.Mapping) { m.FunctionName = "" }, "FunctionName is missing"},
		{func(m *eventsource.Mapping) { m.QueueARN = "arn:aws:kinesis:us-east-1:000000000000:stream/s" },
			"not the ARN of an SQS queue"},
		{func(m *eventsource.Mapping) { m.QueueARN += ".fifo" }, "FIFO queues are not emulated"},
		{func(m *eventsource.Mapping) { m.FilterCriteria = map[string]any{"Filters": nil} },
			"FilterCriteria is not emulated"},
		{func(m *eventsource.Mapping) { m.ProvisionedPollerConfig = map[string]any{"MinimumPollers": 2} },
			"ProvisionedPollerConfig is not emulated"},
		{func(m *eventsource.Mapping) { m.BatchSize = -1 }, "BatchSize -1"},
		{func(m *eventsource.Mapping) { m.BatchSize = 10_001; m.Window = time.Second }, "BatchSize 10001"},
		{func(m *eventsource.Mapping) { m.BatchSize = 11 }, "must be greater than 0"},
		{func(m *eventsource.Mapping) { m.Window = 301 * time.Second }, "MaximumBatchingWindowInSeconds"},
		{func(m *eventsource.Mapping) { m.MaximumConcurrency = 1 }, "MaximumConcurrency 1"},
		{func(m *eventsource.Mapping) { m.MaximumConcurrency = 1001 }, "MaximumConcurrency 1001"},
		{func(m *eventsource.Mapping) { m.FunctionTimeout = 31 * time.Second },
			"Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds"},
	} {
		m := good
		test.change(&m)
		err := eventsource.Run(t.Context(), m, nil, nil, eventsource.Options{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Run: got error %v, want one with %q", err, test.want)
		}
	}
	var asked []string
	err := eventsource.Run(t.Context(), good, nil, nil, eventsource.Options{
		Authorize: func(key, action, resource string) error {
			asked = append(asked, action+" "+resource)
			if action == "sqs:DeleteMessage" {
				return errors.New("not allowed")
			}
			return nil
		},
	})
	if err == nil || !strings.Contains(err.Error(), "permissions to call sqs:DeleteMessage: not allowed") {
		t.Errorf("Run: got error %v, want one that names the missing permission", err)
	}
	if want := "sqs:ReceiveMessage " + good.QueueARN; len(asked) != 2 || asked[0] != want {
		t.Errorf("authorized actions: got %q, want two, %q first", asked, want)
	}
}

// A failing Receive is retried with growing pauses until it succeeds.
func TestRun_BrokenQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sqs.New(sqs.Options{})
		defer server.Close()
		arn, err := server.CreateQueue(sqs.QueueConfig{Name: "q"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		f := &function{start: time.Now()}
		q := &brokenQueue{Server: server}
		q.failures.Store(2 * 4) // four for each of the two pollers
		go func() {
			m := eventsource.Mapping{QueueARN: arn, FunctionName: "worker", MaximumConcurrency: 2}
			ended <- eventsource.Run(ctx, m, q, f, eventsource.Options{})
		}()
		sendTo(t, server, "", nil, "a")
		advance(5 * time.Second)
		if _, times := f.invocations(); len(times) != 1 || times[0] != 1500*time.Millisecond {
			t.Errorf("got invocations at %v, want one at 1.5s, after pauses of 0.1, 0.2, 0.4 and 0.8 s", times)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
