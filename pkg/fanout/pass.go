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

	mu      sync.Mutex
	results []Result
}

// accept groups the requests by the part of the table that they read. Requests for all of it are under the zero Portion,
// unless a dispatcher has begun to read it in segments before.
func (p *pass) accept(ctx context.Context, requests []broadcast.Request) map[broadcast.Portion][]int {
	type identity struct {
		id      string
		portion broadcast.Portion
	}
	seen := make(map[identity]bool)
	groups := make(map[broadcast.Portion][]int)
	for i, r := range requests {
		p.results[i].Request = r
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
		if portion.Segments > 0 || !r.Record.Redelivered {
			groups[portion] = append(groups[portion], i)
			continue
		}
		plans, err := p.Ledger.Plans(ctx, r.Message.ID)
		switch {
		case err != nil:
			p.fail([]int{i}, err)
		case len(plans) == 0:
			groups[portion] = append(groups[portion], i)
		default:
			for segment := range plans[0].Segments {
				first := broadcast.Portion{Segment: segment, Segments: plans[0].Segments}
				groups[first] = append(groups[first], i)
			}
		}
	}
	return groups
}

// table reads the whole table: in one piece if that is a single page, which is the least work for a small audience, else
// in parallel segments.
func (p *pass) table(ctx context.Context, members []int) {
	whole := broadcast.Portion{Segments: 1}
	connections, next, err := p.Registry.Page(ctx, whole.Segment, whole.Segments, "")
	if err != nil {
		p.fail(members, err)
		return
	}
	if next == "" || p.Segments == 1 {
		p.walk(ctx, whole, members, page{connections: connections, next: next})
		return
	}
	var group errgroup.Group
	for segment := range p.Segments {
		group.Go(func() error {
			p.walk(ctx, broadcast.Portion{Segment: segment, Segments: p.Segments}, members)
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
			p.follow(ctx, portion, stretch, g)
		}
		members = groups[0].members
		if !p.emit(ctx, portion, stretch, groups[0]) {
			return
		}
		portion.After, portion.Stretch = groups[0].end, portion.Stretch+1
	}
}

// follow does what walk does, for requests that have a plan of their own.
func (p *pass) follow(ctx context.Context, portion broadcast.Portion, s page, g planned) {
	if p.emit(ctx, portion, s, g) {
		portion.After, portion.Stretch = g.end, portion.Stretch+1
		p.walk(ctx, portion, g.members)
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
}

// plan records for each request how the stretch is divided, and groups the requests by the plan that holds.
func (p *pass) plan(ctx context.Context, portion broadcast.Portion, s page, members []int) ([]planned, error) {
	buckets := p.buckets(len(s.connections), len(members))
	plans := make([]broadcast.Plan, len(members))
	group, gctx := errgroup.WithContext(ctx)
	for i, m := range members {
		group.Go(func() (err error) {
			message := p.results[m].Request.Message
			plans[i], err = p.Ledger.Plan(gctx, message.ID, broadcast.Plan{
				Segment: portion.Segment, Segments: portion.Segments, Stretch: portion.Stretch,
				End: s.next, Buckets: sizes(message, s.connections, buckets), At: p.at,
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var groups []planned
	for i, plan := range plans {
		at := slices.IndexFunc(groups, func(g planned) bool { return g.end == plan.End && g.buckets == len(plan.Buckets) })
		if at < 0 {
			at = len(groups)
			groups = append(groups, planned{end: plan.End, buckets: len(plan.Buckets)})
		}
		groups[at].members = append(groups[at].members, members[i])
		groups[at].plans = append(groups[at].plans, plan)
	}
	return groups, nil
}

// emit puts the stretch's batches on the send queue and, when no time is left for the rest of the segment, the rest on
// the broadcast queue. It reports whether the segment goes on here.
func (p *pass) emit(ctx context.Context, portion broadcast.Portion, s page, g planned) (more bool) {
	err := p.send(ctx, portion, s, g)
	short := g.end != "" && p.short(ctx)
	if err == nil && short {
		err = p.handOn(ctx, portion, g)
	}
	if err == nil {
		err = p.markEmitted(ctx, g)
	}
	if err != nil {
		p.fail(g.members, err)
		return false
	}
	return g.end != "" && !short
}

func (p *pass) send(ctx context.Context, portion broadcast.Portion, s page, g planned) error {
	var open planned // leaves out requests whose batches are on the send queue already
	for i, plan := range g.plans {
		if !plan.Emitted {
			open.members, open.plans = append(open.members, g.members[i]), append(open.plans, plan)
		}
	}
	if len(open.members) == 0 {
		return nil
	}
	if s.next != g.end {
		var err error
		if s, err = p.readUntil(ctx, portion, g.end); err != nil {
			return err
		}
	}
	for _, chunk := range p.chunks(open.members) {
		batches := p.batches(open.plans[0], chunk, s)
		if err := p.Queue.Send(ctx, batches); err != nil {
			return err
		}
		p.mu.Lock()
		for _, m := range chunk {
			p.results[m].Batches += len(batches)
			for _, size := range sizes(p.results[m].Request.Message, s.connections, g.buckets) {
				p.results[m].Connections += size
			}
		}
		p.mu.Unlock()
	}
	return nil
}

// readUntil reads the stretch that ends at a connection, whose row may be gone by now: the row after which the segment
// goes on is the first that a page read from there shows.
func (p *pass) readUntil(ctx context.Context, portion broadcast.Portion, end string) (page, error) {
	beyond := make(map[string]bool)
	if end != "" {
		rest, _, err := p.Registry.Page(ctx, portion.Segment, portion.Segments, end)
		if err != nil {
			return page{}, err
		}
		for _, c := range rest {
			beyond[c.ID] = true
		}
	}
	s := page{next: end}
	for after := portion.After; ; {
		read, next, err := p.Registry.Page(ctx, portion.Segment, portion.Segments, after)
		s.at = p.now()
		if err != nil {
			return page{}, err
		}
		for _, c := range read {
			if beyond[c.ID] {
				return s, nil
			}
			s.connections = append(s.connections, c)
		}
		if next == "" || next == end {
			return s, nil
		}
		after = next
	}
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
func (p *pass) handOn(ctx context.Context, portion broadcast.Portion, g planned) error {
	for _, m := range g.members {
		r := p.results[m].Request
		if r.Portion.Hop+1 >= MaxHops {
			return errTooManyHops
		}
		r.Portion = broadcast.Portion{
			Segment: portion.Segment, Segments: portion.Segments,
			After: g.end, Stretch: portion.Stretch + 1, Hop: r.Portion.Hop + 1,
		}
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
