package registry_test

import (
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"fanfare/pkg/registry"
)

const oneRow = `{"connectionId":{"S":"a="},"connectedAt":{"N":"1"},"expiresAt":{"N":"4102444800"}}`

// responses are bodies of Scan responses, and whether they are decoded without the SDK.
var responses = []struct {
	body string
	fast bool
}{
	{`{"Count":1,"Items":[` + oneRow + `],"ScannedCount":1}`, true},
	{`{"Items":[` + oneRow + `,` + oneRow + `],"LastEvaluatedKey":{"connectionId":{"S":"a="}}}`, true},
	{`{"Items":[{"goneAt":{"N":"5"},` + oneRow[1:] + `]}`, true},
	{`{"Count":0,"Items":[],"ScannedCount":0}`, true},
	{`{"Count":0,"Items":[],"LastEvaluatedKey":{"connectionId":{"S":"a="}}}`, true},
	{`{"Items": []}`, false},
	{`{"Items":[]}` + "\n", false},
	{`{"Items":[],"Items":[` + oneRow + `]}`, false},
	{`{"Items":[],"Other":1}`, false},
	{`{"Count":1}`, false},
	{`{}`, false},
	{``, false},
	{`{"Count":01,"Items":[]}`, false},
	{`{"Count":-1,"Items":[]}`, false},
	{`{"Items":null}`, false},
	{`{"Items":[` + oneRow + `,]}`, false},
	{`{"Items":[` + oneRow, false},
	{`{"Items":[{}]}`, false},
	{`{"Items":[{"connectionId":{"S":"a="},"connectedAt":{"N":"1"}}]}`, false},
	{`{"Items":[{"other":{"S":"b"},` + oneRow[1:] + `]}`, false},
	{`{"Items":[{"connectedAt":{"N":"2"},` + oneRow[1:] + `]}`, false},
	{`{"Items":[` + strings.Replace(oneRow, `a=`, `\u0061=`, 1) + `]}`, false},
	{`{"Items":[` + strings.Replace(oneRow, `a=`, `ü=`, 1) + `]}`, false},
	{`{"Items":[` + strings.Replace(oneRow, `"S"`, `"N"`, 1) + `]}`, false},
	{`{"Items":[` + strings.Replace(oneRow, `"1"`, `"1.5"`, 1) + `]}`, false},
	{`{"Items":[` + strings.Replace(oneRow, `"1"`, `1`, 1) + `]}`, false},
	{`{"Items":[],"LastEvaluatedKey":{}}`, false},
	{`{"Items":[],"LastEvaluatedKey":{"connectionId":{"S":""}}}`, false},
	{`{"Items":[],"LastEvaluatedKey":{"connectionId":{"S":"a="},"sort":{"S":"b"}}}`, false},
}

func clientOf(body string) *dynamodb.Client { return clientWith(scanned{body: []byte(body)}) }

func clientWith(responses scanned) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: "us-east-1", HTTPClient: responses, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

// sdkPage decodes the body with the SDK alone.
func sdkPage(t *testing.T, body string) (registry.Page, error) {
	t.Helper()
	out, err := clientOf(body).Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("connections")})
	if err != nil {
		return registry.Page{}, err
	}
	return registry.PageOf(out)
}

func TestDecodePage(t *testing.T) {
	for _, test := range responses {
		if _, fast := registry.DecodePage([]byte(test.body)); fast != test.fast {
			t.Errorf("%s: got %v, want %v", test.body, fast, test.fast)
		}
	}
}

// Page returns the same with and without the SDK's decoder.
func TestTable_PageFallback(t *testing.T) {
	for _, test := range responses {
		table := &registry.Table{Name: "connections", Client: clientOf(test.body)}
		connections, next, err := table.Page(t.Context(), 0, 1, "")
		_, sdkErr := sdkPage(t, test.body)
		if (err != nil) != (sdkErr != nil) {
			t.Errorf("%s: got %v, want %v", test.body, err, sdkErr)
		}
		if n := strings.Count(test.body, "expiresAt"); err == nil && len(connections) != n {
			t.Errorf("%s: got %d connections, want %d", test.body, len(connections), n)
		}
		want := strings.Contains(test.body, `"LastEvaluatedKey":{"connectionId":{"S":"a="`)
		if err == nil && (next == "a=") != want {
			t.Errorf("%s: got next %q, want a= %v", test.body, next, want)
		}
	}
}

// A response that breaks off is an error, even if what has arrived is a page.
func TestTable_PageIncomplete(t *testing.T) {
	for _, body := range []string{`{"Items":[` + oneRow + `]}`, `{"Items":[` + oneRow + `,`} {
		client := clientWith(scanned{[]byte(body), io.ErrUnexpectedEOF})
		table := &registry.Table{Name: "connections", Client: client}
		if connections, _, err := table.Page(t.Context(), 0, 1, ""); err == nil {
			t.Errorf("got %d connections, want an error", len(connections))
		}
	}
}

// FuzzDecodePage compares what is decoded without the SDK with what the SDK decodes.
func FuzzDecodePage(f *testing.F) {
	for _, seed := range responses {
		f.Add(seed.body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, ok := registry.DecodePage([]byte(body))
		if !ok {
			return
		}
		want, err := sdkPage(t, body)
		if err != nil || !registry.EqualPages(got, want) {
			t.Errorf("%s: got %v, want %v, %v", body, got, want, err)
		}
	})
}
