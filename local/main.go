// Local runs this repository's stack on this machine: API Gateway's WebSocket API, Lambda, SQS, DynamoDB and Secrets
// Manager's GetSecretValue in one process on loopback, without Docker, Java or an AWS account. It builds the functions
// as they are deployed and runs them as processes; it runs functions of the runtimes provided.al2023 and provided.al2
// only. docs/local.md lists what other stacks would miss.
//
//	go run ./local --help
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
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

// drainTime is the longest time that a stop waits for running invocations.
const drainTime = 10 * time.Second

type options struct {
	Template  string            `short:"t" default:"template.yaml" help:"SAM template." type:"existingfile"`
	Parameter map[string]string `short:"p" help:"${parameter_help}" placeholder:"NAME=VALUE"`
	StackName string            `default:"local" help:"Name of the stack, the beginning of generated names."`
	Port      int               `default:"3001" help:"${port_help}"`
	AWSPort   int               `name:"aws-port" default:"4566" help:"${awsport_help}"`
	BuildDir  string            `default:"build/local" help:"${builddir_help}" type:"path"`
	Speed     float64           `default:"1" help:"${speed_help}"`
	Fault     []string          `sep:"none" placeholder:"NAME=VALUE" help:"${fault_help}"`
	Seed      uint64            `help:"Seed of the fault generator; equal seeds inject equal faults."`
	Quota     []string          `sep:"none" placeholder:"NAME[=VALUE]" help:"${quota_help}"`
	Latency   []string          `sep:"none" placeholder:"[SERVICE=]TIME" help:"${latency_help}"`
	XRay      bool              `name:"xray" help:"${xray_help}"`
	XRayPort  int               `name:"xray-port" default:"2000" help:"${xrayport_help}"`
	Ready     string            `help:"${ready_help}"`
	ReadyFile string            `type:"path" help:"JSON file of addresses and outputs, kept while everything runs."`
	Quiet     bool              `short:"q" help:"Do not print a line for each event."`
	Verbose   bool              `short:"v" help:"Print the logs of the emulated services, too."`
	Version   kong.VersionFlag  `help:"Print the version and exit."`
}

// help has the texts that are too long for struct tags.
var help = kong.Vars{
	"version":        version(),
	"parameter_help": "Value of a template parameter; repeatable.",
	"port_help":      "Port of the WebSocket API; further APIs have the ports after it. 0 selects free ports.",
	"awsport_help":   "Port of SQS, DynamoDB and Secrets Manager. 0 selects a free port.",
	"builddir_help":  "Folder in which the functions are built. Several processes may share it.",
	"speed_help": "Speed of the clock of AWS's services: with 600, ten idle minutes pass in a second. " +
		"Functions keep the machine's time. 0.001 to 100000.",
	"fault_help": "Fault to inject, such as apigateway.Gone=0.01 or lambda.Kill=0.05; repeatable. " +
		"docs/local.md lists the faults and describes how to change them at run time.",
	"quota_help": "Limit of the account: aws (AWS's defaults), connections=RATE[:BURST], requests=RATE[:BURST], " +
		"concurrency=N; rates per second; repeatable. The default is no limit.",
	"latency_help":  "Round-trip time to a service (apigateway, sqs, dynamodb) or to all three, such as 8ms; repeatable.",
	"xray_help":     "Receive the X-Ray segments of the functions, as the X-Ray daemon does; see docs/local.md.",
	"xrayport_help": "UDP port of the X-Ray daemon. 0 selects a free port.",
	"ready_help": "Shell command to run when everything has started, such as one that fills a table. Its environment " +
		"directs AWS's tools to this process and has every output of the stack as OUTPUT_<Name>.",
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("local"), kong.UsageOnError(), help,
		kong.Description("Runs Fanfare's stack on this machine. For functions of the runtimes provided.* only; "+
			"docs/local.md lists what other stacks would miss."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := program{os.Stdout, os.Stderr}.main(ctx, o)
	stop()
	os.Exit(code)
}

// program is this program with its output.
type program struct{ stdout, stderr io.Writer }

// main runs the stack, prints the error of the run and returns the exit code.
func (p program) main(ctx context.Context, o options) int {
	p.stderr = &terminal{out: p.stderr}
	if err := p.run(ctx, o); err != nil {
		fmt.Fprintln(p.stderr, "local:", err)
		return 1
	}
	return 0
}

// version returns the version of the module, with the commit if the build knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version + " " + info.GoVersion
}

// run starts the stack and stops it when ctx ends or a part of it fails.
func (p program) run(ctx context.Context, o options) error {
	begin := time.Now()
	level := slog.LevelError
	if o.Verbose {
		level = slog.LevelDebug
	}
	faults, quotas, latency, err := o.conditions()
	if err = errors.Join(o.check(), err); err != nil {
		return err
	}
	daemon := ""
	if o.XRay {
		daemon = net.JoinHostPort("127.0.0.1", strconv.Itoa(o.XRayPort))
	}
	if err := removeReadyFile(o.ReadyFile); err != nil { // of a run that was killed
		return err
	}
	out := newConsole(p.stdout, o.StackName+"-", o.Quiet)
	s, err := stack.Start(ctx, o.Template, stack.Options{
		Port: o.Port, AWSPort: o.AWSPort, BuildDir: o.BuildDir,
		Template: template.Options{Parameters: o.Parameter, StackName: o.StackName},
		Clock:    clock.New(o.Speed),
		Log:      slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level})),
		Output:   out.function, Gateway: out.gateway, Invocation: out.invocation,
		Refused: out.refused,
		Faults:  faults, Quotas: quotas, Latency: latency, XRay: daemon,
	})
	if err != nil {
		return err
	}
	out.banner(welcome(s, time.Since(begin)))
	failure := p.ready(ctx, o.Ready, s, out)
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
	out.banner(fmt.Sprintf("\nStopping: closing %d connections and waiting for running invocations. "+
		"Ctrl-C again to stop at once.\n", s.Connections()))
	stopping, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	stopping, release := signal.NotifyContext(stopping, os.Interrupt, syscall.SIGTERM)
	defer release()
	if err := s.Stop(stopping); err != nil && !errors.Is(err, context.Canceled) {
		failure = errors.Join(failure, fmt.Errorf("stop: %w", err))
	}
	return failure
}

// Bounds of --speed. Beyond them, durations of the clock would overflow within a day.
const minSpeed, maxSpeed = 0.001, 100_000

// check returns the errors of numeric flags.
func (o options) check() error {
	var errs []error
	if !(o.Speed >= minSpeed && o.Speed <= maxSpeed) { // also true for NaN
		errs = append(errs, fmt.Errorf("--speed %v: want %v to %v", o.Speed, minSpeed, maxSpeed))
	}
	for _, port := range []struct {
		flag   string
		number int
	}{{"--port", o.Port}, {"--aws-port", o.AWSPort}, {"--xray-port", o.XRayPort}} {
		if port.number < 0 || port.number > 65535 {
			errs = append(errs, fmt.Errorf("%s %d: want 0 to 65535", port.flag, port.number))
		}
	}
	return errors.Join(errs...)
}

// conditions parses the flags of faults, quotas and latency.
func (o options) conditions() (faults stack.Faults, quotas stack.Quotas, latency stack.Latency, err error) {
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

// ready runs the command of --ready and waits for its end.
func (p program) ready(ctx context.Context, command string, s *stack.Stack, out *console) error {
	if command == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+s.AWSEndpoint, "AWS_REGION="+s.Resolved.Region,
		"AWS_DEFAULT_REGION="+s.Resolved.Region,
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_SESSION_TOKEN=", "AWS_PROFILE=")
	for _, output := range s.Resolved.Outputs {
		cmd.Env = append(cmd.Env, "OUTPUT_"+output.Name+"="+s.Local(output.Value))
	}
	cmd.Stderr = p.stderr
	text, err := cmd.Output()
	if len(text) > 0 {
		out.banner(string(text))
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("--ready %q: %w", command, err)
	}
	return nil
}

// welcome returns the text that is printed at the start: URLs and commands to copy.
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
		line("X-Ray daemon", s.Traces.Address(), "   (UDP; "+s.AWSEndpoint+"/_local/traces shows the segments)")
	}
	queues := outputQueues(s)
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
		fmt.Fprintf(&b, "  AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x aws --endpoint-url %s --region %s sqs send-message "+
			"--queue-url %s --message-body hello\n",
			s.AWSEndpoint, s.Resolved.Region, q.URL)
	}
	return b.String()
}

// outputQueues returns the queues that an output of the template names by URL, ARN or name.
func outputQueues(s *stack.Stack) []template.Queue {
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

// title returns a logical id as words: BroadcastQueue is "Broadcast queue".
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
