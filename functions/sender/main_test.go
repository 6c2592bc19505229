package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	client "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/local/dynamodb"
	"fanfare/local/sqs"
	"fanfare/pkg/broadcast"
	"fanfare/pkg/function"
	"fanfare/test/awstest"
)

// cloud is the AWS of a sender: an API Gateway with one stalled client, "full=", and tables and queues.
type cloud struct {
	*httptest.Server
	mu     sync.Mutex
	closed []string // paths of the connections that were closed
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	tables := dynamodb.New(dynamodb.Options{})
	t.Cleanup(tables.Close)
	for name, keys := range map[string][]string{"connections": {"connectionId"}, "broadcasts": {"broadcastId", "part"}} {
		config := dynamodb.TableConfig{Name: name, BillingMode: dynamodb.PayPerRequest}
		for i, key := range keys {
			kind := []string{"HASH", "RANGE"}[i]
			config.KeySchema = append(config.KeySchema, dynamodb.KeyElement{AttributeName: key, KeyType: kind})
			config.AttributeDefinitions = append(config.AttributeDefinitions,
				dynamodb.AttributeDefinition{AttributeName: key, AttributeType: "S"})
		}
		if err := tables.CreateTable(config); err != nil {
			t.Fatal(err)
		}
	}
	queues := sqs.New(sqs.Options{})
	t.Cleanup(queues.Close)
	for _, name := range []string{"send", "dead"} {
		if _, err := queues.CreateQueue(sqs.QueueConfig{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	c := &cloud{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch target := r.Header.Get("X-Amz-Target"); {
		case strings.HasPrefix(target, "DynamoDB_"):
			tables.ServeHTTP(w, r)
		case target != "":
			queues.ServeHTTP(w, r)
		case r.Method == http.MethodDelete:
			c.mu.Lock()
			c.closed = append(c.closed, r.URL.Path)
			c.mu.Unlock()
		case strings.HasSuffix(r.URL.Path, "/full="):
			w.Header().Set("X-Amzn-ErrorType", "LimitExceededException")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// messages returns the number of messages on a queue.
func (c *cloud) messages(t *testing.T, queue string) (sum int) {
	t.Helper()
	url := c.URL + "/000000000000/" + queue
	in := &client.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	}
	out, err := client.NewFromConfig(awstest.Config(c.URL)).GetQueueAttributes(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"} {
		n, err := strconv.Atoi(out.Attributes[name])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// FULL_BUFFERS decides whether the function closes a client whose buffer is full at the last attempt, MAX_ATTEMPTS how
// often the function tries before.
func TestSetup_FullBuffers(t *testing.T) {
	for _, test := range []struct {
		fullBuffers, maxAttempts string
		closed                   []string
		requeued                 int
	}{
		{"keep", "1", nil, 0},
		{"disconnect", "1", []string{"/@connections/full="}, 0},
		{"disconnect", "2", nil, 1},
	} {
		t.Run(fmt.Sprintf("%s after %s", test.fullBuffers, test.maxAttempts), func(t *testing.T) {
			c := newCloud(t)
			variables := map[string]string{
				"POSTS_PER_SECOND": "1000", "SENDER_CONCURRENCY": "2", "MANAGEMENT_ENDPOINT": c.URL,
				"BROADCASTS_TABLE": "broadcasts", "CONNECTIONS_TABLE": "connections", "MAX_ATTEMPTS": test.maxAttempts,
				"SEND_QUEUE_URL": c.URL + "/000000000000/send", "SEND_DEAD_LETTER_QUEUE_URL": c.URL + "/000000000000/dead",
				"FULL_BUFFERS": test.fullBuffers,
			}
			env := &function.Environment{Get: func(name string) string { return variables[name] }}
			handle, err := setup(env, awstest.Config(c.URL))
			if err != nil || env.Err() != nil {
				t.Fatal(err, env.Err())
			}
			body, err := broadcast.Batch{
				ID: "0/1.0.0", Messages: []broadcast.Message{{ID: "m", Payload: []byte("x"), SentAt: time.Now()}},
				Connections: []string{"a=", "b=", "full="}, DispatchedAt: time.Now(),
			}.Encode()
			if err != nil {
				t.Fatal(err)
			}
			ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "invocation"})
			_, err = handle.(func(context.Context, events.SQSEvent) (events.SQSEventResponse, error))(ctx,
				events.SQSEvent{Records: []events.SQSMessage{{MessageId: "id", Body: body}}})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(c.closed, test.closed) {
				t.Errorf("closed: got %v, want %v", c.closed, test.closed)
			}
			if got := c.messages(t, "send"); got != test.requeued {
				t.Errorf("messages on the send queue: got %d, want %d", got, test.requeued)
			}
			if got := c.messages(t, "dead"); got != 0 {
				t.Errorf("dead letters: got %d, want 0", got)
			}
		})
	}
}
