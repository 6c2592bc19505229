package simulation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/broadcast"
)

// sqsClient returns a client of the SDK that speaks to the world's queues, so that pkg/queue runs as it is.
func (w *world) sqsClient(attempts int) *sqs.Client {
	return sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://sqs.simulated"), Credentials: aws.AnonymousCredentials{},
		HTTPClient: sqsEndpoint{w},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.Backoff = retry.BackoffDelayerFunc(func(attempt int, err error) (time.Duration, error) {
				return time.Duration(attempt) * 300 * time.Millisecond, nil // the SDK's is random, from a source of its own
			})
		}),
	})
}

// sqsEndpoint answers the SDK's requests.
type sqsEndpoint struct{ world *world }

type attributeValue struct{ DataType, StringValue string }

type sendRequest struct {
	Id                string // of an entry
	QueueUrl          string
	MessageBody       string
	DelaySeconds      int
	MessageAttributes map[string]attributeValue
	Entries           []sendRequest
}

func (e sqsEndpoint) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var in sendRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w := e.world
	q := w.queues[in.QueueUrl]
	if q == nil {
		return nil, fmt.Errorf("there is no queue %q", in.QueueUrl)
	}
	var out any
	key := fmt.Sprintf("%s to %s %s", operation, in.QueueUrl, describe(in))
	err = w.do(r.Context(), key, w.settings.Queue.latency(w), &w.settings.Queue.Faults, func() error {
		switch operation {
		case "SendMessage":
			out = map[string]string{"MessageId": in.send(q, invoked(r.Context())).id}
		case "SendMessageBatch":
			out = w.sendBatch(q, in.Entries, invoked(r.Context()))
		default:
			panic("the simulated SQS does not know " + operation)
		}
		return nil
	})
	switch {
	case errors.Is(err, errDead), r.Context().Err() != nil:
		return nil, err
	case err != nil:
		return answer(r, http.StatusInternalServerError, map[string]string{"__type": "com.amazonaws.sqs#InternalError", "message": err.Error()})
	}
	return answer(r, http.StatusOK, out)
}

func (in sendRequest) send(q *messageQueue, by *invocation) *message {
	attributes := make(map[string]string)
	for name, value := range in.MessageAttributes {
		attributes[name] = value.StringValue
	}
	m := q.send(in.MessageBody, attributes, time.Duration(in.DelaySeconds)*time.Second)
	if by.mapping != nil && by.mapping.queue == q {
		m.lineage = by.lineage(m)
	}
	switch q.name {
	case "broadcast":
		q.world.stored(m)
	case "broadcast-dead", "send-dead":
		q.world.census.Buried++
		if m.attributes["reason"] == broadcast.ReasonAudience {
			q.world.census.Hopeless++
		}
	}
	return m
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

// sendBatch stores the entries, but for those that it refuses; of which it stores some.
func (w *world) sendBatch(q *messageQueue, entries []sendRequest, by *invocation) batchAnswer {
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

// describe tells requests of one invocation apart.
func describe(in sendRequest) string {
	var s strings.Builder
	for _, entry := range append([]sendRequest{in}, in.Entries...) {
		s.WriteString(" ")
		s.WriteString(entry.MessageBody[:min(100, len(entry.MessageBody))])
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
