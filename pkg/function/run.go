// Package function starts a Lambda function: logging, settings, the AWS SDK, and then the handler.
package function

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"fanfare/pkg/telemetry"
	"fanfare/pkg/transport"
)

// Run starts the function whose handler setup returns, and never comes back. Setup is called once per process: clients
// are built there, and kept. When the environment is not as it asks for, or setup fails, the process says why and ends,
// which Lambda reports as an init error.
func Run(setup func(env *Environment, cfg aws.Config) (handler any, err error)) {
	slog.SetDefault(lambdacontext.NewLogger())
	handler, err := start(setup)
	if err != nil {
		slog.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

func start(setup func(env *Environment, cfg aws.Config) (any, error)) (any, error) {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		return nil, err
	}
	cfg.HTTPClient = transport.KeepBodyOpen(cfg.HTTPClient)
	telemetry.Trace(&cfg)
	var env Environment
	handler, err := setup(&env, cfg)
	if wrong := env.Err(); wrong != nil {
		return nil, wrong
	}
	return handler, err
}

// Measure writes the metrics of the present invocation.
func Measure(ctx context.Context, m *telemetry.Metrics) {
	if err := m.Write(os.Stdout, lambdacontext.FunctionName, time.Now()); err != nil {
		slog.ErrorContext(ctx, "no metrics", "error", err)
	}
}

// Invocation returns Lambda's id of the present invocation.
func Invocation(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return ""
}
