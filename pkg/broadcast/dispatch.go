package broadcast

import (
	"fmt"
	"time"
)

// Portion is the part of the connections table that a broadcast has yet to be dispatched to. The zero Portion is the
// whole table. A dispatcher that runs short of time hands the unread rest on as portions of one segment each.
type Portion struct {
	Segment, Segments int    // Scan's Segment and TotalSegments
	After             string // the connection after which the segment is unread; empty: all of it
	Stretch           int    // how many stretches of the segment come before; see Plan
	Hop               int    // how many dispatchers the broadcast has been through
}

// Record is a message as a queue handed it over: what is needed to report it as failed, or to bury it as it came.
type Record struct {
	ID         string // SQS MessageId
	Body       string
	Attributes map[string]string // the string attributes of the message
	// Redelivered tells that SQS has handed the message over before.
	Redelivered bool
	// Invocation identifies the attempt to handle it: Lambda's request id.
	Invocation string
}

// Request is a broadcast to be dispatched to a portion of the table.
type Request struct {
	Record  Record
	Message Message
	Portion Portion
	// Unreadable is why the record is no broadcast; nil if it is one.
	Unreadable error
}

// Plan is how one stretch of a segment's connections is divided into batches for one broadcast. It is recorded before
// the first batch is emitted, and the first record holds: a dispatcher that repeats another's work after a crash divides
// the connections in the same way, so that each sender recognises the batches it has seen.
//
// A connection belongs to the bucket that a hash of its id gives, so that neither connections that come nor connections
// that go move any other from one batch into another.
type Plan struct {
	Segment, Segments int
	Stretch           int
	// End is the connection that ends the stretch; empty if the stretch reaches the end of the segment.
	End string
	// Buckets holds the size of the broadcast's audience in each bucket.
	Buckets []int
	// Split is how many segments the table is read in, in the plan that says so: it stands in the place of the whole table's
	// first stretch (segment 0 of 1), so that a broadcast has the one or the other, and has no buckets. 0 in all others.
	Split int
	// Emitted is true once every batch is on the send queue; Buckets then holds the sizes that were emitted.
	Emitted bool
	// At is when the plan was made.
	At time.Time
}

// Audience returns how many connections the plan addresses.
func (p Plan) Audience() int {
	sum := 0
	for _, size := range p.Buckets {
		sum += size
	}
	return sum
}

// Key names the plan among those of its broadcast.
func (p Plan) Key() string { return fmt.Sprintf("%d/%d.%d", p.Segment, p.Segments, p.Stretch) }

// BatchID names the batch of a bucket of the plan.
func (p Plan) BatchID(bucket int) string { return fmt.Sprintf("%s.%d", p.Key(), bucket) }
