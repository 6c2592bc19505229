// Package doctor checks that the harness detects faults. It runs small load tests through a relay that injects one
// fault into each, and checks that the report names that fault and nothing else.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/echo"
	"fanfare/loadtest/engine"
	"fanfare/loadtest/report"
	"fanfare/loadtest/trial"
)

// Outcome is the result of one test.
type Outcome struct {
	Name  string
	Found string // the report's words for the fault
	Err   error  // nil if the report names the fault and nothing else
	Took  time.Duration
}

// control is one fault and the report that is expected of it.
type control struct {
	name  string
	fault func() fault
	// want changes the expected deliveries of a run without faults into those of this one. If nil, check does it all.
	want func(d *account.Deliveries)
	// The report must have a finding of this kind and message, unless kind is empty.
	kind    string
	message int
	// check verifies anything else.
	check func(r *report.Report, f fault) (found string, err error)
	// settings changes the load.
	settings func(s *trial.Settings)
}

// The load of most tests.
const (
	clients  = 10
	messages = 60
	rate     = 60
	// victim and nth name the delivery that a fault changes.
	victim, nth = 4, 20
)

var at = target{peer: victim, nth: nth}

// controls are all tests, in the order of their output.
var controls = []control{
	{name: "passes everything", fault: func() fault { return passAll{} },
		want: func(*account.Deliveries) {},
		check: func(r *report.Report, _ fault) (string, error) {
			for i, f := range r.Findings {
				if f.Kind != "late" {
					return "", fmt.Errorf("got %d findings without a fault, want none: %s", len(r.Findings), r.Finding(i))
				}
			}
			return "nothing", nil
		}},
	{name: "drops one delivery", fault: func() fault { return drop{target: at} },
		want: func(d *account.Deliveries) { d.Delivered--; d.Missing++ }, kind: "missing", message: nth},
	{name: "duplicates one delivery", fault: func() fault { return duplicate{target: at} },
		want: func(d *account.Deliveries) { d.Duplicates++ }, kind: "duplicate", message: nth},
	{name: "swaps two deliveries", fault: func() fault { return &swap{target: at} },
		want: func(d *account.Deliveries) { d.Reordered++; d.OutOfTurn++ }, kind: "reordered", message: nth},
	{name: "corrupts one delivery", fault: func() fault { return corrupt{target: at} },
		want: func(d *account.Deliveries) { d.Delivered--; d.Corrupt++; d.CorruptTexts++ }, kind: "corrupt", message: nth},
	{name: "delivers one to the wrong client", fault: func() fault { return &misdeliver{target: at, to: victim + 1} },
		want: func(d *account.Deliveries) { d.Delivered--; d.Missing++; d.Duplicates++; d.Misdelivered++ },
		kind: "misdelivered", message: nth},
	{name: "injects a foreign text", fault: func() fault { return inject{target: at, text: `{"hello":"world"}`} },
		want: func(d *account.Deliveries) { d.ForeignTexts++ }, kind: "foreign", message: -1},
	{name: "loses one message on its way to the server", fault: func() fault { return lose{nth: nth} },
		want: func(d *account.Deliveries) { d.Owed -= clients; d.Delivered -= clients },
		check: func(r *report.Report, _ fault) (string, error) {
			if n := r.Account.Publishing.Unanswered; n != 1 {
				return "", fmt.Errorf("got %d unanswered messages, want 1", n)
			}
			return "1 message unanswered", nil
		}},
	{name: "closes one connection", fault: func() fault { return hangUp{target: at} },
		check: hungUp, kind: "lost", message: -1},
	{name: "stalls for two seconds", fault: func() fault { return &stall{nth: stallAt, length: stallFor} },
		settings: func(s *trial.Settings) { s.Rate, s.Duration = stallRate, stallLength },
		check:    stalled},
}

// Options configures Examine.
type Options struct {
	URL     string   // of the server to relay to; empty: a bare server of the doctor's own
	Command []string // starts a worker process; see engine.NewFleet
	// Observe is called with each outcome, one call at a time.
	Observe func(Outcome)
}

// Examine runs all tests, and at last one that stops one of the harness's own processes. With bare servers of their own
// the tests run concurrently; through the one server of o.URL they run one after another. healthy reports whether every
// outcome is without an error. The error is for tests that could not run.
func Examine(ctx context.Context, o Options) (healthy bool, err error) {
	if _, err := address(o.URL); err != nil {
		return false, err
	}
	healthy = true
	var mu sync.Mutex
	observe := func(out Outcome) {
		mu.Lock()
		defer mu.Unlock()
		healthy = healthy && out.Err == nil
		o.Observe(out)
	}
	var running sync.WaitGroup
	for i := range controls {
		if o.URL != "" {
			observe(attempt(controls[i].name, func() (string, error) { return controls[i].examine(ctx, o.URL) }))
			continue
		}
		running.Go(func() {
			observe(attempt(controls[i].name, func() (string, error) { return controls[i].examine(ctx, "") }))
		})
	}
	running.Wait()
	observe(attempt("stops one of the harness's own processes", func() (string, error) { return suspended(ctx, o) }))
	return healthy, ctx.Err()
}

// attempt returns the outcome of one test.
func attempt(name string, examine func() (string, error)) Outcome {
	began := time.Now()
	found, err := examine()
	return Outcome{Name: name, Found: found, Err: err, Took: time.Since(began)}
}

// address returns the host and port of a URL, "" for an empty one.
func address(raw string) (string, error) {
	u, err := url.Parse(raw)
	if raw != "" && (err != nil || u.Scheme != "ws" || u.Port() == "") {
		return "", fmt.Errorf("url %q: want ws://host:port", raw)
	}
	return u.Host, nil
}

// server returns the address to relay to: that of raw, or that of a new bare server, which stop ends.
func server(raw string) (addr string, stop func() error, err error) {
	if raw != "" {
		addr, err := address(raw)
		return addr, func() error { return nil }, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("start bare server: %w", err)
	}
	s := echo.New(echo.Options{})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return l.Addr().String(), func() error { s.Close(); return <-done }, nil
}

// settings is the load of most tests.
func settings(target string) trial.Settings {
	return trial.Settings{
		URL: target, Via: engine.Clients, Connections: clients, Ramp: 1000, Publishers: 1, Rate: rate,
		Duration: messages * time.Second / rate,
		Deadline: 6 * time.Second, Settle: 300 * time.Millisecond, Connect: 30 * time.Second, Processes: 1, Shards: 1,
		Seed: 1,
	}
}

func (c *control) examine(ctx context.Context, target string) (found string, err error) {
	upstream, stop, err := server(target)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, stop()) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("start relay: %w", err)
	}
	fault := c.fault()
	r := newRelay(l, upstream, fault)
	defer r.Close()
	s := settings("ws://" + l.Addr().String() + "/")
	if c.settings != nil {
		c.settings(&s)
	}
	made, err := measure(ctx, s, nil, nil)
	if err != nil {
		return "", err
	}
	return c.verify(made, fault, s)
}

// verify returns the report's words for the fault, or an error if the report is not as expected.
func (c *control) verify(r *report.Report, f fault, s trial.Settings) (string, error) {
	if c.want != nil {
		count := int64(r.Conditions.Count) * int64(s.Connections)
		want := account.Deliveries{Owed: count, Delivered: count}
		c.want(&want)
		got := r.Account.Deliveries
		got.Late = 0 // the machine may be busy with other work
		if got != want {
			return "", fmt.Errorf("got deliveries %+v, want %+v", got, want)
		}
	}
	found := ""
	if c.kind != "" {
		var err error
		if found, err = named(r, c.kind, c.message); err != nil {
			return "", err
		}
	}
	if c.check == nil {
		return found, nil
	}
	more, err := c.check(r, f)
	if found != "" && more != "" {
		found += "; "
	}
	return found + more, err
}

// named returns the text of the finding of that kind and message.
func named(r *report.Report, kind string, message int) (string, error) {
	for i, f := range r.Findings {
		if f.Kind == kind && f.Broadcast == message {
			return r.Finding(i), nil
		}
	}
	return "", fmt.Errorf("got no finding %q of message %d among %d findings", kind, message, len(r.Findings))
}

// measure runs one load test. meanwhile, if not nil, runs during the measurement; its context ends with that.
func measure(ctx context.Context, s trial.Settings, command []string,
	meanwhile func(ctx context.Context, t *trial.Trial)) (r *report.Report, err error) {
	t, err := trial.Open(ctx, s, command)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.Connect(ctx); err != nil {
		return nil, err
	}
	measuring, over := context.WithCancel(ctx)
	var running sync.WaitGroup
	if meanwhile != nil {
		running.Go(func() { meanwhile(measuring, t) })
	}
	defer running.Wait()
	defer over()
	return t.Measure(ctx, s.Rate, s.Duration, "")
}

// hungUp expects one lost connection whose deliveries count as cut, not as missing.
func hungUp(r *report.Report, _ fault) (string, error) {
	c, d := r.Account.Connections, r.Account.Deliveries
	if c.Lost+c.Broken != 1 || d.Missing != 0 || d.Owed != d.Delivered+d.Cut {
		return "", fmt.Errorf("got %d lost and %d broken connections, owed %d, delivered %d, cut %d, missing %d; "+
			"want one connection and 0 missing", c.Lost, c.Broken, d.Owed, d.Delivered, d.Cut, d.Missing)
	}
	return fmt.Sprintf("%d deliveries cut, none missing", d.Cut), nil
}
