package queue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/broadcast"
	"fanfare/publish"
)

// Attributes of a message on the continuation queue, in addition to a publisher's own. On the broadcast queue they are
// a permanent error.
const (
	attrBroadcast = "broadcast" // the broadcast's id
	attrSentAt    = "sentAt"    // time of acceptance, epoch milliseconds

	// A redriven broadcast, which begins with the whole table, does not carry these.
	attrSegment  = "segment"  // "2/4": Scan segment 2 of 4, counted from 0
	attrStartKey = "startKey" // the segment is unread after this connection
	attrStretch  = "stretch"  // see broadcast.Cursor
	attrHop      = "hop"      // see broadcast.Request
)

// steering holds the names of these attributes.
var steering = map[string]bool{
	attrBroadcast: true, attrSentAt: true, attrSegment: true, attrStartKey: true, attrStretch: true, attrHop: true,
}

// Continuations is the continuation queue: it carries the rest of a dispatch, and redriven broadcasts, to a dispatcher.
// It is safe for concurrent use.
type Continuations struct {
	Client *sqs.Client
	URL    string
}

// Continue puts a continuation on the queue: the rest of a broadcast for another dispatcher. It always fits, because
// payload and exclusions are bounded.
func (q *Continuations) Continue(ctx context.Context, r broadcast.Request) error {
	body, attrs := publish.Message{Payload: r.Message.Payload, Exclude: r.Message.Exclude}.Encode()
	attrs[attrBroadcast] = r.Message.ID
	attrs[attrSentAt] = strconv.FormatInt(r.Message.SentAt.UnixMilli(), 10)
	attrs[attrSegment] = fmt.Sprintf("%d/%d", r.Cursor.Segment, r.Cursor.Segments)
	attrs[attrStartKey] = r.Cursor.After
	attrs[attrStretch] = strconv.Itoa(r.Cursor.Stretch)
	attrs[attrHop] = strconv.Itoa(r.Hop)
	if err := q.send(ctx, body, attrs); err != nil {
		return fmt.Errorf("continue broadcast %s: %w", r.Message.ID, err)
	}
	return nil
}

// Redrive sends a letter to the queue, with its broadcast's id. Segments that were dispatched before are not dispatched
// again.
func (q *Continuations) Redrive(ctx context.Context, l Letter) error {
	attrs := make(map[string]string)
	for name, value := range l.Attributes {
		if !added[name] {
			attrs[name] = value
		}
	}
	if attrs[attrBroadcast] == "" {
		attrs[attrBroadcast], attrs[attrSentAt] = l.Original, strconv.FormatInt(l.SentAt.UnixMilli(), 10)
	}
	delete(attrs, attrHop) // hops count from 0 again
	if attrs[attrSegment] != "" {
		attrs[attrHop] = "0"
	}
	dropForeign(attrs, maxAttributes)
	if err := q.send(ctx, l.Body, attrs); err != nil {
		return fmt.Errorf("redrive broadcast %s: %w", l.Original, err)
	}
	return nil
}

func (q *Continuations) send(ctx context.Context, body string, attrs map[string]string) error {
	_, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.URL, MessageBody: &body, MessageAttributes: attributes(attrs),
	})
	return err
}

// readContinuation reads the attributes that only the continuation queue has.
func readContinuation(r *broadcast.Request) error {
	attrs := r.Record.Attributes
	if attrs[attrBroadcast] == "" {
		return fmt.Errorf("read a continuation: it has no attribute %s", attrBroadcast)
	}
	millis, err := strconv.ParseInt(attrs[attrSentAt], 10, 64)
	if err != nil {
		return fmt.Errorf("read attribute %s of a continuation: %.64q is not a number", attrSentAt, attrs[attrSentAt])
	}
	r.Message.SentAt = time.UnixMilli(millis).UTC()
	if attrs[attrSegment] == "" {
		return nil // redriven
	}
	c := broadcast.Cursor{After: attrs[attrStartKey]}
	hop := 0
	for _, field := range []struct {
		name, format string
		into         []any
	}{
		{attrSegment, "%d/%d", []any{&c.Segment, &c.Segments}},
		{attrStretch, "%d", []any{&c.Stretch}},
		{attrHop, "%d", []any{&hop}},
	} {
		if _, err := fmt.Sscanf(attrs[field.name], field.format, field.into...); err != nil {
			return fmt.Errorf("read attribute %s (%.64q) of a continuation: %w", field.name, attrs[field.name], err)
		}
	}
	if c.Segment < 0 || c.Segment >= c.Segments || c.Stretch < 0 || hop < 0 {
		return fmt.Errorf("a continuation is out of bounds: segment %d/%d, stretch %d, hop %d",
			c.Segment, c.Segments, c.Stretch, hop)
	}
	r.Cursor, r.Hop = c, hop
	return nil
}
