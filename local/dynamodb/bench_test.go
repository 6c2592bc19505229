package dynamodb_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"fanfare/local/dynamodb"
)

// large returns a server with a table of n rows of about 48 bytes, like those of WebSocket connections.
func large(b *testing.B, n int) *dynamodb.Server {
	b.Helper()
	server := dynamodb.New(dynamodb.Options{})
	b.Cleanup(server.Close)
	if err := server.CreateTable(dynamodb.TableConfig{
		Name:                 "connections",
		KeySchema:            []dynamodb.KeyElement{{AttributeName: "connectionId", KeyType: "HASH"}},
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "connectionId", AttributeType: "S"}},
		BillingMode:          dynamodb.PayPerRequest,
	}); err != nil {
		b.Fatal(err)
	}
	for i := range n {
		post(b, server, "PutItem", put(i))
	}
	return server
}

func put(i int) string {
	return fmt.Sprintf(`{"TableName":"connections","Item":{"connectionId":{"S":"c%013d="},`+
		`"connectedAt":{"N":"1763906400123"},"expiresAt":{"N":"1763913600"}}}`, i)
}

// post sends a request without a socket, so that only the server is measured.
func post(b *testing.B, server *dynamodb.Server, operation, body string) int {
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDTEST/x")
	var answer sink
	server.ServeHTTP(&answer, request)
	if answer.status != http.StatusOK {
		b.Fatalf("%s: got status %d, want 200", operation, answer.status)
	}
	return answer.size
}

// sink is a ResponseWriter that discards the answer.
type sink struct {
	header       http.Header
	status, size int
}

func (s *sink) Header() http.Header {
	if s.header == nil {
		s.header = make(http.Header)
	}
	return s.header
}
func (s *sink) WriteHeader(status int)         { s.status = status }
func (s *sink) Write(body []byte) (int, error) { s.size += len(body); return len(body), nil }

func BenchmarkPut(b *testing.B) {
	server := large(b, 0)
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			post(b, server, "PutItem", put(int(next.Add(1))))
		}
	})
}

func BenchmarkGet(b *testing.B) {
	server := large(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		post(b, server, "GetItem", `{"TableName":"connections","Key":{"connectionId":{"S":"c0000000005000="}}}`)
	}
}

func BenchmarkUpdate(b *testing.B) {
	server := large(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		post(b, server, "UpdateItem", `{"TableName":"connections","Key":{"connectionId":{"S":"c0000000005000="}},`+
			`"UpdateExpression":"SET expiresAt = :e","ConditionExpression":"attribute_exists(connectionId)",`+
			`"ExpressionAttributeValues":{":e":{"N":"1763913601"}}}`)
	}
}

// BenchmarkScanPage reads one page of 1 MB out of 200,000 rows.
func BenchmarkScanPage(b *testing.B) {
	server := large(b, 200_000)
	for _, scan := range []struct{ name, parameters string }{
		{"plain", ``},
		{"middle", `,"ExclusiveStartKey":{"connectionId":{"S":"c0000000100000="}}`},
		{"segment", `,"Segment":2,"TotalSegments":4`},
		{"count", `,"Select":"COUNT"`},
		{"filter", `,"FilterExpression":"expiresAt > :now","ExpressionAttributeValues":{":now":{"N":"1763906400"}}`},
		{"projection", `,"ProjectionExpression":"connectionId, expiresAt"`},
	} {
		b.Run(scan.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(int64(post(b, server, "Scan", `{"TableName":"connections"`+scan.parameters+`}`)))
			}
		})
	}
}
