// Send puts a message on the queue, with its author as the authorizer knows him.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	client, queue := sqs.NewFromConfig(cfg), os.Getenv("QUEUE")
	fmt.Println("callback", os.Getenv("CALLBACK"))
	lambda.Start(func(ctx context.Context, r events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		var in struct{ Text string }
		if err := json.Unmarshal([]byte(r.Body), &in); err != nil {
			return events.APIGatewayProxyResponse{}, err
		}
		body, err := json.Marshal(map[string]any{"text": in.Text, "user": r.RequestContext.Authorizer.(map[string]any)["user"]})
		if err != nil {
			return events.APIGatewayProxyResponse{}, err
		}
		_, err = client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String(string(body))})
		return events.APIGatewayProxyResponse{StatusCode: 200}, err
	})
}
