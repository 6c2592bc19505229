// Default is invoked with every frame of a client that no other route takes: it puts the frame on the broadcast queue and
// acknowledges it.
package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/function"
	"fanfare/pkg/ingress"
	"fanfare/pkg/queue"
	"fanfare/pkg/telemetry"
)

func main() { function.Run(setup) }

func setup(env *function.Environment, cfg aws.Config) (any, error) {
	broadcasts := &queue.Broadcasts{Client: sqs.NewFromConfig(cfg), URL: env.String("BROADCAST_QUEUE_URL")}
	return func(ctx context.Context, r events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		connection := r.RequestContext.ConnectionID
		var m telemetry.Metrics
		defer func() { function.Measure(ctx, &m) }()
		reply, err := ingress.Publish(ctx, broadcasts, []byte(r.Body))
		switch {
		case err != nil:
			slog.ErrorContext(ctx, "not published", "connection", connection, "error", err)
			m.Count("PublishErrors", 1)
		case reply.Code != "":
			slog.InfoContext(ctx, "refused", "connection", connection, "code", reply.Code)
			m.Count("Refused", 1)
		default:
			m.Count("Published", 1)
			slog.InfoContext(ctx, "published", "connection", connection, "broadcast", reply.ID, "bytes", len(r.Body))
		}
		// API Gateway replaces the body of any other status by an error frame of its own.
		return events.APIGatewayProxyResponse{StatusCode: http.StatusOK, Body: reply.Frame()}, nil
	}, nil
}
