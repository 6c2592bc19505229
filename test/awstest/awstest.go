// Package awstest provides tests with AWS clients of the services in local/, so that adapters are tested over the real
// protocols.
package awstest

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	dynamodbclient "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	sqsclient "github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/local/dynamodb"
	"fanfare/local/sqs"
	"fanfare/pkg/transport"
)

// Config returns a configuration for clients of the service at the endpoint. It uses transport.KeepBodyOpen, because a
// retried ReceiveMessage would leave its messages in flight.
func Config(endpoint string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: transport.KeepBodyOpen(nil),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
}

// Tables starts DynamoDB with the tables "connections" and "broadcasts" and returns a client. A read without
// ConsistentRead finds nothing, because it may miss what was just written. It stops with the test.
func Tables(t testing.TB) *dynamodbclient.Client {
	t.Helper()
	server := dynamodb.New(dynamodb.Options{})
	t.Cleanup(server.Close)
	for _, table := range []dynamodb.TableConfig{
		{
			Name: "connections", BillingMode: dynamodb.PayPerRequest, TTLAttribute: "expiresAt",
			KeySchema:            []dynamodb.KeyElement{{AttributeName: "connectionId", KeyType: "HASH"}},
			AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "connectionId", AttributeType: "S"}},
		},
		{
			Name: "broadcasts", BillingMode: dynamodb.PayPerRequest, TTLAttribute: "expiresAt",
			KeySchema: []dynamodb.KeyElement{
				{AttributeName: "broadcastId", KeyType: "HASH"}, {AttributeName: "part", KeyType: "RANGE"},
			},
			AttributeDefinitions: []dynamodb.AttributeDefinition{
				{AttributeName: "broadcastId", AttributeType: "S"}, {AttributeName: "part", AttributeType: "S"},
			},
		},
	} {
		if err := server.CreateTable(table); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.SetFaults(dynamodb.Faults{Stale: 1, StaleBy: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return dynamodbclient.NewFromConfig(Config(listener.URL))
}

// Queues starts SQS with a queue of each name, and returns a client and the queues' URLs. It stops with the test.
func Queues(t testing.TB, names ...string) (client *sqsclient.Client, urls []string) {
	t.Helper()
	server := sqs.New(sqs.Options{})
	t.Cleanup(server.Close)
	for _, name := range names {
		if _, err := server.CreateQueue(sqs.QueueConfig{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	for _, name := range names {
		urls = append(urls, listener.URL+"/000000000000/"+name)
	}
	return sqsclient.NewFromConfig(Config(listener.URL)), urls
}
