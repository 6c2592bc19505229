package fanout

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"fanfare/pkg/broadcast"
)

// pass is one reading of the table for several requests, which go by their index.
type pass struct {
	*Dispatcher
	at time.Time
	// hop is the longest way that any of the requests has come. Lambda counts invocations, and does not say which of the
	// messages of an invocation a message goes back to that it sends: so what is handed on counts from the longest.
	hop int

	mu      sync.Mutex
	results []Result
}

// accept groups the requests by the part of the table that they read. Requests for all of it are under the zero Portion.
func (p *pass) accept(requests []broadcast.Request) map[broadcast.Portion][]int {
	type identity struct {
		id      string
		portion broadcast.Portion
	}
	seen := make(map[identity]bool)
	groups := make(map[broadcast.Portion][]int)
	for i, r := range requests {
		p.results[i].Request = r
		p.hop = max(p.hop, r.Portion.Hop)
		if r.Unreadable != nil {
			p.results[i].Err = r.Unreadable
			continue
		}
		portion := r.Portion
		portion.Hop = 0 // of no account for what is read
		if seen[identity{r.Message.ID, portion}] {
			continue // SQS handed over two copies: one is enough
		}
		seen[identity{r.Message.ID, portion}] = true
		groups[portion] = append(groups[portion], i)
	}
	return groups
}

// table reads the whole table: in one piece if that is a single page, which is the least work for a small audience, else
// in parallel segments. Which of them is recorded first, as all that decides in which batch a connection is.
func (p *pass) table(ctx context.Context, members []int) {
	whole := broadcast.Portion{Segments: 1}
	connections, next, err := p.Registry.Page(ctx, whole.Segment, whole.Segments, "")
	if err != nil {
		p.fail(members, err)
		return
	}
	first := page{connections: connections, next: next}
	if next == "" || p.Segments == 1 {
		p.walk(ctx, whole, members, first)
		return
	}
	groups, err := p.record(ctx, members, func(broadcast.Message) broadcast.Plan {
		return broadcast.Plan{Segments: 1, Split: p.Segments, Buckets: []int{}, At: p.at}
	})
	if err != nil {
		p.fail(members, err)
		return
	}
	for _, g := range groups {
		if g.split > 0 {
			p.segments(ctx, g)
		} else {
			p.walk(ctx, whole, g.members, first)
		}
	}
}

// segments reads the table in the segments that the plan asks for.
func (p *pass) segments(ctx context.Context, g planned) {
	var group errgroup.Group
	for segment := range g.split {
		group.Go(func() error {
			p.walk(ctx, broadcast.Portion{Segment: segment, Segments: g.split}, g.members)
			return nil
		})
	}
	group.Wait() // failures are in the results
}

// page is what one read of the table brought, or several in a row.
type page struct {
	connections []broadcast.Connection
	next        string
	at          time.Time // when it had been read: none of the connections is younger
}

// walk goes through a portion stretch by stretch: read, plan, emit. The first page may have been read already.
func (p *pass) walk(ctx context.Context, portion broadcast.Portion, members []int, first ...page) {
	for {
		stretch, err := p.read(ctx, portion, first...)
		if err != nil {
			p.fail(members, err)
			return
		}
		first = nil
		groups, err := p.plan(ctx, portion, stretch, members)
		if err != nil {
			p.fail(members, err)
			return
		}
		// All requests have the same plan, but for a repeated one whose first dispatcher met another table.
		for _, g := range groups[1:] {
			if rest, more := p.emit(ctx, portion, stretch, g); more {
				p.walk(ctx, rest, g.members)
			}
		}
		more := false
		if portion, more = p.emit(ctx, portion, stretch, groups[0]); !more {
			return
		}
		members = groups[0].members
	}
}

// read reads a stretch: pages until there are enough connections, or the segment ends, or time does.
func (p *pass) read(ctx context.Context, portion broadcast.Portion, pages ...page) (page, error) {
	enough := p.StretchConnections
	if enough == 0 {
		enough = 50_000
	}
	var s page
	for s.next = portion.After; ; {
		var err error
		if len(pages) == 0 {
			pages = make([]page, 1)
			if pages[0].connections, pages[0].next, err = p.Registry.Page(ctx, portion.Segment, portion.Segments, s.next); err != nil {
				return page{}, err
			}
		}
		s.connections, s.next = append(s.connections, pages[0].connections...), pages[0].next
		pages = pages[1:]
		if s.next == "" || len(s.connections) >= enough || p.short(ctx) {
			s.at = p.now()
			return s, nil
		}
	}
}

// planned are requests whose stretch ends at the same connection and has the same number of buckets.
type planned struct {
	members []int
	plans   []broadcast.Plan // of each member
	end     string
	buckets int
	split   int
}

// plan records for each request how the stretch is divided, and groups the requests by the plan that holds.
func (p *pass) plan(ctx context.Context, portion broadcast.Portion, s page, members []int) ([]planned, error) {
	buckets := p.buckets(len(s.connections), len(members))
	return p.record(ctx, members, func(m broadcast.Message) broadcast.Plan {
		return broadcast.Plan{
			Segment: portion.Segment, Segments: portion.Segments, Stretch: portion.Stretch,
			End: s.next, Buckets: sizes(m, s.connections, buckets), At: p.at,
		}
	})
}

// record records a plan for each request, unless it has one already, and groups the requests by the plan that holds.
func (p *pass) record(ctx context.Context, members []int, plan func(broadcast.Message) broadcast.Plan) ([]planned, error) {
	plans := make([]broadcast.Plan, len(members))
	group, gctx := errgroup.WithContext(ctx)
	for i, m := range members {
		group.Go(func() (err error) {
			message := p.results[m].Request.Message
			plans[i], err = p.Ledger.Plan(gctx, message.ID, plan(message))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var groups []planned
	for i, plan := range plans {
		at := slices.IndexFunc(groups, func(g planned) bool {
			return g.end == plan.End && g.buckets == len(plan.Buckets) && g.split == plan.Split
		})
		if at < 0 {
			at = len(groups)
			groups = append(groups, planned{end: plan.End, buckets: len(plan.Buckets), split: plan.Split})
		}
		groups[at].members = append(groups[at].members, members[i])
		groups[at].plans = append(groups[at].plans, plan)
	}
	return groups, nil
}

// emit puts the stretch's batches on the send queue and, when no time is left for the rest of the segment, the rest on
// the broadcast queue. It returns the rest, and whether that is still to be read here.
func (p *pass) emit(ctx context.Context, portion broadcast.Portion, s page, g planned) (rest broadcast.Portion, more bool) {
	if g.split > 0 { // the first dispatcher found more than one page, and has recorded how it read them
		p.segments(ctx, g)
		return portion, false
	}
	err := p.send(ctx, portion, s, g)
	rest = broadcast.Portion{Segment: portion.Segment, Segments: portion.Segments, After: g.end, Stretch: portion.Stretch + 1}
	short := g.end != "" && p.short(ctx)
	if err == nil && short {
		err = p.handOn(ctx, rest, g)
	}
	if err == nil {
		err = p.markEmitted(ctx, g)
	}
	if err != nil {
		p.fail(g.members, err)
		return rest, false
	}
	return rest, g.end != "" && !short
}

// send puts the batches of a stretch on the send queue, but for requests whose batches are there already. The plans then
// hold the sizes that were emitted.
func (p *pass) send(ctx context.Context, portion broadcast.Portion, s page, g planned) error {
	var open []int
	for i, plan := range g.plans {
		if !plan.Emitted {
			open = append(open, g.members[i])
		}
	}
	if len(open) == 0 {
		return nil
	}
	if s.next != g.end {
		var err error
		if s, err = p.readUntil(ctx, portion, g.end); err != nil {
			return err
		}
	}
	for _, chunk := range p.chunks(open) {
		batches := p.batches(g.plans[0], chunk, s)
		if err := p.Queue.Send(ctx, batches); err != nil {
			return err
		}
		p.mu.Lock()
		for _, m := range chunk {
			p.results[m].Batches += len(batches)
		}
		p.mu.Unlock()
	}
	for i, m := range g.members {
		if plan := &g.plans[i]; !plan.Emitted {
			plan.Buckets = sizes(p.results[m].Request.Message, s.connections, g.buckets)
			p.mu.Lock()
			p.results[m].Connections += plan.Audience()
			p.mu.Unlock()
		}
	}
	return nil
}

// readUntil reads the stretch that ends at a connection. That connection's row may be gone by now, and rows may come and
// go meanwhile; but a scan always meets rows in the same order, so that the stretch ends before the first row that a scan
// from its end on meets. To belong to this stretch and to the next would be to be posted to twice.
func (p *pass) readUntil(ctx context.Context, portion broadcast.Portion, end string) (page, error) {
	beyond, err := p.beyond(ctx, portion, end, 1)
	if err != nil {
		return page{}, err
	}
	s := page{next: end}
	last := 0 // rows on the last page
	for after, passed := portion.After, false; !passed; {
		connections, next, err := p.Registry.Page(ctx, portion.Segment, portion.Segments, after)
		if err != nil {
			return page{}, err
		}
		s.at = p.now()
		s.connections, last = append(s.connections, connections...), len(connections)
		passed = next == "" || next == end ||
			slices.ContainsFunc(connections, func(c broadcast.Connection) bool { return c.ID == end || beyond[c.ID] })
		after = next
	}
	// What was beyond at first may be gone, and others may have come: what counts is what is beyond now.
	if beyond, err = p.beyond(ctx, portion, end, 2*last); err != nil {
		return page{}, err
	}
	for i, c := range s.connections {
		if beyond[c.ID] {
			s.connections = s.connections[:i]
			break
		}
		if c.ID == end {
			s.connections = s.connections[:i+1]
			break
		}
	}
	return s, nil
}

// beyond returns at least so many of the connections that come after the end of a stretch, or all there are.
func (p *pass) beyond(ctx context.Context, portion broadcast.Portion, end string, least int) (map[string]bool, error) {
	beyond := make(map[string]bool)
	for next := end; next != "" && len(beyond) < least; {
		var connections []broadcast.Connection
		var err error
		if connections, next, err = p.Registry.Page(ctx, portion.Segment, portion.Segments, next); err != nil {
			return nil, err
		}
		for _, c := range connections {
			beyond[c.ID] = true
		}
	}
	return beyond, nil
}

// chunks splits the requests where their messages are too large for one batch. Each chunk is a pass of its own as far as
// order is concerned.
func (p *pass) chunks(members []int) [][]int {
	var chunks [][]int
	room := 0
	for _, m := range members {
		size := p.results[m].Request.Message.WireLen()
		if size > room || len(chunks) == 0 {
			chunks = append(chunks, nil)
			room = broadcast.MaxMessageBytes
		}
		room -= size
		chunks[len(chunks)-1] = append(chunks[len(chunks)-1], m)
	}
	return chunks
}

// batches divides the stretch's connections among the plan's buckets.
func (p *pass) batches(plan broadcast.Plan, members []int, s page) []broadcast.Batch {
	messages := make([]broadcast.Message, len(members))
	for i, m := range members {
		messages[i] = p.results[m].Request.Message
	}
	all := make([]broadcast.Batch, len(plan.Buckets))
	for _, c := range s.connections {
		if len(all) == 0 {
			break // the plan was made of an empty stretch: these came later, and are in no promise
		}
		b := &all[bucket(c.ID, len(all))]
		if c.Settling(s.at) {
			b.Settling = append(b.Settling, c.ID)
		} else {
			b.Connections = append(b.Connections, c.ID)
		}
	}
	batches := all[:0]
	for i, b := range all {
		if len(b.Connections)+len(b.Settling) > 0 {
			b.ID, b.Messages, b.DispatchedAt = plan.BatchID(i), messages, s.at
			batches = append(batches, b)
		}
	}
	return batches
}

// handOn puts the rest of the segment on the broadcast queue, for each request.
func (p *pass) handOn(ctx context.Context, rest broadcast.Portion, g planned) error {
	for _, m := range g.members {
		r := p.results[m].Request
		if p.hop+1 >= MaxHops {
			return errTooManyHops
		}
		rest.Hop = p.hop + 1
		r.Portion = rest
		if err := p.Queue.Continue(ctx, r); err != nil {
			return err
		}
		p.mu.Lock()
		p.results[m].Continued++
		p.mu.Unlock()
	}
	return nil
}

func (p *pass) markEmitted(ctx context.Context, g planned) error {
	group, gctx := errgroup.WithContext(ctx)
	for i, m := range g.members {
		if !g.plans[i].Emitted {
			group.Go(func() error { return p.Ledger.Emitted(gctx, p.results[m].Request.Message.ID, g.plans[i]) })
		}
	}
	return group.Wait()
}

func (p *pass) fail(members []int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range members {
		p.results[m].Err = errors.Join(p.results[m].Err, err)
	}
}

// sizes returns the audience of the message in each bucket.
func sizes(m broadcast.Message, connections []broadcast.Connection, buckets int) []int {
	sizes := make([]int, buckets)
	if buckets == 0 {
		return sizes
	}
	for _, c := range connections {
		if !m.Excludes(c.ID) {
			sizes[bucket(c.ID, buckets)]++
		}
	}
	return sizes
}

// bucket returns the bucket of a connection.
func bucket(connectionID string, buckets int) int {
	h := fnv.New32a()
	h.Write([]byte(connectionID))
	return int(h.Sum32() % uint32(buckets))
}
