// Package telemetry tells operators what the functions do: X-Ray traces and CloudWatch metrics. Logs are slog's.
package telemetry

import (
	"context"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-xray-sdk-go/v2/instrumentation/awsv2"
	"github.com/aws/aws-xray-sdk-go/v2/xray"
	"github.com/aws/aws-xray-sdk-go/v2/xraylog"
)

// tracing is whether a daemon listens: Lambda always tells where. Elsewhere tracing is free and silent.
var tracing = os.Getenv("AWS_XRAY_DAEMON_ADDRESS") != ""

// Trace makes every call of clients that are built from cfg a subsegment, and passes the trace on with it: SQS keeps it
// with the message. Do not use it for the client that posts to connections: one subsegment per post costs more than the
// post.
func Trace(cfg *aws.Config) {
	if !tracing {
		return
	}
	xray.SetLogger(xraylog.NullLogger) // the SDK logs a line for every datagram that it cannot send
	awsv2.AWSV2Instrumentor(&cfg.APIOptions)
}

// Subsegment runs do as a subsegment of the present trace. Annotations that do returns are indexed by X-Ray; their values
// are strings, numbers or booleans.
func Subsegment(ctx context.Context, name string, do func(context.Context) (annotations map[string]any, err error)) error {
	if !tracing {
		_, err := do(ctx)
		return err
	}
	ctx, segment := xray.BeginSubsegment(ctx, name)
	annotations, err := do(ctx)
	if segment != nil {
		for key, value := range annotations {
			_ = segment.AddAnnotation(key, value) // fails for other types of values only
		}
		segment.Close(err)
	}
	return err
}
