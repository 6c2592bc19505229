package delivery

import (
	"sync"

	"fanfare/pkg/broadcast"
)

// sampleSize is how many posts a sample remembers. A batch of more outweighs what was before it.
const sampleSize = 100

// sample is what became of the latest posts to connections that no 429 had singled out before: how it fares with them is
// how it fares with everybody. It is kept across the batches of a process.
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
// A batch of clients whose buffers were full before says nothing of the rate, as such clients are refused in any case. It is
// judged by other batches that this process has posted, or, where there were none, as it was judged before.
func (s *Sender) buffersFull(batch broadcast.Batch, t *tally) bool {
	if batch.Full == 0 {
		delivered := 0
		for _, o := range t.outcomes {
			delivered += o.Delivered
		}
		s.everybody.add(delivered, t.throttled)
	}
	most, known := s.everybody.through()
	if !known {
		return batch.Full > 0
	}
	return most
}

// mostlyFull tells whether the clients' own buffers were full at half of the attempts or more. Then they are why a delivery
// has failed, even if a fault of another kind came last: a redrive would not help. One 429 before minutes of 5xx is less.
func mostlyFull(batch broadcast.Batch, now bool) bool {
	full := batch.Full
	if now {
		full++
	}
	return 2*full > batch.Attempt
}
