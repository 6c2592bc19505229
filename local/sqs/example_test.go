package sqs_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/local/sqs"
)

// A producer sends through the AWS SDK. The consumer runs in the process of the server.
func Example() {
	server := sqs.New(sqs.Options{})
	defer server.Close()
	arn, err := server.CreateQueue(sqs.QueueConfig{
		Name:       "orders",
		Attributes: map[string]string{"VisibilityTimeout": "60"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	listener := httptest.NewServer(server)
	defer listener.Close()

	ctx := context.Background()
	producer := client.New(client.Options{Region: "us-east-1", BaseEndpoint: aws.String(listener.URL),
		HTTPClient:  listener.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("any", "any", "")})
	queue, err := producer.GetQueueUrl(ctx, &client.GetQueueUrlInput{QueueName: aws.String("orders")})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := producer.SendMessage(ctx, &client.SendMessageInput{
		QueueUrl: queue.QueueUrl, MessageBody: aws.String("two coffees")}); err != nil {
		fmt.Println(err)
		return
	}

	messages, err := server.Receive(ctx, arn, 10, time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range messages {
		fmt.Println(m.Body, m.Attributes["ApproximateReceiveCount"])
		if err := server.Delete(arn, m.ReceiptHandle); err != nil {
			fmt.Println(err)
		}
	}
	// Output: two coffees 1
}
