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
	suspect    bool // it is in Batch.Suspect
	marked     bool // its row may have the record of a 410
	from       int
	took       time.Time // time of its last success in the batch; zero if there was none
	start, end time.Time // of its last post
	reason     string
	confirm    bool // its 410 has to be confirmed
}

// tally sums the results of posts.
type tally struct {
	outcomes   []broadcast.Outcome // of each message
	gone       int                 // connections
	unknown    []pending           // their last post was answered 410, or 400 for their id
	succeeded  []pending           // marked connections that a post reached
	pending    []pending
	refused    []pending // one message each that can never be posted
	fatal      error     // the first fatal failure
	throttled  int
	postErrors int
	latencies  []time.Duration
}

// post posts every message to every connection of the batch. The messages of one connection are posted in order,
// different connections concurrently. takenOver reports whether an earlier sender of the batch may have marked rows.
func (s *Sender) post(
	ctx context.Context, batch broadcast.Batch, messages []broadcast.Message, takenOver bool) *tally {
	starting := ctx // ends before ctx: no post is started after it
	if deadline, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		starting, stop = context.WithDeadline(ctx, deadline.Add(-s.Reserve))
		defer stop()
	}

	suspects := make(map[string]bool, len(batch.Suspect))
	for _, id := range batch.Suspect {
		suspects[id] = true
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
				p.suspect = suspects[p.connection]
				p.marked = p.suspect || takenOver
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
	defer func() {
		if p.marked && !p.took.IsZero() {
			t.succeeded = append(t.succeeded, p)
		}
	}()
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
		p.start = s.now()
		err := s.Poster.Post(ctx, p.connection, m.Payload)
		p.end = s.now()
		t.outcomes[i].Posts++
		t.latencies = append(t.latencies, p.end.Sub(p.start))
		if err == nil {
			p.took = p.end
			t.outcomes[i].Delivered++
			t.outcomes[i].First = earliest(t.outcomes[i].First, p.end)
			t.outcomes[i].Last = latest(t.outcomes[i].Last, p.end)
			continue
		}
		class, reason := broadcast.ClassOf(err)
		if reason == broadcast.ReasonGone && p.settling && !p.suspect {
			class, reason = broadcast.ClassRetry, broadcast.ReasonSettling
		}
		switch class {
		case broadcast.ClassGone:
			p.reason = reason
			t.unknown = append(t.unknown, p)
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
	t.unknown = append(t.unknown, other.unknown...)
	t.succeeded = append(t.succeeded, other.succeeded...)
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
