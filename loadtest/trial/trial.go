package trial

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"fanfare/loadtest/aws"
	"fanfare/loadtest/engine"
	"fanfare/loadtest/report"
	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"
	"fanfare/loadtest/vitals"
)

// Unconnected is the error of a trial in which too few clients could connect.
type Unconnected struct {
	Wanted, Connected int
	Reasons           string // with counts
}

func (e *Unconnected) Error() string {
	s := fmt.Sprintf("%d of %d clients could connect", e.Connected, e.Wanted)
	if e.Reasons != "" {
		s += ": " + e.Reasons
	}
	return s
}

// NoLedger is the error of a trial whose ledger cannot be read at the start.
type NoLedger struct{ Err error }

func (e *NoLedger) Error() string { return e.Err.Error() }
func (e *NoLedger) Unwrap() error { return e.Err }

// Phase is the current step of a trial. Its text is shown to users.
type Phase string

// The phases of a trial.
const (
	Connecting Phase = "connecting"
	Measuring  Phase = "measuring"
	Draining   Phase = "waiting"
	Settling   Phase = "ledger"
	Reporting  Phase = "reporting"
)

// Progress is the current state of a trial.
type Progress struct {
	engine.Status
	Phase    Phase
	Began    time.Time     // the start of the phase
	Duration time.Duration // expected, of the phase
	Messages int           // scheduled in this measurement
	Rate     float64

	// While Settling: the broadcasts to read from the ledger, and those of them that are not settled.
	Asked, Unsettled int
}

// Trial is a load test in progress. Its user must Close it. Progress may be called concurrently with the other methods.
type Trial struct {
	settings Settings
	fleet    *engine.Fleet
	ledger   *aws.Ledger // nil if none is read
	dir      string      // of results that are removed by Close

	mu    sync.Mutex
	phase Progress
}

// Open checks that the ledger, if there is one, can be read, and starts the processes. command starts a worker process;
// see engine.NewFleet. The error is a *NoLedger if the ledger cannot be read.
func Open(ctx context.Context, s Settings, command []string) (*Trial, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	plan, err := s.plan()
	if err != nil {
		return nil, err
	}
	var table *aws.Ledger
	if s.Ledger != "" {
		if table, err = aws.OpenLedger(ctx, s.Ledger, s.LedgerEndpoint,
			cmp.Or(aws.Region(s.QueueURL), aws.Region(s.URL))); err != nil {
			return nil, err
		}
		if err := table.Check(ctx); err != nil {
			return nil, &NoLedger{err}
		}
	}
	dir, err := os.MkdirTemp("", "fanfare-loadtest-")
	if err != nil {
		return nil, fmt.Errorf("create directory for results: %w", err)
	}
	f, err := engine.NewFleet(ctx, plan, command)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.Processes = plan.Processes
	t := &Trial{settings: s, fleet: f, ledger: table, dir: dir}
	t.enter(Connecting, time.Duration(float64(s.Connections)/s.Ramp*float64(time.Second)), 0, 0)
	return t, nil
}

// Connect connects the clients. The error is an *Unconnected if fewer than Settings.MinConnected succeed.
func (t *Trial) Connect(ctx context.Context) error {
	err := t.fleet.Open(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // also if the clients that did not connect are the only effect
	}
	if err != nil {
		return err
	}
	least := t.settings.MinConnected
	if least == 0 {
		least = t.settings.Connections
	}
	status, err := t.fleet.Status()
	if err != nil {
		return err
	}
	if status.Connected >= least {
		return nil
	}
	return &Unconnected{Wanted: t.settings.Connections, Connected: status.Connected, Reasons: t.reasons(ctx)}
}

// reasons returns why clients could not connect. Failed connects are in the results of an empty measurement.
func (t *Trial) reasons(ctx context.Context) string {
	name := filepath.Join(t.dir, "unconnected")
	m := engine.Measurement{Conditions: result.Conditions{Run: "00000000", Size: 256, Rate: 1, Publishers: 1}, File: name}
	if err := t.fleet.Measure(ctx, m); err != nil {
		return err.Error()
	}
	counts := map[string]int{}
	err := eachRecord(name, func(r *result.Record) {
		if r.Kind == result.Unopened {
			counts[r.Text]++
		}
	})
	if err != nil {
		return err.Error()
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s × %d", reason, counts[reason]))
	}
	return strings.Join(parts, ", ")
}

// startDelay is the time until the first message is due, so that every process is ready for it.
const startDelay = 200 * time.Millisecond

// Measure publishes rate messages a second for d and returns the report. The results go to file, or if that is empty,
// to a file that Close removes.
func (t *Trial) Measure(ctx context.Context, rate float64, d time.Duration, file string) (*report.Report, error) {
	c, err := t.conditions(rate, d)
	if err != nil {
		return nil, err
	}
	if file == "" {
		file = filepath.Join(t.dir, c.Run)
	}
	t.enter(Measuring, d, c.Count, rate)
	stop := time.AfterFunc(startDelay+d, func() { t.enter(Draining, t.settings.Deadline, c.Count, rate) })
	err = t.fleet.Measure(ctx, engine.Measurement{Conditions: c, Body: t.settings.Body, Settle: t.settings.Settle,
		File: file})
	stop.Stop()
	if err != nil {
		return nil, err
	}
	if t.ledger != nil {
		if err := t.settle(ctx, file, &c); err != nil {
			return nil, err
		}
	}
	t.enter(Reporting, 0, c.Count, rate)
	return report.Load([]string{file}, nil)
}

// settle waits until the ledger is settled for all published messages, or LedgerWait is over, and adds its reports to
// the results. An error of the ledger is stored in the results, for the report.
func (t *Trial) settle(ctx context.Context, file string, c *result.Conditions) error {
	ids, err := accepted(file)
	if err != nil {
		return err
	}
	t.enter(Settling, t.settings.LedgerWait, c.Count, c.Rate)
	var l result.Ledger
	if l.Reports, err = t.ledger.Await(ctx, ids, t.settings.LedgerWait, func(unsettled int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.phase.Asked, t.phase.Unsettled = len(ids), unsettled
	}); err != nil {
		l.Error = err.Error()
	}
	return result.AppendLedger(file, l)
}

// eachRecord calls f for every record of a result file.
func eachRecord(name string, f func(r *result.Record)) (err error) {
	file, err := result.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for _, s := range file.Segments {
		if err := s.Each(func(r *result.Record) error { f(r); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// accepted returns the ids of the messages that the system acknowledged, in ascending order.
func accepted(file string) ([]string, error) {
	var ids []string
	err := eachRecord(file, func(r *result.Record) {
		if r.Kind == result.Answered && r.Flag&^result.Guessed == result.Acknowledged && r.Text != "" {
			ids = append(ids, r.Text)
		}
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func (t *Trial) conditions(rate float64, d time.Duration) (result.Conditions, error) {
	var name [4]byte
	if _, err := rand.Read(name[:]); err != nil {
		return result.Conditions{}, fmt.Errorf("generate run id: %w", err)
	}
	s := &t.settings
	c := result.Conditions{
		Run: hex.EncodeToString(name[:]), Target: target(s.URL), Local: s.Local,
		Headers:     slices.Sorted(maps.Keys(s.header())),
		Connections: s.Connections, MinConnected: s.MinConnected, Ramp: s.Ramp, Slow: s.Slow,
		SlowRate: s.SlowRate, Churn: s.Churn,
		Publishers: s.Publishers, Via: s.Via, Rate: rate, Count: timing.Over(rate, d).Count, Size: s.Size,
		Start: timing.Now() + startDelay.Microseconds(), Warmup: s.Warmup, Deadline: s.Deadline, Ping: s.Ping, Seed: s.Seed,
		PostRate: s.PostRate, PostBurst: s.PostBurst, Expect: s.Expect, Note: s.Note, Host: vitals.Host(),
		Ledger: s.Ledger, Others: s.Others,
	}
	if s.Via != engine.Clients {
		c.Queue = target(s.QueueURL)
	}
	if s.Body != nil {
		c.Size = 0
	}
	if c.Count < 1 {
		return c, errors.New("rate and duration: less than one message")
	}
	return c, nil
}

func (t *Trial) enter(phase Phase, d time.Duration, messages int, rate float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phase.Phase, t.phase.Began, t.phase.Duration, t.phase.Messages, t.phase.Rate = phase, time.Now(), d, messages, rate
}

// Progress returns the current state of the trial. It may be called at any time.
func (t *Trial) Progress() (Progress, error) {
	t.mu.Lock()
	p := t.phase
	t.mu.Unlock()
	status, err := t.fleet.Status()
	p.Status = status
	return p, err
}

// Close disconnects the clients, ends the processes and removes results that are not to be kept.
func (t *Trial) Close() error {
	t.fleet.Close()
	if err := os.RemoveAll(t.dir); err != nil {
		return fmt.Errorf("remove results: %w", err)
	}
	return nil
}

// Workers returns the process ids of the workers, nil if the trial runs in this process.
func (t *Trial) Workers() []int { return t.fleet.Workers() }
