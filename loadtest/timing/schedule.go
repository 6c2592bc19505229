package timing

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"
	"time"
)

// Steady is Count events at Rate a second, the first of them at once.
type Steady struct {
	Rate  float64 // events per second, more than 0
	Count int
}

// Over returns the steady schedule of rate events a second that fit into d.
func Over(rate float64, d time.Duration) Steady {
	// A hair is added so that 0.1 a second over 10 s is one event, whatever binary fractions say.
	return Steady{Rate: rate, Count: int(math.Floor(rate*d.Seconds() + 1e-9))}
}

// Offset returns when event n is due, counted from the schedule's start. It is computed afresh for each n, so that
// rounding never adds up.
func (s Steady) Offset(n int) time.Duration {
	return time.Duration(math.Round(float64(n) / s.Rate * float64(time.Second)))
}

// Length returns the time that the whole schedule takes, the pause after the last event included.
func (s Steady) Length() time.Duration { return s.Offset(s.Count) }

// Turns shares a schedule out among publishers, who take turns: event n belongs to publisher n mod Publishers and is
// its message n div Publishers.
type Turns struct {
	Publishers int // at least 1
}

// Of returns whose event n is, and the how-manieth of that publisher, from 0.
func (t Turns) Of(n int) (publisher, sequence uint32) {
	return uint32(n % t.Publishers), uint32(n / t.Publishers)
}

// Event returns which event a publisher's message is; the inverse of Of.
func (t Turns) Event(publisher, sequence uint32) int {
	return int(sequence)*t.Publishers + int(publisher)
}

// Move says that the client in a slot is to leave and come back.
type Move struct {
	Offset time.Duration // from the start
	Slot   int
}

// Churn returns the moves of slots over d when share of them (0 to 1) reconnect per minute: evenly spread in time, in
// an order that follows from seed alone, and no slot a second time before each had its turn.
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
		// Each move falls somewhere in its own slice of the time, so moves neither bunch up nor beat with the rate.
		at := (float64(i) + random.Float64()) / float64(count) * float64(d)
		moves = append(moves, Move{Offset: time.Duration(at), Slot: slots[order[0]]})
		order = order[1:]
	}
	sort.SliceStable(moves, func(i, j int) bool { return moves[i].Offset < moves[j].Offset })
	return moves
}

// Wait waits until the clock shows at (microseconds since the Unix epoch) or ctx ends, whose error it then returns.
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
