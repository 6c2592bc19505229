// Package queue publishes to the two SQS queues and reads what Lambda's event source mapping hands over from them.
package queue

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/broadcast"
	"fanfare/publish"
)

// Attributes of a message on the broadcast queue. The first two are for publishers.
const (
	attrEncoding = "encoding" // "base64" if the body is the base64 of the payload
	attrExclude  = "exclude"  // ids of connections that shall not receive it, comma separated

	// What was not sent by a publisher has these as well, as its MessageId is another.
	attrBroadcast = "broadcast" // the broadcast's id
	attrSentAt    = "sentAt"    // when it was accepted, epoch milliseconds

	// A continuation has these too: what is left of a broadcast for another dispatcher.
	attrSegment  = "segment"  // "2/4": Scan segment 2 of 4, counted from 0
	attrStartKey = "startKey" // the connection after which the segment is unread
	attrStretch  = "stretch"  // see broadcast.Portion
	attrHop      = "hop"      // see broadcast.Portion
)

// Broadcasts is the broadcast queue. It is safe for concurrent use.
type Broadcasts struct {
	Client *sqs.Client
	URL    string
}

// Publish stores the payload on the queue and returns the broadcast's id.
func (q *Broadcasts) Publish(ctx context.Context, payload []byte) (id string, err error) {
	return publish.Queue{Client: q.Client, URL: q.URL}.Publish(ctx, payload)
}

// Continue puts what is left of a broadcast on the queue, for another dispatcher.
func (q *Broadcasts) Continue(ctx context.Context, r broadcast.Request) error {
	text, encoding := broadcast.EncodePayload(r.Message.Payload)
	attrs := map[string]string{
		attrBroadcast: r.Message.ID,
		attrSentAt:    strconv.FormatInt(r.Message.SentAt.UnixMilli(), 10),
		attrSegment:   fmt.Sprintf("%d/%d", r.Portion.Segment, r.Portion.Segments),
		attrStartKey:  r.Portion.After,
		attrStretch:   strconv.Itoa(r.Portion.Stretch),
		attrHop:       strconv.Itoa(r.Portion.Hop),
		attrEncoding:  encoding,
		attrExclude:   strings.Join(r.Message.Exclude, ","),
	}
	_, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.URL, MessageBody: &text, MessageAttributes: attributes(attrs)})
	if err != nil {
		return fmt.Errorf("continue broadcast %s: %w", r.Message.ID, err)
	}
	return nil
}

// ReadBroadcasts returns the broadcasts of an event. A record that is none says why (Unreadable, a permanent error).
func ReadBroadcasts(event events.SQSEvent, invocation string) []broadcast.Request {
	requests := make([]broadcast.Request, len(event.Records))
	for i, m := range event.Records {
		record := readRecord(m, invocation)
		requests[i] = broadcast.Request{Record: record}
		requests[i].Message, requests[i].Portion, requests[i].Unreadable = readBroadcast(record, sentAt(m))
	}
	return requests
}

func readBroadcast(r broadcast.Record, sent time.Time) (broadcast.Message, broadcast.Portion, error) {
	var none broadcast.Portion
	payload, err := broadcast.DecodePayload(r.Body, r.Attributes[attrEncoding])
	if err != nil {
		return broadcast.Message{}, none, err
	}
	m := broadcast.Message{ID: r.ID, Payload: payload, SentAt: sent}
	for id := range strings.SplitSeq(r.Attributes[attrExclude], ",") {
		if id = strings.TrimSpace(id); id != "" {
			m.Exclude = append(m.Exclude, id)
		}
	}
	slices.Sort(m.Exclude)
	if r.Attributes[attrBroadcast] == "" {
		return m, none, nil
	}

	millis, err := strconv.ParseInt(r.Attributes[attrSentAt], 10, 64)
	if err != nil {
		return m, none, broadcast.Permanent(broadcast.ReasonMalformed, fmt.Errorf("attribute %s: %w", attrSentAt, err))
	}
	m.ID, m.SentAt = r.Attributes[attrBroadcast], time.UnixMilli(millis).UTC()
	if r.Attributes[attrSegment] == "" {
		return m, none, nil // sent back from the dead-letter queue
	}
	p := broadcast.Portion{After: r.Attributes[attrStartKey]}
	for _, field := range []struct {
		name, format string
		into         []any
	}{
		{attrSegment, "%d/%d", []any{&p.Segment, &p.Segments}},
		{attrStretch, "%d", []any{&p.Stretch}},
		{attrHop, "%d", []any{&p.Hop}},
	} {
		if _, err := fmt.Sscanf(r.Attributes[field.name], field.format, field.into...); err != nil {
			return m, none, broadcast.Permanent(broadcast.ReasonMalformed,
				fmt.Errorf("this continuation's attribute %s is %q", field.name, r.Attributes[field.name]))
		}
	}
	if p.Segment < 0 || p.Segment >= p.Segments || p.Stretch < 0 || p.Hop < 0 {
		return m, none, broadcast.Permanent(broadcast.ReasonMalformed, fmt.Errorf("this continuation's portion is out of bounds: %+v", p))
	}
	return m, p, nil
}

// ReadRecord returns the only record of an event of a mapping whose batch size is one.
func ReadRecord(event events.SQSEvent, invocation string) (broadcast.Record, error) {
	if len(event.Records) != 1 {
		return broadcast.Record{}, fmt.Errorf("the event has %d records: the event source mapping's batch size has to be 1", len(event.Records))
	}
	return readRecord(event.Records[0], invocation), nil
}

// Failed answers the event source mapping: the named messages come back, the others are deleted.
func Failed(ids ...string) events.SQSEventResponse {
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for _, id := range ids {
		response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
	}
	return response
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

// sentAt returns when SQS accepted the message.
func sentAt(m events.SQSMessage) time.Time {
	millis, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64)
	if err != nil {
		return time.Now().UTC() // SQS always sets it; a hand-made event may not
	}
	return time.UnixMilli(millis).UTC()
}

// attributes returns string attributes, of which SQS takes no empty ones.
func attributes(values map[string]string) map[string]types.MessageAttributeValue {
	out := make(map[string]types.MessageAttributeValue, len(values))
	for name, value := range values {
		if value != "" {
			out[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
		}
	}
	return out
}
