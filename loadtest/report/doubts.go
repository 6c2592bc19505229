package report

import (
	"fmt"
	"time"
)

// Doubt is a reason not to trust a report.
type Doubt struct {
	// Invalid reports whether the harness, not the system, may have caused the figures.
	Invalid bool `json:"invalid"`
	// Lag reports whether the harness was late. A late harness only adds to latencies, so a bound that was kept although
	// the harness was late is still kept.
	Lag  bool   `json:"lag,omitempty"`
	Text string `json:"text"`
}

const (
	// lagFree is the lag that is always allowed: timers and schedulers are not more precise.
	lagFree = 10 * time.Millisecond
	// lagShare is the allowed p99 of the harness's own lags, as a share of the p99 of the latencies.
	lagShare = 0.1
	// busy is the share of a machine's processors, and of its file descriptors, at which they count as used up.
	busy = 0.95
	// unpublishedShare is the share of messages that may remain unpublished in a valid run.
	unpublishedShare = 0.01
	// audienceShare is the share of the clients that must be connected during a valid run, on average over the messages.
	audienceShare = 0.9
)

// doubtList collects doubts.
type doubtList []Doubt

func (l *doubtList) invalid(format string, args ...any) {
	*l = append(*l, Doubt{Invalid: true, Text: fmt.Sprintf(format, args...)})
}

func (l *doubtList) late(format string, args ...any) {
	*l = append(*l, Doubt{Invalid: true, Lag: true, Text: fmt.Sprintf(format, args...)})
}

func (l *doubtList) warn(format string, args ...any) {
	*l = append(*l, Doubt{Text: fmt.Sprintf(format, args...)})
}

// doubts returns all reasons to doubt the figures of a run.
func doubts(s *summary) []Doubt {
	var l doubtList
	allowed := max(lagFree, time.Duration(lagShare*float64(s.Latency.Delivery.Quantile(0.99))))
	l.lags(s, allowed)
	l.processes(s, allowed)
	l.machines(s)
	l.connections(s)
	l.publishing(s)
	l.ledger(s)
	return l
}

// lags doubts a harness that published or read late.
func (l *doubtList) lags(s *summary, allowed time.Duration) {
	const limit = "the limit is %s (a tenth of the p99 latency, at least %s)"
	if lag := s.scheduleLag.Quantile(0.99); lag > allowed {
		l.late("the harness published late: p99 of the schedule lag is %s; "+limit+
			". Lower --rate, or give the harness more processors", Duration(lag), Duration(allowed), Duration(lagFree))
	}
	if lag := s.readLag.Quantile(0.99); lag > allowed {
		l.late("the harness read late: p99 of the read lag is %s; "+limit+". Use fewer --connections, more --processes, "+
			"or another machine for the system", Duration(lag), Duration(allowed), Duration(lagFree))
	}
}

// processes doubts processes with incomplete results or a stepped clock.
func (l *doubtList) processes(s *summary, allowed time.Duration) {
	found := map[string]int{} // processes of each run
	for _, p := range s.Processes {
		found[p.Conditions.Run]++
	}
	for _, p := range s.Processes {
		c, end := &p.Conditions, p.End
		if end == nil {
			l.invalid("process %d did not finish: its results are truncated", c.Process)
			continue
		}
		if got := end.Frames - end.Answers; got != end.Records {
			l.invalid("process %d received %d payloads and recorded %d", c.Process, got, end.Records)
		}
		if end.Interrupted {
			l.invalid("process %d was interrupted before the end of the run", c.Process)
		}
		if end.Unsent > 0 {
			l.warn("process %d could not send %d bytes, as the system did not read them", c.Process, end.Unsent)
		}
		if step := end.Clock.Abs(); step > allowed {
			l.invalid("process %d: the wall clock was set by %s during the run", c.Process, Duration(step))
		} else if step > time.Millisecond {
			l.warn("process %d: the wall clock was set by %s during the run", c.Process, Duration(step))
		}
		if u := end.Usage; u.Limit > 0 && float64(u.Descriptors) > busy*float64(u.Limit) {
			l.warn("process %d used %d of %d file descriptors", c.Process, u.Descriptors, u.Limit)
		}
		if c.Process == 0 && c.Processes != found[c.Run] {
			l.invalid("run %s had %d processes, but the results are of %d: name all files", c.Run, c.Processes, found[c.Run])
		}
	}
}

// machines doubts the clocks of several machines and machines with busy processors.
func (l *doubtList) machines(s *summary) {
	var full, samples int
	names := map[string]bool{}
	for _, p := range s.Processes {
		names[p.Conditions.Host.Name] = true
		samples += len(p.Samples)
		for _, v := range p.Samples {
			if v.Machine >= busy {
				full++
			}
		}
	}
	if n := s.Latency.Delivery.Early(); n > 0 {
		l.warn("%d deliveries came before their intended time: the clocks disagree", n)
	}
	if len(names) > 1 {
		l.warn("the processes ran on %d machines: latencies between them include the difference of their clocks", len(names))
	}
	if full*10 > samples {
		l.warn("the processors of the machine were busy in %d of %d samples: a system on the same machine was slowed down "+
			"by the harness", full, samples)
	}
}

// connections doubts connections that the harness could not make or keep.
func (l *doubtList) connections(s *summary) {
	if n := s.Connections.Unmade; n > 0 {
		l.invalid("%d connects failed at a limit of this machine (file descriptors, ports or memory): raise it (ulimit -n), "+
			"or use more --processes or --source addresses", n)
	}
	if c := s.Connections; c.Started < c.Required {
		l.invalid("%d of %d clients were connected when the first message was due", c.Started, c.Required)
	} else if connected, wanted := audience(s); connected < audienceShare*wanted {
		l.invalid("%s of the clients were connected on average over the messages", Percent(connected, wanted))
	}
	if s.Connections.Dropped > 0 || s.Deliveries.Harness > 0 {
		l.invalid("the harness lost %d connections and with them %d deliveries", s.Connections.Dropped, s.Deliveries.Harness)
	}
}

// audience returns the deliveries of all owed messages, and the number of them if all clients had been connected.
func audience(s *summary) (connected, wanted float64) {
	readers := map[string]int{} // clients that are not slow, of each run
	for _, p := range s.Processes {
		readers[p.Conditions.Run] = min(p.Conditions.Required(), p.Conditions.Connections-p.Conditions.Slow)
	}
	for i := range s.Broadcasts {
		b := &s.Broadcasts[i]
		if b.Owed > 0 || b.Acknowledged != 0 {
			connected += float64(b.Owed)
			wanted += float64(readers[s.Starts[b.Run].Run])
		}
	}
	return connected, wanted
}

// publishing doubts messages that were not published, and statistics of few or uncertain messages.
func (l *doubtList) publishing(s *summary) {
	if n := total(s.Publishing.Unpublished); float64(n) > unpublishedShare*float64(s.Publishing.Scheduled) {
		l.invalid("%d of %d messages could not be published", n, s.Publishing.Scheduled)
	} else if n > 0 {
		l.warn("%d of %d messages could not be published", n, s.Publishing.Scheduled)
	}
	p := &s.Publishing
	if n := p.Scheduled - p.Sent - total(p.Unpublished); n > 0 {
		l.invalid("publishing stopped early: %d of %d messages were not published", n, p.Scheduled)
	}
	if n := s.Publishing.Guessed; n > 0 {
		l.warn("%d answers came while their publisher waited for several: the message of each is a guess, as are its id and "+
			"ack time. Use more --publishers", n)
	}
	if s.Publishing.Silent && s.Publishing.Sent > 0 {
		l.warn("the system acknowledged nothing, so every published message counts as owed")
	}
	if n := s.Latency.Last.Count(); n > 0 && n < 20 {
		l.warn("percentiles of %d messages are not meaningful: publish more", n)
	}
}

// ledger doubts an incomplete comparison with the system's ledger.
func (l *doubtList) ledger(s *summary) {
	ledger := s.Ledger
	if ledger == nil {
		return
	}
	switch {
	case ledger.Error != "":
		l.invalid("the ledger could not be read: %s", ledger.Error)
	case ledger.Compared == 0:
		l.invalid("no message has a certain id, so none was compared with the ledger")
	case ledger.Uncompared > 0:
		l.warn("%d of %d messages have no certain id and were not compared with the ledger", ledger.Uncompared,
			ledger.Compared+ledger.Uncompared)
	}
	if ledger.Excesses > 0 {
		l.warn("the ledger has more deliveries of %d messages than the clients received. Other clients of the system have "+
			"the same effect: give their number with --others", ledger.Excesses)
	}
}
