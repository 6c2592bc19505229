// Fanfare is the operator's command: reports of broadcasts, dead letters, and tokens for clients. It works on AWS with
// the credentials of the environment, and with --local on the stack that "make run" has started.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/transport"
)

type command struct {
	Prefix   string `default:"websocket" help:"The stack's parameter NamePrefix."`
	Local    bool   `help:"Use a local stack, at --endpoint, with made-up credentials."`
	Endpoint string `default:"http://127.0.0.1:4566" env:"AWS_ENDPOINT_URL" help:"URL of the local AWS services."`

	Timeout time.Duration `default:"30s" help:"Time limit of one attempt; a request has up to three."`

	Version kong.VersionFlag `help:"Print the version and exit."`

	Report      report      `cmd:"" help:"Print the audience of a broadcast and the results of its deliveries."`
	DeadLetters deadLetters `cmd:"" help:"List the messages on the dead-letter queues, with the reasons."`
	Redrive     redrive     `cmd:"" help:"Send dead letters back to their queues, after the cause is fixed."`
	Token       tokens      `cmd:"" help:"Make a token for a client, signed with the stack's own secret."`
}

// target is a stack and the output of the command.
type target struct {
	dynamodb *dynamodb.Client
	sqs      *sqs.Client
	secrets  *secretsmanager.Client
	prefix   string
	out      io.Writer
}

func main() {
	var c command
	parsed := kong.Parse(&c, kong.Name("fanfare"),
		kong.Description("Reports of broadcasts, dead letters, and tokens for clients."),
		kong.UsageOnError(), kong.Vars{"version": version()})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	t, err := c.target(ctx)
	if err == nil {
		parsed.BindTo(ctx, (*context.Context)(nil))
		err = parsed.Run(t)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fanfare:", err)
		os.Exit(1)
	}
}

// version returns the module's version and the Go version from the build information.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "fanfare (no build information)"
	}
	return fmt.Sprintf("fanfare %s %s", info.Main.Version, info.GoVersion)
}

// minTimeout is the shortest --timeout. A long poll for dead letters takes up to a second.
const minTimeout = 2 * time.Second

func (c command) target(ctx context.Context) (*target, error) {
	if c.Timeout < minTimeout {
		return nil, fmt.Errorf("--timeout %v: want at least %v", c.Timeout, minTimeout)
	}
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(c.Timeout)),
	}
	if c.Local {
		options = append(options, config.WithBaseEndpoint(c.Endpoint), config.WithRegion("us-east-1"),
			config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	cfg.HTTPClient = transport.KeepBodyOpen(cfg.HTTPClient)
	return &target{
		dynamodb: dynamodb.NewFromConfig(cfg), sqs: sqs.NewFromConfig(cfg), secrets: secretsmanager.NewFromConfig(cfg),
		prefix: c.Prefix, out: os.Stdout,
	}, nil
}

// url returns the URL of one of the stack's queues.
func (t *target) url(ctx context.Context, queue string) (string, error) {
	name := t.prefix + "-" + queue
	out, err := t.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return "", fmt.Errorf("find queue %s: %w", name, err)
	}
	return aws.ToString(out.QueueUrl), nil
}
