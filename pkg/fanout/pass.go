package fanout

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"fanfare/pkg/broadcast"
)

// pass is one reading of the table for several requests. Its methods identify requests by their indices.
type pass struct {
	*Dispatcher
	at time.Time
	// hop is the largest Hop of the requests. Lambda's recursion count belongs to the invocation, not to a message, so
	// every continuation starts from the maximum.
	hop int

	// hashes holds the SHA-256 of the payloads of requests for the whole table, in hexadecimal; "" for continuations.
	hashes []string

	mu      sync.Mutex
	results []Result
}

// accept groups the requests by their cursors. Requests for the whole table have the zero Cursor. Of requests with
// equal ids and payloads, which are copies, the first one is dispatched. If the payloads differ, the ledger decides
// which one is valid: see record.
func (p *pass) accept(requests []broadcast.Request) map[broadcast.Cursor][]int {
	type identity struct {
		id, hash string
		cursor   broadcast.Cursor
	}
	p.hashes = make([]string, len(requests))
	seen := make(map[identity]bool)
	byCursor := make(map[broadcast.Cursor][]int)
	for i, r := range requests {
		p.results[i].Request = r
		p.hop = max(p.hop, r.Hop)
		if r.Unreadable != nil {
			p.results[i].Err = r.Unreadable
			continue
		}
		if r.Cursor == (broadcast.Cursor{}) {
			p.hashes[i] = fmt.Sprintf("%x", sha256.Sum256(r.Message.Payload))
		}
		copied := identity{r.Message.ID, p.hashes[i], r.Cursor}
		if seen[copied] {
			continue // SQS delivered two copies, or the publisher repeated the message
		}
		seen[copied] = true
		byCursor[r.Cursor] = append(byCursor[r.Cursor], i)
	}
	return byCursor
}

// table reads the whole table: a single page in one segment, which is the least work for a small audience, a larger
// table in parallel segments. The choice is recorded before anything is emitted, because batch ids depend on it.
func (p *pass) table(ctx context.Context, indices []int) {
	whole := broadcast.Cursor{Segments: 1}
	connections, next, err := p.Registry.Page(ctx, whole.Segment, whole.Segments, "")
	if err != nil {
		p.fail(indices, err)
		return
	}
	first := page{connections: connections, next: next}
	if next == "" || p.Segments == 1 {
		p.walk(ctx, whole, indices, first)
		return
	}
	all, err := p.record(ctx, indices, func(index int) broadcast.Plan {
		return broadcast.Plan{
			Segments: 1, Split: p.Segments, Buckets: []int{}, PayloadHash: p.hashes[index], At: p.at,
		}
	})
	if err != nil {
		p.fail(indices, err)
		return
	}
	for _, g := range all {
		if g.split > 0 {
			p.segments(ctx, g)
		} else {
			p.walk(ctx, whole, g.indices, first)
		}
	}
}

// segments reads the table in as many segments as the plan asks for.
func (p *pass) segments(ctx context.Context, g planned) {
	var group errgroup.Group
	for segment := range g.split {
		group.Go(func() error {
			p.walk(ctx, broadcast.Cursor{Segment: segment, Segments: g.split}, g.indices)
			return nil
		})
	}
	_ = group.Wait() // errors are in the results
}

// page holds the connections of one page, or of all pages of a stretch.
type page struct {
	connections []broadcast.Connection
	next        string
	at          time.Time // end of the read: all connections had connected before
}

// walk reads a segment from a cursor to its end, stretch by stretch: read, plan, emit. The first page may have been
// read already.
func (p *pass) walk(ctx context.Context, cursor broadcast.Cursor, indices []int, first ...page) {
	for {
		stretch, err := p.read(ctx, cursor, first...)
		if err != nil {
			p.fail(indices, err)
			return
		}
		first = nil
		all, err := p.plan(ctx, cursor, stretch, indices)
		if err != nil {
			p.fail(indices, err)
			return
		}
		if len(all) == 0 {
			return // all are errIDReused
		}
		// Plans differ only if a request is repeated and its first dispatcher read another state of the table.
		for _, g := range all[1:] {
			if next, more := p.emit(ctx, cursor, stretch, g); more {
				p.walk(ctx, next, g.indices)
			}
		}
		more := false
		if cursor, more = p.emit(ctx, cursor, stretch, all[0]); !more {
			return
		}
		indices = all[0].indices
	}
}

// read reads a stretch: pages until there are enough connections, the segment ends, or the time is short.
func (p *pass) read(ctx context.Context, cursor broadcast.Cursor, pages ...page) (page, error) {
	enough := p.StretchConnections
	if enough == 0 {
		enough = 50_000
	}
	var s page
	for s.next = cursor.After; ; {
		if len(pages) == 0 {
			connections, next, err := p.Registry.Page(ctx, cursor.Segment, cursor.Segments, s.next)
			if err != nil {
				return page{}, err
			}
			pages = []page{{connections: connections, next: next}}
		}
		s.connections, s.next = append(s.connections, pages[0].connections...), pages[0].next
		pages = pages[1:]
		if s.next == "" || len(s.connections) >= enough || p.short(ctx) {
			s.at = p.now()
			return s, nil
		}
	}
}

// planned is a set of requests with equal plans: the stretch has the same end and the same number of buckets.
type planned struct {
	indices []int
	plans   []broadcast.Plan // of each request
	end     string
	buckets int
	split   int
}

// plan records a plan of the stretch for each request and groups the requests by the recorded plan.
func (p *pass) plan(ctx context.Context, cursor broadcast.Cursor, s page, indices []int) ([]planned, error) {
	buckets := p.buckets(len(s.connections), len(indices))
	return p.record(ctx, indices, func(index int) broadcast.Plan {
		plan := broadcast.Plan{
			Segment: cursor.Segment, Segments: cursor.Segments, Stretch: cursor.Stretch,
			End: s.next, Buckets: sizes(p.results[index].Request.Message, s.connections, buckets), At: p.at,
		}
		if cursor == (broadcast.Cursor{Segments: 1}) {
			plan.PayloadHash = p.hashes[index]
		}
		return plan
	})
}

// record records a plan for each request, unless it has one already, and groups the requests by the recorded plan. It
// fails and leaves out requests whose recorded plan is for another payload.
func (p *pass) record(ctx context.Context, indices []int, plan func(index int) broadcast.Plan) ([]planned, error) {
	plans := make([]broadcast.Plan, len(indices))
	group, gctx := errgroup.WithContext(ctx)
	for i, index := range indices {
		group.Go(func() (err error) {
			plans[i], err = p.Ledger.Plan(gctx, p.results[index].Request.Message.ID, plan(index))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []planned
	for i, plan := range plans {
		if own := p.hashes[indices[i]]; own != "" && plan.PayloadHash != "" && own != plan.PayloadHash {
			p.fail(indices[i:i+1], errIDReused)
			continue
		}
		at := slices.IndexFunc(all, func(g planned) bool {
			return g.end == plan.End && g.buckets == len(plan.Buckets) && g.split == plan.Split
		})
		if at < 0 {
			at = len(all)
			all = append(all, planned{end: plan.End, buckets: len(plan.Buckets), split: plan.Split})
		}
		all[at].indices = append(all[at].indices, indices[i])
		all[at].plans = append(all[at].plans, plan)
	}
	return all, nil
}

// emit puts the stretch's batches on the send queue. If the time is short and the segment has not ended, it also sends
// continuations for the rest. It returns the cursor after the stretch, and reports whether more is to be read here.
func (p *pass) emit(ctx context.Context, cursor broadcast.Cursor, s page, g planned) (
	next broadcast.Cursor, more bool) {
	if g.split > 0 { // the first dispatcher found more than one page and recorded the number of segments
		p.segments(ctx, g)
		return cursor, false
	}
	err := p.send(ctx, cursor, s, g)
	next = broadcast.Cursor{
		Segment: cursor.Segment, Segments: cursor.Segments, After: g.end, Stretch: cursor.Stretch + 1,
	}
	short := g.end != "" && p.short(ctx)
	if err == nil && short {
		err = p.continueFrom(ctx, next, g)
	}
	if err == nil {
		err = p.markEmitted(ctx, g)
	}
	if err != nil {
		p.fail(g.indices, err)
		return next, false
	}
	return next, g.end != "" && !short
}

// send puts the batches of a stretch on the send queue, except for requests whose plans are marked as emitted. It then
// sets the sizes that were emitted in the plans.
func (p *pass) send(ctx context.Context, cursor broadcast.Cursor, s page, g planned) error {
	var open []int
	for i, plan := range g.plans {
		if !plan.Emitted {
			open = append(open, g.indices[i])
		}
	}
	if len(open) == 0 {
		return nil
	}
	if s.next != g.end {
		var err error
		if s, err = p.readUntil(ctx, cursor, g.end); err != nil {
			return err
		}
	}
	for _, indices := range p.splitBySize(open) {
		batches := p.batches(g.plans[0], indices, s)
		if err := p.Batches.Send(ctx, batches); err != nil {
			return err
		}
		p.mu.Lock()
		for _, index := range indices {
			p.results[index].Batches += len(batches)
		}
		p.mu.Unlock()
	}
	for i, index := range g.indices {
		if plan := &g.plans[i]; !plan.Emitted {
			plan.Buckets = sizes(p.results[index].Request.Message, s.connections, g.buckets)
			p.mu.Lock()
			p.results[index].Connections += plan.Audience()
			p.mu.Unlock()
		}
	}
	return nil
}

// readUntil reads the stretch that ends at a connection. Rows may have come and gone since, and the row of that
// connection may be gone too. A scan always returns rows in the same order, so the stretch ends before the first row
// that a scan from its end returns. A connection must not be in this stretch and in the next, or it would receive the
// messages twice.
func (p *pass) readUntil(ctx context.Context, cursor broadcast.Cursor, end string) (page, error) {
	beyond, err := p.beyond(ctx, cursor, end, 1)
	if err != nil {
		return page{}, err
	}
	s := page{next: end}
	last := 0 // rows on the last page
	for after, passed := cursor.After, false; !passed; {
		connections, next, err := p.Registry.Page(ctx, cursor.Segment, cursor.Segments, after)
		if err != nil {
			return page{}, err
		}
		s.at = p.now()
		s.connections, last = append(s.connections, connections...), len(connections)
		passed = next == "" || next == end ||
			slices.ContainsFunc(connections, func(c broadcast.Connection) bool { return c.ID == end || beyond[c.ID] })
		after = next
	}
	// Rows beyond the end may have come and gone during the read: the present ones count.
	if beyond, err = p.beyond(ctx, cursor, end, 2*last); err != nil {
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

// beyond returns at least `least` of the connections after the end of a stretch, or all there are.
func (p *pass) beyond(ctx context.Context, cursor broadcast.Cursor, end string, least int) (map[string]bool, error) {
	beyond := make(map[string]bool)
	for next := end; next != "" && len(beyond) < least; {
		var connections []broadcast.Connection
		var err error
		if connections, next, err = p.Registry.Page(ctx, cursor.Segment, cursor.Segments, next); err != nil {
			return nil, err
		}
		for _, c := range connections {
			beyond[c.ID] = true
		}
	}
	return beyond, nil
}

// splitBySize divides the requests into lists whose messages fit into one batch. Between two lists there is no order of
// delivery.
func (p *pass) splitBySize(indices []int) [][]int {
	var lists [][]int
	room := 0
	for _, index := range indices {
		size := p.results[index].Request.Message.WireLen()
		if size > room || len(lists) == 0 {
			lists = append(lists, nil)
			room = broadcast.MaxMessageBytes
		}
		room -= size
		lists[len(lists)-1] = append(lists[len(lists)-1], index)
	}
	return lists
}

// batches returns a batch for each bucket of the plan that has connections.
func (p *pass) batches(plan broadcast.Plan, indices []int, s page) []broadcast.Batch {
	messages := make([]broadcast.Message, len(indices))
	for i, index := range indices {
		messages[i] = p.results[index].Request.Message
	}
	all := make([]broadcast.Batch, len(plan.Buckets))
	for _, c := range s.connections {
		if len(all) == 0 {
			break // the stretch was empty when it was planned; these connected later and are not in the audience
		}
		b := &all[bucket(c.ID, len(all))]
		if c.Settling(s.at) {
			b.Settling = append(b.Settling, c.ID)
		} else {
			b.Connections = append(b.Connections, c.ID)
		}
		if c.Suspect() {
			b.Suspect = append(b.Suspect, c.ID)
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

// continueFrom sends a continuation for each request, from the cursor to the end of its segment.
func (p *pass) continueFrom(ctx context.Context, cursor broadcast.Cursor, g planned) error {
	for _, index := range g.indices {
		r := p.results[index].Request
		if p.hop+1 >= MaxHops {
			return errTooManyHops
		}
		r.Cursor, r.Hop = cursor, p.hop+1
		if err := p.Continuations.Continue(ctx, r); err != nil {
			return err
		}
		p.mu.Lock()
		p.results[index].Continued++
		p.mu.Unlock()
	}
	return nil
}

func (p *pass) markEmitted(ctx context.Context, g planned) error {
	group, gctx := errgroup.WithContext(ctx)
	for i, index := range g.indices {
		if !g.plans[i].Emitted {
			group.Go(func() error {
				return p.Ledger.Emitted(gctx, p.results[index].Request.Message.ID, g.plans[i])
			})
		}
	}
	return group.Wait()
}

func (p *pass) fail(indices []int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, index := range indices {
		p.results[index].Err = errors.Join(p.results[index].Err, err)
	}
}

// sizes returns the size of the message's audience in each bucket.
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
