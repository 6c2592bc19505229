package delivery

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/pkg/broadcast"
)

// open is a connection that has yet to receive messages, from the index on.
type open struct {
	connection string
	settling   bool
	from       int
	took       bool // it has received some of those before
	reason     string
}

// tally is what the posts of a batch came to.
type tally struct {
	outcomes  []broadcast.Outcome // of each message
	gone      []string
	open      []open
	refused   []open // one message each that can never be posted
	fatal     error  // the first failure that lies with us
	throttled int
	latencies []time.Duration
}

// post posts every message to every connection of the batch: the messages of one connection in order, connections side
// by side.
func (s *Sender) post(ctx context.Context, batch broadcast.Batch, messages []broadcast.Message) *tally {
	starting := ctx // under which posts are begun; those under way may take longer
	if deadline, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		starting, stop = context.WithDeadline(ctx, deadline.Add(-s.Reserve))
		defer stop()
	}

	total := len(batch.Connections) + len(batch.Settling)
	var next atomic.Int64
	tallies := make([]tally, min(s.Workers, total))
	var group sync.WaitGroup
	for i := range tallies {
		t := &tallies[i]
		t.outcomes = make([]broadcast.Outcome, len(messages))
		group.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= total {
					return
				}
				o := open{}
				if n < len(batch.Connections) {
					o.connection = batch.Connections[n]
				} else {
					o.connection = batch.Settling[n-len(batch.Connections)]
					o.settling = s.now().Sub(batch.DispatchedAt) < broadcast.SettlingAge
				}
				s.postTo(starting, ctx, o, messages, t)
			}
		})
	}
	group.Wait()

	sum := &tally{outcomes: make([]broadcast.Outcome, len(messages))}
	for i, m := range messages {
		sum.outcomes[i].BroadcastID = m.ID
	}
	for _, t := range tallies {
		sum.add(t)
	}
	return sum
}

// postTo posts the messages to one connection, up to the first that has to wait.
func (s *Sender) postTo(starting, ctx context.Context, o open, messages []broadcast.Message, t *tally) {
	for i, m := range messages {
		if m.Excludes(o.connection) {
			continue
		}
		o.from = i
		if err := s.Pace.Wait(starting); err != nil {
			// Either the time is up, or it would be before the pace allows this post.
			o.reason = broadcast.ReasonDeadline
			t.open = append(t.open, o)
			return
		}
		start := s.now()
		err := s.Poster.Post(ctx, o.connection, m.Payload)
		end := s.now()
		t.outcomes[i].Posts++
		t.latencies = append(t.latencies, end.Sub(start))
		if err == nil {
			o.took = true
			t.outcomes[i].Delivered++
			t.outcomes[i].First = earliest(t.outcomes[i].First, end)
			t.outcomes[i].Last = latest(t.outcomes[i].Last, end)
			continue
		}
		fate, reason := broadcast.FateOf(err)
		if fate == broadcast.FateGone && o.settling {
			fate, reason = broadcast.FateRetry, broadcast.ReasonSettling
		}
		switch fate {
		case broadcast.FateGone:
			t.gone = append(t.gone, o.connection)
			for j := i; j < len(messages); j++ {
				if !messages[j].Excludes(o.connection) {
					t.outcomes[j].Gone++
				}
			}
			return
		case broadcast.FateRetry:
			if reason == broadcast.ReasonThrottled {
				t.throttled++
			}
			o.reason = reason
			t.open = append(t.open, o)
			return
		case broadcast.FatePermanent:
			o.reason = reason
			t.refused = append(t.refused, o)
		default:
			// It may concern this connection alone, and what was delivered before must not be delivered again: so the batch goes
			// on, and is settled.
			t.fatal = cmp.Or(t.fatal, err)
			o.reason = broadcast.ReasonRefused
			t.open = append(t.open, o)
			return
		}
	}
}

func (t *tally) add(other tally) {
	for i, o := range other.outcomes {
		sum := &t.outcomes[i]
		sum.Delivered += o.Delivered
		sum.Gone += o.Gone
		sum.Posts += o.Posts
		sum.First = earliest(sum.First, o.First)
		sum.Last = latest(sum.Last, o.Last)
	}
	t.gone = append(t.gone, other.gone...)
	t.open = append(t.open, other.open...)
	t.refused = append(t.refused, other.refused...)
	t.fatal = cmp.Or(t.fatal, other.fatal)
	t.throttled += other.throttled
	t.latencies = append(t.latencies, other.latencies...)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
