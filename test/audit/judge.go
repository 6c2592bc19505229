package audit

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"
)

// Options say how strict a judge is. The zero value is the strictest there is, but for Within.
type Options struct {
	// Within is how long after its acceptance a broadcast may take to reach a client: later is a fault, and a client that
	// stayed open for so long without it has been wronged even if it left then. 0 means that there is no such bound, and
	// that whoever left is owed nothing it had not received.
	Within time.Duration
	// Join is how long after a broadcast was offered a connection may open and receive it none the less: the audience is
	// read some time after the acceptance. 0 means not at all.
	Join time.Duration
	// Unnoticed is how long the system may take a connection for open whose client has closed it or vanished: as long, its
	// books may count deliveries that nobody received.
	Unnoticed time.Duration
	// MayRepeat accepts so many repeats of a broadcast as its books allow for (Report.Repeatable), for a test that cannot know
	// which they are. What was delivered more often, or by somebody who could not say so any more, may then be missing from
	// its other counts, too.
	MayRepeat bool
	// Incomplete accepts books with outstanding deliveries; else they are a fault.
	Incomplete bool
	// MayCut accepts that the system closes connections.
	MayCut bool
}

// tally is what clients made of one broadcast.
type tally struct {
	seen     int // clients that received it
	missing  []uint32
	closed   int // clients that the system may have taken for open after the offer, have closed, and did not receive it
	seenGone int // clients that received it without a licence and have closed since
	owed     int // to clients that have to be in the audience: they stayed, or received it
	licensed int // repeats with a licence
	repeats  int // repeats without
}

// judgement is a verdict in the making.
type judgement struct {
	*Verdict
	Options
	trail   *Trail
	byOffer []*Broadcast // in the order of their offers
	tallies []tally      // by the broadcast's index
	allowed []int        // licensed deliveries that were received, by the broadcast's index
	closed  int          // clients that have closed

	// Of the client at hand, by the broadcast's index or by the pass; put back to zero after each.
	times []int32
	last  []int32
}

// Judge says what the trail comes to. What clients record meanwhile does not count; nothing else may be recorded.
func (t *Trail) Judge(o Options) *Verdict {
	clients := make([]*Client, len(t.clients))
	for i, c := range t.clients {
		clients[i] = c.snapshot()
	}
	j := &judgement{
		Verdict: &Verdict{Clients: len(t.clients), Faults: make(map[Kind]int64), Unserved: make(map[string]int64)},
		Options: o, trail: t,
		byOffer: slices.Clone(t.broadcasts),
		tallies: make([]tally, len(t.broadcasts)),
		allowed: make([]int, len(t.broadcasts)),
		times:   make([]int32, len(t.broadcasts)),
		last:    make([]int32, t.passes+1),
	}
	slices.SortStableFunc(j.byOffer, func(a, b *Broadcast) int { return cmp.Compare(a.offered, b.offered) })
	for _, b := range j.byOffer {
		if b.accepted != never {
			j.Broadcasts++
		}
	}
	for _, c := range clients {
		if c.closed != never {
			j.closed++
		}
	}
	for _, c := range clients {
		j.client(c)
	}
	for _, b := range j.byOffer {
		j.broadcast(b)
	}
	j.sort()
	return j.Verdict
}

// client goes through what one client received, and what it should have.
func (j *judgement) client(c *Client) {
	for _, s := range c.strays {
		j.Received++
		j.find(1, Finding{Kind: Corrupt, Client: c.name, At: millis(s.at),
			Detail: fmt.Sprintf("a payload of %d bytes that nobody offered, as number %d of what it received", s.length, s.after+
				1)})
	}
	for _, r := range c.receptions {
		j.reception(c, r)
	}
	j.debts(c)
	for _, r := range c.receptions {
		j.times[r.broadcast] = 0
		j.last[j.trail.broadcasts[r.broadcast].pass] = 0
	}
}

func (j *judgement) reception(c *Client, r reception) {
	b := j.trail.broadcasts[r.broadcast]
	j.Received++
	j.times[r.broadcast]++
	if j.times[r.broadcast] > 1 {
		t := &j.tallies[b.index]
		j.Repeats++
		if j.licences(b, c) >= int(j.times[r.broadcast])-1 {
			t.licensed++
			j.Licensed++
		} else if t.repeats++; t.repeats <= j.repeatable(b) {
			j.Licensed++
		} else {
			j.find(1, Finding{Kind: Duplicate, Broadcast: b.name(), Client: c.name, At: millis(r.at),
				Detail: fmt.Sprintf("reception number %d", j.times[r.broadcast])})
		}
		return
	}

	t := &j.tallies[b.index]
	t.seen++
	if j.licences(b, c) > 0 {
		j.allowed[b.index]++
	} else if c.closed != never {
		t.seenGone++
	}
	j.addressee(c, b, r)
	if b.accepted != never && j.Within > 0 &&
		millis(r.at) > (time.Duration(b.accepted)+j.Within).Truncate(time.Millisecond) {
		j.find(1, Finding{Kind: Late, Broadcast: b.name(), Client: c.name, At: millis(r.at),
			Detail: fmt.Sprintf("%v after its acceptance", millis(r.at)-time.Duration(b.accepted).Truncate(time.Millisecond))})
	}
	if b.pass == 0 {
		return
	}
	if place := int32(b.place) + 1; place > j.last[b.pass] {
		j.last[b.pass] = place
	} else {
		j.find(1, Finding{Kind: Reordered, Broadcast: b.name(), Client: c.name, At: millis(r.at),
			Detail: fmt.Sprintf("it is number %d of its pass, and number %d had come before", place, j.last[b.pass])})
	}
}

// repeatable returns how many deliveries of the broadcast may have been repeated for all that the test knows.
func (j *judgement) repeatable(b *Broadcast) int {
	if !j.MayRepeat || b.report == nil {
		return 0
	}
	return b.report.Repeatable
}

func (j *judgement) licences(b *Broadcast, c *Client) int {
	if len(j.trail.licences) == 0 {
		return 0
	}
	return j.trail.licences[delivery{b.index, c.index}]
}

// addressee decides whether the client may have received the broadcast at all.
func (j *judgement) addressee(c *Client, b *Broadcast, r reception) {
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
	case c.opened > b.offered+int64(j.Join):
		wrong = fmt.Sprintf("it opened at %v, too late for what was offered at %v", time.Duration(c.opened),
			time.Duration(b.offered))
	case c.opened > b.offered:
		j.Newcomers++
	}
	if wrong != "" {
		j.find(1, Finding{Kind: Misdelivered, Broadcast: b.name(), Client: c.name, At: at, Detail: wrong})
	}
}

// debts goes through the broadcasts that are owed to the client, and those that its close leaves open.
func (j *judgement) debts(c *Client) {
	if c.opened == never {
		return
	}
	// A connection that opens in the instant of an offer may have come after it.
	from := sort.Search(len(j.byOffer), func(i int) bool { return j.byOffer[i].offered > c.opened })
	for _, b := range j.byOffer[from:] {
		if c.closed != never && b.offered > c.closed+int64(j.Unnoticed) {
			break
		}
		t := &j.tallies[b.index]
		seen := j.times[b.index] > 0
		if c.closed != never && !seen {
			t.closed++
		}
		if b.accepted == never || b.excludes(c.name) || b.offered > c.closed {
			continue
		}
		j.Owed++
		switch left := c.closed != never && (j.Within == 0 || c.closed < b.accepted+int64(j.Within)); {
		case seen:
			j.Delivered++
			if c.closed == never || j.licences(b, c) == 0 {
				t.owed++ // else whoever repeated the delivery may not have found the client any more
			}
		case left && c.by == ByClient:
			j.Excused++
		case left:
			j.Cut++
			if !j.MayCut {
				j.find(1, Finding{Kind: Cut, Broadcast: b.name(), Client: c.name, At: time.Duration(b.offered),
					Detail: fmt.Sprintf("the system closed the connection at %v", time.Duration(c.closed))})
			}
		default:
			t.owed++
			t.missing = append(t.missing, c.index)
			j.Unserved[c.name]++
		}
	}
	if c.closed == never {
		return
	}
	// Newcomers that left again without having received it may be in the books all the same.
	for _, b := range j.byOffer[:from] {
		if j.times[b.index] == 0 && c.opened <= b.offered+int64(j.Join) {
			j.tallies[b.index].closed++
		}
	}
}

// broadcast compares what clients saw of a broadcast with the books.
func (j *judgement) broadcast(b *Broadcast) {
	t := &j.tallies[b.index]
	missing := t.missing
	if b.report != nil {
		// What the books say has failed is not missing, as often as they say so.
		failed := max(0, min(len(missing), b.report.failed()))
		j.Failed += int64(failed)
		outstanding := max(0, min(len(missing)-failed, b.report.Outstanding))
		j.Outstanding += int64(outstanding)
		missing = missing[failed+outstanding:]
		j.books(b, t)
	}
	j.Missing += int64(len(missing))
	for _, c := range missing {
		j.find(1, Finding{Kind: Missing, Broadcast: b.name(), Client: j.trail.clients[c].name, At: time.Duration(b.offered),
			Detail: fmt.Sprintf("published by %s; of the %d clients to which it is owed and that stayed or received it, %d did not receive it", b.publisher, t.owed, len(t.missing))})
	}
}

func (j *judgement) books(b *Broadcast, t *tally) {
	r := b.report
	failed, repeatable := r.failed(), j.repeatable(b)
	allowed := j.allowed[b.index] + repeatable
	found := j.closed - t.seenGone + j.trail.dead + repeatable // gone, at most
	// Who did not receive it: they and the dead may be in the books as gone or failed.
	unseen := len(j.trail.clients) - t.seen + j.trail.dead
	for _, check := range []struct {
		wrong bool
		words string
	}{
		{min(r.Audience, r.Delivered, r.Gone, failed, r.Outstanding) < 0, "a count is negative"},
		{r.Audience != r.Delivered+r.Gone+failed+r.Outstanding, "the counts do not add up to the audience"},
		{r.Audience < t.owed-repeatable, fmt.Sprintf("the audience leaves out some of the %d clients to which it is owed and that stayed or received it", t.owed)},
		{r.Delivered > t.seen+t.closed, fmt.Sprintf("%d clients received it, and %d more may have closed before they did",
			t.seen, t.closed)},
		{r.Delivered < t.seen-allowed, fmt.Sprintf("%d clients received it, and of no more than %d of them need the books not know", t.seen, allowed)},
		{r.Gone > found, fmt.Sprintf("there are no more than %d connections that could have been found gone", found)},
		{failed+r.Outstanding > unseen+allowed, fmt.Sprintf("no more than %d clients did not receive it", unseen)},
		{r.Outstanding > 0 && !j.Incomplete, "deliveries are outstanding"},
		{t.licensed > r.Repeatable, fmt.Sprintf("%d deliveries were repeated, and no more than %d can have been by the books",
			t.licensed, r.Repeatable)},
	} {
		if check.wrong {
			j.find(1, Finding{Kind: Unaccounted, Broadcast: b.name(), At: time.Duration(b.offered),
				Detail: fmt.Sprintf("%s (audience %d, delivered %d, gone %d, failed %d, outstanding %d)",
					check.words, r.Audience, r.Delivered, r.Gone, failed, r.Outstanding)})
		}
	}
}

func (b *Broadcast) excludes(connection string) bool {
	_, found := slices.BinarySearch(b.exclude, connection)
	return found
}

func (b *Broadcast) name() string {
	if b.id == "" {
		return "(not accepted)"
	}
	return b.id
}

func millis(at uint32) time.Duration { return time.Duration(at) * time.Millisecond }
