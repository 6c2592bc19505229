package audit

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"
)

// Options configures Check. Apart from Within, the zero value is the strictest.
type Options struct {
	// Within is the time after its acceptance in which a broadcast must reach a client. A later delivery is a fault, and
	// so is a missing one if the client stayed open for this time. 0: no limit, and a client that closes is owed nothing
	// more.
	Within time.Duration
	// Join is the time after the offer of a broadcast in which a connection may open and receive it: the audience is read
	// some time after the acceptance. 0: no such connection may receive it.
	Join time.Duration
	// Unnoticed is the time for which the system may take a closed connection for open. Its reports may count deliveries
	// to such connections.
	Unnoticed time.Duration
	// MayRepeat allows as many repeats of a broadcast as its report has repeatable deliveries (Report.Repeatable), for a
	// test that does not know which deliveries they are. These may be missing from the other counts of the report.
	MayRepeat bool
	// Incomplete allows outstanding deliveries in reports. Without it they are a fault.
	Incomplete bool
	// MayCut allows the system to close connections.
	MayCut bool
}

// tally has the counts of one broadcast.
type tally struct {
	seen           int // clients that received it
	missing        []uint32
	closed         int // closed clients without it that the system may have taken for open after the offer
	seenGone       int // clients that received it, may not repeat it, and have closed since
	owed           int // clients that must be in the audience: they stayed open or received it
	allowedRepeats int // repeats that the trail allows
	repeats        int // other repeats
}

// checker computes a verdict.
type checker struct {
	*Verdict
	Options
	trail   *Trail
	byOffer []*Broadcast // in the order of the offers
	tallies []tally      // by index of the broadcast
	allowed []int        // received deliveries that may be repeated, by index of the broadcast
	closed  int          // closed clients

	// The following are of the current client, by index of the broadcast and by pass; they are reset after each client.
	times []int32 // receptions
	last  []int32 // highest place received
}

// Check returns the verdict on the trail. Receptions that are recorded meanwhile do not count; nothing else may be
// recorded meanwhile.
func (t *Trail) Check(o Options) *Verdict {
	clients := make([]*Client, len(t.clients))
	for i, c := range t.clients {
		clients[i] = c.snapshot()
	}
	k := &checker{
		Verdict: &Verdict{Clients: len(t.clients), Faults: make(map[Kind]int64), Unserved: make(map[string]int64)},
		Options: o, trail: t,
		byOffer: slices.Clone(t.broadcasts),
		tallies: make([]tally, len(t.broadcasts)),
		allowed: make([]int, len(t.broadcasts)),
		times:   make([]int32, len(t.broadcasts)),
		last:    make([]int32, t.passes+1),
	}
	slices.SortStableFunc(k.byOffer, func(a, b *Broadcast) int { return cmp.Compare(a.offered, b.offered) })
	for _, b := range k.byOffer {
		if b.accepted != never {
			k.Broadcasts++
		}
	}
	for _, c := range clients {
		if c.closed != never {
			k.closed++
		}
	}
	for _, c := range clients {
		k.checkClient(c)
	}
	for _, b := range k.byOffer {
		k.checkBroadcast(b)
	}
	k.sort()
	return k.Verdict
}

// checkClient checks what one client received and what it was owed.
func (k *checker) checkClient(c *Client) {
	for _, s := range c.strays {
		k.Received++
		k.addFinding(Finding{Kind: Corrupt, Client: c.name, At: millis(s.at),
			Detail: fmt.Sprintf("a payload of %d bytes that was not offered, after %d receptions", s.length, s.after)})
	}
	for _, r := range c.receptions {
		k.checkReception(c, r)
	}
	k.owed(c)
	for _, r := range c.receptions {
		k.times[r.broadcast] = 0
		k.last[k.trail.broadcasts[r.broadcast].pass] = 0
	}
}

// checkReception checks one reception of a client.
func (k *checker) checkReception(c *Client, r reception) {
	b := k.trail.broadcasts[r.broadcast]
	k.Received++
	k.times[r.broadcast]++
	if k.times[r.broadcast] > 1 {
		t := &k.tallies[b.index]
		k.Repeats++
		if k.allowedRepeats(b, c) >= int(k.times[r.broadcast])-1 {
			t.allowedRepeats++
			k.Allowed++
		} else if t.repeats++; t.repeats <= k.repeatable(b) {
			k.Allowed++
		} else {
			k.addFinding(Finding{Kind: Duplicate, Broadcast: b.name(), Client: c.name, At: millis(r.at),
				Detail: fmt.Sprintf("reception number %d", k.times[r.broadcast])})
		}
		return
	}

	t := &k.tallies[b.index]
	t.seen++
	if k.allowedRepeats(b, c) > 0 {
		k.allowed[b.index]++
	} else if c.closed != never {
		t.seenGone++
	}
	k.checkRecipient(c, b, r)
	if b.accepted != never && k.Within > 0 &&
		millis(r.at) > (time.Duration(b.accepted)+k.Within).Truncate(time.Millisecond) {
		k.addFinding(Finding{Kind: Late, Broadcast: b.name(), Client: c.name, At: millis(r.at),
			Detail: fmt.Sprintf("%v after its acceptance", millis(r.at)-time.Duration(b.accepted).Truncate(time.Millisecond))})
	}
	if b.pass == 0 {
		return
	}
	if place := int32(b.place) + 1; place > k.last[b.pass] {
		k.last[b.pass] = place
	} else {
		k.addFinding(Finding{Kind: Reordered, Broadcast: b.name(), Client: c.name, At: millis(r.at),
			Detail: fmt.Sprintf("number %d of its pass came after number %d", place, k.last[b.pass])})
	}
}

// repeatable returns the number of deliveries of a broadcast that may be repeated by its report.
func (k *checker) repeatable(b *Broadcast) int {
	if !k.MayRepeat || b.report == nil {
		return 0
	}
	return b.report.Repeatable
}

// allowedRepeats returns the number of repeats of a delivery that the trail allows.
func (k *checker) allowedRepeats(b *Broadcast, c *Client) int {
	if len(k.trail.allowed) == 0 {
		return 0
	}
	return k.trail.allowed[delivery{b.index, c.index}]
}

// checkRecipient checks whether the client may receive the broadcast.
func (k *checker) checkRecipient(c *Client, b *Broadcast, r reception) {
	wrong := ""
	at := millis(r.at)
	switch {
	case b.excludes(c.name):
		wrong = "the broadcast excludes it"
	case c.opened == never:
		wrong = "it was never open"
	case at < time.Duration(c.opened).Truncate(time.Millisecond):
		wrong = fmt.Sprintf("it was not open before %v", time.Duration(c.opened))
	case c.closed != never && at > time.Duration(c.closed).Truncate(time.Millisecond):
		wrong = fmt.Sprintf("it has been closed since %v", time.Duration(c.closed))
	case c.opened > b.offered+int64(k.Join):
		wrong = fmt.Sprintf("it opened at %v, too late for an offer at %v", time.Duration(c.opened),
			time.Duration(b.offered))
	case c.opened > b.offered:
		k.Newcomers++
	}
	if wrong != "" {
		k.addFinding(Finding{Kind: Misdelivered, Broadcast: b.name(), Client: c.name, At: at, Detail: wrong})
	}
}

// owed counts the outcomes of the broadcasts that are owed to the client, and those that are open after its close.
func (k *checker) owed(c *Client) {
	if c.opened == never {
		return
	}
	// A connection that opens at the time of an offer may have opened after it.
	from := sort.Search(len(k.byOffer), func(i int) bool { return k.byOffer[i].offered > c.opened })
	for _, b := range k.byOffer[from:] {
		if c.closed != never && b.offered > c.closed+int64(k.Unnoticed) {
			break
		}
		t := &k.tallies[b.index]
		seen := k.times[b.index] > 0
		if c.closed != never && !seen {
			t.closed++
		}
		if b.accepted == never || b.excludes(c.name) || b.offered > c.closed {
			continue
		}
		k.Owed++
		switch left := c.closed != never && (k.Within == 0 || c.closed < b.accepted+int64(k.Within)); {
		case seen:
			k.Delivered++
			if c.closed == never || k.allowedRepeats(b, c) == 0 {
				t.owed++ // a repeated delivery may have found the client gone
			}
		case left && c.by == ByClient:
			k.Excused++
		case left:
			k.Cut++
			if !k.MayCut {
				k.addFinding(Finding{Kind: Cut, Broadcast: b.name(), Client: c.name, At: time.Duration(b.offered),
					Detail: fmt.Sprintf("the system closed the connection at %v", time.Duration(c.closed))})
			}
		default:
			t.owed++
			t.missing = append(t.missing, c.index)
			k.Unserved[c.name]++
		}
	}
	if c.closed != never {
		k.closedNewcomer(c, k.byOffer[:from])
	}
}

// closedNewcomer counts a client that has closed for the broadcasts that it did not receive and that were offered
// before it opened, within Join: reports may count it.
func (k *checker) closedNewcomer(c *Client, offered []*Broadcast) {
	for _, b := range offered {
		if k.times[b.index] == 0 && c.opened <= b.offered+int64(k.Join) {
			k.tallies[b.index].closed++
		}
	}
}

// checkBroadcast counts the missing deliveries of a broadcast and checks its report.
func (k *checker) checkBroadcast(b *Broadcast) {
	t := &k.tallies[b.index]
	missing := t.missing
	if b.report != nil {
		// As many deliveries as the report counts as failed or outstanding are not missing.
		failed := max(0, min(len(missing), b.report.failed()))
		k.Failed += int64(failed)
		outstanding := max(0, min(len(missing)-failed, b.report.Outstanding))
		k.Outstanding += int64(outstanding)
		missing = missing[failed+outstanding:]
		k.checkReport(b, t)
	}
	k.Missing += int64(len(missing))
	for _, c := range missing {
		k.addFinding(Finding{Kind: Missing, Broadcast: b.name(), Client: k.trail.clients[c].name,
			At: time.Duration(b.offered),
			Detail: fmt.Sprintf("published by %s; %d of the %d clients that must be in the audience did not receive it",
				b.publisher, len(t.missing), t.owed)})
	}
}

// checkReport compares the report on a broadcast with the receptions.
func (k *checker) checkReport(b *Broadcast, t *tally) {
	r := b.report
	failed, repeatable := r.failed(), k.repeatable(b)
	allowed := k.allowed[b.index] + repeatable
	found := k.closed - t.seenGone + k.trail.dead + repeatable // maximum of Gone
	// Clients that did not receive it, and dead connections, may be counted as gone or failed.
	unseen := len(k.trail.clients) - t.seen + k.trail.dead
	for _, check := range []struct {
		wrong bool
		text  string
	}{
		{min(r.Audience, r.Delivered, r.Gone, failed, r.Outstanding) < 0, "a count is negative"},
		{r.Audience != r.Delivered+r.Gone+failed+r.Outstanding, "the counts do not add up to the audience"},
		{r.Audience < t.owed-repeatable, fmt.Sprintf("the audience must have at least %d clients", t.owed-repeatable)},
		{r.Delivered > t.seen+t.closed, fmt.Sprintf("%d clients received it, and %d more may have closed before",
			t.seen, t.closed)},
		{r.Delivered < t.seen-allowed, fmt.Sprintf("%d clients received it, and at most %d of them may be missing", t.seen,
			allowed)},
		{r.Gone > found, fmt.Sprintf("at most %d connections can have been gone", found)},
		{failed+r.Outstanding > unseen+allowed, fmt.Sprintf("at most %d clients did not receive it", unseen)},
		{r.Outstanding > 0 && !k.Incomplete, "deliveries are outstanding"},
		{t.allowedRepeats > r.Repeatable, fmt.Sprintf("%d deliveries were repeated, the report allows %d",
			t.allowedRepeats, r.Repeatable)},
	} {
		if check.wrong {
			k.addFinding(Finding{Kind: Unaccounted, Broadcast: b.name(), At: time.Duration(b.offered),
				Detail: fmt.Sprintf("%s (audience %d, delivered %d, gone %d, failed %d, outstanding %d)",
					check.text, r.Audience, r.Delivered, r.Gone, failed, r.Outstanding)})
		}
	}
}

// excludes reports whether the broadcast excludes a connection.
func (b *Broadcast) excludes(connection string) bool {
	_, found := slices.BinarySearch(b.exclude, connection)
	return found
}

// name returns the id of the broadcast for findings.
func (b *Broadcast) name() string {
	if b.id == "" {
		return "(not accepted)"
	}
	return b.id
}

func millis(at uint32) time.Duration { return time.Duration(at) * time.Millisecond }
