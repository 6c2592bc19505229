package simulation

import (
	"context"
	"hash/fnv"
	"math/bits"
	"slices"
	"strings"
	"time"

	"fanfare/pkg/broadcast"
)

// registry is the connections table: rows in the order of a hash, as DynamoDB scans them.
type registry struct {
	rows []row
}

type row struct {
	place       uint64
	id          string
	connectedAt time.Time
	expiresAt   time.Time
	goneAt      time.Time // zero if there is none
}

// place returns the position of a row in DynamoDB: a hash of its key.
func place(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64() * 0x9E3779B97F4A7C15 // FNV's high bits differ too little
}

func (r *registry) find(id string) (int, bool) {
	p := place(id)
	return slices.BinarySearchFunc(r.rows, p, func(r row, p uint64) int {
		switch {
		case r.place < p:
			return -1
		case r.place > p:
			return 1
		}
		return strings.Compare(r.id, id)
	})
}

func (r *registry) put(new row) {
	new.place = place(new.id)
	i, found := r.find(new.id)
	if found {
		r.rows[i] = new
		return
	}
	r.rows = slices.Insert(r.rows, i, new)
}

func (r *registry) remove(id string) {
	if i, found := r.find(id); found {
		r.rows = slices.Delete(r.rows, i, i+1)
	}
}

// markedBefore reports whether the row has the record of a 410 at or before a time. Times are stored in milliseconds.
func (r row) markedBefore(t time.Time) bool {
	return !r.goneAt.IsZero() && r.goneAt.UnixMilli() <= t.UnixMilli()
}

func (r *registry) markGone(id string, at time.Time) time.Time {
	i, found := r.find(id)
	if !found {
		return time.Time{}
	}
	if r.rows[i].goneAt.IsZero() {
		r.rows[i].goneAt = at.Truncate(time.Millisecond)
	}
	return r.rows[i].goneAt
}

func (r *registry) clearGone(id string, before time.Time) {
	if i, found := r.find(id); found && r.rows[i].markedBefore(before) {
		r.rows[i].goneAt = time.Time{}
	}
}

// scan reads up to limit rows of a segment after a key, whose row need not exist any more.
func (r *registry) scan(segment, segments, limit int, after string) (page []row, more bool) {
	from := 0
	if after != "" {
		i, found := r.find(after)
		if from = i; found {
			from++
		}
	}
	for _, row := range r.rows[from:] {
		high, _ := bits.Mul64(row.place, uint64(segments))
		if int(high) != segment {
			continue
		}
		if len(page) == limit {
			return page, true
		}
		page = append(page, row)
	}
	return page, false
}

// registryClient is the connections table for a process.
type registryClient struct{ world *world }

func (c registryClient) do(ctx context.Context, key string, act func() error) error {
	w := c.world
	return w.do(ctx, key, w.settings.Registry.latency(w), &w.settings.Registry, act)
}

func (c registryClient) Page(ctx context.Context, segment, segments int, after string) (
	connections []broadcast.Connection, next string, err error) {
	w := c.world
	key := "Page " + broadcast.Plan{Segment: segment, Segments: segments}.Key() + " after " + after
	err = w.do(ctx, key, w.settings.Scan.latency(w), &w.settings.Scan, func() error {
		connections, next = c.page(segment, segments, after)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return connections, next, nil
}

// page reads a page as pkg/registry does: expired rows fill the page and are then left out.
func (c registryClient) page(segment, segments int, after string) (
	connections []broadcast.Connection, next string) {
	w := c.world
	page, more := w.registry.scan(segment, segments, w.settings.PageRows, after)
	// DynamoDB may give a last key though nothing comes after it.
	if len(page) > 0 && (more || w.chance(w.settings.NeedlessKey)) {
		next = page[len(page)-1].id
	}
	for _, r := range page {
		if r.expiresAt.After(time.Now()) {
			connections = append(connections, broadcast.Connection{ID: r.id, ConnectedAt: r.connectedAt, GoneAt: r.goneAt})
		}
	}
	return connections, next
}

func (c registryClient) Add(ctx context.Context, connection broadcast.Connection) error {
	return c.do(ctx, "Add "+connection.ID, func() error { c.add(connection); return nil })
}

func (c registryClient) add(connection broadcast.Connection) {
	c.world.registry.put(row{
		id: connection.ID, connectedAt: connection.ConnectedAt,
		expiresAt: connection.ConnectedAt.Add(broadcast.MaxConnectionAge + 5*time.Minute),
	})
}

func (c registryClient) Remove(ctx context.Context, id string) error {
	return c.do(ctx, "Remove "+id, func() error { c.delete(id); return nil })
}

func (c registryClient) MarkGone(ctx context.Context, id string, at time.Time) (goneAt time.Time, err error) {
	err = c.do(ctx, "MarkGone "+id, func() error { goneAt = c.world.registry.markGone(id, at); return nil })
	return goneAt, err
}

func (c registryClient) ClearGone(ctx context.Context, id string, before time.Time) error {
	return c.do(ctx, "ClearGone "+id, func() error { c.world.registry.clearGone(id, before); return nil })
}

func (c registryClient) RemoveGone(ctx context.Context, id string, before time.Time) (removed bool, err error) {
	err = c.do(ctx, "RemoveGone "+id, func() error { removed = c.removeGone(id, before); return nil })
	return removed, err
}

func (c registryClient) removeGone(id string, before time.Time) (removed bool) {
	i, found := c.world.registry.find(id)
	if found && c.world.registry.rows[i].markedBefore(before) {
		c.delete(id)
		return true
	}
	return !found
}

func (c registryClient) delete(id string) {
	if client := c.world.gateway.clients[id]; client != nil && client.state != closed {
		c.world.fail("the row of live client %s is deleted", id)
	}
	c.world.registry.remove(id)
}
