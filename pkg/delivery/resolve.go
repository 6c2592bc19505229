package delivery

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"fanfare/pkg/broadcast"
)

// confirmDelay is the delay of a batch that confirms a 410. It is longer than broadcast.SettlingAge by as much as the
// clocks of two senders may differ.
const confirmDelay = broadcast.SettlingAge + 2*time.Second

// resolve decides for each connection that API Gateway did not know whether it is gone or its 410 must be confirmed,
// and removes the record of a 410 from the rows of marked connections that a post reached. The results are in the
// tally. The error names the first write that failed; the tally is complete all the same.
//
// It comes before settling. A sender that takes the batch over after a crash then finds the records in the rows, and
// posts again before it decides.
func (s *Sender) resolve(ctx context.Context, batch broadcast.Batch, messages []broadcast.Message, t *tally) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-s.Reserve/4))
		defer cancel()
	}
	var writes errgroup.Group
	writes.SetLimit(s.Workers)
	for _, p := range t.succeeded {
		writes.Go(func() error {
			if err := s.Registry.ClearGone(ctx, p.connection, p.took); err != nil {
				return fmt.Errorf("clear the 410 of connection %s: %w", p.connection, err)
			}
			return nil
		})
	}
	err := writes.Wait()

	writes = errgroup.Group{}
	writes.SetLimit(s.Workers)
	gone := make([]bool, len(t.unknown))
	for i, p := range t.unknown {
		writes.Go(func() (err error) {
			gone[i], err = s.gone(ctx, p)
			if err != nil {
				return fmt.Errorf("note that connection %s is gone: %w", p.connection, err)
			}
			return nil
		})
	}
	if waitErr := writes.Wait(); err == nil {
		err = waitErr
	}
	for i, p := range t.unknown {
		if !gone[i] && batch.Confirmations < broadcast.MaxConfirmations {
			p.confirm = true
			t.pending = append(t.pending, p)
			continue
		}
		t.gone++
		for j := p.from; j < len(messages); j++ {
			if !messages[j].Excludes(p.connection) {
				t.outcomes[j].Gone++
			}
		}
	}
	return err
}

// gone reports whether a connection that API Gateway did not know is gone, and deletes its row if so. A first 410 is
// recorded in the row, because API Gateway is reported to answer 410 for open connections now and then. A second one
// decides, if it answers a post that began at least broadcast.SettlingAge after the first and none succeeded between
// them. A connection without a row has disconnected.
//
// After an error it is not known, and the 410 must be confirmed.
func (s *Sender) gone(ctx context.Context, p pending) (bool, error) {
	if p.reason == broadcast.ReasonInvalidID {
		return true, s.Registry.Remove(ctx, p.connection)
	}
	before := p.start.Add(-broadcast.SettlingAge)
	if p.suspect && p.took.IsZero() {
		if p.settling {
			return false, nil // the row had a recent record when it was listed: no write is needed
		}
		removed, err := s.Registry.RemoveGone(ctx, p.connection, before)
		if removed || err != nil {
			return removed, err
		}
	}
	goneAt, err := s.Registry.MarkGone(ctx, p.connection, p.end)
	switch {
	case err != nil:
		return false, err
	case goneAt.IsZero():
		return true, nil
	case goneAt.After(before) || !p.took.IsZero():
		return false, nil
	}
	return s.Registry.RemoveGone(ctx, p.connection, before)
}
