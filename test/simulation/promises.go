package simulation

import (
	"maps"
	"slices"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/handler"
	"fanfare/test/audit"
)

// Census counts the events of a run, so that a test can check that faults have happened.
type Census struct {
	Accepted, Unreadable                    int
	Posted, Throttled, Forbidden            int
	FalselyGone                             int // posts to open connections that were answered 410
	AnswersLost, Unrecorded                 int // posts whose answer was lost, or whose outcome was not recorded
	Kills, Timeouts, Errors                 int // of invocations
	Repeated, Moved, DeadLettered, Redriven int // messages
	Claimed, Busy, Settled                  int
	Continued, TooManyHops                  int // continuations sent, and broadcasts given up after too many hops
	Disconnected                            int // clients
	Recovered                               int // messages of killed invocations that returned in time
	FaultsEnded                             int // runs whose faults were ended by their limit
}

func (c *Census) count(s broadcast.ClaimStatus) {
	switch s {
	case broadcast.Claimed, broadcast.TakenOver:
		c.Claimed++
	case broadcast.Busy:
		c.Busy++
	case broadcast.Settled:
		c.Settled++
	}
}

// receivedOnce checks that no running invocation holds the messages of a new one: a worker's messages stay hidden until
// its deadline.
func (w *world) receivedOnce(inv *invocation) {
	if !w.settings.Queue.orderly() {
		return
	}
	for other := range w.running {
		for _, held := range other.handles {
			if other != inv && slices.ContainsFunc(inv.handles, func(h handle) bool { return h.message == held.message }) {
				w.fail("%s receives %s, which %s holds", inv.id, held.message.id, other.id)
			}
		}
	}
}

// recovers checks that the messages of a killed invocation return to the queue RecoveryMargin after its deadline,
// unless it has not had the time to say so, or has failed before and has set the delay of a retry.
func (w *world) recovers(inv *invocation) {
	m := inv.mapping
	if m == nil || !w.settings.Queue.orderly() ||
		inv.changes == 0 && time.Since(inv.started) < 5*quick || inv.changes > 1 {
		return
	}
	latest := inv.started.Add(m.timeout + handler.RecoveryMargin + time.Second)
	for _, h := range inv.handles {
		switch {
		case !slices.Contains(m.queue.messages, h.message):
		case h.message.visible.After(latest):
			w.fail("%s dies, and %s returns %v after the start, want %v",
				inv.id, h.message.id, h.message.visible.Sub(inv.started), latest.Sub(inv.started))
		default:
			w.census.Recovered++
		}
	}
}

// checkAtRest checks the state at rest, before the redrive: no delivery is outstanding, unless its message is on a
// dead-letter queue.
func (w *world) checkAtRest() {
	held := make(map[string]bool) // broadcasts with uncounted deliveries on a dead-letter queue
	for _, name := range []string{"broadcast-dead", "continuation-dead", "send-dead"} {
		for _, m := range w.queues[name].messages {
			if m.attributes["reason"] == "" && !m.moved {
				w.fail("message %s is on %s without a reason", m.id, name)
			}
			if name != "send-dead" {
				held[m.id] = true
				held[m.attributes["original"]] = true
				held[m.attributes["broadcastId"]] = true
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
			w.fail("at rest, nothing of broadcast %s is on a dead-letter queue, and deliveries are outstanding: %+v", id, report)
		}
	}
}

// verify checks the whole run against the promises.
func (w *world) verify() *audit.Verdict {
	for _, name := range w.gateway.names {
		w.gateway.clients[name].age()
	}
	for _, id := range slices.Sorted(maps.Values(w.gateway.payloads)) {
		report, err := w.ledger.report(id)
		if err != nil {
			w.fail("%v", err)
		}
		for reason, n := range report.Failed {
			// Other failures were redriven. Deliveries that met full buffers are dropped.
			if reason != broadcast.ReasonBufferFull {
				w.fail("%d deliveries of broadcast %s have failed (%s) and were not redriven: %+v", n, id, reason, report)
			}
		}
		if err := w.trail.Report(id, report); err != nil {
			w.fail("%v", err)
		}
	}
	v := w.trail.Check(audit.Options{Join: horizon, Unnoticed: maxUnnoticed, MayCut: w.settings.DisconnectFull})
	if err := v.Err(); err != nil {
		w.broken = append(w.broken, err)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Unserved)) {
		if w.gateway.clients[name].refused == 0 {
			w.fail("client %s refused no post and missed %d broadcasts", name, v.Unserved[name])
		}
	}
	w.rows()
	w.budget()
	if w.census.Timeouts > 0 && !w.settings.sluggish() {
		w.fail("%d invocations timed out without a slow service", w.census.Timeouts)
	}
	return v
}

// rows checks that the connections table has a row for each open connection, without the record of a 410, and for no
// other.
func (w *world) rows() {
	present := make(map[string]bool)
	for _, r := range w.registry.rows {
		c := w.gateway.clients[r.id]
		switch {
		case !r.expiresAt.After(time.Now()):
			// DynamoDB deletes it by its TTL
		case c != nil && !time.Now().Before(c.since.Add(broadcast.MaxConnectionAge)):
			// API Gateway has closed it at the age of two hours
		case c == nil || c.state != open:
			w.fail("the row of %s is left", r.id)
		}
		if c != nil && c.state == open && !r.goneAt.IsZero() {
			w.fail("client %s has received the last broadcast, and its row has the record of a 410", r.id)
		}
		present[r.id] = true
	}
	for _, name := range w.gateway.names {
		if w.gateway.clients[name].state == open && !present[name] {
			w.fail("client %s is connected and has no row", name)
		}
	}
}

// budget checks that in no interval there were more posts than the rate and the bursts allow: the bursts of all senders
// at its start, and the burst of each process that was started within it.
func (w *world) budget() {
	rate := w.settings.PostsPerSecond
	burst := float64(handler.Pace(rate, w.settings.SenderConcurrency).Burst())
	most := float64(w.settings.SenderConcurrency) * burst
	over, last := 0.0, w.begin // posts over the rate in the worst interval that ends here
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
