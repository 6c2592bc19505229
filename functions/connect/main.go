// Connect is invoked before a WebSocket connection is opened: it writes the connection's row.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"fanfare/pkg/function"
	"fanfare/pkg/ingress"
	"fanfare/pkg/registry"
)

func main() { function.Run(setup) }

func setup(env *function.Environment, cfg aws.Config) (any, error) {
	table := &registry.Table{Client: dynamodb.NewFromConfig(cfg), Name: env.String("CONNECTIONS_TABLE")}
	return func(ctx context.Context, r events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		if err := ingress.Connect(ctx, table, r.RequestContext.ConnectionID, time.UnixMilli(r.RequestContext.ConnectedAt)); err != nil {
			return events.APIGatewayProxyResponse{}, err
		}
		slog.DebugContext(ctx, "connected", "connection", r.RequestContext.ConnectionID)
		return events.APIGatewayProxyResponse{StatusCode: http.StatusOK}, nil
	}, nil
}
