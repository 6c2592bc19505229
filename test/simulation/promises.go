package simulation

import (
	"maps"
	"slices"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/test/audit"
)

// Census counts what happened in a run, so that a test can tell that there was something to survive.
type Census struct {
	Accepted, Unreadable              int
	Posted, Throttled, Forbidden      int
	AnswersLost, Unrecorded           int // posts whose answer was lost, or whose outcome was not recorded
	Kills, Timeouts, Errors           int // of invocations
	Repeated, Moved, Buried, Redriven int // messages
	Claimed, Busy, Settled            int
	Continued, Hopeless               int // broadcasts handed on, and given up for having been handed on too often
	Disconnected                      int // clients
	Relieved                          int // runs whose faults ended before they had come to rest
}

func (c *Census) standing(s broadcast.Standing) {
	*[]*int{&c.Claimed, &c.Busy, &c.Settled}[s]++
}

// rest checks what has to hold when the system has come to rest, before anybody repairs anything: nothing is on its way,
// and what is not delivered is on a dead-letter queue.
func (w *world) rest() {
	held := make(map[string]bool) // broadcasts of which something is on a dead-letter queue without having been counted
	for _, name := range []string{"broadcast-dead", "send-dead"} {
		for _, m := range w.queues[name].messages {
			if m.attributes["reason"] == "" && !m.moved {
				w.fail("message %s is on %s without a reason", m.id, name)
			}
			if name == "broadcast-dead" {
				held[m.id] = true
				held[m.attributes["original"]] = true
				held[m.attributes["broadcast"]] = true
			} else if m.moved {
				if batch, err := broadcast.DecodeBatch(m.body); err == nil {
					for _, message := range batch.Messages {
						held[message.ID] = true
					}
				}
			}
		}
	}
	for _, id := range slices.Sorted(maps.Values(w.gateway.payloads)) {
		report, err := w.ledger.report(id)
		if err != nil {
			w.fail("%v", err)
		}
		if report.Outstanding != 0 && !held[id] {
			w.fail("all is quiet, nothing of broadcast %s is on a dead-letter queue, and deliveries are outstanding: %+v", id, report)
		}
	}
}

// judge holds the run against the promises.
func (w *world) judge() *audit.Verdict {
	for _, name := range w.gateway.names {
		w.gateway.clients[name].age()
	}
	for _, id := range slices.Sorted(maps.Values(w.gateway.payloads)) {
		report, err := w.ledger.report(id)
		if err != nil {
			w.fail("%v", err)
		}
		for reason, n := range report.Failed {
			// The rest was redriven. Of a client whose own buffer was full nothing is kept.
			if reason != broadcast.ReasonBufferFull {
				w.fail("%d deliveries of broadcast %s have failed (%s) and were not redriven: %+v", n, id, reason, report)
			}
		}
		if err := w.trail.Report(id, report); err != nil {
			w.fail("%v", err)
		}
	}
	v := w.trail.Check(audit.Options{Join: horizon, Unnoticed: unnoticed, MayCut: w.settings.DisconnectFull})
	if err := v.Err(); err != nil {
		w.broken = append(w.broken, err)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Unserved)) {
		if w.gateway.clients[name].refused == 0 {
			w.fail("client %s has refused no post, and was left out %d times", name, v.Unserved[name])
		}
	}
	w.rows()
	w.budget()
	if w.census.Timeouts > 0 && !w.settings.sluggish() {
		w.fail("%d invocations ran into their time-out, and nothing kept them", w.census.Timeouts)
	}
	return v
}

// rows checks that the connections table has a row for each open connection, and for no other.
func (w *world) rows() {
	present := make(map[string]bool)
	for _, r := range w.registry.rows {
		c := w.gateway.clients[r.id]
		switch {
		case !r.expiresAt.After(time.Now()):
			// for DynamoDB's time to live to delete
		case c != nil && !time.Now().Before(c.since.Add(broadcast.MaxConnectionAge)):
			// API Gateway has closed it at the age of two hours, maybe a moment ago
		case c == nil || c.state != open:
			w.fail("the row of %s is left behind", r.id)
		}
		present[r.id] = true
	}
	for _, name := range w.gateway.names {
		if w.gateway.clients[name].state == open && !present[name] {
			w.fail("client %s is connected and has no row", name)
		}
	}
}

// budget checks that in no stretch of time more was posted than the senders have in that time, with their bursts: those
// that they had at its begin, and that of each process that was started within.
func (w *world) budget() {
	rate, burst := w.settings.PostsPerSecond, float64(w.burst())
	most := float64(w.settings.SenderConcurrency) * burst
	over, last := 0.0, w.begin // how much more than the rate was posted in the worst stretch that ends here
	for _, s := range w.gateway.log {
		over = max(0, over-rate*s.at.Sub(last).Seconds())
		last = s.at
		if s.burst {
			over = max(0, over-burst)
			continue
		}
		if over++; over > most+1e-6 {
			w.fail("at %v the senders have posted %.1f more than %g a second", s.at.Sub(w.begin), over, rate)
			return
		}
	}
}
