// Package awstest gives tests AWS's clients, against the services of local/: adapters are tested over the wire that they
// will speak.
package awstest

import (
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	dynamodbclient "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	sqsclient "github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/local/dynamodb"
	"fanfare/local/sqs"
	"fanfare/pkg/transport"
)

// Config returns a configuration for clients of the service at endpoint. An answer that the client drops would be asked for
// again, and what it brought be in flight.
func Config(endpoint string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: transport.KeepBodyOpen(nil),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
}

// Tables starts DynamoDB with the stack's two tables, "connections" and "broadcasts", until the test ends.
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
			KeySchema:            []dynamodb.KeyElement{{AttributeName: "broadcastId", KeyType: "HASH"}, {AttributeName: "part", KeyType: "RANGE"}},
			AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "broadcastId", AttributeType: "S"}, {AttributeName: "part", AttributeType: "S"}},
		},
	} {
		if err := server.CreateTable(table); err != nil {
			t.Fatal(err)
		}
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return dynamodbclient.NewFromConfig(Config(listener.URL))
}

// Queues starts SQS with a queue of each name, until the test ends, and returns the queues' URLs.
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
