package sqs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"fanfare/local/awsapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// account is one SQS account, used through the AWS SDK: a server of this package on a socket or, if SQS_ENDPOINT is
// set, another implementation at that URL.
//
// Many of these tests fail against moto 5.2.1 and ElasticMQ 1.6.14, which accept what AWS refuses (limits, names,
// characters, the cool-downs of purge and delete), omit attributes or use other error codes. The tests follow AWS: its
// API model, its Developer Guide, and answers of AWS recorded in localstack's snapshots (tests/aws/services/sqs).
type account struct {
	*testing.T
	client *sqs.Client
}

func open(t *testing.T) account {
	t.Helper()
	endpoint := os.Getenv("SQS_ENDPOINT")
	if endpoint == "" {
		_, endpoint = serve(t, Options{})
	}
	return account{t, sdk(endpoint)}
}

// serve starts a server on a new socket.
func serve(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	s := New(o)
	listener := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); listener.Close() })
	return s, listener.URL
}

func sdk(endpoint string) *sqs.Client {
	return sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 1,
		HTTPClient:  keepBodyOpen{awshttp.NewBuildableClient()},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	})
}

// keepBodyOpen lets net/http finish writing a request. smithy-go closes the body when the answer arrives; net/http may
// take this for an error and drop the connection, which happens on a busy machine.
type keepBodyOpen struct{ client aws.HTTPClient }

func (p keepBodyOpen) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body} // hides WriteTo, which fails after Close
	}
	return p.client.Do(r)
}

// create creates a queue with attributes "Name=value" and deletes it after the test.
func (a account) create(attributes ...string) string {
	a.Helper()
	name := fmt.Sprintf("t-%s", awsapi.NewUUID())
	in := &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{}}
	for _, text := range attributes {
		key, value, _ := strings.Cut(text, "=")
		in.Attributes[key] = value
	}
	out, err := a.client.CreateQueue(a.Context(), in)
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		a.client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: out.QueueUrl}) // fails if the test has deleted it
	})
	return *out.QueueUrl
}

func (a account) send(url, body string) string {
	a.Helper()
	out, err := a.client.SendMessage(a.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body})
	if err != nil {
		a.Fatal(err)
	}
	return *out.MessageId
}

// receive receives up to ten messages with all their attributes, waiting for wait seconds.
func (a account) receive(url string, wait int32, options ...func(*sqs.ReceiveMessageInput)) []types.Message {
	a.Helper()
	in := &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: wait,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}, MessageAttributeNames: []string{"All"},
	}
	for _, option := range options {
		option(in)
	}
	out, err := a.client.ReceiveMessage(a.Context(), in)
	if err != nil {
		a.Fatal(err)
	}
	return out.Messages
}

// one receives exactly one message.
func (a account) one(url string, wait int32, options ...func(*sqs.ReceiveMessageInput)) types.Message {
	a.Helper()
	messages := a.receive(url, wait, options...)
	if len(messages) != 1 {
		a.Fatalf("got %d messages, want 1", len(messages))
	}
	return messages[0]
}

// hide sets the visibility timeout. The SDK does not send 0, so 0 is the queue's own.
func hide(seconds int32) func(*sqs.ReceiveMessageInput) {
	return func(in *sqs.ReceiveMessageInput) { in.VisibilityTimeout = seconds }
}

func (a account) none(url string) {
	a.Helper()
	if got := a.receive(url, 0); len(got) != 0 {
		a.Fatalf("got %q, want no message", *got[0].Body)
	}
}

func (a account) delete(url string, m types.Message) {
	a.Helper()
	_, err := a.client.DeleteMessage(a.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
	if err != nil {
		a.Fatal(err)
	}
}

func (a account) attribute(url, name string) string {
	a.Helper()
	out, err := a.client.GetQueueAttributes(a.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeName(name)}})
	if err != nil {
		a.Fatal(err)
	}
	return out.Attributes[name]
}

// refused checks that err has the code and that its message contains part.
func (a account) refused(err error, code, part string) {
	a.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		a.Errorf("got %v, want %s", err, code)
		return
	}
	if api.ErrorCode() != code {
		a.Errorf("code: got %s (%s), want %s", api.ErrorCode(), api.ErrorMessage(), code)
	}
	if !strings.Contains(api.ErrorMessage(), part) {
		a.Errorf("message of %s: got %q, want %q in it", code, api.ErrorMessage(), part)
	}
}

func (a account) sendError(url, body string) error {
	_, err := a.client.SendMessage(a.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body})
	return err
}

func text(value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
}
