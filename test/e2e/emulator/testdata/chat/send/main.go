// Send puts a message on the queue, with the user of the authorizer's context.
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

type (
	request  = events.APIGatewayWebsocketProxyRequest
	response = events.APIGatewayProxyResponse
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	client, queue := sqs.NewFromConfig(cfg), os.Getenv("QUEUE")
	fmt.Println("callback", os.Getenv("CALLBACK"))
	lambda.Start(func(ctx context.Context, r request) (response, error) {
		var in struct{ Text string }
		if err := json.Unmarshal([]byte(r.Body), &in); err != nil {
			return response{}, err
		}
		authorizer := r.RequestContext.Authorizer.(map[string]any)
		body, err := json.Marshal(map[string]any{"text": in.Text, "user": authorizer["user"]})
		if err != nil {
			return response{}, err
		}
		_, err = client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String(string(body))})
		return response{StatusCode: 200}, err
	})
}
