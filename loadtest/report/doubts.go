package report

import (
	"fmt"
	"time"
)

// Doubt is a reason not to take a report at its word.
type Doubt struct {
	// Invalid means that the harness, not the system, may have made the figures.
	Invalid bool `json:"invalid"`
	// Lag means that the harness was late. Its lags only ever add to the latencies, so a bound that was kept in spite of
	// them was kept.
	Lag  bool   `json:"lag,omitempty"`
	Text string `json:"text"`
}

const (
	// lagFree is a lag that is never held against the harness: timers and schedulers are no better.
	lagFree = 10 * time.Millisecond
	// lagShare is the share of the latencies' p99 that the p99 of the harness's own lags may reach.
	lagShare = 0.1
	// busy is the share of a machine's processors from which on it counts as full.
	busy = 0.95
	// unpublishedShare is the share of messages that may be unpublished before a run is not the one that was asked for.
	unpublishedShare = 0.01
)

// doubts looks for every way in which the harness may have fooled itself.
func doubts(s *summary) []Doubt {
	var all []Doubt
	invalid := func(format string, args ...any) {
		all = append(all, Doubt{Invalid: true, Text: fmt.Sprintf(format, args...)})
	}
	warn := func(format string, args ...any) { all = append(all, Doubt{Text: fmt.Sprintf(format, args...)}) }

	late := func(format string, args ...any) {
		all = append(all, Doubt{Invalid: true, Lag: true, Text: fmt.Sprintf(format, args...)})
	}
	p99 := s.Latency.Delivery.Quantile(0.99)
	allowed := max(lagFree, time.Duration(lagShare*float64(p99)))
	if lag := s.scheduleLag.Quantile(0.99); lag > allowed {
		late("the harness published late: its schedule lag has a p99 of %s, and %s is allowed (a tenth of the latencies' p99, at least %s). Lower --rate, or give the harness more processors", Duration(lag), Duration(allowed), Duration(lagFree))
	}
	if lag := s.readLag.Quantile(0.99); lag > allowed {
		late("the harness read late: its read lag has a p99 of %s, and %s is allowed (a tenth of the latencies' p99, at least %s). Use fewer --connections, more --processes, or another machine for the system", Duration(lag), Duration(allowed), Duration(lagFree))
	}
	var full, samples int
	machines := map[string]bool{}
	processes := map[string]int{} // of each run
	for _, p := range s.Processes {
		processes[p.Conditions.Run]++
	}
	for _, p := range s.Processes {
		n := p.Conditions.Process
		machines[p.Conditions.Host.Name] = true
		for _, v := range p.Samples {
			if samples++; v.Machine >= busy {
				full++
			}
		}
		if p.End == nil {
			invalid("process %d did not finish: its results are cut short", n)
			continue
		}
		if got := p.End.Frames - p.End.Answers; got != p.End.Records {
			invalid("process %d received %d payloads and recorded %d", n, got, p.End.Records)
		}
		if p.End.Interrupted {
			warn("process %d was interrupted before the end of the run", n)
		}
		if p.End.Unsent > 0 {
			warn("process %d was left with %d bytes that the system did not read", n, p.End.Unsent)
		}
		if d := p.End.Clock.Abs(); d > allowed {
			invalid("process %d: the wall clock was moved by %s during the run", n, Duration(d))
		} else if d > time.Millisecond {
			warn("process %d: the wall clock was moved by %s during the run", n, Duration(d))
		}
		if u := p.End.Usage; u.Limit > 0 && float64(u.Descriptors) > busy*float64(u.Limit) {
			warn("process %d held %d of %d descriptors", n, u.Descriptors, u.Limit)
		}
		if got := processes[p.Conditions.Run]; n == 0 && p.Conditions.Processes != got {
			invalid("run %s had %d processes and the results of %d are here: name all files", p.Conditions.Run,
				p.Conditions.Processes, got)
		}
	}
	if s.Connections.Unmade > 0 {
		invalid("%d connects failed on a limit of this machine (descriptors, ports or memory): raise it (ulimit -n) or spread the clients over more --processes or --source addresses", s.Connections.Unmade)
	}
	if s.Connections.Dropped > 0 || s.Deliveries.Harness > 0 {
		invalid("the harness lost %d connections and with them %d deliveries", s.Connections.Dropped, s.Deliveries.Harness)
	}
	if n := total(s.Publishing.Unpublished); float64(n) > unpublishedShare*float64(s.Publishing.Scheduled) {
		invalid("%d of %d messages could not be published", n, s.Publishing.Scheduled)
	} else if n > 0 {
		warn("%d of %d messages could not be published", n, s.Publishing.Scheduled)
	}
	if n := s.Latency.Delivery.Early(); n > 0 {
		warn("%d deliveries came before their intended time: the clocks disagree", n)
	}
	if len(machines) > 1 {
		warn("the processes ran on %d machines: latencies between them are off by whatever their clocks are", len(machines))
	}
	if samples > 0 && full*10 > samples {
		warn("the machine's processors were full for %d of %d samples: if the system ran here too, it and the harness slowed each other down", full, samples)
	}
	if n := s.Publishing.Guessed; n > 0 {
		warn("%d answers came while several messages of one publisher waited for theirs: which was which is a guess, and with it their ids and the spread of ack times; more --publishers avoid it", n)
	}
	if l := s.Ledger; l != nil {
		switch {
		case l.Error != "":
			invalid("the ledger could not be read: %s", l.Error)
		case l.Compared == 0:
			invalid("no message has an id that is known for certain, so nothing was compared with the ledger")
		case l.Uncompared > 0:
			warn("%d of %d messages have no id that is known for certain, and were not compared with the ledger", l.Uncompared,
				l.Compared+l.Uncompared)
		}
		if l.Excesses > 0 {
			warn("the ledger has more deliveries of %d messages than the clients: other clients of the system would look the same; if it has any, say how many with --others", l.Excesses)
		}
	}
	if s.Publishing.Silent && s.Publishing.Sent > 0 {
		warn("the system acknowledged nothing, so every message that was handed over counts as owed")
	}
	if n := s.Latency.Last.Count(); n > 0 && n < 20 {
		warn("percentiles over %d messages say little: publish more", n)
	}
	return all
}
