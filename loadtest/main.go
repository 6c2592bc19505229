// Command loadtest tests whether a WebSocket broadcast system delivers. It opens many clients, publishes on an absolute
// schedule, counts the outcome of every delivery, and reports where the harness itself was too slow. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"fanfare/loadtest/report"
	"fanfare/loadtest/trial"

	"github.com/alecthomas/kong"
)

// commands are the subcommands and global flags.
type commands struct {
	Run     runCommand     `cmd:"" help:"Run one load test and report on it."`
	Report  reportCommand  `cmd:"" help:"Report on result files again, in any format."`
	Compare compareCommand `cmd:"" help:"Compare two runs, or two groups of runs."`
	Sweep   sweepCommand   `cmd:"" help:"Find the capacity: the highest rate at which a bound holds."`
	Doctor  doctorCommand  `cmd:"" help:"Check that the harness finds faults, by injecting them."`
	Echo    echoCommand    `cmd:"" help:"Run a bare broadcast server, to measure the harness itself."`
	Figures figuresCommand `cmd:"" help:"List the figures that thresholds can name."`
	Worker  workerCommand  `cmd:"" hidden:"" help:"Run as one of several processes of a run (run starts them)."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

const description = `Tests whether a WebSocket broadcast system delivers.

Opens many clients, publishes on an absolute schedule and counts the outcome of every delivery (missing, duplicate,
reordered, late, corrupt). A run is invalid if the harness itself was the bottleneck, or measured less
than it was asked for.

Exit codes: 0 passed, 1 a threshold was missed, 2 wrong usage, 3 the run is invalid, 4 clients could not connect.`

// exit is an error with an exit code. Without err, the reason has been printed already.
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
	return kong.New(&commands{}, kong.Name("loadtest"), kong.Description(description), kong.UsageOnError(), help,
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 120}),
		kong.Vars{"version": version()})
}

// version returns the versions of the module and of Go and, if the build recorded it, the revision of the repository.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "loadtest, unknown version"
	}
	parts := []string{"loadtest", info.Main.Version, info.GoVersion}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			parts = append(parts, s.Value)
		}
	}
	return strings.Join(parts, " ")
}

func run(args []string) int {
	parser, err := newParser()
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		return report.ExitUsage
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "loadtest: %v\n%s\n", err, hint(parser, args))
		return report.ExitUsage
	}
	// The first interrupt ends the run early and reports on it; the second ends the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	command.BindTo(ctx, (*context.Context)(nil))
	return code(command.Run())
}

// code prints an error and returns its exit code.
func code(err error) int {
	if err == nil {
		return report.ExitPass
	}
	if errors.Is(err, context.Canceled) {
		err = &exit{report.ExitInvalid, errors.New("interrupted before the run was complete")}
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

// hint returns the commands that print help. It names the command of the arguments only if there is such a command.
func hint(parser *kong.Kong, args []string) string {
	for _, c := range parser.Model.Children {
		if len(args) > 0 && c.Name == args[0] && !c.Hidden {
			return "Try: loadtest " + c.Name + " --help"
		}
	}
	return "Try: loadtest --help"
}
