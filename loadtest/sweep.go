package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fanfare/loadtest/report"
	"fanfare/loadtest/timing"
	"fanfare/loadtest/trial"
)

type sweepCommand struct {
	load        `embed:""`
	searchFlags `embed:"" group:"Search"`
}

type searchFlags struct {
	Bound     string        `help:"${bound}" default:"p99 < 1s" placeholder:"FIGURE < BOUND"`
	From      float64       `help:"Lowest rate, in messages per second." default:"1"`
	To        float64       `help:"Highest rate, in messages per second." default:"10000"`
	Duration  time.Duration `help:"How long to try each rate." default:"10s" short:"d"`
	Warmup    time.Duration `help:"The first part of --duration, which is not timed." default:"1s"`
	Rest      time.Duration `help:"Pause after each try, in which the system catches up." default:"1s"`
	Precision share         `help:"${precision}" default:"5%"`
	Repeats   int           `help:"Number of searches." default:"3"`
}

func (*sweepCommand) Help() string {
	return `Finds the capacity as Azure defines it for its services: the highest rate at which 99 % of the deliveries take
less than a second. A rate passes if --bound holds and nothing is missing, late, corrupt, cut, refused or unanswered.
If a rate fails while the harness itself was late, it is tried again, three times in all; then the search ends. The
connections stay open between the tries.

Examples:
  loadtest sweep --connections 1000
  loadtest sweep --url ws://127.0.0.1:9001 -c 2000 --bound 'p99 < 200ms' --to 500 --duration 5s`
}

// errHarness ends a search: at this rate the harness is the bottleneck, so a higher rate cannot be measured.
type errHarness struct {
	rate  float64
	doubt string
}

func (e *errHarness) Error() string {
	return fmt.Sprintf("the harness is the bottleneck at %.4g messages/s, so the capacity of the system is unknown: %s",
		e.rate, e.doubt)
}

func (c *sweepCommand) Run(ctx context.Context) (err error) {
	s, err := c.settings()
	if err != nil {
		return &exit{report.ExitUsage, err}
	}
	if _, err := report.ParseThreshold(c.Bound, report.Known()); err != nil {
		return &exit{report.ExitUsage, err}
	}
	if !(c.From > 0) || !(c.To >= c.From) || !(c.Precision > 0) || c.Repeats < 1 || c.Rest < 0 {
		return usage("want 0 < --from <= --to, --precision more than 0, --repeats 1 or more, --rest 0 or more")
	}
	// The number of publishers fits the highest rate; it stays the same for all rates.
	s.Rate, s.Duration, s.Warmup, s.Expect = c.To, c.Duration, c.Warmup, []string{c.Bound}
	if c.From*c.Duration.Seconds() < 1 {
		return usage("--from %g and --duration %v: want at least one message", c.From, c.Duration)
	}
	if err := check(ctx, s); err != nil {
		return err
	}
	stop, err := c.target(ctx, &s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := c.raisePriority(); err != nil {
		return err
	}
	command, err := workerArgs()
	if err != nil {
		return err
	}
	t, err := trial.Open(ctx, s, command)
	if err != nil {
		return &exit{report.ExitUsage, err}
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	stopProgress := follow(ctx, t, c.Quiet)
	err = t.Connect(ctx)
	stopProgress()
	if err != nil {
		return err
	}
	fmt.Printf("%d clients, %d-byte messages; a rate passes if %s and nothing is lost\n", s.Connections, c.Size, c.Bound)
	rates := trial.Range{From: c.From, To: c.To, Precision: float64(c.Precision), Repeats: c.Repeats}
	capacity, err := trial.Search(ctx, rates, func(ctx context.Context, rate float64) (bool, error) {
		return c.try(ctx, t, rate)
	})
	return c.print(capacity, s.Connections, err)
}

// tries bounds the attempts at one rate while the harness itself is late: other load on the machine may end.
const tries = 3

// try measures one rate and reports whether it passed.
func (c *sweepCommand) try(ctx context.Context, t *trial.Trial, rate float64) (passed bool, err error) {
	for attempt := 1; ; attempt++ {
		r, err := t.Measure(ctx, rate, c.Duration, "")
		if err != nil {
			return false, err
		}
		// Messages that are still on their way must not slow the next try.
		if err := timing.Wait(ctx, timing.Now()+c.Rest.Microseconds()); err != nil {
			return false, err
		}
		passed, word, failures := true, "passed", ""
		for _, check := range r.Checks {
			if !check.Holds {
				passed, word = false, "FAILED"
				failures += "  " + check.Expectation + ": " + check.Value
			}
		}
		doubt := invalidating(r, passed)
		if doubt != "" {
			word = "doubtful"
		}
		fmt.Printf("%10.4g/s  %-8s  p99 %-8s  delivered %s/s%s\n", rate, word, r.Figures["p99"],
			report.Grouped(r.Figures["delivered_per_second"].Value), failures)
		if doubt == "" {
			return passed, nil
		}
		if attempt == tries {
			return false, &errHarness{rate, doubt}
		}
	}
}

// invalidating returns the doubt that makes a try invalid, "" if there is none. A late harness only adds to latencies,
// so it does not invalidate a try that passed.
func invalidating(r *report.Report, passed bool) string {
	for _, d := range r.Doubts {
		if d.Invalid && (!passed || !d.Lag) {
			return d.Text
		}
	}
	return ""
}

// print prints the capacity and returns err with its exit code.
func (c *sweepCommand) print(capacity trial.Capacity, clients int, err error) error {
	if _, ok := errors.AsType[*errHarness](err); ok {
		err = &exit{report.ExitInvalid, err}
	}
	if errors.Is(err, trial.ErrBelow) {
		err = &exit{report.ExitFail, fmt.Errorf("%w (%g/s): lower --from", err, c.From)}
	}
	if len(capacity.Rates) == 0 {
		return err
	}
	low, high := capacity.Spread()
	word := ""
	if capacity.AtLeast {
		word = "at least "
	}
	fmt.Printf("\ncapacity: %s%.4g messages/s (%.4g to %.4g in %s) to %s clients: %s deliveries/s\n",
		word, capacity.Median(), low, high, searches(len(capacity.Rates)),
		report.Grouped(float64(clients)), report.Grouped(capacity.Median()*float64(clients)))
	return err
}

func searches(n int) string {
	if n == 1 {
		return "1 search"
	}
	return fmt.Sprintf("%d searches", n)
}
