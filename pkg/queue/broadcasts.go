// Package queue sends to the SQS queues and their dead-letter queues, and reads the messages that Lambda's event source
// mappings deliver from them.
package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/broadcast"
	"fanfare/publish"
)

// Broadcasts is the broadcast queue, for clients' frames. It is safe for concurrent use.
type Broadcasts struct {
	Client *sqs.Client
	URL    string
}

// Publish puts a payload on the queue. It sets the broadcast's id, so that the SDK's own retries of the call cannot
// broadcast the payload twice. After an error the payload may be on the queue.
func (q *Broadcasts) Publish(ctx context.Context, id string, payload []byte) error {
	body, attrs := publish.Message{ID: id, Payload: payload}.Encode()
	if _, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.URL, MessageBody: &body, MessageAttributes: attributes(attrs),
	}); err != nil {
		return fmt.Errorf("send broadcast %s: %w", id, err)
	}
	return nil
}

// ReadBroadcasts returns the broadcasts of an event, one for each record. Unreadable is a permanent error for a record
// that is not a broadcast. Only records of the queue with continuationARN are read as continuations: publishers have no
// permission on it.
func ReadBroadcasts(event events.SQSEvent, continuationARN, invocation string) []broadcast.Request {
	requests := make([]broadcast.Request, len(event.Records))
	for i, m := range event.Records {
		record := readRecord(m, invocation)
		record.Continuation = m.EventSourceARN == continuationARN
		requests[i] = readBroadcast(record, m)
	}
	return requests
}

func readBroadcast(record broadcast.Record, m events.SQSMessage) broadcast.Request {
	record.BroadcastID = record.ID
	if id := record.Attributes[publish.AttributeID]; publish.CheckID(id) == nil {
		record.BroadcastID = id
	}
	if id := record.Attributes[attrBroadcast]; record.Continuation && id != "" {
		record.BroadcastID = id
	}
	r := broadcast.Request{Record: record, Message: broadcast.Message{ID: record.BroadcastID, SentAt: sentAt(m)}}
	err := checkAttributes(record, m)
	if err == nil {
		err = readMessage(&r)
	}
	if err == nil && record.Continuation {
		err = readContinuation(&r)
	}
	switch {
	case errors.Is(err, publish.ErrTooLarge):
		r.Unreadable = broadcast.Permanent(broadcast.ReasonTooLarge, err)
	case errors.Is(err, publish.ErrNotUTF8):
		r.Unreadable = broadcast.Permanent(broadcast.ReasonNotUTF8, err)
	case err != nil:
		r.Unreadable = broadcast.Permanent(broadcast.ReasonMalformed, err)
	}
	return r
}

// checkAttributes checks the names and types of all attributes. On the continuation queue the system's own are allowed.
func checkAttributes(record broadcast.Record, m events.SQSMessage) error {
	for _, name := range slices.Sorted(maps.Keys(m.MessageAttributes)) {
		if record.Continuation && steering[name] {
			continue
		}
		if err := publish.CheckAttribute(name, m.MessageAttributes[name].DataType); err != nil {
			return err
		}
	}
	return nil
}

func readMessage(r *broadcast.Request) error {
	message, err := publish.Decode(r.Record.Body, r.Record.Attributes)
	if err != nil {
		return err
	}
	r.Message.Payload, r.Message.Exclude = message.Payload, message.Exclude
	return nil
}

// ReadRecord returns the record of an event that must have exactly one.
func ReadRecord(event events.SQSEvent, invocation string) (broadcast.Record, error) {
	if len(event.Records) != 1 {
		n := len(event.Records)
		return broadcast.Record{}, fmt.Errorf("read an event: it has %d records, and the batch size must be 1", n)
	}
	return readRecord(event.Records[0], invocation), nil
}

func readRecord(m events.SQSMessage, invocation string) broadcast.Record {
	r := broadcast.Record{
		ID: m.MessageId, Body: m.Body, Invocation: invocation,
		Attributes:  make(map[string]string),
		Redelivered: m.Attributes["ApproximateReceiveCount"] != "1",
	}
	for name, attr := range m.MessageAttributes {
		if attr.StringValue != nil {
			r.Attributes[name] = *attr.StringValue
		}
	}
	return r
}

// sentAt returns the time at which SQS accepted the message.
func sentAt(m events.SQSMessage) time.Time {
	millis, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64)
	if err != nil {
		return time.Now().UTC() // SQS always sets it; an event written by hand may not
	}
	return time.UnixMilli(millis).UTC()
}

// attributes returns string attributes without the empty ones, which SQS refuses.
func attributes(values map[string]string) map[string]types.MessageAttributeValue {
	out := make(map[string]types.MessageAttributeValue, len(values))
	for name, value := range values {
		if value != "" {
			out[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
		}
	}
	return out
}
