package simulation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/broadcast"
)

// sqsClient returns an SDK client of the world's queues, so that pkg/queue runs unchanged.
func (w *world) sqsClient(attempts int) *sqs.Client {
	return sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://sqs.simulated"), Credentials: aws.AnonymousCredentials{},
		HTTPClient: sqsEndpoint{w},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.Backoff = retry.BackoffDelayerFunc(func(attempt int, err error) (time.Duration, error) {
				return time.Duration(attempt) * 300 * time.Millisecond, nil // the SDK's own delay is random
			})
		}),
	})
}

// sqsEndpoint answers the SDK's requests.
type sqsEndpoint struct{ world *world }

type attributeValue struct{ DataType, StringValue string }

type request struct {
	Id                string // of an entry
	QueueUrl          string
	MessageBody       string
	DelaySeconds      int
	MessageAttributes map[string]attributeValue
	Entries           []request

	MaxNumberOfMessages int
	VisibilityTimeout   int    // seconds
	ReceiptHandle       string // also of an entry
}

func (e sqsEndpoint) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w := e.world
	q := w.queues[in.QueueUrl]
	if q == nil {
		return nil, fmt.Errorf("simulated: no queue %q", in.QueueUrl)
	}
	var out any
	key := fmt.Sprintf("%s to %s %s", operation, in.QueueUrl, describe(in))
	err = w.do(r.Context(), key, w.settings.Queue.latency(w), &w.settings.Queue.Faults, func() error {
		out = in.do(operation, q, invoked(r.Context()))
		return nil
	})
	switch {
	case errors.Is(err, errDead), r.Context().Err() != nil:
		return nil, err
	case err != nil:
		failed := map[string]string{"__type": "com.amazonaws.sqs#InternalError", "message": err.Error()}
		return answer(r, http.StatusInternalServerError, failed)
	}
	return answer(r, http.StatusOK, out)
}

// do executes a request.
func (in request) do(operation string, q *messageQueue, by *invocation) (answer any) {
	visibility := time.Duration(in.VisibilityTimeout) * time.Second
	switch operation {
	case "SendMessage":
		return map[string]string{"MessageId": in.send(q, by).id}
	case "SendMessageBatch":
		return q.world.sendBatch(q, in.Entries, by)
	case "ReceiveMessage":
		return received(q.receive(in.MaxNumberOfMessages, visibility))
	case "DeleteMessage":
		if h := q.handle(in.ReceiptHandle); h.message != nil {
			q.delete(h)
		}
		return struct{}{}
	case "ChangeMessageVisibility":
		if h := q.handle(in.ReceiptHandle); h.message != nil {
			q.hide(h.message, visibility)
		}
		return struct{}{}
	case "ChangeMessageVisibilityBatch":
		by.changes++
		var out batchAnswer
		for _, entry := range in.Entries {
			if h := q.handle(entry.ReceiptHandle); h.message != nil {
				q.hide(h.message, time.Duration(entry.VisibilityTimeout)*time.Second)
			}
			out.Successful = append(out.Successful, batchSuccess{Id: entry.Id})
		}
		return out
	}
	panic("simulated SQS: unknown operation " + operation)
}

func (in request) send(q *messageQueue, by *invocation) *message {
	attributes := make(map[string]string)
	for name, value := range in.MessageAttributes {
		attributes[name] = value.StringValue
	}
	m := q.send(in.MessageBody, attributes, time.Duration(in.DelaySeconds)*time.Second)
	// Lambda counts the invocations of a function, from any of its queues.
	own := by.mapping != nil && (by.mapping.queue == q || by.mapping.name == "dispatcher" && q.name == "continuation")
	if own {
		m.lineage = by.lineage()
	}
	switch q.name {
	case "broadcast":
		q.world.stored(m)
	case "continuation":
		q.world.trail.Pass(m.attributes["broadcast"]) // dispatched in a later pass
	}
	census := &q.world.census
	switch {
	case q.dead == nil:
		census.DeadLettered++
		if m.attributes["reason"] == broadcast.ReasonAudience {
			census.TooManyHops++
		}
	case by.operator:
		census.Redriven++
	case own && q.name == "continuation":
		census.Continued++
	}
	return m
}

// received returns the answer of ReceiveMessage.
func received(handles []handle) any {
	var messages []map[string]any
	for _, h := range handles {
		attributes := make(map[string]attributeValue)
		for name, value := range h.message.attributes {
			attributes[name] = attributeValue{"String", value}
		}
		messages = append(messages, map[string]any{
			"MessageId": h.message.id, "ReceiptHandle": h.text(), "Body": h.message.body, "MessageAttributes": attributes,
			"Attributes": map[string]string{"SentTimestamp": strconv.FormatInt(h.message.sent.UnixMilli(), 10)},
		})
	}
	return map[string]any{"Messages": messages}
}

type batchAnswer struct {
	Successful []batchSuccess
	Failed     []batchFailure
}

type batchSuccess struct{ Id, MessageId string }

type batchFailure struct {
	Id, Code, Message string
	SenderFault       bool
}

// sendBatch stores the entries. It may report some as failed, and stores half of these.
func (w *world) sendBatch(q *messageQueue, entries []request, by *invocation) batchAnswer {
	var out batchAnswer
	partial := w.chance(w.settings.Queue.Partial)
	for _, entry := range entries {
		refused := partial && w.random.IntN(2) == 0
		stored := !refused || w.random.IntN(2) == 0
		id := ""
		if stored {
			id = entry.send(q, by).id
		}
		if refused {
			out.Failed = append(out.Failed, batchFailure{Id: entry.Id, Code: "InternalError", Message: "simulated"})
		} else {
			out.Successful = append(out.Successful, batchSuccess{entry.Id, id})
		}
	}
	return out
}

// describe returns a text that distinguishes the requests of one invocation.
func describe(in request) string {
	s := new(strings.Builder)
	for _, entry := range append([]request{in}, in.Entries...) {
		s.WriteString(" " + entry.ReceiptHandle + " ")
		s.WriteString(entry.MessageBody[:min(100, len(entry.MessageBody))])
		if entry.ReceiptHandle != in.ReceiptHandle {
			fmt.Fprintf(s, "%s for %ds", entry.ReceiptHandle, entry.VisibilityTimeout)
		}
		for _, name := range []string{"broadcast", "segment", "stretch", "reason"} {
			if value, ok := entry.MessageAttributes[name]; ok {
				s.WriteString(" " + name + "=" + value.StringValue)
			}
		}
	}
	return s.String()
}

func answer(r *http.Request, status int, out any) (*http.Response, error) {
	data, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:   io.NopCloser(bytes.NewReader(data)), ContentLength: int64(len(data)),
	}, nil
}
