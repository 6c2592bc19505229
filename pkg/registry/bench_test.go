package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"fanfare/pkg/registry"
	"fanfare/test/cpu"
)

// scanned is an HTTP client that answers every request with the body, and lets its end be the error if there is one.
type scanned struct {
	body []byte
	err  error
}

func (s scanned) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body.Close()
	}
	body := io.Reader(bytes.NewReader(s.body))
	if s.err != nil {
		body = io.MultiReader(body, iotest.ErrReader(s.err))
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(body), ContentLength: int64(len(s.body)), Request: r,
	}, nil
}

// BenchmarkTable_Page reads a page of 10,000 rows whose JSON is in memory.
func BenchmarkTable_Page(b *testing.B) {
	const rows = 10_000
	var body bytes.Buffer
	body.WriteString(`{"Count":10000,"Items":[`)
	for i := range rows {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"connectedAt":{"N":"%d"},"connectionId":{"S":"L0SM9cOF%06d="},"expiresAt":{"N":"4102444800"}}`,
			1_795_000_000_000+i, i)
	}
	body.WriteString(`],"LastEvaluatedKey":{"connectionId":{"S":"L0SM9cOF009999="}},"ScannedCount":10000}`)
	table := &registry.Table{Name: "connections", Client: dynamodb.New(dynamodb.Options{
		Region: "us-east-1", HTTPClient: scanned{body: body.Bytes()}, DisableValidateResponseChecksum: true,
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider("test", "test", "")),
	})}
	b.ReportAllocs()
	start := cpu.Used(b)
	for b.Loop() {
		connections, next, err := table.Page(b.Context(), 0, 1, "")
		if err != nil || len(connections) != rows || next == "" {
			b.Fatalf("got %d connections, next %q, %v, want %d", len(connections), next, err, rows)
		}
	}
	cpu.Report(b, start)
}
