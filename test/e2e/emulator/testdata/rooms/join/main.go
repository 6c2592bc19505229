// Join writes a row for each connect and deletes it with the disconnect.
package main

import (
	"context"
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
	db, table := dynamodb.NewFromConfig(cfg), os.Getenv("MEMBERS")
	lambda.Start(func(ctx context.Context, r request) (response, error) {
		key := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: r.RequestContext.ConnectionID}}
		if r.RequestContext.EventType == "CONNECT" {
			_, err = db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: key})
		} else {
			_, err = db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: key})
		}
		return response{StatusCode: 200}, err
	})
}
