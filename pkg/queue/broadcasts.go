// Package queue sends to the two SQS queues and their dead-letter queues, and reads the messages that Lambda's event
// source mappings deliver from them.
package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/broadcast"
	"fanfare/publish"
)

// Attributes of a message on the broadcast queue that a publisher does not set. Package publish has the publishers'
// own.
const (
	// Continuations and redriven broadcasts carry these, because their MessageId differs from the broadcast's id.
	attrBroadcast = "broadcast" // the broadcast's id
	attrSentAt    = "sentAt"    // time of acceptance, epoch milliseconds

	// Continuations carry these too.
	attrSegment  = "segment"  // "2/4": Scan segment 2 of 4, counted from 0
	attrStartKey = "startKey" // the segment is unread after this connection
	attrStretch  = "stretch"  // see broadcast.Cursor
	attrHop      = "hop"      // see broadcast.Request
)

// Broadcasts is the broadcast queue, for continuations and redriven broadcasts. It is safe for concurrent use.
type Broadcasts struct {
	Client *sqs.Client
	URL    string
}

// Continue puts a continuation on the queue: the rest of a broadcast for another dispatcher.
func (q *Broadcasts) Continue(ctx context.Context, r broadcast.Request) error {
	body, attrs := publish.Message{Payload: r.Message.Payload, Exclude: r.Message.Exclude}.Encode()
	attrs[attrBroadcast] = r.Message.ID
	attrs[attrSentAt] = strconv.FormatInt(r.Message.SentAt.UnixMilli(), 10)
	attrs[attrSegment] = fmt.Sprintf("%d/%d", r.Cursor.Segment, r.Cursor.Segments)
	attrs[attrStartKey] = r.Cursor.After
	attrs[attrStretch] = strconv.Itoa(r.Cursor.Stretch)
	attrs[attrHop] = strconv.Itoa(r.Hop)
	_, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.URL, MessageBody: &body, MessageAttributes: attributes(attrs),
	})
	if err != nil {
		return fmt.Errorf("continue broadcast %s: %w", r.Message.ID, err)
	}
	return nil
}

// ReadBroadcasts returns the broadcasts of an event, one for each record. Unreadable is a permanent error for a record
// that is not a broadcast.
func ReadBroadcasts(event events.SQSEvent, invocation string) []broadcast.Request {
	requests := make([]broadcast.Request, len(event.Records))
	for i, m := range event.Records {
		requests[i] = readBroadcast(readRecord(m, invocation), sentAt(m))
	}
	return requests
}

func readBroadcast(record broadcast.Record, sent time.Time) broadcast.Request {
	r := broadcast.Request{Record: record}
	unreadable := func(reason string, err error) broadcast.Request {
		r.Unreadable = broadcast.Permanent(reason, err)
		return r
	}
	message, err := publish.Decode(record.Body, record.Attributes)
	switch {
	case errors.Is(err, publish.ErrTooLarge):
		return unreadable(broadcast.ReasonTooLarge, err)
	case errors.Is(err, publish.ErrNotUTF8):
		return unreadable(broadcast.ReasonNotUTF8, err)
	case err != nil:
		return unreadable(broadcast.ReasonMalformed, err)
	}
	r.Message = broadcast.Message{ID: record.ID, Payload: message.Payload, SentAt: sent, Exclude: message.Exclude}
	if record.Attributes[attrBroadcast] == "" {
		return r
	}

	millis, err := strconv.ParseInt(record.Attributes[attrSentAt], 10, 64)
	if err != nil {
		return unreadable(broadcast.ReasonMalformed, fmt.Errorf("read attribute %s: %w", attrSentAt, err))
	}
	r.Message.ID, r.Message.SentAt = record.Attributes[attrBroadcast], time.UnixMilli(millis).UTC()
	if record.Attributes[attrSegment] == "" {
		return r // redriven from the dead-letter queue
	}
	c := broadcast.Cursor{After: record.Attributes[attrStartKey]}
	hop := 0
	for _, field := range []struct {
		name, format string
		into         []any
	}{
		{attrSegment, "%d/%d", []any{&c.Segment, &c.Segments}},
		{attrStretch, "%d", []any{&c.Stretch}},
		{attrHop, "%d", []any{&hop}},
	} {
		if _, err := fmt.Sscanf(record.Attributes[field.name], field.format, field.into...); err != nil {
			return unreadable(broadcast.ReasonMalformed,
				fmt.Errorf("read attribute %s (%q) of a continuation: %w", field.name, record.Attributes[field.name], err))
		}
	}
	if c.Segment < 0 || c.Segment >= c.Segments || c.Stretch < 0 || hop < 0 {
		return unreadable(broadcast.ReasonMalformed, fmt.Errorf("a continuation is out of bounds: %+v, hop %d", c, hop))
	}
	r.Cursor, r.Hop = c, hop
	return r
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
