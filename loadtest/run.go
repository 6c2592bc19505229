package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"time"

	"fanfare/loadtest/aws"
	"fanfare/loadtest/engine"
	"fanfare/loadtest/progress"
	"fanfare/loadtest/report"
	"fanfare/loadtest/trial"
)

type runCommand struct {
	load           `embed:""`
	Rate           float64       `help:"Messages per second, on an absolute schedule." default:"1" short:"r" group:"Messages"`
	Duration       time.Duration `help:"How long to publish." default:"60s" short:"d" group:"Messages"`
	Warmup         time.Duration `help:"Messages of the first so long are counted, but not timed." default:"0s" group:"Messages"`
	Ledger         string        `help:"DynamoDB table of the system's own report, to be held against what the clients saw; the stack's is websocket_broadcasts." placeholder:"TABLE" group:"Ledger"`
	LedgerEndpoint string        `help:"Where that DynamoDB is, if not at AWS. Default: the local system's if one is started, else the host of --queue-url, else AWS_ENDPOINT_URL." placeholder:"http://…" group:"Ledger"`
	LedgerWait     time.Duration `help:"How long to wait, after the last delivery, until the ledger is settled." default:"1m" group:"Ledger"`
	Others         int           `help:"So many clients besides this run's may be connected, and be counted by the ledger." default:"0" group:"Ledger"`
	Expect         []string      `help:"Threshold, as 'p99 < 600ms'; see 'loadtest figures'. May be repeated." sep:"none" placeholder:"FIGURE < BOUND" group:"Output"`
	Out            string        `help:"Keep the results in this file. Default: a new one in the system's temporary folder." placeholder:"FILE" group:"Output"`
	Note           string        `help:"A remark that goes into the results." group:"Output"`
	Profile        string        `help:"Write a CPU profile of the harness itself (of one process)." placeholder:"FILE" hidden:""`
	outputs        `embed:""`
}

func (*runCommand) Help() string {
	return `Examples:
  Against the repository's own system, which is started for the run:
    loadtest run --connections 5000 --rate 1 --duration 60s --html report.html

  Against a deployed stack, published by backends through SQS:
    loadtest run --url wss://abc.execute-api.eu-west-1.amazonaws.com/prod --token @token.txt \
      --queue-url https://sqs.eu-west-1.amazonaws.com/123456789012/websocket-broadcast \
      --connections 10000 --rate 0.5 --duration 5m --expect 'p99 < 1.5s' --expect 'time_to_last < 3s' --out run.results

  With the system's own report held against what the clients saw:
    loadtest run --connections 5000 --rate 1 --duration 60s --ledger websocket_broadcasts

  In CI, with reconnecting clients and a JUnit file:
    loadtest run -c 200 -r 5 -d 30s --churn 20% --expect 'delivery_ratio == 100%' --junit loadtest.xml --quiet

Latencies count from the intended time of publishing, so a stall of the system cannot hide. Without --expect the run passes
if nothing is missing, corrupt, cut off, unknown, refused, unanswered or late; those checks stay unless one names the same figure.

With --ledger the run waits until the ledger is settled, and passes only if it is (ledger_unsettled == 0) and agrees with the clients
on every message (ledger_disagreements == 0): what it counts as delivered is at least the connections that received the message, and
at most these, those that cannot tell (closed before the end of the run, slow, or with a damaged copy) and --others. Copies beyond
the first count on neither side.`
}

func (r *runCommand) Run(ctx context.Context) (err error) {
	s, err := r.settings()
	if err != nil {
		return &exit{report.ExitUsage, err}
	}
	s.Rate, s.Duration, s.Warmup, s.Expect, s.Note = r.Rate, r.Duration, r.Warmup, r.Expect, r.Note
	s.Ledger, s.LedgerEndpoint, s.LedgerWait, s.Others = r.Ledger, r.ledgerEndpoint(), r.LedgerWait, r.Others
	if err := sensible(s); err != nil {
		return err
	}
	out, err := r.file()
	if err != nil {
		return err
	}
	stop, err := r.target(ctx, &s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := r.hurry(); err != nil {
		return err
	}
	made, err := r.measure(ctx, s, out)
	if err != nil {
		return err
	}
	if err := made.Text(os.Stdout, progress.Colour(os.Stdout)); err != nil {
		return err
	}
	if err := r.outputs.write(made); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "\nresults: %s (report again: loadtest report %s)\n", out, out)
	if made.Verdict != report.Pass {
		return &exit{code: made.Verdict.ExitCode()}
	}
	return nil
}

// sensible tells whether settings make sense before anything is started for them.
func sensible(s trial.Settings) error {
	if s.URL == "" {
		s.URL, s.QueueURL, s.LedgerEndpoint = "ws://127.0.0.1/", "http://127.0.0.1/queue", "http://127.0.0.1"
	}
	if err := s.Validate(); err != nil {
		return &exit{report.ExitUsage, err}
	}
	return nil
}

// ledgerEndpoint is where the ledger is; empty if that is at AWS, or at a local system that is still to be started.
func (r *runCommand) ledgerEndpoint() string {
	switch {
	case r.LedgerEndpoint != "":
		return r.LedgerEndpoint
	case r.URL == "":
		return ""
	case r.QueueURL != "":
		return aws.Endpoint(r.QueueURL)
	}
	return cmp.Or(os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"), os.Getenv("AWS_ENDPOINT_URL"))
}

// file is where the results go.
func (r *runCommand) file() (string, error) {
	if r.Out != "" {
		return r.Out, nil
	}
	folder := filepath.Join(os.TempDir(), "fanfare-loadtest")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("folder for results: %w", err)
	}
	return filepath.Join(folder, time.Now().Format("20060102-150405.000")+".results"), nil
}

// measure connects, measures and reports, and shows how it goes.
func (r *runCommand) measure(ctx context.Context, s trial.Settings, out string) (made *report.Report, err error) {
	command, err := workerArgs()
	if err != nil {
		return nil, err
	}
	t, err := trial.Open(ctx, s, command)
	var none *trial.NoLedger
	if errors.As(err, &none) {
		return nil, &exit{report.ExitInvalid, err}
	}
	if err != nil {
		return nil, &exit{report.ExitUsage, err}
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	defer follow(ctx, t, r.Quiet)()
	if err := t.Connect(ctx); err != nil {
		return nil, err
	}
	if r.Profile != "" {
		f, err := os.Create(r.Profile)
		if err != nil {
			return nil, fmt.Errorf("profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	return t.Measure(ctx, s.Rate, s.Duration, out)
}

// follow shows how a trial goes until the function that it returns is called.
func follow(ctx context.Context, t *trial.Trial, quiet bool) (stop func()) {
	if quiet {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var showing sync.WaitGroup
	showing.Go(func() { progress.Show(ctx, os.Stderr, t.Progress) })
	return func() { cancel(); showing.Wait() }
}

type workerCommand struct{}

func (*workerCommand) Run(ctx context.Context) error {
	// An interrupt is the fleet's to pass on; the end of standard input ends a worker.
	return engine.ServeWorker(context.WithoutCancel(ctx), os.Stdin, os.Stdout)
}
