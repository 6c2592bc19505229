// Package function starts a Lambda function: it sets up logging, the settings and the AWS SDK, and runs the handler.
package function

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"fanfare/pkg/telemetry"
	"fanfare/pkg/transport"
)

// Run starts the function and does not return. It calls setup once per process to get the handler; clients are built
// there and reused by all invocations. If the environment is incomplete or wrong, or setup fails, it logs the error and
// ends the process, which Lambda reports as an init error.
func Run(setup func(env *Environment, cfg aws.Config) (handler any, err error)) {
	slog.SetDefault(lambdacontext.NewLogger())
	handler, err := start(setup)
	if err != nil {
		slog.Error("cannot start the function", "error", err)
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
