// Connect writes the row of a connection, with the context of its authorizer.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type (
	request  = events.APIGatewayWebsocketProxyRequest
	response = events.APIGatewayProxyResponse
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	db, table := dynamodb.NewFromConfig(cfg), os.Getenv("TABLE")
	lambda.Start(func(ctx context.Context, r request) (response, error) {
		item := map[string]types.AttributeValue{
			"connectionId": &types.AttributeValueMemberS{Value: r.RequestContext.ConnectionID},
		}
		if authorizer, ok := r.RequestContext.Authorizer.(map[string]any); ok {
			item["user"] = &types.AttributeValueMemberS{Value: fmt.Sprint(authorizer["user"])}
			item["level"] = &types.AttributeValueMemberS{Value: fmt.Sprintf("%T %v", authorizer["level"], authorizer["level"])}
		}
		_, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: item})
		return response{StatusCode: 200}, err
	})
}
