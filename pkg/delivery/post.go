package delivery

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/pkg/broadcast"
)

// pending is a connection that has yet to receive messages, from an index on.
type pending struct {
	connection string
	settling   bool
	from       int
	took       bool // the connection received an earlier message of the batch
	reason     string
}

// tally sums the results of posts.
type tally struct {
	outcomes   []broadcast.Outcome // of each message
	gone       []string
	pending    []pending
	refused    []pending // one message each that can never be posted
	fatal      error     // the first fatal failure
	throttled  int
	postErrors int
	latencies  []time.Duration
}

// post posts every message to every connection of the batch. The messages of one connection are posted in order,
// different connections concurrently.
func (s *Sender) post(ctx context.Context, batch broadcast.Batch, messages []broadcast.Message) *tally {
	starting := ctx // ends before ctx: no post is started after it
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
				p := pending{}
				if n < len(batch.Connections) {
					p.connection = batch.Connections[n]
				} else {
					p.connection = batch.Settling[n-len(batch.Connections)]
					p.settling = s.now().Sub(batch.DispatchedAt) < broadcast.SettlingAge
				}
				s.postTo(starting, ctx, p, messages, t)
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

// postTo posts the messages to one connection until one must be retried.
func (s *Sender) postTo(starting, ctx context.Context, p pending, messages []broadcast.Message, t *tally) {
	for i, m := range messages {
		if m.Excludes(p.connection) {
			continue
		}
		p.from = i
		if err := s.Pace.Wait(starting); err != nil {
			// The time is up, or would be up before the pace allows this post.
			p.reason = broadcast.ReasonDeadline
			t.pending = append(t.pending, p)
			return
		}
		start := s.now()
		err := s.Poster.Post(ctx, p.connection, m.Payload)
		end := s.now()
		t.outcomes[i].Posts++
		t.latencies = append(t.latencies, end.Sub(start))
		if err == nil {
			p.took = true
			t.outcomes[i].Delivered++
			t.outcomes[i].First = earliest(t.outcomes[i].First, end)
			t.outcomes[i].Last = latest(t.outcomes[i].Last, end)
			continue
		}
		class, reason := broadcast.ClassOf(err)
		if class == broadcast.ClassGone && p.settling {
			class, reason = broadcast.ClassRetry, broadcast.ReasonSettling
		}
		switch class {
		case broadcast.ClassGone:
			t.gone = append(t.gone, p.connection)
			for j := i; j < len(messages); j++ {
				if !messages[j].Excludes(p.connection) {
					t.outcomes[j].Gone++
				}
			}
			return
		case broadcast.ClassRetry:
			switch reason {
			case broadcast.ReasonThrottled:
				t.throttled++
			case broadcast.ReasonServer, broadcast.ReasonNetwork:
				t.postErrors++
			}
			p.reason = reason
			t.pending = append(t.pending, p)
			return
		case broadcast.ClassPermanent:
			p.reason = reason
			t.refused = append(t.refused, p)
		default:
			// The failure may concern this connection only, and earlier deliveries must not be repeated. So the other posts
			// continue, and the batch is settled.
			t.fatal = cmp.Or(t.fatal, err)
			p.reason = broadcast.ReasonRefused
			t.pending = append(t.pending, p)
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
	t.pending = append(t.pending, other.pending...)
	t.refused = append(t.refused, other.refused...)
	t.fatal = cmp.Or(t.fatal, other.fatal)
	t.throttled += other.throttled
	t.postErrors += other.postErrors
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
