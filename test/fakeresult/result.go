// Package fakeresult writes result files of load tests without running them, and serves fake ledgers, for tests.
package fakeresult

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"
	"fanfare/loadtest/vitals"
)

// Start is the intended time of the first message, in microseconds since the Unix epoch.
const Start = int64(1_764_000_000_000_000)

// Run describes a run. Its zero value is a run of 10 clients and 20 messages without faults.
type Run struct {
	Name     string // 8 characters
	Clients  int
	Messages int
	Rate     float64       // messages per second
	Process  int           // number of the process
	Slower   time.Duration // added to every latency
	Missing  int           // missing deliveries, one per message
	Silent   bool          // without answers
	Lost     int           // clients whose connections the system closes at the end
	Gone     int           // clients whose connections the system closes before the second message

	Change func(*result.Conditions) // changes the conditions, if not nil
	End    func(*result.End)        // changes the end, if not nil
	Cut    bool                     // the file has no end
	Lag    time.Duration            // schedule lag and read lag
	Sample func(*vitals.Sample)
	// Ledger, if not nil, is the ledger of the run. All messages have the id "id".
	Ledger *result.Ledger
}

// Write writes the result file of a run and returns its name. Client c receives message n after 5 ms plus
// (c*7 + n*3) mod 50 ms; messages are acknowledged after 2 ms.
func Write(t testing.TB, r Run) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&r.Clients, 10)
	def(&r.Messages, 20)
	if r.Name == "" {
		r.Name = "specimen"
	}
	if r.Rate == 0 {
		r.Rate = 10
	}
	c := result.Conditions{
		Run: r.Name, Process: r.Process, Processes: 1, Target: "ws://127.0.0.1:3001/prod", Connections: r.Clients, Ramp: 400,
		Publishers: 1, Via: "clients",
		Rate: r.Rate, Count: r.Messages, Size: 256, Start: Start, Deadline: 5 * time.Second, Seed: 1, PostRate: 10_000,
		PostBurst: 5_000,
		Host:      vitals.Machine{Name: "0a1b2c3d", OS: "linux", Arch: "amd64", Cores: 2, Go: "go1.26"},
	}
	if r.Ledger != nil {
		c.Ledger = "websocket_broadcasts"
	}
	if r.Change != nil {
		r.Change(&c)
	}
	name := filepath.Join(t.TempDir(), r.Name+".results")
	f, err := os.Create(name)
	must(err)
	w, err := result.NewWriter(f, c)
	must(err)
	s := w.Shard()
	over := Start + int64(float64(r.Messages)/r.Rate*1e6) + 1_000_000
	for i := range r.Clients {
		s.Add(result.Record{Kind: result.Opened, Connection: uint32(i), At: Start - 1_000_000, A: int64(i), B: 3000})
	}
	var deliveries int64
	for n := range r.Messages {
		due := Start + int64(float64(n)/r.Rate*1e6)
		s.Add(result.Record{Kind: result.Published, Broadcast: uint32(n), At: due + 100, A: due, B: 256,
			Flag: result.ByClient})
		if !r.Silent {
			s.Add(result.Record{Kind: result.Answered, Broadcast: uint32(n), At: due + 2000, Flag: result.Acknowledged,
				Text: "id"})
		}
		for i := range r.Clients {
			if n < r.Missing && i == n%r.Clients || n > 0 && i < r.Gone {
				continue
			}
			s.Delivered(uint32(i), uint32(n), due+5000+int64((i*7+n*3)%50)*1000+r.Slower.Microseconds())
			deliveries++
		}
	}
	for i := range r.Clients {
		closed := result.Record{Kind: result.Closed, Connection: uint32(i), At: over, Flag: result.Ended}
		if i < r.Gone {
			closed.At = Start + int64(1e6/r.Rate) - 1
		}
		if i < max(r.Lost, r.Gone) {
			closed.Flag, closed.A, closed.Text = result.Peer, 1001, "close code 1001 Going away"
		}
		s.Add(closed)
	}
	s.Flush()
	for at := Start + 1_000_000; at < over; at += 1_000_000 {
		sample := vitals.Sample{At: at, CPU: 0.2, Machine: 0.4, RSS: 20 << 20, Open: r.Clients, ScheduleLag: r.Lag +
			time.Millisecond, ReadLag: r.Lag + time.Millisecond}
		if r.Sample != nil {
			r.Sample(&sample)
		}
		must(w.Sample(sample))
	}
	if r.Cut {
		// A killed process leaves a segment without its end.
		must(w.Abandon())
		must(f.Close())
		return name
	}
	var lag latency.Histogram
	for range 100 {
		lag.Add(500 + r.Lag.Microseconds())
	}
	lags, err := lag.Encode()
	must(err)
	end := result.End{At: over, Frames: deliveries, Usage: vitals.Usage{CPU: time.Second, Wall: 4 * time.Second,
		RSS: 20 << 20, Descriptors: 40, Limit: 1024, ScheduleLag: lags, ReadLag: lags}}
	if !r.Silent {
		end.Frames, end.Answers = end.Frames+int64(r.Messages), int64(r.Messages)
	}
	if r.End != nil {
		r.End(&end)
	}
	must(w.Close(end))
	must(f.Close())
	if r.Ledger != nil {
		must(result.AppendLedger(name, *r.Ledger))
	}
	return name
}
