package sqs

import (
	"context"
	"hash/fnv"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Faults make the server use the freedom that SQS has, and fail as AWS fails. The zero value does neither.
//
// Each rate is the probability of one kind of fault, 0 for never to 1 for always. Whether the n-th occasion of a kind
// at a queue goes wrong depends on Seed, the kind, the queue and n alone, so that the same requests in the same order
// meet the same faults again.
type Faults struct {
	Seed uint64

	// Queues and Operations limit the faults to these queues (by name) and, where a fault befalls a request, to these
	// operations. Empty means all.
	Queues     []string
	Operations []string

	// Standard queues deliver at least once and in no promised order.

	DuplicateInFlight float64 // of deliveries: a copy of the message stays visible, for somebody else to receive
	// of deletions: a copy of the message becomes visible although it was deleted in time
	DuplicateAfterDelete float64
	Reorder              float64       // of deliveries: one of the next hundred messages comes instead of the first
	Delay                float64       // of messages sent: becomes visible late, by up to DelayBy
	DelayBy              time.Duration // by the server's clock

	// Requests fail.

	EntryRefused    float64       // of SendMessageBatch's good entries: reported as failed, not stored
	EntryMisjudged  float64       // of SendMessageBatch's good entries: stored, and reported as failed
	Throttle        float64       // of requests: RequestThrottled, nothing done
	ServerError     float64       // of requests: 500 InternalError, nothing done
	ServerErrorDone float64       // of requests: carried out, then 500 InternalError
	Latency         float64       // of requests: carried out late, by up to LatencyBy
	LatencyBy       time.Duration // by the server's clock
}

// reorderWindow is how far from the front of a queue a reordered delivery comes at most.
const reorderWindow = 100

// faultPlan is Faults with the count of occasions since they were set.
type faultPlan struct {
	Faults
	occasions sync.Map // faultOccasion -> *occasionCount
}

type faultOccasion struct {
	kind  string
	queue string
}

type occasionCount struct{ met, injected atomic.Uint64 }

// SetFaults replaces the faults, from the next request on, and starts the count of their occasions anew.
func (s *Server) SetFaults(f Faults) { s.faults.Store(&faultPlan{Faults: f}) }

// Injected returns how often each kind of fault has happened since the faults were set, by the names of the rates.
func (s *Server) Injected() map[string]uint64 {
	counts := make(map[string]uint64)
	s.faults.Load().occasions.Range(func(o, c any) bool {
		if n := c.(*occasionCount).injected.Load(); n > 0 {
			counts[o.(faultOccasion).kind] += n
		}
		return true
	})
	return counts
}

// strikes decides about the next occasion of a kind, named for its rate, at a queue. When it strikes, luck is uniform
// over [0, 1), for whatever else has to be chosen.
func (p *faultPlan) strikes(kind string, queue string, rate float64) (strikes bool, luck float64) {
	if rate <= 0 || len(p.Queues) > 0 && !slices.Contains(p.Queues, queue) {
		return false, 0
	}
	found, _ := p.occasions.LoadOrStore(faultOccasion{kind, queue}, new(occasionCount))
	count := found.(*occasionCount)
	h := fnv.New64a()
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write([]byte(queue))
	first := scramble(scramble(p.Seed^h.Sum64()) + count.met.Add(1))
	if fraction(first) >= rate {
		return false, 0
	}
	count.injected.Add(1)
	return true, fraction(scramble(first))
}

// scramble is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): it makes neighbouring numbers unlike.
func scramble(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// fraction maps x to [0, 1).
func fraction(x uint64) float64 { return float64(x>>11) / (1 << 53) }

// request lets a request's own faults happen: it waits, and returns the failure to answer with before anything is done,
// or after everything is.
func (p *faultPlan) request(ctx context.Context, s *Server, operation, queue string) (before, after error) {
	if len(p.Operations) > 0 && !slices.Contains(p.Operations, operation) {
		return nil, nil
	}
	if late, luck := p.strikes("Latency", queue, p.Latency); late {
		timer := s.options.Clock.NewTimer(time.Duration(luck * float64(p.LatencyBy)))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err(), nil
		case <-s.closed:
			return errClosed, nil
		}
	}
	if hit, _ := p.strikes("Throttle", queue, p.Throttle); hit {
		return refuse("RequestThrottled", "The request was throttled (injected fault)."), nil
	}
	if hit, _ := p.strikes("ServerError", queue, p.ServerError); hit {
		return injectedError(), nil
	}
	if hit, _ := p.strikes("ServerErrorDone", queue, p.ServerErrorDone); hit {
		return nil, injectedError()
	}
	return nil, nil
}

func injectedError() *Error {
	return &Error{Status: http.StatusInternalServerError, Type: "InternalError", Code: "InternalError",
		Message: "The request failed (injected fault)."}
}

// choose returns the visible message to deliver next: the first, unless deliveries are reordered. q.mu is held, and
// there is one.
func (p *faultPlan) choose(q *queue) *message {
	m := q.first
	if hit, luck := p.strikes("Reorder", q.name, p.Reorder); hit {
		for range int(luck * reorderWindow) {
			if m.next == nil {
				break
			}
			m = m.next
		}
	}
	return m
}

// duplicate makes a copy of m visible if that kind of fault strikes. A copy is not copied again. q.mu is held.
func (p *faultPlan) duplicate(q *queue, m *message, kind string, rate float64) {
	if m.copied {
		return
	}
	if hit, _ := p.strikes(kind, q.name, rate); !hit {
		return
	}
	twin := *m
	twin.previous, twin.next = nil, nil
	twin.state, twin.copied = visible, true
	q.enter(&twin)
}

// sent returns how much longer than asked a message takes to become visible.
func (p *faultPlan) sent(q *queue) time.Duration {
	hit, luck := p.strikes("Delay", q.name, p.Delay)
	if !hit {
		return 0
	}
	return time.Duration(luck * float64(p.DelayBy))
}
