// Disconnect handles a closed WebSocket connection: it deletes the connection's row.
package main

import (
	"context"
	"log/slog"
	"net/http"

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
		if err := ingress.Disconnect(ctx, table, r.RequestContext.ConnectionID); err != nil {
			return events.APIGatewayProxyResponse{}, err
		}
		slog.DebugContext(ctx, "disconnected", "connection", r.RequestContext.ConnectionID)
		return events.APIGatewayProxyResponse{StatusCode: http.StatusOK}, nil
	}, nil
}
