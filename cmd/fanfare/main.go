// Fanfare is the operator's command: what became of a broadcast, what to do with dead letters, and tokens for clients. It
// works on AWS with the credentials of the environment, and with --local on what "make run" has started.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/transport"
)

type command struct {
	Prefix   string `default:"websocket" help:"The stack's NamePrefix."`
	Local    bool   `help:"Talk to what 'make run' has started, at the endpoint below."`
	Endpoint string `default:"http://127.0.0.1:4566" help:"Where that is."`

	Report      report      `cmd:"" help:"Print what became of a broadcast."`
	DeadLetters deadLetters `cmd:"" help:"List what could not be processed, with the reasons."`
	Redrive     redrive     `cmd:"" help:"Send dead letters back, once what stopped them is mended."`
	Token       tokens      `cmd:"" help:"Make a token for a client, signed with the stack's own secret."`
}

// target is a deployed stack.
type target struct {
	dynamodb *dynamodb.Client
	sqs      *sqs.Client
	secrets  *secretsmanager.Client
	prefix   string
	out      io.Writer
}

func main() {
	var c command
	parsed := kong.Parse(&c, kong.Name("fanfare"), kong.Description("What became of a broadcast, what to do with dead letters, and tokens for clients."), kong.UsageOnError())
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

func (c command) target(ctx context.Context) (*target, error) {
	var options []func(*config.LoadOptions) error
	if c.Local {
		options = append(options, config.WithBaseEndpoint(c.Endpoint), config.WithRegion("us-east-1"),
			config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	cfg.HTTPClient = transport.KeepBodyOpen(cfg.HTTPClient)
	return &target{dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg), secretsmanager.NewFromConfig(cfg), c.Prefix, os.Stdout}, nil
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
