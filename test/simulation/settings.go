package simulation

import (
	"math/rand/v2"
	"time"

	"fanfare/pkg/handler"
)

// Settings are the parameters of a run. SettingsOf draws them from a seed.
type Settings struct {
	// Of the stack.
	PostsPerSecond        float64
	DispatcherConcurrency int
	SenderConcurrency     int
	BatchConnections      int
	BatchPosts            int
	Segments              int
	StretchConnections    int
	Workers               int // concurrent posts of a sender
	MaxAttempts           int
	DisconnectFull        bool
	PageRows              int // rows to a page of the connections table

	// Of the scenario.
	Clients    int           // clients that are connected at the start
	DeadRows   int           // rows of closed connections
	Expired    int           // expired rows
	Joining    int           // clients that connect later
	Leaving    int           // clients that disconnect
	Broadcasts int           // published
	Duration   time.Duration // time of connecting, disconnecting and publishing
	Large      float64       // share of broadcasts of the largest size
	Excluding  float64       // share of broadcasts that exclude some clients
	Unreadable float64       // share of broadcasts that can never be sent
	Stalled    float64       // share of clients that do not read
	Slow       float64       // share of clients whose posts take seconds
	Flaky      float64       // share of clients to which posts fail, see Posts
	// RedrivenEarly adds a redrive before the faults end.
	RedrivenEarly bool

	// Faults.
	Crash       float64        // chance that a dispatcher or a sender dies at an effect
	At          map[int]Mishap // replaces Crash if not nil: mishaps by crash point, counted from 1
	Registry    Faults         // of writes to the connections table
	Scan        Faults
	Ledger      Faults
	Queue       QueueFaults
	Publish     Faults // of publishing
	Posts       Faults
	FalselyGone float64 // chance that a 410 answers posts to an open connection for a while
	Throttled   float64 // chance of a 429 because of the rate
	Forbidden   Window  // every post is answered 403
	NeedlessKey float64 // chance of a last evaluated key at the end of a segment
	Skew        time.Duration

	calm  bool         // the faults have ended
	plant func(*world) // a fault that a test plants
	// plantVisibility replaces what sets the visibility timeouts.
	plantVisibility func(handler.Visibility) handler.Visibility
}

// Faults are the faults of a service.
type Faults struct {
	Before  float64 // chance of an error without the effect
	After   float64 // chance of an error after the effect
	Slow    float64 // chance of an answer that takes up to SlowFor
	SlowFor time.Duration
	Outage  Window // every request fails
}

// QueueFaults are the faults of SQS.
type QueueFaults struct {
	Faults
	Duplicate float64 // chance that a message is delivered twice
	Late      float64 // chance that a message becomes visible late
	Shuffle   float64 // chance that messages are received in random order
	Partial   float64 // chance that entries of a batch are reported as failed; half of them are stored
	Undeleted float64 // chance that a deleted message is not
}

// orderly reports whether SQS delivers each message once in its visibility timeout, and answers each request soon.
func (f QueueFaults) orderly() bool {
	return f.Duplicate == 0 && f.Before == 0 && f.After == 0 && f.Slow == 0 && f.Outage.To == 0
}

// Window is an interval of time since the start of the run.
type Window struct{ From, To time.Duration }

func (w Window) covers(at time.Duration) bool { return at >= w.From && at < w.To }

// quick is the longest time of a request that is not slow.
const quick = 20 * time.Millisecond

func (f *Faults) latency(w *world) latency {
	return func() (there, back time.Duration) {
		there = w.between(time.Millisecond, quick)
		if w.chance(f.Slow) {
			return w.divide(w.between(there, f.SlowFor))
		}
		return there, 0
	}
}

// divide returns a delay of the request, or of its answer.
func (w *world) divide(d time.Duration) (there, back time.Duration) {
	if d > quick && w.random.IntN(2) == 0 {
		return quick, d - quick
	}
	return d, 0
}

// sluggish reports whether slow answers may make a stage time out. Slow posts may not, because a post has a timeout.
func (s *Settings) sluggish() bool {
	for _, f := range []Faults{s.Registry, s.Scan, s.Ledger, s.Queue.Faults} {
		if f.Slow > 0 || f.Outage.To > 0 {
			return true
		}
	}
	return false
}

// SettingsOf returns the settings of a seed. Most runs are without a given fault, so that the effects of the others
// show, and each fault is frequent in some runs.
func SettingsOf(seed uint64) Settings {
	r := rand.New(rand.NewPCG(seed, 1))
	number := func(low, high int) int { return low + r.IntN(high-low+1) }
	perhaps := func(share, most float64) float64 { // 0 in most runs, else a chance up to most, usually a small one
		if r.Float64() >= share {
			return 0
		}
		p := r.Float64()
		return most * p * p
	}
	s := Settings{
		PostsPerSecond:        float64(number(5, 400)),
		DispatcherConcurrency: number(1, 3),
		SenderConcurrency:     number(1, 4),
		BatchConnections:      number(1, 12),
		BatchPosts:            number(1, 60),
		Segments:              number(1, 4),
		StretchConnections:    number(1, 40),
		Workers:               1,
		MaxAttempts:           number(2, 8),
		DisconnectFull:        r.IntN(4) == 0,
		PageRows:              number(1, 20),

		Clients:    number(0, 24),
		DeadRows:   number(0, 4),
		Expired:    number(0, 3),
		Joining:    number(0, 6),
		Leaving:    number(0, 6),
		Broadcasts: number(1, 10),
		Duration:   time.Duration(number(1, 60)) * time.Second,
		Large:      perhaps(0.01, 1),
		Excluding:  perhaps(0.3, 1),
		Unreadable: perhaps(0.2, 0.5),
		Stalled:    perhaps(0.3, 0.5),
		Slow:       perhaps(0.2, 0.5),
		Flaky:      perhaps(0.4, 1),

		Crash:       perhaps(0.5, 0.1),
		FalselyGone: perhaps(0.4, 0.5),
		Throttled:   perhaps(0.3, 0.3),
		NeedlessKey: perhaps(0.2, 1),
		Skew:        time.Duration(perhaps(0.2, 2000)) * time.Millisecond,
	}
	if r.IntN(4) == 0 {
		s.Workers = number(2, 4)
	}
	s.RedrivenEarly = r.IntN(3) == 0
	faults := func() Faults {
		f := Faults{
			Before: perhaps(0.3, 0.3), After: perhaps(0.3, 0.3), Slow: perhaps(0.2, 0.3),
			SlowFor: time.Duration(number(1, 12)) * time.Second,
		}
		if r.IntN(10) == 0 {
			f.Outage.From = time.Duration(number(0, 60)) * time.Second
			f.Outage.To = f.Outage.From + time.Duration(number(1, 300))*time.Second
		}
		return f
	}
	s.Registry, s.Scan, s.Ledger, s.Publish, s.Posts = faults(), faults(), faults(), faults(), faults()
	s.Queue = QueueFaults{
		Faults: faults(), Duplicate: perhaps(0.4, 0.5), Late: perhaps(0.2, 0.5), Shuffle: perhaps(0.5, 1),
		Partial: perhaps(0.3, 0.5), Undeleted: perhaps(0.3, 0.3),
	}
	if r.IntN(12) == 0 {
		s.Forbidden.From = time.Duration(number(0, 60)) * time.Second
		s.Forbidden.To = s.Forbidden.From + time.Duration(number(1, 600))*time.Second
	}
	if r.IntN(8) == 0 { // a table whose read takes longer than the time of one dispatcher
		s.Scan.Slow, s.Scan.SlowFor, s.PageRows = 1, time.Duration(number(5, 19))*time.Second, number(1, 3)
		s.Clients, s.Segments = number(0, 80), number(1, 2)
		if r.IntN(2) == 0 {
			s.Registry.Slow, s.Registry.SlowFor = 0.5, 10*time.Second
		}
	}
	if r.IntN(8) == 0 { // a small table in many stretches, with many changes and crashes
		s.PageRows, s.StretchConnections, s.Segments = number(1, 4), number(1, 4), number(1, 2)
		s.Expired, s.Joining, s.Leaving = number(0, 10), number(0, 12), number(0, 12)
		s.Duration = time.Duration(number(2, 10)) * time.Second
		s.Crash, s.Queue.Duplicate, s.Scan.Slow = 0.05, 0.3, 0.3
		s.Scan.SlowFor = time.Duration(number(1, 4)) * time.Second
	}
	return s
}
