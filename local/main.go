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
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
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
	AWSPort   int               `name:"aws-port" default:"4566" help:"Port of SQS, DynamoDB and Secrets Manager; 0 for any."`
	BuildDir  string            `default:"build/local" help:"Where the functions are built." type:"path"`
	Speed     float64           `default:"1" help:"How many times faster than the wall AWS's clock runs: 600 makes ten idle minutes a second."`
	Fault     []string          `sep:"none" placeholder:"NAME=VALUE" help:"Something that goes wrong on purpose, such as apigateway.Gone=0.01 or lambda.Kill=0.05; repeatable. docs/local.md lists them; they can be changed while it runs."`
	Seed      uint64            `help:"Chooses among the runs of bad luck: the same seed makes the same faults befall the same sequence of requests."`
	Quota     []string          `sep:"none" placeholder:"NAME[=VALUE]" help:"A limit of the account: aws (what AWS gives by default), connections=RATE[:BURST], requests=RATE[:BURST], concurrency=N; repeatable. None by default."`
	Latency   []string          `sep:"none" placeholder:"[SERVICE=]TIME" help:"Latency of the network to a service (apigateway, sqs, dynamodb) or to all three, such as 8ms; repeatable."`
	XRay      bool              `name:"xray" help:"Collect the functions' X-Ray segments, as the daemon does; see docs/local.md."`
	XRayPort  int               `name:"xray-port" default:"2000" help:"UDP port of the X-Ray daemon; 0 for any."`
	Ready     string            `help:"A shell command to run once everything runs, such as one that fills a table. Its environment leads AWS's tools here and holds every output of the stack as OUTPUT_<Name>."`
	ReadyFile string            `type:"path" help:"JSON file of addresses and outputs, kept while everything runs."`
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
	faults, quotas, latency, err := o.circumstances()
	if err != nil {
		return err
	}
	daemon := ""
	if o.XRay {
		daemon = net.JoinHostPort("127.0.0.1", strconv.Itoa(o.XRayPort))
	}
	if err := removeReadyFile(o.ReadyFile); err != nil { // of a run that was killed
		return err
	}
	out := newConsole(os.Stdout, o.StackName+"-", o.Quiet)
	s, err := stack.Start(ctx, o.Template, stack.Options{
		Port: o.Port, AWSPort: o.AWSPort, BuildDir: o.BuildDir,
		Template: template.Options{Parameters: o.Parameter, StackName: o.StackName},
		Clock:    clock.New(o.Speed),
		Log:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		Output:   out.function, Gateway: out.gateway, Invocation: out.invocation,
		Faults: faults, Quotas: quotas, Latency: latency, XRay: daemon,
	})
	if err != nil {
		return err
	}
	out.banner(welcome(s, time.Since(begin)))
	failure := ready(ctx, o.Ready, s, out)
	if failure == nil {
		failure = writeReadyFile(o.ReadyFile, s)
	}

	if failure == nil {
		select {
		case <-ctx.Done():
		case failure = <-s.Failed():
		}
	}
	failure = errors.Join(failure, removeReadyFile(o.ReadyFile))
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

// circumstances reads the flags that make AWS's life harder than a laptop's.
func (o options) circumstances() (faults stack.Faults, quotas stack.Quotas, latency stack.Latency, err error) {
	var errs []error
	errs = append(errs, faults.Set("seed", strconv.FormatUint(o.Seed, 10)))
	for _, setting := range o.Fault {
		name, value, found := strings.Cut(setting, "=")
		if !found {
			errs = append(errs, fmt.Errorf("--fault %s: want NAME=VALUE", setting))
			continue
		}
		errs = append(errs, faults.Set(name, value))
	}
	for _, setting := range o.Quota {
		name, value, _ := strings.Cut(setting, "=")
		errs = append(errs, quotas.Set(name, value))
	}
	for _, setting := range o.Latency {
		service, value, found := strings.Cut(setting, "=")
		if !found {
			service, value = "", setting
		}
		errs = append(errs, latency.Set(service, value))
	}
	return faults, quotas, latency, errors.Join(errs...)
}

// ready runs the command that waits for the stack, to its end.
func ready(ctx context.Context, command string, s *stack.Stack, out *console) error {
	if command == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+s.AWSEndpoint, "AWS_REGION="+s.Resolved.Region, "AWS_DEFAULT_REGION="+s.Resolved.Region,
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_SESSION_TOKEN=", "AWS_PROFILE=")
	for _, output := range s.Resolved.Outputs {
		cmd.Env = append(cmd.Env, "OUTPUT_"+output.Name+"="+s.Local(output.Value))
	}
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	if len(said) > 0 {
		out.banner(string(said))
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("--ready %q: %w", command, err)
	}
	return nil
}

// welcome tells what a newcomer needs, to be copied.
func welcome(s *stack.Stack, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Running after %.1f s.\n\n", took.Seconds())
	line := func(name, value, note string) { fmt.Fprintf(&b, "%-17s %s%s\n", name, value, note) }
	for _, endpoint := range s.Endpoints {
		line("WebSocket API", "ws"+strings.TrimPrefix(endpoint, "http"), "")
		line("@connections", endpoint+"/@connections", "")
	}
	line("AWS endpoint", s.AWSEndpoint, "   (SQS, DynamoDB, Secrets Manager; any credentials)")
	if s.Traces != nil {
		line("X-Ray daemon", s.Traces.Address(), "   (UDP; "+s.AWSEndpoint+"/_local/traces tells what it got)")
	}
	queues := named(s)
	for _, q := range queues {
		line(title(q.LogicalID), q.URL, "")
	}
	for _, w := range s.Resolved.Warnings {
		fmt.Fprintf(&b, "\nwarning: %v\n", w)
	}
	b.WriteString("\nTry it:\n")
	for _, endpoint := range s.Endpoints[:min(1, len(s.Endpoints))] {
		fmt.Fprintf(&b, "  npx wscat -c ws%s\n", strings.TrimPrefix(endpoint, "http"))
	}
	for _, q := range queues[:min(1, len(queues))] {
		fmt.Fprintf(&b, "  AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x aws --endpoint-url %s --region %s sqs send-message --queue-url %s --message-body hello\n",
			s.AWSEndpoint, s.Resolved.Region, q.URL)
	}
	return b.String()
}

// named returns the queues that an output of the template names, by URL, ARN or name: they are meant for people.
func named(s *stack.Stack) []template.Queue {
	var queues []template.Queue
	for _, q := range s.Resolved.Queues {
		if slices.ContainsFunc(s.Resolved.Outputs, func(o template.Output) bool {
			return o.Value == q.URL || o.Value == q.ARN || o.Value == q.Name
		}) {
			queues = append(queues, q)
		}
	}
	return queues
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
