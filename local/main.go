// Local runs a SAM template's WebSocket application on this machine: API Gateway, Lambda, SQS and DynamoDB in one
// process on loopback, without Docker, Java or an account. Functions are built as they are deployed and run as processes.
//
//	go run ./local --help
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"fanfare/local/clock"
	"fanfare/local/stack"
	"fanfare/local/template"
)

// drainTime is how long Ctrl-C waits for what is under way.
const drainTime = 10 * time.Second

type options struct {
	Template  string            `short:"t" default:"template.yaml" help:"The SAM template." type:"existingfile"`
	Parameter map[string]string `short:"p" help:"A value for one of the template's parameters, Name=Value; repeatable."`
	StackName string            `default:"local" help:"The stack's name, with which generated names begin."`
	Port      int               `default:"3001" help:"Port of the WebSocket API; 0 for any. Further APIs take the ports after it."`
	AWSPort   int               `name:"aws-port" default:"4566" help:"Port of SQS and DynamoDB; 0 for any."`
	BuildDir  string            `default:"build/local" help:"Where the functions are built." type:"path"`
	Speed     float64           `default:"1" help:"How many times faster than the wall AWS's clock runs: 600 makes ten idle minutes a second."`
	Quiet     bool              `short:"q" help:"Print no line per event."`
	Verbose   bool              `short:"v" help:"Print what the emulated services log, too."`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("local"), kong.Description("Runs a SAM template's WebSocket application on this machine."),
		kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	begin := time.Now()
	level := slog.LevelError
	if o.Verbose {
		level = slog.LevelDebug
	}
	out := newConsole(os.Stdout, o.StackName+"-", o.Quiet)
	s, err := stack.Start(ctx, o.Template, stack.Options{
		Port: o.Port, AWSPort: o.AWSPort, BuildDir: o.BuildDir,
		Template: template.Options{Parameters: o.Parameter, StackName: o.StackName},
		Clock:    clock.New(o.Speed),
		Log:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		Output:   out.function, Gateway: out.gateway, Invocation: out.invocation,
	})
	if err != nil {
		return err
	}
	out.banner(welcome(s, time.Since(begin)))

	var failure error
	select {
	case <-ctx.Done():
	case failure = <-s.Failed():
	}
	out.banner(fmt.Sprintf("\nStopping: closing %d connections and finishing what is under way. Ctrl-C again to stop at once.\n", s.Connections()))
	stopping, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	stopping, release := signal.NotifyContext(stopping, os.Interrupt, syscall.SIGTERM)
	defer release()
	if err := s.Stop(stopping); err != nil && !errors.Is(err, context.Canceled) {
		failure = errors.Join(failure, fmt.Errorf("not everything could be finished: %w", err))
	}
	return failure
}

// welcome tells what a newcomer needs, to be copied.
func welcome(s *stack.Stack, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Running after %.1f s.\n\n", took.Seconds())
	line := func(name, value, note string) { fmt.Fprintf(&b, "%-18s%s%s\n", name, value, note) }
	for _, endpoint := range s.Endpoints {
		line("WebSocket API", "ws"+strings.TrimPrefix(endpoint, "http"), "")
		line("@connections", endpoint+"/@connections", "")
	}
	line("AWS endpoint", s.AWSEndpoint, "   (SQS, DynamoDB; any credentials)")
	for _, q := range s.Resolved.Queues {
		if fed(s, q.ARN) {
			line(title(q.LogicalID), q.URL, "")
		}
	}
	for _, w := range s.Resolved.Warnings {
		fmt.Fprintf(&b, "\nwarning: %v\n", w)
	}
	b.WriteString("\nTry it:\n")
	for _, endpoint := range s.Endpoints[:min(1, len(s.Endpoints))] {
		fmt.Fprintf(&b, "  npx wscat -c ws%s\n", strings.TrimPrefix(endpoint, "http"))
	}
	for _, q := range s.Resolved.Queues {
		if fed(s, q.ARN) {
			fmt.Fprintf(&b, "  AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x aws --endpoint-url %s --region %s sqs send-message --queue-url %s --message-body hello\n",
				s.AWSEndpoint, s.Resolved.Region, q.URL)
			break
		}
	}
	return b.String()
}

// fed reports whether a function takes the queue's messages first hand: it is a way in, unless another function is.
func fed(s *stack.Stack, queueARN string) bool {
	for _, output := range s.Resolved.Outputs {
		if u, err := url.Parse(output.Value); err == nil && output.Value == queueARN || (err == nil && strings.HasSuffix(u.Path, "/"+queueARN[strings.LastIndex(queueARN, ":")+1:])) {
			return true
		}
	}
	return false
}

// title makes words of a logical id: BroadcastQueue becomes "Broadcast queue".
func title(logicalID string) string {
	var b strings.Builder
	for i, r := range logicalID {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
