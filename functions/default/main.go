// Default handles every frame of a client that no other route takes: if the client may publish, it puts the frame on
// the broadcast queue and acknowledges it.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/access"
	"fanfare/pkg/function"
	"fanfare/pkg/ingress"
	"fanfare/pkg/queue"
	"fanfare/pkg/quota"
	"fanfare/pkg/telemetry"
	"fanfare/publish"
)

func main() { function.Run(setup) }

func setup(env *function.Environment, cfg aws.Config) (any, error) {
	mode := access.Mode(env.OneOf("ACCESS", string(access.Open), string(access.Listen), string(access.JWT)))
	publisher := ingress.Publisher{
		Queue:    &queue.Broadcasts{Client: sqs.NewFromConfig(cfg), URL: env.String("BROADCAST_QUEUE_URL")},
		MaxBytes: env.Int("MAX_PUBLISH_BYTES", 1, publish.MaxBytes),
	}
	if rate := env.Int("PUBLISHES_PER_SECOND", 0, 1000); rate > 0 {
		publisher.Quota = &quota.Table{
			Client: dynamodb.NewFromConfig(cfg), Name: env.String("PUBLISH_QUOTAS_TABLE"),
			Rate: rate, Burst: env.Int("PUBLISH_BURST", 1, 10_000),
		}
	}
	return func(ctx context.Context, r events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		connection := r.RequestContext.ConnectionID
		var m telemetry.Metrics
		defer func() { telemetry.Output{}.Measure(ctx, &m) }()
		refusal := mode.MayPublish(r.RequestContext.Authorizer, time.Now())
		reply, err := publisher.Publish(ctx, ingress.Client{Connection: connection, Refusal: refusal}, []byte(r.Body))
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
		// API Gateway would replace the body of any other status with its own error frame.
		return events.APIGatewayProxyResponse{StatusCode: http.StatusOK, Body: reply.Frame()}, nil
	}, nil
}
