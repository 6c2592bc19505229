// Connect handles a new WebSocket connection before it is opened, after the authorizer if there is one: it refuses
// pages of other origins and writes the connection's row.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"fanfare/pkg/access"
	"fanfare/pkg/function"
	"fanfare/pkg/ingress"
	"fanfare/pkg/registry"
)

func main() { function.Run(setup) }

func setup(env *function.Environment, cfg aws.Config) (any, error) {
	table := &registry.Table{Client: dynamodb.NewFromConfig(cfg), Name: env.String("CONNECTIONS_TABLE")}
	origins := access.Origins(strings.Split(env.String("ALLOWED_ORIGINS"), ","))
	return func(ctx context.Context, r events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		handshake := access.Handshake{Headers: r.MultiValueHeaders}
		if !origins.Allow(handshake) {
			slog.InfoContext(ctx, "refused", "connection", r.RequestContext.ConnectionID, "reason", "origin")
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
