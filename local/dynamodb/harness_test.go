package dynamodb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.uber.org/goleak"

	"fanfare/local/dynamodb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// otherEndpoint returns the URL of another DynamoDB to run the conformance tests against, such as DynamoDB Local, or
// "".
func otherEndpoint() string { return os.Getenv("DYNAMODB_ENDPOINT") }

// skipElsewhere skips a test or a case against another DynamoDB that is known to fail it. The reason is what AWS
// documents.
func skipElsewhere(t *testing.T, reason string) {
	t.Helper()
	if otherEndpoint() != "" {
		t.Skip("only for this package: ", reason)
	}
}

// endpoint is the DynamoDB under test.
type endpoint struct {
	t    testing.TB
	url  string
	http *http.Client
}

// start returns the DynamoDB under test: a server on a new socket, or the other endpoint.
func start(t testing.TB, options dynamodb.Options) *endpoint {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	e := &endpoint{t: t, url: otherEndpoint(), http: &http.Client{Transport: transport}}
	if e.url == "" {
		server := dynamodb.New(options)
		t.Cleanup(server.Close)
		listener := httptest.NewServer(server)
		t.Cleanup(listener.Close)
		e.url = listener.URL
	}
	return e
}

// sdk returns a client of the AWS SDK that does not retry.
func (e *endpoint) sdk() *client.Client {
	return client.New(client.Options{
		Region:           "us-east-1",
		BaseEndpoint:     aws.String(e.url),
		Credentials:      credentials.NewStaticCredentialsProvider("AKIDTEST", "secret", ""),
		HTTPClient:       keepBodyOpen{e.http},
		RetryMaxAttempts: 1,
	})
}

// keepBodyOpen lets net/http finish writing a request. smithy-go 1.28 closes the body when the answer arrives. If
// net/http then still waits for the end of the body, it takes this for an error and drops the connection, which happens
// on a busy machine.
type keepBodyOpen struct{ client *http.Client }

func (p keepBodyOpen) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body} // hides WriteTo, which fails after Close
	}
	return p.client.Do(r)
}

// answer is a received answer.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

// code returns the type of an error without its namespace, or "".
func (a answer) code() string {
	kind, _ := a.body["__type"].(string)
	return kind[strings.IndexByte(kind, '#')+1:]
}

func (a answer) message() string {
	for _, name := range []string{"message", "Message"} {
		if text, ok := a.body[name].(string); ok {
			return text
		}
	}
	return ""
}

// send sends a request with this body.
func (e *endpoint) send(operation, body string) answer {
	e.t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, e.url, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	request.Header.Set("Authorization",
		"AWS4-HMAC-SHA256 Credential=AKIDTEST/20261123/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	response, err := e.http.Do(request)
	if err != nil {
		e.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	if sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(text)), 10); otherEndpoint() == "" &&
		response.Header.Get("X-Amz-Crc32") != sum {
		e.t.Errorf("%s: X-Amz-Crc32: got %q, want %s", operation, response.Header.Get("X-Amz-Crc32"), sum)
	}
	if response.Header.Get("X-Amzn-Requestid") == "" {
		e.t.Errorf("%s: X-Amzn-RequestId: got none", operation)
	}
	a := answer{status: response.StatusCode, header: response.Header}
	if err := json.Unmarshal(text, &a.body); err != nil {
		e.t.Fatalf("%s: decode %q: %v", operation, text, err)
	}
	return a
}

// must sends a request that must succeed.
func (e *endpoint) must(operation, body string) map[string]any {
	e.t.Helper()
	a := e.send(operation, body)
	if a.status != http.StatusOK {
		e.t.Fatalf("%s %s: got %d %s: %s, want 200", operation, body, a.status, a.code(), a.message())
	}
	return a.body
}

var tableNumber atomic.Int64

// table creates a table with the key pk (S) and, if sortType is not empty, a sort key sk of that type. It returns the
// name.
func (e *endpoint) table(sortType string) string {
	e.t.Helper()
	name := fmt.Sprintf("conformance-%d-%d", os.Getpid(), tableNumber.Add(1))
	keys, attributes := `{"AttributeName":"pk","KeyType":"HASH"}`, `{"AttributeName":"pk","AttributeType":"S"}`
	if sortType != "" {
		keys += `,{"AttributeName":"sk","KeyType":"RANGE"}`
		attributes += `,{"AttributeName":"sk","AttributeType":"` + sortType + `"}`
	}
	e.must("CreateTable", `{"TableName":"`+name+`","BillingMode":"PAY_PER_REQUEST",`+
		`"KeySchema":[`+keys+`],"AttributeDefinitions":[`+attributes+`]}`)
	e.t.Cleanup(func() { e.send("DeleteTable", `{"TableName":"`+name+`"}`) })
	return name
}

// put stores an item given as JSON.
func (e *endpoint) put(table, item string) {
	e.t.Helper()
	e.must("PutItem", `{"TableName":"`+table+`","Item":`+item+`}`)
}

// get returns an item as JSON, or "" if there is none.
func (e *endpoint) get(table, key string) string {
	e.t.Helper()
	body := e.must("GetItem", `{"TableName":"`+table+`","ConsistentRead":true,"Key":`+key+`}`)
	if body["Item"] == nil {
		return ""
	}
	return encode(body["Item"])
}

func encode(v any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(text.String())
}

// sameJSON reports whether two JSON texts are equal except for the order of members.
func sameJSON(t testing.TB, got, want string) bool {
	t.Helper()
	if got == "" || want == "" {
		return got == want
	}
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("decode %q: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("decode %q: %v", want, err)
	}
	return reflect.DeepEqual(g, w)
}
