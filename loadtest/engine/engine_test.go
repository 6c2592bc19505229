package engine_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/echo"
	"fanfare/loadtest/engine"
	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"
)

func serve(t *testing.T, o echo.Options) (*echo.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, o), "ws://" + l.Addr().String()
}

func serveOn(t *testing.T, l net.Listener, o echo.Options) *echo.Server {
	t.Helper()
	s := echo.New(o)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

func plan(url string) engine.Plan {
	return engine.Plan{
		URL: url, Processes: 1, Connections: 20, Ramp: 10_000, Publishers: 4, Via: engine.Clients, Shards: 2,
		ConnectTimeout: time.Minute, Attempts: 1, Start: timing.Now(),
	}
}

func conditions(p engine.Plan, rate float64, count int) result.Conditions {
	return result.Conditions{
		Run: "12345678", Connections: p.Connections, Publishers: p.Publishers, Via: p.Via, Rate: rate, Count: count,
		Size: 256, Deadline: 30 * time.Second, Slow: p.Slow, Seed: 1,
	}
}

func opened(t *testing.T, p engine.Plan) *engine.Engine {
	t.Helper()
	e, err := engine.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

func record(ctx context.Context, e *engine.Engine, m engine.Measurement) error {
	if err := e.Prepare(m); err != nil {
		return err
	}
	return e.Measure(ctx)
}

func measure(t *testing.T, e *engine.Engine, c result.Conditions) *account.Account {
	t.Helper()
	c.Start = timing.Now() + 20_000
	m := engine.Measurement{Conditions: c, Settle: 50 * time.Millisecond, File: filepath.Join(t.TempDir(), "results")}
	if err := record(t.Context(), e, m); err != nil {
		t.Fatal(err)
	}
	return accountOf(t, m.File)
}

func accountOf(t *testing.T, names ...string) *account.Account {
	t.Helper()
	var segments []*result.Segment
	for _, name := range names {
		f, err := result.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		segments = append(segments, f.Segments...)
	}
	a, err := account.Of(segments)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range a.Processes {
		if p.End == nil || p.End.Records != p.End.Frames-p.End.Answers {
			t.Errorf("process %d: got end %+v, want Records = Frames - Answers", p.Conditions.Process, p.End)
		}
	}
	return a
}

// once calls do when the engine has published that many messages.
func once(t *testing.T, e *engine.Engine, messages int64, do func()) {
	for deadline := time.Now().Add(time.Minute); e.Status().Published < messages; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("timeout while waiting for published messages")
			break
		}
	}
	do()
}

func TestEngine_NothingLost(t *testing.T) {
	for name, o := range map[string]echo.Options{"answering": {}, "silent": {Silent: true}} {
		for transport, streams := range map[string]bool{"poller": false, "streams": true} {
			t.Run(name+" "+transport, func(t *testing.T) {
				_, url := serve(t, o)
				p := plan(url)
				p.Streams = streams
				a := measure(t, opened(t, p), conditions(p, 200, 60))
				if want := (account.Deliveries{Owed: 1200, Delivered: 1200}); without(a.Deliveries) != want {
					t.Errorf("got %+v, want %+v", a.Deliveries, want)
				}
				if a.Publishing.Sent != 60 || a.Publishing.Silent != o.Silent || !o.Silent && a.Publishing.Acknowledged != 60 {
					t.Errorf("got %+v, want 60 sent and, unless silent, acknowledged", a.Publishing)
				}
				if a.Connections.Opened != 20 || a.Connections.Lost != 0 || len(a.Processes[0].Samples) == 0 {
					t.Errorf("got %+v, want 20 opened, none lost, and samples", a.Connections)
				}
			})
		}
	}
}

// without returns d without the order: a bare server does not guarantee it among several publishers.
func without(d account.Deliveries) account.Deliveries {
	d.Reordered, d.OutOfTurn = 0, 0
	return d
}

func TestEngine_ManyProcesses(t *testing.T) {
	_, url := serve(t, echo.Options{})
	var names []string
	var running sync.WaitGroup
	var engines []*engine.Engine
	p := plan(url)
	for process := range 3 {
		p.Process, p.Processes = process, 3
		engines = append(engines, opened(t, p))
	}
	start := timing.Now() + 50_000
	for process, e := range engines {
		c := conditions(p, 200, 60)
		c.Start = start
		name := filepath.Join(t.TempDir(), fmt.Sprint("results", process))
		names = append(names, name)
		if err := e.Prepare(engine.Measurement{Conditions: c, Settle: 50 * time.Millisecond, File: name}); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range engines {
		running.Go(func() {
			if err := e.Measure(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	a := accountOf(t, names...)
	if want := (account.Deliveries{Owed: 1200, Delivered: 1200}); without(a.Deliveries) != want ||
		a.Publishing.Sent != 60 || a.Connections.Opened != 20 {
		t.Errorf("got %+v\n%+v\n%+v\nwant %+v, 60 sent, 20 opened", a.Deliveries, a.Publishing, a.Connections, want)
	}
}

// A process records what others publish between its Prepare and its Measure.
func TestEngine_RecordsBeforeMeasure(t *testing.T) {
	_, url := serve(t, echo.Options{})
	p := plan(url)
	p.Publishers, p.Processes = 1, 2
	first := opened(t, p)
	p.Process = 1
	late := opened(t, p)
	c := conditions(p, 1000, 20)
	c.Start = timing.Now()
	names := []string{filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "late")}
	for i, e := range []*engine.Engine{first, late} {
		if err := e.Prepare(engine.Measurement{Conditions: c, File: names[i]}); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []*engine.Engine{first, late} {
		if err := e.Measure(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a := accountOf(t, names...); a.Deliveries.Owed != 400 || a.Deliveries.Delivered != 400 {
		t.Errorf("got %+v, want 400 owed and delivered", a.Deliveries)
	}
}

func TestEngine_Prepare(t *testing.T) {
	_, url := serve(t, echo.Options{})
	p := plan(url)
	e := opened(t, p)
	if err := e.Measure(t.Context()); err == nil {
		t.Error("Measure without Prepare: got no error, want one")
	}
	c := conditions(p, 200, 20)
	if err := e.Prepare(engine.Measurement{Conditions: c, File: filepath.Join(t.TempDir(), "none",
		"results")}); err == nil {
		t.Error("Prepare in a missing directory: got no error, want one")
	}
	abandoned := filepath.Join(t.TempDir(), "abandoned")
	if err := e.Prepare(engine.Measurement{Conditions: c, File: abandoned}); err != nil {
		t.Fatal(err)
	}
	c.Run = "run00002"
	if a := measure(t, e, c); a.Deliveries.Owed != 400 || a.Deliveries.Delivered != 400 {
		t.Errorf("got %+v, want 400 owed and delivered", a.Deliveries)
	}
	if a := accountOf(t, abandoned); a.Publishing.Sent != 0 || a.Deliveries.Owed != 0 {
		t.Errorf("abandoned measurement: got %+v, %+v, want nothing", a.Publishing, a.Deliveries)
	}
}

func TestEngine_MeasureTwice(t *testing.T) {
	_, url := serve(t, echo.Options{})
	p := plan(url)
	e := opened(t, p)
	for i, run := range []string{"run00001", "run00002"} {
		c := conditions(p, 200, 20)
		c.Run = run
		if a := measure(t, e, c); a.Deliveries.Owed != 400 || a.Deliveries.Delivered != 400 ||
			a.Publishing.Acknowledged != 20 {
			t.Errorf("measurement %d: got %+v, want 400 delivered", i, a.Deliveries)
		}
	}
	if s := e.Status(); s.Connected != 20 || s.Published != 20 || s.Frames != 420 || s.Accepted != 20 ||
		s.Live.Count() != 400 {
		t.Errorf("got %+v, want 20 connected, published and accepted, 420 frames, 400 latencies", s)
	}
}

// delayer accepts the first clients at once, and later connections only after two more messages.
type delayer struct {
	net.Listener
	engine atomic.Pointer[engine.Engine]
	first  int
	all    int64 // messages
}

func (d *delayer) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if d.first--; d.first >= 0 || err != nil {
		return conn, err
	}
	e := d.engine.Load()
	before, deadline := e.Status().Published, time.Now().Add(time.Minute)
	for e.Status().Published < min(before+2, d.all) && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	return conn, nil
}

func TestEngine_ChurnExcused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := plan("ws://" + l.Addr().String())
	c := conditions(p, 300, 300)
	c.Churn = 60                 // each client reconnects once a second
	c.Deadline = 5 * time.Second // the run waits for it, as clients that reconnected miss messages
	slow := &delayer{Listener: l, first: p.Connections, all: int64(c.Count)}
	serveOn(t, slow, echo.Options{})
	e := opened(t, p)
	slow.engine.Store(e)
	a := measure(t, e, c)
	d := a.Deliveries
	if a.Connections.Moved < 10 || a.Connections.Opened != 20+a.Connections.Moved || d.Missing != 0 || d.Cut != 0 ||
		d.Delivered+d.Excused != d.Owed {
		t.Errorf("got %+v\n%+v\nwant 10 reconnects or more, and every delivery delivered or excused", a.Connections, d)
	}
	// The time without a connection depends on the machine.
	if d.Owed >= 6000 || d.Owed < int64(c.Count*p.Publishers) {
		t.Errorf("got %d owed deliveries, want %d (publishers never reconnect) to 5999", d.Owed, c.Count*p.Publishers)
	}
}

func TestEngine_SlowClients(t *testing.T) {
	_, url := serve(t, echo.Options{})
	p := plan(url)
	p.Slow = 3
	c := conditions(p, 100, 40)
	c.Size, c.Deadline = 100_000, time.Second
	a := measure(t, opened(t, p), c)
	if a.Deliveries.Owed != 17*40 || a.Deliveries.Delivered != 17*40 || a.Connections.Slow < 3 || a.Slow.Owed == 0 ||
		a.Slow.Delivered >= a.Slow.Owed {
		t.Errorf("got %+v, slow %+v, want 680 delivered, and fewer than owed to slow clients", a.Deliveries, a.Slow)
	}
}

// A system that still delivers after the deadline is late, not lossy.
func TestEngine_WaitsForArrivals(t *testing.T) {
	s, url := serve(t, echo.Options{})
	waiting := make(chan string, 1000)
	var dispatching sync.WaitGroup
	dispatching.Go(func() { // ten a second at most
		for body := range waiting {
			s.Broadcast([]byte(body))
			time.Sleep(100 * time.Millisecond)
		}
	})
	p := plan(url)
	p.Via, p.QueueURL = engine.Queue, queueOf(t, func(body string) { waiting <- body })
	c := conditions(p, 100, 25)
	c.Deadline = time.Second
	a := measure(t, opened(t, p), c)
	close(waiting)
	dispatching.Wait()
	if d := a.Deliveries; d.Owed != 500 || d.Missing != 0 || d.Delivered != 500 || d.Late < 100 {
		t.Errorf("got %+v, want 500 delivered, 100 or more late, 0 missing", d)
	}
}

// If the server closes connections during a run, the lost deliveries are cut, and the clients reconnect.
func TestEngine_ClosedConnectionsCut(t *testing.T) {
	_, url := serve(t, echo.Options{})
	hangUp := make(chan struct{})
	var running sync.WaitGroup
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); running.Wait() }) // after the cleanup of the engine
	running.Go(func() {                             // relays bytes until hangUp is closed
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				up, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
				if err != nil {
					return
				}
				defer up.Close()
				running.Go(func() { _, _ = io.Copy(up, conn); up.Close() })
				select {
				case <-hangUp: // a client that reconnects stays
				default:
					running.Go(func() { <-hangUp; conn.Close() })
				}
				_, _ = io.Copy(conn, up)
			})
		}
	})
	p := plan("ws://" + l.Addr().String())
	e := opened(t, p)
	go once(t, e, 5, func() { close(hangUp) })
	c := conditions(p, 30, 75)
	c.Deadline = 5 * time.Second // the run waits for it, as every client misses messages
	a := measure(t, e, c)
	if a.Connections.Opened != 40 || a.Connections.Lost+a.Connections.Broken < 20 || a.Deliveries.Missing != 0 ||
		a.Deliveries.Owed == 0 {
		t.Errorf("got %+v\n%+v\nwant 40 opened, 20 or more lost, 0 missing", a.Connections, a.Deliveries)
	}
}

func TestEngine_Interrupted(t *testing.T) {
	_, url := serve(t, echo.Options{})
	p := plan(url)
	e := opened(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	go once(t, e, 5, cancel)
	c := conditions(p, 100, 100_000)
	c.Start = timing.Now()
	m := engine.Measurement{Conditions: c, Settle: 50 * time.Millisecond, File: filepath.Join(t.TempDir(), "results")}
	if err := record(ctx, e, m); err != nil {
		t.Fatal(err)
	}
	a := accountOf(t, m.File)
	if !a.Processes[0].End.Interrupted || a.Publishing.Sent == 0 || a.Publishing.Sent > 50_000 {
		t.Errorf("got %+v, %+v, want interrupted, 1 to 50,000 sent", a.Processes[0].End, a.Publishing)
	}
}

// BenchmarkStatus measures the figures of the live view, which reads them five times a second.
func BenchmarkStatus(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := echo.New(echo.Options{})
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	defer func() { s.Close(); <-done }()
	p := plan("ws://" + l.Addr().String())
	e, err := engine.New(b.Context(), p)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	if err := e.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	c := conditions(p, 200, 100)
	c.Start = timing.Now()
	if err := record(b.Context(), e, engine.Measurement{Conditions: c, File: filepath.Join(b.TempDir(),
		"results")}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		e.Status()
	}
}
