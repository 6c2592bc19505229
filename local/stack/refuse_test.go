package stack_test

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"fanfare/local/stack"
)

// TestRefused_SDKs checks that SDKs read the refusal of services that are not emulated, by the query protocol and by
// AWS JSON, and that they do not repeat the request.
func TestRefused_SDKs(t *testing.T) {
	var mu sync.Mutex
	var requests []stack.Refused
	s := start(t, stack.Options{Refused: func(r stack.Refused) {
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, r)
	}})
	conf := aws.Config{Region: "us-east-1", BaseEndpoint: &s.AWSEndpoint,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")}
	_, query := sts.NewFromConfig(conf).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	_, json := dynamodbstreams.NewFromConfig(conf).ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{})
	for want, err := range map[string]error{
		"AWS query, service sts: GetCallerIdentity is not emulated": query,
		"AWS JSON, service dynamodb: ListStreams is not emulated":   json,
	} {
		failure, ok := errors.AsType[smithy.APIError](err)
		if !ok || failure.ErrorCode() != "UnsupportedOperation" || !strings.HasPrefix(failure.ErrorMessage(), want) {
			t.Errorf("got %v, want UnsupportedOperation: %s", err, want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := []stack.Refused{{"sts", "GetCallerIdentity", "AWS query"}, {"dynamodb", "ListStreams", "AWS JSON"}}
	if len(requests) != 2 || requests[0] != want[0] || requests[1] != want[1] {
		t.Errorf("got requests %v, want %v", requests, want)
	}
}

// TestRefused_Protocols checks the form of the answer in each protocol.
func TestRefused_Protocols(t *testing.T) {
	s := start(t, stack.Options{})
	const message = " is not emulated: only SQS, DynamoDB and Secrets Manager&#39;s GetSecretValue are, with AWS JSON"
	json := strings.ReplaceAll(message, "&#39;", "'")
	for _, test := range []struct {
		service, method, path, body string
		header                      http.Header
		want                        string // the beginning of the body
	}{
		{"sqs", "POST", "/", "Action=SendMessage&Version=2012-11-05",
			http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}},
			`<ErrorResponse xmlns="http://webservices.amazon.com/AWSFault/2005-15-09"><Error><Type>Sender</Type>` +
				`<Code>UnsupportedOperation</Code><Message>AWS query, service sqs: SendMessage` + message + `</Message></Error>`},
		{"iam", "GET", "/?Action=List%3CUsers", "", nil, `<ErrorResponse xmlns="http://webservices.amazon.com/AWSFault/` +
			`2005-15-09"><Error><Type>Sender</Type><Code>UnsupportedOperation</Code><Message>AWS query, service iam: ` +
			`List&lt;Users` + message},
		{"ec2", "POST", "/", "Action=RunInstances", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			`<Response><Errors><Error><Code>UnsupportedOperation</Code><Message>EC2 query, service ec2: RunInstances`},
		{"s3", "PUT", "/bucket/key", "content", nil,
			`<Error><Code>UnsupportedOperation</Code><Message>REST XML, service s3: PUT /bucket/key` + message},
		{"route53", "GET", "/2013-04-01/hostedzone", "", nil, `<ErrorResponse><Error><Type>Sender</Type><Code>Unsupp`},
		{"lambda", "POST", "/2015-03-31/functions/f/invocations", "{}", nil, `{"__type":"UnsupportedOperation","message":` +
			`"REST JSON, service lambda: POST /2015-03-31/functions/f/invocations` + json + `"}`},
		{"ssm", "POST", "/", "{}", http.Header{"X-Amz-Target": {"AmazonSSM.GetParameter"}}, `{"__type":` +
			`"UnsupportedOperation","message":"AWS JSON, service ssm: GetParameter` + json + `"}`},
		{"", "POST", "/", "{}", http.Header{"X-Amz-Target": {"AmazonSSM.GetParameter"}}, `{"__type":` +
			`"UnsupportedOperation","message":"AWS JSON, service AmazonSSM: GetParameter` + json + `"}`},
		{"monitoring", "POST", "/service/GraniteService/operation/PutMetricData", "\xa0",
			http.Header{"Smithy-Protocol": {"rpc-v2-cbor"}}, "\xa2\x79\x00\x06__type\x79\x00\x14UnsupportedOperation\x79\x00" +
				"\x07message\x79\x00\x8aRPC v2 CBOR, service monitoring: PutMetricData"},
		{"", "GET", "/", "", nil, `{"__type":"UnsupportedOperation","message":"REST JSON, service unknown: GET /` + json},
	} {
		r, err := http.NewRequestWithContext(t.Context(), test.method, s.AWSEndpoint+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		if test.header != nil {
			r.Header = test.header
		}
		if test.service != "" {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=key/20261129/us-east-1/"+test.service+
				"/aws4_request, SignedHeaders=host, Signature=0")
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusBadRequest || !strings.HasPrefix(string(body), test.want) {
			t.Errorf("%s %s: got %d %q, %v, want 400 and %q", test.service, test.path, answer.StatusCode, body, err, test.want)
		}
		if answer.Header.Get("Content-Type") == "text/xml" {
			if err := xml.Unmarshal(body, new(struct{})); err != nil {
				t.Errorf("%s: got %v, want XML", test.service, err)
			}
		}
	}
}
