// Package doctor proves that the harness would notice: it runs small load tests through a relay that commits one fault
// each, and tells whether the report found that fault and nothing else.
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

// Outcome is what became of one control.
type Outcome struct {
	Name  string
	Found string // what the report said of the fault
	Err   error  // nil if it found the fault and nothing else
	Took  time.Duration
}

// control is one fault and how a report must look that has noticed it.
type control struct {
	name  string
	fault func() Fault
	// want changes the account of a faultless run into that of this one; nil: the account is check's affair.
	want func(d *account.Deliveries)
	// kind and message are those of a finding that must be there, if kind is not empty.
	kind    string
	message int
	// check looks at anything else.
	check func(r *report.Report, f Fault) (found string, err error)
	// settings changes the load.
	settings func(s *trial.Settings)
}

// The load of most controls.
const (
	clients  = 10
	messages = 60
	rate     = 60
	// victim and nth name the delivery that a fault befalls.
	victim, nth = 4, 20
)

var at = At{Client: victim, Nth: nth}

// controls are all of them, in the order in which they are told.
var controls = []control{
	{name: "does nothing wrong", fault: func() Fault { return Faithful{} },
		want: func(*account.Deliveries) {},
		check: func(r *report.Report, _ Fault) (string, error) {
			for i, f := range r.Findings {
				if f.Kind != "late" {
					return "", fmt.Errorf("%d findings where nothing was wrong: %s", len(r.Findings), r.Finding(i))
				}
			}
			return "nothing", nil
		}},
	{name: "drops one delivery", fault: func() Fault { return Drop{At: at} },
		want: func(d *account.Deliveries) { d.Delivered--; d.Missing++ }, kind: "missing", message: nth},
	{name: "delivers one twice", fault: func() Fault { return Duplicate{At: at} },
		want: func(d *account.Deliveries) { d.Duplicates++ }, kind: "duplicate", message: nth},
	{name: "swaps two", fault: func() Fault { return &Swap{At: at} },
		want: func(d *account.Deliveries) { d.Reordered++; d.OutOfTurn++ }, kind: "reordered", message: nth},
	{name: "corrupts one", fault: func() Fault { return Corrupt{At: at} },
		want: func(d *account.Deliveries) { d.Delivered--; d.Corrupt++; d.CorruptTexts++ }, kind: "corrupt", message: nth},
	{name: "delivers one to a wrong client", fault: func() Fault { return &Misdeliver{At: at, To: victim + 1} },
		want: func(d *account.Deliveries) { d.Delivered--; d.Missing++; d.Duplicates++; d.Misdelivered++ },
		kind: "misdelivered", message: nth},
	{name: "slips in a stranger's text", fault: func() Fault { return Inject{At: at, Text: `{"hello":"world"}`} },
		want: func(d *account.Deliveries) { d.ForeignTexts++ }, kind: "foreign", message: -1},
	{name: "loses one message on its way in", fault: func() Fault { return Swallow{Nth: nth} },
		want: func(d *account.Deliveries) { d.Owed -= clients; d.Delivered -= clients },
		check: func(r *report.Report, _ Fault) (string, error) {
			if n := r.Account.Publishing.Unanswered; n != 1 {
				return "", fmt.Errorf("%d messages unanswered, want 1", n)
			}
			return "1 message unanswered", nil
		}},
	{name: "hangs up on one client", fault: func() Fault { return HangUp{At: at} },
		check: hungUp, kind: "lost", message: -1},
	{name: "stalls for two seconds", fault: func() Fault { return &Stall{Nth: stallAt, For: stallFor} },
		settings: func(s *trial.Settings) { s.Rate, s.Duration = stallRate, stallLength },
		check:    stalled},
}

// Options of an examination.
type Options struct {
	URL     string   // of a server to relay to; empty: a bare one of the doctor's own
	Command []string // starts a worker process, see engine.NewFleet
	// Tell is called with each outcome as it is known, one call at a time.
	Tell func(Outcome)
}

// Examine runs all controls, and last one that stops one of the harness's own processes. With bare servers of their own
// they run side by side; through the one server of o.URL, which would mix them, one after another. It returns an error
// only if it could not examine; whether the harness is healthy is in the outcomes.
func Examine(ctx context.Context, o Options) (healthy bool, err error) {
	if _, err := address(o.URL); err != nil {
		return false, err
	}
	healthy = true
	var mu sync.Mutex
	tell := func(out Outcome) {
		mu.Lock()
		defer mu.Unlock()
		healthy = healthy && out.Err == nil
		o.Tell(out)
	}
	var running sync.WaitGroup
	for i := range controls {
		if o.URL != "" {
			tell(attempt(controls[i].name, func() (string, error) { return controls[i].examine(ctx, o.URL) }))
			continue
		}
		running.Go(func() {
			tell(attempt(controls[i].name, func() (string, error) { return controls[i].examine(ctx, "") }))
		})
	}
	running.Wait()
	tell(attempt("stops one of the harness's own processes", func() (string, error) { return suspended(ctx, o) }))
	return healthy, ctx.Err()
}

// attempt makes an outcome of what a control found.
func attempt(name string, examine func() (string, error)) Outcome {
	began := time.Now()
	found, err := examine()
	return Outcome{Name: name, Found: found, Err: err, Took: time.Since(began)}
}

// address is what a relay needs of a URL.
func address(raw string) (string, error) {
	u, err := url.Parse(raw)
	if raw != "" && (err != nil || u.Scheme != "ws" || u.Port() == "") {
		return "", fmt.Errorf("url %q: the doctor relays to ws://host:port", raw)
	}
	return u.Host, nil
}

// server returns the address to relay to: that of raw, or of a bare server, which stop then ends.
func server(raw string) (addr string, stop func() error, err error) {
	if raw != "" {
		addr, err := address(raw)
		return addr, func() error { return nil }, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("bare server: %w", err)
	}
	s := echo.New(echo.Options{})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return l.Addr().String(), func() error { s.Close(); return <-done }, nil
}

// settings is the load of a control.
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
		return "", fmt.Errorf("relay: %w", err)
	}
	fault := c.fault()
	r := New(l, upstream, fault)
	defer r.Close()
	s := settings("ws://" + l.Addr().String() + "/")
	if c.settings != nil {
		c.settings(&s)
	}
	made, err := measure(ctx, s, nil, nil)
	if err != nil {
		return "", err
	}
	return c.judge(made, fault, s)
}

// judge tells what a report has found, or why it is not what the fault calls for.
func (c *control) judge(r *report.Report, f Fault, s trial.Settings) (string, error) {
	if c.want != nil {
		count := int64(r.Conditions.Count) * int64(s.Connections)
		want := account.Deliveries{Owed: count, Delivered: count}
		c.want(&want)
		got := r.Account.Deliveries
		got.Late = 0 // a busy machine is no fault of the relay
		if got != want {
			return "", fmt.Errorf("the account should read %+v and reads %+v", want, got)
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

// named looks for a finding.
func named(r *report.Report, kind string, message int) (string, error) {
	for i, f := range r.Findings {
		if f.Kind == kind && f.Broadcast == message {
			return r.Finding(i), nil
		}
	}
	return "", fmt.Errorf("no finding %q of message %d among %d", kind, message, len(r.Findings))
}

// measure runs one load test. meddle, if not nil, runs beside the measurement; its context ends with that.
func measure(ctx context.Context, s trial.Settings, command []string, meddle func(ctx context.Context,
	t *trial.Trial)) (r *report.Report, err error) {
	t, err := trial.Open(ctx, s, command)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.Connect(ctx); err != nil {
		return nil, err
	}
	measuring, over := context.WithCancel(ctx)
	var meddling sync.WaitGroup
	if meddle != nil {
		meddling.Go(func() { meddle(measuring, t) })
	}
	defer meddling.Wait()
	defer over()
	return t.Measure(ctx, s.Rate, s.Duration, "")
}

// hungUp wants one lost connection, and what it was owed called cut, not missing.
func hungUp(r *report.Report, _ Fault) (string, error) {
	c, d := r.Account.Connections, r.Account.Deliveries
	if c.Lost+c.Broken != 1 || d.Missing != 0 || d.Owed != d.Delivered+d.Cut {
		return "", fmt.Errorf("lost connections %d, broken %d; owed %d, delivered %d, cut %d, missing %d: want one connection, and nothing missing", c.Lost, c.Broken, d.Owed, d.Delivered, d.Cut, d.Missing)
	}
	return fmt.Sprintf("%d deliveries cut off, none missing", d.Cut), nil
}
