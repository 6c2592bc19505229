// Package telemetry writes X-Ray traces and CloudWatch metrics of the functions. Logs are written with log/slog.
package telemetry

import (
	"context"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-xray-sdk-go/v2/instrumentation/awsv2"
	"github.com/aws/aws-xray-sdk-go/v2/xray"
	"github.com/aws/aws-xray-sdk-go/v2/xraylog"
)

// tracing reports whether there is an X-Ray daemon: Lambda always sets its address. Without one, nothing is traced.
var tracing = os.Getenv("AWS_XRAY_DAEMON_ADDRESS") != ""

// Trace records every call of clients that are built from cfg as a subsegment, and sends the trace's id with the call;
// SQS keeps it with the message. Do not use it for the client that posts to connections: a subsegment costs more than a
// post.
func Trace(cfg *aws.Config) {
	if !tracing {
		return
	}
	xray.SetLogger(xraylog.NullLogger) // the SDK logs a line for every datagram that it cannot send
	awsv2.AWSV2Instrumentor(&cfg.APIOptions)
}

// Subsegment runs do as a subsegment of the present trace. X-Ray indexes the annotations that do returns; their values
// must be strings, numbers or booleans.
func Subsegment(ctx context.Context, name string,
	do func(context.Context) (annotations map[string]any, err error)) error {
	if !tracing {
		_, err := do(ctx)
		return err
	}
	ctx, segment := xray.BeginSubsegment(ctx, name)
	annotations, err := do(ctx)
	if segment != nil {
		for key, value := range annotations {
			_ = segment.AddAnnotation(key, value) // fails only for other types of values
		}
		segment.Close(err)
	}
	return err
}
