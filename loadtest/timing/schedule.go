package timing

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"
	"time"
)

// Steady is a schedule of Count events, Rate a second. The first event is at offset 0.
type Steady struct {
	Rate  float64 // events per second, more than 0
	Count int
}

// Over returns the schedule of the events that fit into d at rate events a second.
func Over(rate float64, d time.Duration) Steady {
	// The small addend makes 0.1 a second over 10 s one event in spite of binary fractions.
	return Steady{Rate: rate, Count: int(math.Floor(rate*d.Seconds() + 1e-9))}
}

// Offset returns when event n is due, from the start of the schedule. Each offset is computed from n, so that rounding
// errors do not add up.
func (s Steady) Offset(n int) time.Duration {
	return time.Duration(math.Round(float64(n) / s.Rate * float64(time.Second)))
}

// Length returns the duration of the schedule, including the pause after the last event.
func (s Steady) Length() time.Duration { return s.Offset(s.Count) }

// Turns divides a schedule among publishers in rotation: event n is message n div Publishers of publisher n mod
// Publishers.
type Turns struct {
	Publishers int // at least 1
}

// Of returns the publisher of event n, and the sequence number of the event among that publisher's, from 0.
func (t Turns) Of(n int) (publisher, sequence uint32) {
	return uint32(n % t.Publishers), uint32(n / t.Publishers)
}

// Event returns the number of the event with a publisher and sequence; it is the inverse of Of.
func (t Turns) Event(publisher, sequence uint32) int {
	return int(sequence)*t.Publishers + int(publisher)
}

// Move is one reconnect: the client in a slot closes its connection and opens another.
type Move struct {
	Offset time.Duration // from the start of the schedule
	Slot   int
}

// Churn returns the moves over d if share of the slots (1 is all) reconnect per minute. The moves are spread evenly
// over time, in an order that follows from seed. No slot moves again before each other slot has moved.
func Churn(seed uint64, slots []int, share float64, d time.Duration) []Move {
	count := int(math.Round(share * float64(len(slots)) * d.Minutes()))
	if count <= 0 || len(slots) == 0 {
		return nil
	}
	random := rand.New(rand.NewPCG(seed, 0x636875726e))
	moves := make([]Move, 0, count)
	var order []int
	for i := range count {
		if len(order) == 0 {
			order = random.Perm(len(slots))
		}
		// Each move is at a random time in an interval of its own, so that moves do not coincide with the rate.
		at := (float64(i) + random.Float64()) / float64(count) * float64(d)
		moves = append(moves, Move{Offset: time.Duration(at), Slot: slots[order[0]]})
		order = order[1:]
	}
	sort.SliceStable(moves, func(i, j int) bool { return moves[i].Offset < moves[j].Offset })
	return moves
}

// Wait waits until the clock shows at (microseconds since the Unix epoch) or ctx ends; then it returns the error of
// ctx.
func Wait(ctx context.Context, at int64) error {
	d := Until(at)
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
