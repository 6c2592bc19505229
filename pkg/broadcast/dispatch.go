package broadcast

import (
	"fmt"
	"time"
)

// Cursor is a position in the connections table: a broadcast has yet to be dispatched to the rest of the segment from
// there. The zero Cursor stands for the whole table. A dispatcher whose time runs short hands the unread rest of each
// segment on as a cursor.
type Cursor struct {
	Segment, Segments int    // Scan's Segment and TotalSegments
	After             string // the segment is unread after this connection; empty: from its beginning
	Stretch           int    // number of earlier stretches of the segment; see Plan
}

// Record is a message as a queue delivered it. It holds all that is needed to report it as failed, or to copy it
// unchanged to a dead-letter queue.
type Record struct {
	ID         string // SQS MessageId
	Body       string
	Attributes map[string]string // the string attributes of the message
	// BroadcastID is the broadcast's id; empty for a record of the send queue.
	BroadcastID string
	// Continuation reports whether the record came from the continuation queue.
	Continuation bool
	// Redelivered reports whether SQS has delivered the message before.
	Redelivered bool
	// Invocation is Lambda's request id.
	Invocation string
}

// Request asks to dispatch a broadcast from a cursor on.
type Request struct {
	Record  Record
	Message Message
	Cursor  Cursor
	// Hop is the number of dispatchers that the broadcast has passed through.
	Hop int
	// Unreadable is a permanent error if the record is not a broadcast, else nil.
	Unreadable error
}

// Plan divides one stretch of a segment's connections into batches for one broadcast. It is recorded before the first
// batch is emitted, and the first record of a key is final: a dispatcher that repeats another's work after a crash
// divides the connections in the same way, so that senders recognise the batches that are already done.
//
// A hash of the connection's id chooses its bucket. New and closed connections therefore do not move any other
// connection from one batch to another.
type Plan struct {
	Segment, Segments int
	Stretch           int
	// End is the last connection of the stretch; empty if the stretch reaches the end of the segment.
	End string
	// Buckets holds the size of the broadcast's audience in each bucket.
	Buckets []int
	// Split > 0 marks the plan that replaces the single-segment plan: the table is read in Split segments, each with plans
	// of its own. Such a plan has no buckets.
	Split int
	// Emitted reports whether every batch is on the send queue. Buckets then holds the sizes that were emitted.
	Emitted bool
	// PayloadHash is the SHA-256 of the broadcast's payload in hexadecimal. Only the first plan has it, that of the whole
	// table's first stretch.
	PayloadHash string
	// At is the time of the planning.
	At time.Time
}

// Audience returns the number of connections that the plan addresses.
func (p Plan) Audience() int {
	sum := 0
	for _, size := range p.Buckets {
		sum += size
	}
	return sum
}

// Key identifies the plan among those of its broadcast.
func (p Plan) Key() string { return fmt.Sprintf("%d/%d.%d", p.Segment, p.Segments, p.Stretch) }

// BatchID returns the id of the batch of a bucket.
func (p Plan) BatchID(bucket int) string { return fmt.Sprintf("%s.%d", p.Key(), bucket) }
