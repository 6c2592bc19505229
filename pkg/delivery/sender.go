// Package delivery posts a batch to its connections and accounts for every delivery.
//
// A sender claims a batch in the ledger, posts it, resolves the connections that API Gateway did not know, and settles
// the batch: the outcome and the leftovers are recorded in one transaction. Only then does it finish: it requeues the
// leftovers or sends them to the dead-letter queue. A sender that receives a copy of a settled batch finds the outcome
// and finishes again, which is harmless. A crash can therefore repeat the posts of one batch, and can lose nothing.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"fanfare/pkg/broadcast"
)

// Poster posts to a client and closes its connection. [broadcast.ClassOf] gives the failure class of an error of Post.
type Poster interface {
	Post(ctx context.Context, connectionID string, payload []byte) error
	Disconnect(ctx context.Context, connectionID string) error
}

// Ledger records claims and outcomes. Settle may be called again after an error, and succeeds if an earlier call took
// effect; [broadcast.ErrLapsed] and [broadcast.ErrRefused] are final.
type Ledger interface {
	Claim(ctx context.Context, c broadcast.Claim) (broadcast.ClaimResult, error)
	Settle(ctx context.Context, batchID, owner string, outcomes []broadcast.Outcome, leftovers string) error
}

// Queue sends the leftovers of a batch to the send queue, with a delay.
type Queue interface {
	Retry(ctx context.Context, b broadcast.Batch, delay time.Duration) error
}

// DeadLetters stores what cannot be delivered, with the reason.
type DeadLetters interface {
	Put(ctx context.Context, r broadcast.Record, reason error) error
	PutBatch(ctx context.Context, b broadcast.Batch, reason error) error
}

// Registry records 410 answers in the rows of connections, and deletes rows. It never creates a row, and a missing row
// is not an error.
type Registry interface {
	// MarkGone records the time of a 410, unless the row has an earlier record. It returns the recorded time, or the zero
	// time if there is no row.
	MarkGone(ctx context.Context, connectionID string, at time.Time) (time.Time, error)
	// ClearGone removes the record of a 410 at or before a time.
	ClearGone(ctx context.Context, connectionID string, before time.Time) error
	// RemoveGone deletes a row with the record of a 410 at or before a time. It reports whether there is no row any more.
	RemoveGone(ctx context.Context, connectionID string, before time.Time) (removed bool, err error)
	Remove(ctx context.Context, connectionID string) error
}

// ErrBusy means that another sender is posting the batch. Its message must stay in the queue until that sender has
// settled the batch or its claim has lapsed.
var ErrBusy = errors.New("another sender is posting this batch")

// Sender sends batches. It is safe for concurrent use.
type Sender struct {
	Poster      Poster
	Ledger      Ledger
	Queue       Queue
	DeadLetters DeadLetters
	Registry    Registry

	// Pace limits this sender to its share of the posts per second. It is kept across batches.
	Pace *rate.Limiter
	// Workers is the number of concurrent posts; at least 1.
	Workers int
	// MaxAttempts is the number of attempts at a delivery before it has failed; at least 1.
	MaxAttempts int
	// Reserve is the time before the context's deadline at which no further post is started. It must be enough for the
	// running posts to end, for resolving and for settling. A quarter of it is for settling alone.
	Reserve time.Duration
	// DisconnectFull closes connections that the last attempt did not reach, if at least half of the attempts met a full
	// buffer.
	DisconnectFull bool
	// Now returns the current time; nil means time.Now.
	Now func() time.Time

	recent sample
}

// Result is the result of one invocation for a batch.
type Result struct {
	Batch        broadcast.Batch
	Outcomes     []broadcast.Outcome // of the broadcasts that this sender posted
	Gone         int                 // connections
	Throttled    int                 // posts that were answered 429
	PostErrors   int                 // posts that were answered 5xx, or not at all
	Requeued     int                 // deliveries sent to the send queue for another attempt or to confirm a 410
	DeadLettered int                 // deliveries sent to the dead-letter queue
	Disconnected int                 // connections
	Latencies    []time.Duration     // of each post
	Rejected     error               // the record is not a batch and is on the dead-letter queue

	// Busy holds, by broadcast, the end of another sender's claim of the batch.
	Busy map[string]time.Time
	// TakenOver holds, by broadcast, the end of a lapsed claim: the sender that held it has not settled the batch, and
	// its posts may have been repeated.
	TakenOver map[string]time.Time
}

// BusyUntil returns the time at which the other senders' claims of the batch lapse; zero if there are none.
func (r Result) BusyUntil() time.Time {
	var last time.Time
	for _, until := range r.Busy {
		if until.After(last) {
			last = until
		}
	}
	return last
}

// Send delivers the batch in the record. After an error the message must be delivered again: ErrBusy, or a failure that
// is not accounted for yet. The claim lasts until ctx's deadline, or one minute if there is none.
func (s *Sender) Send(ctx context.Context, r broadcast.Record) (Result, error) {
	batch, err := broadcast.DecodeBatch(r.Body)
	if err != nil {
		if putErr := s.DeadLetters.Put(ctx, r, err); putErr != nil {
			return Result{}, fmt.Errorf("put message %s on the dead-letter queue (%w): %w", r.ID, err, putErr)
		}
		return Result{Rejected: err}, nil
	}
	result := Result{Batch: batch}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Minute)
		defer cancel()
	}

	claimed, err := s.claim(ctx, &result, r.Invocation)
	if err != nil {
		return result, err
	}
	if len(claimed.messages) > 0 {
		if err := s.deliver(ctx, &result, claimed, r.Invocation); err != nil {
			return result, err
		}
	}
	if len(result.Busy) > 0 {
		return result, ErrBusy
	}
	return result, nil
}

// claims is the result of claiming a batch for each of its broadcasts.
type claims struct {
	messages  []broadcast.Message // the claimed ones
	takenOver bool                // another sender's claim has lapsed
}

// claim claims the batch for each of its broadcasts and returns the messages that this sender has to post. For settled
// messages it finishes, because the sender that settled them may not have finished.
//
// The first message that is not settled is claimed before the others. Of two senders with copies of the batch, one gets
// that claim, and the other leaves the whole batch to it. If each had a part of the messages, their order would be
// undefined.
func (s *Sender) claim(ctx context.Context, result *Result, owner string) (claimed claims, err error) {
	batch := result.Batch
	until, _ := ctx.Deadline()
	answers := make([]broadcast.ClaimResult, len(batch.Messages))
	claim := func(ctx context.Context, i int) (err error) {
		m := batch.Messages[i]
		answers[i], err = s.Ledger.Claim(ctx, broadcast.Claim{
			BroadcastID: m.ID, BatchID: batch.ID, Owner: owner, Until: until,
			Size:    audience(m, batch.Connections) + audience(m, batch.Settling),
			Attempt: batch.Attempt, Redriven: batch.Redriven, Reason: batch.Reason,
		})
		return err
	}
	asked := 0
	for unsettled := false; asked < len(batch.Messages) && !unsettled; asked++ {
		if err := claim(ctx, asked); err != nil {
			return claims{}, err
		}
		unsettled = answers[asked].Status != broadcast.Settled
	}
	if answers[asked-1].Status != broadcast.Busy {
		group, gctx := errgroup.WithContext(ctx)
		for ; asked < len(batch.Messages); asked++ {
			i := asked
			group.Go(func() error { return claim(gctx, i) })
		}
		if err := group.Wait(); err != nil {
			return claims{}, err
		}
	}
	result.Busy, result.TakenOver = make(map[string]time.Time), make(map[string]time.Time)
	for i, m := range batch.Messages[:asked] {
		switch answer := answers[i]; answer.Status {
		case broadcast.Claimed, broadcast.TakenOver:
			claimed.messages = append(claimed.messages, m)
			if answer.Status == broadcast.TakenOver {
				claimed.takenOver = true
				result.TakenOver[m.ID] = answer.Until
			}
		case broadcast.Busy:
			result.Busy[m.ID] = answer.Until
		case broadcast.Settled:
			recorded, err := decodeLeftovers(answer.Leftovers)
			if err != nil {
				return claims{}, fmt.Errorf("finish batch %s: %w", batch.ID, err)
			}
			if err := s.finish(ctx, result, recorded); err != nil {
				return claims{}, err
			}
		}
	}
	return claimed, nil
}

// deliver posts the claimed messages to the batch's connections, resolves what became of unknown connections, settles
// the batch and finishes it.
func (s *Sender) deliver(ctx context.Context, result *Result, claimed claims, owner string) error {
	batch, messages := result.Batch, claimed.messages
	t := s.post(ctx, batch, messages, claimed.takenOver)
	resolveErr := s.resolve(ctx, batch, messages, t)
	leftovers := s.leftovers(batch, messages, t)
	for _, l := range leftovers {
		t.count(l, messages)
	}
	encoded, err := encodeLeftovers(leftovers)
	if err != nil {
		return err
	}
	if err := s.settle(ctx, batch.ID, owner, t.outcomes, encoded); err != nil {
		return err
	}
	result.Outcomes, result.Gone, result.Latencies = t.outcomes, t.gone, t.latencies
	result.Throttled, result.PostErrors = t.throttled, t.postErrors
	if t.fatal != nil {
		t.fatal = fmt.Errorf("post batch %s: %w", batch.ID, t.fatal)
	}
	return errors.Join(t.fatal, s.finish(ctx, result, leftovers), resolveErr)
}

// settle records the outcomes. It retries until ctx ends, because an unrecorded outcome causes the batch to be posted
// again. It does not retry ErrRefused, so that operators see it.
func (s *Sender) settle(ctx context.Context, batchID, owner string, outcomes []broadcast.Outcome,
	leftovers string) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := s.Ledger.Settle(ctx, batchID, owner, outcomes, leftovers)
		if err == nil || errors.Is(err, broadcast.ErrLapsed) || errors.Is(err, broadcast.ErrRefused) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// finish handles the leftovers of a settled batch. Each sender that receives a copy of the batch finishes it again,
// because it is not recorded whether the first one had finished; the record would cost a write for each batch.
// Repeating it is harmless: a leftover that is sent twice has the same id, and is claimed and posted once. The second
// copy costs a read of the ledger and sends its own leftovers in turn, at most MaxAttempts times. A letter may be on
// the dead-letter queue twice; when both are redriven, the batch is posted once.
func (s *Sender) finish(ctx context.Context, result *Result, leftovers []leftover) error {
	var errs []error
	for i, l := range leftovers {
		b := l.batch(result.Batch, i)
		if len(b.Messages) == 0 {
			continue // the copy that was settled had these messages, and this one does not
		}
		var err error
		switch l.Action {
		case requeue:
			err = s.Queue.Retry(ctx, b, backoff(b.Attempt))
			result.Requeued += b.Len()
		case confirm:
			err = s.Queue.Retry(ctx, b, confirmDelay)
			result.Requeued += b.Len()
		case deadLetter:
			err = s.DeadLetters.PutBatch(ctx, b, broadcast.Permanent(l.Reason,
				fmt.Errorf("%d deliveries failed after %d attempts", b.Len(), b.Attempt)))
			result.DeadLettered += b.Len()
		case disconnect:
			for _, id := range b.Connections {
				err = errors.Join(err, s.Poster.Disconnect(ctx, id))
			}
			result.Disconnected += len(b.Connections)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("finish leftovers %s (%s): %w", b.ID, l.Action, err))
		}
	}
	return errors.Join(errs...)
}

// backoff returns the delay before an attempt: two seconds before the first retry, doubled for each further one, at
// most broadcast.MaxDelay, minus a random part of up to one half, so that batches that failed together are not retried
// together.
func backoff(attempt int) time.Duration {
	ceiling := min(2*time.Second<<max(0, attempt-1), broadcast.MaxDelay)
	return ceiling/2 + rand.N(ceiling/2)
}

func (s *Sender) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// audience returns the number of the connections that the message does not exclude.
func audience(m broadcast.Message, connections []string) int {
	n := 0
	for _, id := range connections {
		if !m.Excludes(id) {
			n++
		}
	}
	return n
}
