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
	load        `embed:""`
	Rate        float64       `help:"Messages per second." default:"1" short:"r" group:"Messages"`
	Duration    time.Duration `help:"How long to publish." default:"60s" short:"d" group:"Messages"`
	Warmup      time.Duration `help:"${warmup}" default:"0s" group:"Messages"`
	ledgerFlags `embed:"" group:"Ledger"`
	Expect      []string `help:"${expect}" sep:"none" placeholder:"FIGURE < BOUND" group:"Output"`
	Out         string   `help:"${out}" placeholder:"FILE" group:"Output"`
	Note        string   `help:"A remark to store in the results." group:"Output"`
	Profile     string   `help:"${profile}" placeholder:"FILE" hidden:""`
	outputs     `embed:"" group:"Output"`
}

type ledgerFlags struct {
	Ledger         string        `help:"${ledger}" placeholder:"TABLE"`
	LedgerEndpoint string        `help:"${ledgerendpoint}" placeholder:"http://…"`
	LedgerWait     time.Duration `help:"${ledgerwait}" default:"1m"`
	Others         int           `help:"${others}" default:"0"`
}

func (*runCommand) Help() string {
	return `Examples:
  Against the repository's local system, which is started for the run:
    loadtest run --connections 5000 --rate 1 --duration 60s --html report.html

  Against a deployed stack, publishing through SQS:
    loadtest run --url wss://abc.execute-api.eu-west-1.amazonaws.com/prod --token @token.txt \
      --queue-url https://sqs.eu-west-1.amazonaws.com/123456789012/websocket-broadcast \
      --connections 10000 --rate 0.5 --duration 5m --expect 'p99 < 1.5s' --expect 'time_to_last < 3s' --out run.results

  Compare the system's own report with what the clients received:
    loadtest run --connections 5000 --rate 1 --duration 60s --ledger websocket_broadcasts

  In CI, with reconnecting clients and a JUnit file:
    loadtest run -c 200 -r 5 -d 30s --churn 20% --expect 'delivery_ratio == 100%' --junit loadtest.xml --quiet

Latency is measured from the time at which a message was due, so a stall of the system is visible. By default the run
passes if nothing is missing, corrupt, cut, unknown, refused, unanswered or late. These checks stay unless --expect
names the same figure.

With --ledger the run waits until the ledger is settled. It passes only if the ledger is settled (ledger_unsettled == 0)
and agrees with the clients on every message (ledger_disagreements == 0). They agree if the ledger's number of
deliveries is
  at least  the number of connections that received the message, and
  at most   that number, plus the connections whose outcome is unknown (closed before the end of the run, slow, or with
            a damaged copy only), plus --others.
Copies beyond the first are not counted on either side.`
}

func (r *runCommand) Run(ctx context.Context) (err error) {
	s, err := r.settings()
	if err != nil {
		return &exit{report.ExitUsage, err}
	}
	s.Rate, s.Duration, s.Warmup, s.Expect, s.Note = r.Rate, r.Duration, r.Warmup, r.Expect, r.Note
	s.Ledger, s.LedgerEndpoint, s.LedgerWait, s.Others = r.Ledger, r.ledgerEndpoint(), r.LedgerWait, r.Others
	if err := check(ctx, s); err != nil {
		return err
	}
	out, err := r.file()
	if err != nil {
		return &exit{report.ExitUsage, err}
	}
	files := r.files()
	files["--out"], files["--profile"] = out, r.Profile
	if err := writable(files, nil); err != nil {
		return &exit{report.ExitUsage, err}
	}
	stop, err := r.target(ctx, &s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := r.raisePriority(); err != nil {
		return err
	}
	made, err := r.measure(ctx, s, out)
	if err != nil {
		return err
	}
	if err := made.Text(os.Stdout, progress.Colour(os.Stdout)); err != nil {
		return err
	}
	if err := r.write(made); err != nil {
		return err
	}
	fmt.Printf("\nresults: %s (to report again: loadtest report %s)\n", out, out)
	if made.Verdict != report.Pass {
		return &exit{code: made.Verdict.ExitCode()}
	}
	return nil
}

// check checks settings before anything is started for them.
func check(ctx context.Context, s trial.Settings) error {
	if s.URL == "" { // the local system will have such addresses
		s.URL, s.QueueURL = "ws://127.0.0.1/", cmp.Or(s.QueueURL, "http://127.0.0.1/queue")
		s.LedgerEndpoint = cmp.Or(s.LedgerEndpoint, "http://127.0.0.1")
	}
	if err := s.Check(ctx); err != nil {
		return &exit{report.ExitUsage, err}
	}
	return nil
}

// ledgerEndpoint returns the endpoint of the ledger. It is empty for AWS, and for a local system that is not started
// yet.
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

// file returns the name of the result file and makes its directory.
func (r *runCommand) file() (string, error) {
	if r.Out != "" {
		return r.Out, nil
	}
	dir := filepath.Join(os.TempDir(), "fanfare-loadtest")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("create directory for results: %w", err)
	}
	return filepath.Join(dir, time.Now().Format("20060102-150405.000")+".results"), nil
}

// measure connects the clients, measures, and returns the report. Meanwhile it prints the progress.
func (r *runCommand) measure(ctx context.Context, s trial.Settings, out string) (made *report.Report, err error) {
	command, err := workerArgs()
	if err != nil {
		return nil, err
	}
	t, err := trial.Open(ctx, s, command)
	if _, ok := errors.AsType[*trial.NoLedger](err); ok {
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
			return nil, fmt.Errorf("write CPU profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, fmt.Errorf("write CPU profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	return t.Measure(ctx, s.Rate, s.Duration, out)
}

// follow prints the progress of a trial until stop is called.
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
	// The fleet passes interrupts on; a worker ends when its standard input ends.
	return engine.ServeWorker(context.WithoutCancel(ctx), os.Stdin, os.Stdout)
}
