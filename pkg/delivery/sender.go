// Package delivery posts a batch to its connections and accounts for every delivery.
//
// A batch is claimed in the ledger, posted, and settled: the outcome and what is left over are recorded in one
// transaction. Only then is the rest put on the send queue, the gone deleted, the hopeless buried. Whoever meets the same
// batch again finds its outcome and does that last part again, which is harmless. So a crash can repeat the posts of one
// batch and nothing else, and can lose nothing.
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

// Poster reaches a client. A failure of Post has a fate, see [broadcast.FateOf].
type Poster interface {
	Post(ctx context.Context, connectionID string, payload []byte) error
	Disconnect(ctx context.Context, connectionID string) error
}

// Ledger knows who posts a batch and what became of it. Settle may be called again after an error, and succeeds when an
// earlier call had taken effect; [broadcast.ErrLapsed] and [broadcast.ErrRefused] are final.
type Ledger interface {
	Claim(ctx context.Context, c broadcast.Claim) (standing broadcast.Standing, leftovers string, err error)
	Settle(ctx context.Context, batchID, owner string, outcomes []broadcast.Outcome, leftovers string) error
}

// Queue takes back the rest of a batch, for another attempt after a delay.
type Queue interface {
	Retry(ctx context.Context, b broadcast.Batch, delay time.Duration) error
}

// DeadLetters takes what cannot be delivered, with the reason.
type DeadLetters interface {
	Bury(ctx context.Context, r broadcast.Record, reason error) error
	BuryBatch(ctx context.Context, b broadcast.Batch, reason error) error
}

// Registry forgets connections that are gone.
type Registry interface {
	RemoveAll(ctx context.Context, connectionIDs []string) error
}

// ErrBusy means that another sender is posting the batch: its message has to stay in the queue until that one has
// settled it, or has died.
var ErrBusy = errors.New("another sender is posting this batch")

// Sender sends batches. It is safe for concurrent use.
type Sender struct {
	Poster      Poster
	Ledger      Ledger
	Queue       Queue
	DeadLetters DeadLetters
	Registry    Registry

	// Pace is this sender's share of the posts per second; kept across batches.
	Pace *rate.Limiter
	// Workers is how many posts are under way at once; at least 1.
	Workers int
	// MaxAttempts is how often a delivery is tried before it has failed; at least 1.
	MaxAttempts int
	// Reserve is the time before the context's deadline at which no further post is begun, so that those under way can end
	// and there is time to settle.
	Reserve time.Duration
	// DisconnectFull closes connections that the last attempt has not reached, and whose buffer was full at half of the
	// attempts or more.
	DisconnectFull bool
	// Now tells the time; nil means time.Now.
	Now func() time.Time

	everybody sample
}

// Result tells what became of a batch in this invocation.
type Result struct {
	Batch        broadcast.Batch
	Outcomes     []broadcast.Outcome // of the broadcasts that this sender posted
	Gone         int                 // connections
	Throttled    int                 // posts that were answered 429
	Requeued     int                 // deliveries on the send queue for another attempt
	DeadLettered int                 // deliveries on the dead-letter queue
	Disconnected int                 // connections
	Latencies    []time.Duration     // of each post
	Buried       error               // why the record is on the dead-letter queue: it is no batch
}

// Send delivers the batch in the record. An error means that the message has to come back: ErrBusy, or a failure that
// nobody has accounted for yet. The batch is claimed until ctx's deadline, or for a minute if it has none.
func (s *Sender) Send(ctx context.Context, r broadcast.Record) (Result, error) {
	batch, err := broadcast.DecodeBatch(r.Body)
	if err != nil {
		if buryErr := s.DeadLetters.Bury(ctx, r, err); buryErr != nil {
			return Result{}, fmt.Errorf("put message %s on the dead-letter queue (%w): %w", r.ID, err, buryErr)
		}
		return Result{Buried: err}, nil
	}
	result := Result{Batch: batch}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Minute)
		defer cancel()
	}

	mine, busy, err := s.claim(ctx, &result, r.Invocation)
	if err != nil {
		return result, err
	}
	if len(mine) > 0 {
		if err := s.deliver(ctx, &result, mine, r.Invocation); err != nil {
			return result, err
		}
	}
	if busy {
		return result, ErrBusy
	}
	return result, nil
}

// claim claims the batch for each of its broadcasts and returns the messages that are this sender's to post. For what is
// settled already, it finishes what its sender may not have finished.
//
// The first message that is not settled is claimed before the others: of two senders with copies of the batch one gets
// that, and the other leaves all to it. Each with a part of the messages, they would post them in any order.
func (s *Sender) claim(ctx context.Context, result *Result, owner string) (mine []broadcast.Message, busy bool, err error) {
	batch := result.Batch
	until, _ := ctx.Deadline()
	standings := make([]broadcast.Standing, len(batch.Messages))
	leftovers := make([]string, len(batch.Messages))
	claim := func(ctx context.Context, i int) (err error) {
		m := batch.Messages[i]
		standings[i], leftovers[i], err = s.Ledger.Claim(ctx, broadcast.Claim{
			BroadcastID: m.ID, BatchID: batch.ID, Owner: owner, Until: until,
			Size:    audience(m, batch.Connections) + audience(m, batch.Settling),
			Attempt: batch.Attempt, Redriven: batch.Redriven, Reason: batch.Reason,
		})
		return err
	}
	asked := 0
	for open := false; asked < len(batch.Messages) && !open; asked++ {
		if err := claim(ctx, asked); err != nil {
			return nil, false, err
		}
		open = standings[asked] != broadcast.Settled
	}
	if standings[asked-1] != broadcast.Busy {
		group, gctx := errgroup.WithContext(ctx)
		for ; asked < len(batch.Messages); asked++ {
			i := asked
			group.Go(func() error { return claim(gctx, i) })
		}
		if err := group.Wait(); err != nil {
			return nil, false, err
		}
	}
	for i, m := range batch.Messages[:asked] {
		switch standings[i] {
		case broadcast.Claimed:
			mine = append(mine, m)
		case broadcast.Busy:
			busy = true
		case broadcast.Settled:
			rests, err := decodeRests(leftovers[i])
			if err != nil {
				return nil, false, fmt.Errorf("read what batch %s has left: %w", batch.ID, err)
			}
			if err := s.finish(ctx, result, rests); err != nil {
				return nil, false, err
			}
		}
	}
	return mine, busy, nil
}

// deliver posts the messages to the batch's connections, and records and acts on what came of it.
func (s *Sender) deliver(ctx context.Context, result *Result, messages []broadcast.Message, owner string) error {
	batch := result.Batch
	t := s.post(ctx, batch, messages)
	rests := s.rests(batch, messages, t)
	for _, r := range rests {
		t.account(r, messages)
	}
	leftovers, err := encodeRests(rests)
	if err != nil {
		return err
	}
	if err := s.settle(ctx, batch.ID, owner, t.outcomes, leftovers); err != nil {
		return err
	}
	result.Outcomes, result.Gone, result.Throttled, result.Latencies = t.outcomes, len(t.gone), t.throttled, t.latencies
	if t.fatal != nil {
		t.fatal = fmt.Errorf("post batch %s: %w", batch.ID, t.fatal)
	}
	return errors.Join(t.fatal, s.finish(ctx, result, rests), s.Registry.RemoveAll(ctx, t.gone))
}

// settle records the outcomes, again and again while there is time: what is not recorded will be posted again. A refusal
// is of no such kind: it has to be heard.
func (s *Sender) settle(ctx context.Context, batchID, owner string, outcomes []broadcast.Outcome, leftovers string) error {
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

// finish hands on what is left of a settled batch. It is done again by whoever meets a copy of the batch, as nothing tells
// whether the first had come to the end; to record that would cost a write for each batch. It is harmless: a rest that comes
// twice has the same id, and is claimed and posted once. The second costs a read of the ledger, and resends its own rest in
// turn, MaxAttempts times at most. A letter may be on the dead-letter queue twice; when both are sent back, the one batch is
// posted once.
func (s *Sender) finish(ctx context.Context, result *Result, rests []rest) error {
	var errs []error
	for i, r := range rests {
		b := r.batch(result.Batch, i)
		if len(b.Messages) == 0 {
			continue // a rest of messages that this copy of the batch does not have: the copy that was settled has them
		}
		var err error
		switch r.Fate {
		case fateRequeue:
			err = s.Queue.Retry(ctx, b, backoff(b.Attempt))
			result.Requeued += b.Len()
		case fateBury:
			err = s.DeadLetters.BuryBatch(ctx, b, broadcast.Permanent(r.Reason, fmt.Errorf("%d deliveries failed after %d attempts", b.Len(), b.Attempt)))
			result.DeadLettered += b.Len()
		case fateDisconnect:
			for _, id := range b.Connections {
				err = errors.Join(err, s.Poster.Disconnect(ctx, id))
			}
			result.Disconnected += len(b.Connections)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s what is left of batch %s: %w", r.Fate, result.Batch.ID, err))
		}
	}
	return errors.Join(errs...)
}

// backoff is how long the given attempt waits: it doubles from two seconds on, less up to a half by chance, so that
// batches that failed together do not come back together.
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

// audience returns how many of the connections shall receive the message.
func audience(m broadcast.Message, connections []string) int {
	n := 0
	for _, id := range connections {
		if !m.Excludes(id) {
			n++
		}
	}
	return n
}
