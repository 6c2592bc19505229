package delivery

import (
	"sync"

	"fanfare/pkg/broadcast"
)

// sampleSize is the number of posts that a sample keeps before a batch is added. A larger batch outweighs them.
const sampleSize = 100

// sample is a decaying count of recent first-attempt posts, used to tell rate throttling from full client buffers.
// Later attempts are not counted: they go to connections that were refused before. It is kept across the batches of a
// process.
type sample struct {
	mu                   sync.Mutex
	delivered, throttled float64
}

// add adds posts and scales older ones down to sampleSize.
func (s *sample) add(delivered, throttled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sum := s.delivered + s.throttled; sum > sampleSize {
		s.delivered, s.throttled = s.delivered*sampleSize/sum, s.throttled*sampleSize/sum
	}
	s.delivered += float64(delivered)
	s.throttled += float64(throttled)
}

// mostDelivered reports whether most posts were delivered. It is not known if there were none.
func (s *sample) mostDelivered() (most, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delivered >= s.throttled, s.delivered+s.throttled > 0
}

// buffersFull reports whether the 429 answers of a batch mean full client buffers rather than an exceeded rate; API
// Gateway does not say which. If most recent posts were delivered, the rate was not exceeded, so the buffers were full.
//
// Leftovers of an earlier attempt say nothing about the rate, because a client with a full buffer is refused at any
// rate. They are decided by the first attempts that this process made. A process that made none uses the batch's
// history: the rate is taken as exceeded if the last attempt failed for that reason.
func (s *Sender) buffersFull(batch broadcast.Batch, t *tally) bool {
	if batch.Attempt == 0 && batch.Confirmations == 0 && !batch.Redriven {
		delivered := 0
		for _, o := range t.outcomes {
			delivered += o.Delivered
		}
		s.recent.add(delivered, t.throttled)
	}
	most, known := s.recent.mostDelivered()
	if !known {
		return batch.Reason != "" && batch.Reason != broadcast.ReasonThrottled
	}
	return most
}

// lastAction decides how deliveries are handled after the last attempt, and their reason; full is the number of
// attempts that met full client buffers. If these are at least half, the reason is ReasonBufferFull, even if the last
// attempt met another failure: a redrive would not help. Fewer do not outweigh the other failures.
func (s *Sender) lastAction(attempts, full int, reason string) (action, string) {
	switch {
	case 2*full < attempts:
		return deadLetter, reason
	case s.DisconnectFull:
		return disconnect, broadcast.ReasonBufferFull
	}
	return drop, broadcast.ReasonBufferFull
}
