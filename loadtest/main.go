// Command loadtest decides whether a WebSocket broadcast system delivers: it opens many clients, publishes on an
// absolute schedule, accounts for every delivery, and says what it could not measure. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"fanfare/loadtest/report"
	"fanfare/loadtest/trial"

	"github.com/alecthomas/kong"
)

// commands are what the program can do.
type commands struct {
	Run     runCommand     `cmd:"" help:"Run a load test and judge it."`
	Report  reportCommand  `cmd:"" help:"Report on result files again, in any format."`
	Compare compareCommand `cmd:"" help:"Set two runs, or two groups of runs, side by side."`
	Sweep   sweepCommand   `cmd:"" help:"Find the highest rate at which the system keeps to a bound."`
	Doctor  doctorCommand  `cmd:"" help:"Prove that the harness finds faults, by committing them."`
	Echo    echoCommand    `cmd:"" help:"Serve a bare broadcast server, to see what the harness itself can do."`
	Figures figuresCommand `cmd:"" help:"List the figures that expectations can name."`
	Worker  workerCommand  `cmd:"" hidden:"" help:"Be one of several processes of a run (started by run itself)."`
}

const description = `Decides whether a WebSocket broadcast system delivers.

Opens many clients, publishes on an absolute schedule, accounts for every delivery (missing, duplicate, reordered, late,
corrupt), and declares a run invalid when the harness itself was the bottleneck.

Exit codes: 0 passed, 1 a threshold was missed, 2 wrong usage, 3 the run is invalid, 4 clients could not connect.`

// exit is an error with the exit code that it asks for. An empty one has been explained already.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exit{report.ExitUsage, fmt.Errorf(format, args...)}
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func newParser() (*kong.Kong, error) {
	return kong.New(&commands{}, kong.Name("loadtest"), kong.Description(description), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 120}),
		kong.Vars{"processors": "one per processor, at most four"})
}

func run(args []string) int {
	parser, err := newParser()
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		return report.ExitUsage
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "loadtest: %v\nTry: loadtest --help, or loadtest %s --help\n", err, first(args))
		return report.ExitUsage
	}
	// The first interrupt ends the run early, with a report; the second ends the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	command.BindTo(ctx, (*context.Context)(nil))
	return code(command.Run())
}

// code explains an error, once, and returns the exit code that goes with it.
func code(err error) int {
	if err == nil {
		return report.ExitPass
	}
	if errors.Is(err, context.Canceled) {
		err = &exit{report.ExitInvalid, errors.New("interrupted before there was anything to report")}
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "loadtest:", text)
	}
	var known *exit
	var unconnected *trial.Unconnected
	switch {
	case errors.As(err, &known):
		return known.code
	case errors.As(err, &unconnected):
		return report.ExitUnconnected
	}
	return report.ExitInvalid
}

func first(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "run"
}
