package delivery

import (
	"sync"

	"fanfare/pkg/broadcast"
)

// sampleSize is how many posts a sample remembers. A batch of more outweighs what was before it.
const sampleSize = 100

// sample is what became of the latest first posts: how it fares with them is how it fares with everybody. Later attempts
// are made to those that were refused before, who are no sample. It is kept across the batches of a process.
type sample struct {
	mu                   sync.Mutex
	delivered, throttled float64
}

// add adds posts, and lets older ones fade.
func (s *sample) add(delivered, throttled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sum := s.delivered + s.throttled; sum > sampleSize {
		s.delivered, s.throttled = s.delivered*sampleSize/sum, s.throttled*sampleSize/sum
	}
	s.delivered += float64(delivered)
	s.throttled += float64(throttled)
}

// through tells whether most posts got through. Without any, nothing is known.
func (s *sample) through() (most, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delivered >= s.throttled, s.delivered+s.throttled > 0
}

// buffersFull tells what the 429s of a batch mean, which API Gateway does not: when most posts of late got through, the
// rate was not the reason, so the buffers of the refused clients were full.
//
// What an earlier attempt has left says nothing of the rate, as clients with full buffers are refused in any case. It is
// judged by the first attempts that this process has made. A process that has made none has only the batch's own history: the
// rate was exceeded if the attempt before was refused for that.
func (s *Sender) buffersFull(batch broadcast.Batch, t *tally) bool {
	if batch.Attempt == 0 && !batch.Redriven {
		delivered := 0
		for _, o := range t.outcomes {
			delivered += o.Delivered
		}
		s.everybody.add(delivered, t.throttled)
	}
	most, known := s.everybody.through()
	if !known {
		return batch.Reason != "" && batch.Reason != broadcast.ReasonThrottled
	}
	return most
}

// end decides what becomes of deliveries after the last of so many attempts, at full of which the clients' buffers were
// full, and why they have failed. Half of the attempts make it the buffers, even if a fault of another kind came last: a
// redrive would not help. One full buffer amid minutes of other faults does not.
func (s *Sender) end(attempts, full int, reason string) (fate, why string) {
	switch {
	case 2*full < attempts:
		return fateBury, reason
	case s.DisconnectFull:
		return fateDisconnect, broadcast.ReasonBufferFull
	}
	return fateDrop, broadcast.ReasonBufferFull
}
