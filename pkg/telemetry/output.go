package telemetry

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// Output receives the logs and metrics of a function. The zero value is for Lambda. It is safe for concurrent use if
// its fields are.
type Output struct {
	Log     *slog.Logger // nil means slog.Default()
	Metrics io.Writer    // nil means os.Stdout
}

// Logger returns the logger.
func (o Output) Logger() *slog.Logger {
	if o.Log != nil {
		return o.Log
	}
	return slog.Default()
}

// Measure writes the metrics of one invocation. A failure is logged.
func (o Output) Measure(ctx context.Context, m *Metrics) {
	out := o.Metrics
	if out == nil {
		out = os.Stdout
	}
	if err := m.Write(out, lambdacontext.FunctionName, time.Now()); err != nil {
		o.Logger().ErrorContext(ctx, "cannot write metrics", "error", err)
	}
}
