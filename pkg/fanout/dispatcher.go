// Package fanout turns broadcasts into batches. It reads the connections table once for up to ten messages and puts
// batches for the senders on the send queue.
//
// Terms:
//
//   - A segment is one of the parts in which Scan reads the table in parallel.
//   - A page is the result of one read: at most 1 MB of a segment.
//   - A stretch is one or more pages of a segment, read in a row and divided into batches together.
//   - A bucket is the part of a stretch whose connection ids have the same hash.
//   - A batch is a list of messages for the connections of one bucket.
//   - A plan records how a stretch is divided into buckets (see [broadcast.Plan]).
//
// A dispatch may be repeated at any point, after a crash or because SQS delivered a message twice. The plan is recorded
// before the first batch is emitted, and a repeated dispatch follows the recorded plan. Its batches therefore have the
// same ids, and senders do not post a batch twice.
package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"fanfare/pkg/broadcast"
)

// Registry reads one page of a segment of the connections table, after a connection; next is empty at the end of the
// segment.
type Registry interface {
	Page(ctx context.Context, segment, segments int, after string) (
		connections []broadcast.Connection, next string, err error)
}

// Ledger stores plans. Plan records a plan for a broadcast, unless there is one with the same key already, and returns
// the recorded one. Emitted records that the plan's batches are on the send queue, and their sizes, which may differ
// from the planned ones because connections come and go.
type Ledger interface {
	Plan(ctx context.Context, broadcastID string, p broadcast.Plan) (broadcast.Plan, error)
	Emitted(ctx context.Context, broadcastID string, p broadcast.Plan) error
}

// Batches is the send queue.
type Batches interface {
	Send(ctx context.Context, batches []broadcast.Batch) error
}

// Continuations is the queue that delivers continuations to another dispatcher.
type Continuations interface {
	Continue(ctx context.Context, r broadcast.Request) error
}

// DeadLetters stores records that can never be dispatched, with the reason.
type DeadLetters interface {
	Put(ctx context.Context, r broadcast.Record, reason error) error
}

// MaxHops bounds the number of dispatchers that a broadcast passes through. Lambda's recursion detection drops the
// message after about 16 invocations of one function; this limit stays below it and reports an error. Source: Lambda
// developer guide, "Use Lambda recursive loop detection to prevent infinite loops".
const MaxHops = 12

// minBatch is the smallest number of connections for which another batch is worth its cost.
const minBatch = 25

// Dispatcher dispatches broadcasts. It is safe for concurrent use.
type Dispatcher struct {
	Registry      Registry
	Ledger        Ledger
	Batches       Batches
	Continuations Continuations
	DeadLetters   DeadLetters

	// Segments is the number of parallel segments for a table of more than one page; at least 1.
	Segments int
	// BatchConnections and BatchPosts are the mean size of a batch: its connections, and its connections times its
	// messages. A batch may be a little larger or smaller, because a hash divides the connections.
	BatchConnections, BatchPosts int
	// Senders is the number of concurrent senders; at least 1. An audience is divided into a multiple of as many batches,
	// so that all senders finish at about the same time.
	Senders int
	// StretchConnections is the number of connections after which a stretch ends; 0 means 50,000.
	StretchConnections int
	// Reserve is the time before the context's deadline at which reading stops and continuations are sent.
	Reserve time.Duration
	// Now returns the current time; nil means time.Now.
	Now func() time.Time
}

// Result is the result of a request. Err and Rejected are not both set.
type Result struct {
	Request     broadcast.Request
	Connections int   // addressed in this invocation
	Batches     int   // emitted in this invocation
	Continued   int   // continuations sent
	Rejected    error // a permanent failure; the record is on the dead-letter queue
	Err         error // the message must be delivered again; this loses and repeats nothing
}

// Dispatch emits the batches of the requests. The results are in the order of the requests.
func (d *Dispatcher) Dispatch(ctx context.Context, requests []broadcast.Request) []Result {
	p := &pass{Dispatcher: d, results: make([]Result, len(requests)), at: d.now()}
	var group errgroup.Group
	for cursor, indices := range p.accept(requests) {
		group.Go(func() error {
			if cursor.Segments > 0 {
				p.walk(ctx, cursor, indices)
			} else {
				p.table(ctx, indices)
			}
			return nil
		})
	}
	_ = group.Wait() // errors are in the results
	for i := range p.results {
		d.reject(ctx, &p.results[i])
	}
	return p.results
}

// reject puts the record of a permanent failure on the dead-letter queue. If that fails, the message must be delivered
// again.
func (d *Dispatcher) reject(ctx context.Context, r *Result) {
	if r.Err == nil {
		return
	}
	if class, _ := broadcast.ClassOf(r.Err); class != broadcast.ClassPermanent {
		return
	}
	if err := d.DeadLetters.Put(ctx, r.Request.Record, r.Err); err != nil {
		r.Err = fmt.Errorf("put message %s on the dead-letter queue (%w): %w", r.Request.Record.ID, r.Err, err)
		return
	}
	r.Rejected, r.Err = r.Err, nil
}

func (d *Dispatcher) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// buckets returns the number of buckets for a stretch.
func (d *Dispatcher) buckets(connections, messages int) int {
	limit := max(1, min(d.BatchConnections, d.BatchPosts/messages))
	needed := ceil(connections, limit)
	even := ceil(needed, d.Senders) * d.Senders
	return max(needed, min(even, ceil(connections, minBatch)))
}

func ceil(a, b int) int { return (a + b - 1) / b }

// short reports whether the time left is less than Reserve.
func (d *Dispatcher) short(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < d.Reserve
}

var errIDReused = broadcast.Permanent(broadcast.ReasonIDReused,
	errors.New("another payload was published under the same broadcast id"))

var errTooManyHops = broadcast.Permanent(broadcast.ReasonAudience,
	errors.New("the table could not be read within the allowed number of dispatchers"))
