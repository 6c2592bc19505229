// Package fanout turns broadcasts into batches: it pages through the connections table once for up to ten messages and
// puts what each sender has to do on the send queue.
//
// What it does may be repeated at any point, after a crash or because SQS delivered a message twice: the division into
// batches is recorded before the first batch is emitted (see [broadcast.Plan]), and whoever repeats the work divides in
// the same way, so that no sender posts a batch for the second time.
package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"fanfare/pkg/broadcast"
)

// Registry reads the connections table a page at a time; next is empty at the end of a segment.
type Registry interface {
	Page(ctx context.Context, segment, segments int, after string) (connections []broadcast.Connection, next string, err error)
}

// Ledger remembers plans. Plan records one for a broadcast unless there is one of that key already, and returns the one
// that holds. Emitted records that its batches are on the send queue, and their sizes: connections may have come and gone
// since it was planned.
type Ledger interface {
	Plan(ctx context.Context, broadcastID string, p broadcast.Plan) (broadcast.Plan, error)
	Emitted(ctx context.Context, broadcastID string, p broadcast.Plan) error
}

// Queue takes batches for the senders, and what is left of a broadcast for another dispatcher.
type Queue interface {
	Send(ctx context.Context, batches []broadcast.Batch) error
	Continue(ctx context.Context, r broadcast.Request) error
}

// DeadLetters takes what can never be dispatched, with the reason.
type DeadLetters interface {
	Bury(ctx context.Context, r broadcast.Record, reason error) error
}

// MaxHops is how many dispatchers a broadcast may pass through. Lambda's recursion detection ends a chain at about 16
// invocations of one function; this bound stays below it, and fails loudly. Source: Lambda developer guide, "Use Lambda
// recursive loop detection to prevent infinite loops".
const MaxHops = 12

// minBatch is the least number of connections that are worth a batch of their own.
const minBatch = 25

// Dispatcher dispatches broadcasts. It is safe for concurrent use.
type Dispatcher struct {
	Registry    Registry
	Ledger      Ledger
	Queue       Queue
	DeadLetters DeadLetters

	// Segments is how many parallel segments a table of more than one page is read in; at least 1.
	Segments int
	// BatchConnections and BatchPosts bound a batch: its connections, and its connections times its messages. Batches
	// come out a little larger or smaller, because connections are spread over them by a hash.
	BatchConnections, BatchPosts int
	// Senders is how many senders work at once: an audience is divided into a multiple of as many batches, so that none of
	// them waits for another's last batch; at least 1.
	Senders int
	// StretchConnections is how many connections are read before their batches are emitted; 0 means 50,000.
	StretchConnections int
	// Reserve is the time before the context's deadline at which reading stops and the rest is handed on.
	Reserve time.Duration
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Result tells what became of a request.
type Result struct {
	Request     broadcast.Request
	Connections int   // addressed in this invocation
	Batches     int   // emitted
	Continued   int   // portions handed on to other dispatchers
	Buried      error // why the request is on the dead-letter queue now; it is done with
	Err         error // why its message has to come back; nothing is lost by that, and nothing repeated
}

// Dispatch emits the batches of the requests. Results are in the order of the requests.
func (d *Dispatcher) Dispatch(ctx context.Context, requests []broadcast.Request) []Result {
	p := &pass{Dispatcher: d, results: make([]Result, len(requests)), at: d.now()}
	var group errgroup.Group
	for portion, members := range p.accept(requests) {
		group.Go(func() error {
			if portion.Segments > 0 {
				p.walk(ctx, portion, members)
			} else {
				p.table(ctx, members)
			}
			return nil
		})
	}
	group.Wait() // failures are in the results
	for i := range p.results {
		d.bury(ctx, &p.results[i])
	}
	return p.results
}

// bury puts what can never be dispatched on the dead-letter queue. Where that fails the message comes back.
func (d *Dispatcher) bury(ctx context.Context, r *Result) {
	if r.Err == nil {
		return
	}
	if fate, _ := broadcast.FateOf(r.Err); fate != broadcast.FatePermanent {
		return
	}
	if err := d.DeadLetters.Bury(ctx, r.Request.Record, r.Err); err != nil {
		r.Err = fmt.Errorf("put message %s on the dead-letter queue (%w): %w", r.Request.Record.ID, r.Err, err)
		return
	}
	r.Buried, r.Err = r.Err, nil
}

func (d *Dispatcher) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// buckets returns into how many batches an audience is divided.
func (d *Dispatcher) buckets(connections, messages int) int {
	limit := max(1, min(d.BatchConnections, d.BatchPosts/messages))
	needed := ceil(connections, limit)
	even := ceil(needed, d.Senders) * d.Senders
	return max(needed, min(even, ceil(connections, minBatch)))
}

func ceil(a, b int) int { return (a + b - 1) / b }

// short reports whether no more may be read.
func (d *Dispatcher) short(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < d.Reserve
}

var errTooManyHops = broadcast.Permanent(broadcast.ReasonAudience,
	errors.New("the table could not be read within the allowed number of dispatchers"))
