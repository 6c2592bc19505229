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

// account is one SQS account as the AWS SDK sees it: this package's server on a real socket or, when SQS_ENDPOINT is
// set, whatever answers there, so that the same tests tell where the two differ.
//
// Against moto 5.2.1 and ElasticMQ 1.6.14 many of them fail, because these accept what AWS refuses (limits, names and
// characters, the cool-downs of purge and delete), leave out attributes or use other error codes. The tests follow AWS:
// its API model, its Developer Guide, and answers of AWS recorded in localstack's snapshots (tests/aws/services/sqs).
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

// serve starts a server on a socket of its own.
func serve(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	s := New(o)
	listener := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); listener.Close() })
	return s, listener.URL
}

func sdk(endpoint string) *sqs.Client {
	return sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 1, HTTPClient: keepBodyOpen{awshttp.NewBuildableClient()},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	})
}

// keepBodyOpen lets the SDK's requests be written to their end: smithy-go closes a body when the answer comes, which
// net/http may take for an error and drop the connection under the answer. On a busy machine that happens.
type keepBodyOpen struct{ client aws.HTTPClient }

func (p keepBodyOpen) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body} // hides its WriteTo, which is what fails after Close
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
		a.client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: out.QueueUrl}) // some tests have deleted it already
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
		a.Fatalf("received %d messages, want 1", len(messages))
	}
	return messages[0]
}

// hide gives a visibility timeout; 0 is the queue's own, as the SDK does not send a zero.
func hide(seconds int32) func(*sqs.ReceiveMessageInput) {
	return func(in *sqs.ReceiveMessageInput) { in.VisibilityTimeout = seconds }
}

func (a account) none(url string) {
	a.Helper()
	if got := a.receive(url, 0); len(got) != 0 {
		a.Fatalf("received %q, want nothing", *got[0].Body)
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

// refused checks that err has SQS's code and, when part is not empty, says part.
func (a account) refused(err error, code, part string) {
	a.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		a.Errorf("got %v, want %s", err, code)
		return
	}
	if api.ErrorCode() != code {
		a.Errorf("code %s (%s), want %s", api.ErrorCode(), api.ErrorMessage(), code)
	}
	if !strings.Contains(api.ErrorMessage(), part) {
		a.Errorf("%s says %q, want %q in it", code, api.ErrorMessage(), part)
	}
}

func (a account) sendError(url, body string) error {
	_, err := a.client.SendMessage(a.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body})
	return err
}

func text(value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
}
