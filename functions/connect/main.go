// Connect handles a new WebSocket connection before it is opened, after the authorizer if there is one: it refuses
// pages of other origins and writes the connection's row.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"fanfare/pkg/access"
	"fanfare/pkg/function"
	"fanfare/pkg/ingress"
	"fanfare/pkg/registry"
	"fanfare/pkg/telemetry"
)

func main() { function.Run(setup) }

func setup(env *function.Environment, cfg aws.Config) (any, error) {
	table := &registry.Table{Client: dynamodb.NewFromConfig(cfg), Name: env.String("CONNECTIONS_TABLE")}
	origins, err := access.ParseOrigins(env.String("ALLOWED_ORIGINS"))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, r events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		handshake := access.Handshake{Headers: r.MultiValueHeaders}
		if !origins.Allow(handshake) {
			slog.InfoContext(ctx, "refused", "connection", r.RequestContext.ConnectionID, "reason", "origin",
				"origin", handshake.Origin(), "allowed", origins)
			var m telemetry.Metrics
			m.Count("OriginsRefused", 1)
			telemetry.Output{}.Measure(ctx, &m)
			return events.APIGatewayProxyResponse{StatusCode: http.StatusForbidden}, nil
		}
		arrival := time.UnixMilli(r.RequestContext.ConnectedAt)
		if err := ingress.Connect(ctx, table, r.RequestContext.ConnectionID, arrival); err != nil {
			return events.APIGatewayProxyResponse{}, err
		}
		slog.DebugContext(ctx, "connected", "connection", r.RequestContext.ConnectionID)
		response := events.APIGatewayProxyResponse{StatusCode: http.StatusOK}
		if protocol := handshake.Protocol(); protocol != "" {
			response.Headers = map[string]string{"Sec-WebSocket-Protocol": protocol}
		}
		return response, nil
	}, nil
}
