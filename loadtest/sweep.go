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
	load      `embed:""`
	Bound     string        `help:"What the system must keep to at a rate, besides losing nothing." default:"p99 < 1s" placeholder:"FIGURE < BOUND" group:"Search"`
	From      float64       `help:"Lowest rate, in messages per second." default:"1" group:"Search"`
	To        float64       `help:"Highest rate, in messages per second." default:"10000" group:"Search"`
	Duration  time.Duration `help:"How long each rate is tried." default:"10s" short:"d" group:"Search"`
	Warmup    time.Duration `help:"Of this, so long is not timed." default:"1s" group:"Search"`
	Rest      time.Duration `help:"Pause after each try, for the system to catch up." default:"1s" group:"Search"`
	Precision share         `help:"How closely to look." default:"5%" group:"Search"`
	Repeats   int           `help:"How many searches to make." default:"3" group:"Search"`
}

func (*sweepCommand) Help() string {
	return `Capacity as Azure defines it for its services: the highest rate at which 99 % of the deliveries take less than a second.
A rate is kept to if nothing is missing, late, corrupt, cut off, refused or unanswered, and the bound holds. Where it is exceeded and
the harness itself was late, the rate is tried again, and the search ends if that does not pass.
The connections stay open between the tries.

Examples:
  loadtest sweep --connections 1000
  loadtest sweep --url ws://127.0.0.1:9001 -c 2000 --bound 'p99 < 200ms' --to 500 --duration 5s`
}

// errHarness ends a search: at this rate the harness itself is the limit, and no higher one can be told.
type errHarness struct {
	rate  float64
	doubt string
}

func (e *errHarness) Error() string {
	return fmt.Sprintf("at %.4g messages/s the harness is the bottleneck, so the system's capacity cannot be told: %s",
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
	if c.From <= 0 || c.To < c.From || c.Precision <= 0 || c.Repeats < 1 || c.Rest < 0 {
		return usage("want 0 < --from <= --to, --precision over 0, --repeats 1 or more, --rest 0 or more")
	}
	// Publishers are planned for the highest rate: they stay for all of them.
	s.Rate, s.Duration, s.Warmup, s.Expect = c.To, c.Duration, c.Warmup, []string{c.Bound}
	if c.From*c.Duration.Seconds() < 1 {
		return usage("--from %g and --duration %v: together they make not one message", c.From, c.Duration)
	}
	if err := sensible(s); err != nil {
		return err
	}
	stop, err := c.target(ctx, &s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := c.hurry(); err != nil {
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
	stopShowing := follow(ctx, t, c.Quiet)
	err = t.Connect(ctx)
	stopShowing()
	if err != nil {
		return err
	}
	fmt.Printf("%d clients, %d-byte messages; a rate is kept to if %s and nothing is lost\n", s.Connections, c.Size,
		c.Bound)
	capacity, err := trial.Search(ctx, trial.Range{From: c.From, To: c.To, Precision: float64(c.Precision),
		Repeats: c.Repeats},
		func(ctx context.Context, rate float64) (bool, error) { return c.try(ctx, t, rate) })
	return c.tell(capacity, s.Connections, err)
}

// tries is how often a rate is tried while the harness itself is late: what else runs on the machine may pass.
const tries = 3

// try measures one rate.
func (c *sweepCommand) try(ctx context.Context, t *trial.Trial, rate float64) (kept bool, err error) {
	for attempt := 1; ; attempt++ {
		r, err := t.Measure(ctx, rate, c.Duration, "")
		if err != nil {
			return false, err
		}
		// What is still under way must not burden the next try.
		if err := timing.Wait(ctx, timing.Now()+c.Rest.Microseconds()); err != nil {
			return false, err
		}
		kept, failed := true, ""
		for _, check := range r.Checks {
			if !check.Holds {
				kept, failed = false, failed+"  "+check.Expectation+": "+check.Value
			}
		}
		word := map[bool]string{true: "kept", false: "EXCEEDED"}[kept]
		doubt := decisive(r, kept)
		if doubt != "" {
			word = "doubtful"
		}
		fmt.Printf("%10.4g/s  %-8s  p99 %-8s  delivered %s/s%s\n", rate, word, r.Figures["p99"],
			report.Grouped(r.Figures["delivered_per_second"].Value), failed)
		if doubt == "" {
			return kept, nil
		}
		if attempt == tries {
			return false, &errHarness{rate, doubt}
		}
	}
}

// decisive returns the doubt that makes a try worthless, "" if there is none. That the harness was late is no objection
// to a bound that was kept all the same.
func decisive(r *report.Report, kept bool) string {
	for _, d := range r.Doubts {
		if d.Invalid && !(kept && d.Lag) {
			return d.Text
		}
	}
	return ""
}

// tell prints what came out.
func (c *sweepCommand) tell(capacity trial.Capacity, clients int, err error) error {
	var harness *errHarness
	if errors.As(err, &harness) {
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
	fmt.Printf("\ncapacity: %s%.4g messages/s (%.4g to %.4g in %s) to %s clients: %s deliveries/s\n", word,
		capacity.Median(), low, high,
		searches(len(capacity.Rates)), report.Grouped(float64(clients)), report.Grouped(capacity.Median()*float64(clients)))
	return err
}

func searches(n int) string {
	if n == 1 {
		return "1 search"
	}
	return fmt.Sprintf("%d searches", n)
}
