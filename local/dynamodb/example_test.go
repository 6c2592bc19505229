package dynamodb_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"fanfare/local/dynamodb"
)

func Example() {
	server := dynamodb.New(dynamodb.Options{})
	defer server.Close()
	listener := httptest.NewServer(server)
	defer listener.Close()
	if err := server.CreateTable(dynamodb.TableConfig{
		Name:                 "visits",
		KeySchema:            []dynamodb.KeyElement{{AttributeName: "page", KeyType: "HASH"}},
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "page", AttributeType: "S"}},
		BillingMode:          dynamodb.PayPerRequest,
	}); err != nil {
		fmt.Println(err)
		return
	}
	visits := client.New(client.Options{Region: "us-east-1", BaseEndpoint: aws.String(listener.URL),
		HTTPClient:  keepBodyOpen{listener.Client()},
		Credentials: credentials.NewStaticCredentialsProvider("any", "any", "")})
	for range 3 {
		out, err := visits.UpdateItem(context.Background(), &client.UpdateItemInput{
			TableName:                 aws.String("visits"),
			Key:                       map[string]types.AttributeValue{"page": &types.AttributeValueMemberS{Value: "/"}},
			UpdateExpression:          aws.String("ADD visitors :one"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":one": &types.AttributeValueMemberN{Value: "1"}},
			ReturnValues:              types.ReturnValueUpdatedNew,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(out.Attributes["visitors"].(*types.AttributeValueMemberN).Value)
	}
	// Output:
	// 1
	// 2
	// 3
}
