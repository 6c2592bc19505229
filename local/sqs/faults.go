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

// Faults make the server duplicate, delay and reorder messages, and fail requests, as AWS may. The zero value has no
// faults.
//
// Each rate is the probability of one kind of fault, from 0 (never) to 1 (always). The decision for the n-th occasion
// of a kind at a queue depends on Seed, the kind, the queue and n only. The same requests in the same order therefore
// meet the same faults.
type Faults struct {
	Seed uint64

	// Queues limits the faults to the queues of these names, and Operations limits the faults of requests to these
	// operations. Empty means all.
	Queues     []string
	Operations []string

	// Faults of messages. Standard queues deliver at least once, in no promised order.

	DuplicateInFlight    float64       // of receives: the message stays visible, so that it can be received twice
	DuplicateAfterDelete float64       // of deletions: a copy of the message becomes visible
	Reorder              float64       // of receives: one of the next hundred messages comes instead of the first
	Delay                float64       // of messages sent: the message becomes visible up to DelayBy late
	DelayBy              time.Duration // by Options.Clock

	// Faults of requests.

	EntryRefused    float64       // of valid entries of SendMessageBatch: reported as failed, not stored
	EntryMisjudged  float64       // of valid entries of SendMessageBatch: stored, but reported as failed
	Throttle        float64       // of requests: RequestThrottled, without effect
	ServerError     float64       // of requests: 500 InternalError, without effect
	ServerErrorDone float64       // of requests: executed, then answered with 500 InternalError
	Latency         float64       // of requests: executed up to LatencyBy late
	LatencyBy       time.Duration // by Options.Clock
}

// reorderWindow bounds the distance of a reordered message from the front of its queue.
const reorderWindow = 100

// faultPlan holds the faults, and counts the occasions since they were set.
type faultPlan struct {
	Faults
	occasions sync.Map // faultOccasion -> *occasionCount
}

type faultOccasion struct {
	kind  string
	queue string
}

type occasionCount struct{ met, injected atomic.Uint64 }

// SetFaults replaces the faults from the next request on, and resets the counts of occasions.
func (s *Server) SetFaults(f Faults) { s.faults.Store(&faultPlan{Faults: f}) }

// Injected returns how many faults of each kind have been injected since the faults were set, by the names of the
// rates.
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

// decide reports whether to inject a fault at the next occasion of a kind, named for its rate, at a queue. If it does,
// random is uniform over [0, 1), for other choices about the fault.
func (p *faultPlan) decide(kind string, queue string, rate float64) (inject bool, random float64) {
	if rate <= 0 || len(p.Queues) > 0 && !slices.Contains(p.Queues, queue) {
		return false, 0
	}
	found, _ := p.occasions.LoadOrStore(faultOccasion{kind, queue}, new(occasionCount))
	count := found.(*occasionCount)
	h := fnv.New64a()
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write([]byte(queue))
	first := mix(mix(p.Seed^h.Sum64()) + count.met.Add(1))
	if fraction(first) >= rate {
		return false, 0
	}
	count.injected.Add(1)
	return true, fraction(mix(first))
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014). It maps neighbouring numbers to unrelated ones.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// fraction maps x to [0, 1).
func fraction(x uint64) float64 { return float64(x>>11) / (1 << 53) }

// request injects the faults of a request. It waits for the latency, and returns the error to answer without executing
// the request, and the error to answer after executing it.
func (p *faultPlan) request(ctx context.Context, s *Server, operation, queue string) (before, after error) {
	if len(p.Operations) > 0 && !slices.Contains(p.Operations, operation) {
		return nil, nil
	}
	if late, random := p.decide("Latency", queue, p.Latency); late {
		timer := s.options.Clock.NewTimer(time.Duration(random * float64(p.LatencyBy)))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err(), nil
		case <-s.closed:
			return errClosed, nil
		}
	}
	if hit, _ := p.decide("Throttle", queue, p.Throttle); hit {
		return newError("RequestThrottled", "The request was throttled (injected fault)."), nil
	}
	if hit, _ := p.decide("ServerError", queue, p.ServerError); hit {
		return injectedError(), nil
	}
	if hit, _ := p.decide("ServerErrorDone", queue, p.ServerErrorDone); hit {
		return nil, injectedError()
	}
	return nil, nil
}

func injectedError() *Error {
	return &Error{Status: http.StatusInternalServerError, Type: "InternalError", Code: "InternalError",
		Message: "The request failed (injected fault)."}
}

// choose returns the visible message to deliver next: the first, unless the delivery is reordered. q.mu is held, and
// there is a visible message.
func (p *faultPlan) choose(q *queue) *message {
	m := q.first
	if hit, random := p.decide("Reorder", q.name, p.Reorder); hit {
		for range int(random * reorderWindow) {
			if m.next == nil {
				break
			}
			m = m.next
		}
	}
	return m
}

// duplicateInFlight may make m, which is in flight, visible before its visibility timeout is over. It remains one
// message: each receive has its own receipt handle, and a deletion by any of them deletes the message. q.mu is held.
func (p *faultPlan) duplicateInFlight(q *queue, m *message) {
	if m.duplicated {
		return
	}
	if m.duplicated, _ = p.decide("DuplicateInFlight", q.name, p.DuplicateInFlight); m.duplicated {
		q.detach(m)
		q.attach(m, visible)
	}
}

// duplicateAfterDelete may make a copy of m, which was deleted, visible: a server of SQS that was unavailable kept it.
// A message is duplicated once at most. q.mu is held.
func (p *faultPlan) duplicateAfterDelete(q *queue, m *message) {
	if m.duplicated {
		return
	}
	if hit, _ := p.decide("DuplicateAfterDelete", q.name, p.DuplicateAfterDelete); !hit {
		return
	}
	duplicate := *m
	duplicate.previous, duplicate.next = nil, nil
	duplicate.state, duplicate.due, duplicate.duplicated = visible, time.Time{}, true
	q.insert(&duplicate)
}

// sendDelay returns the additional delay of a sent message.
func (p *faultPlan) sendDelay(q *queue) time.Duration {
	hit, random := p.decide("Delay", q.name, p.Delay)
	if !hit {
		return 0
	}
	return time.Duration(random * float64(p.DelayBy))
}
