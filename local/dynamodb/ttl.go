package dynamodb

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

const (
	sweepInterval = time.Minute              // between two sweeps, by Options.Clock
	sweepPage     = 4096                     // rows checked under one lock
	maxExpiryAge  = 5 * 365 * 24 * time.Hour // older expiry times are ignored (developer guide, "Time to Live")
)

// sweep deletes expired items until ctx ends.
func (s *Server) sweep(ctx context.Context) {
	for s.options.Clock.Sleep(ctx, sweepInterval) == nil {
		s.mu.RLock()
		tables := slices.Collect(maps.Values(s.tables))
		s.mu.RUnlock()
		for _, t := range tables {
			t.sweep(ctx, s.options.Clock.Now(), max(s.options.TTLDelay, 0))
		}
	}
}

// sweep deletes the rows that expired more than delay before now, in pages, so that other requests can use the table.
func (t *table) sweep(ctx context.Context, now time.Time, delay time.Duration) {
	for low := ""; ctx.Err() == nil; {
		t.mu.RLock()
		attribute, looked := t.ttl, 0
		var expired []*row
		if attribute != "" {
			for r := range t.rows.from(low) {
				if looked++; looked > sweepPage {
					break
				}
				low = successor(r.key)
				if r.expired(attribute, now, delay) {
					expired = append(expired, r)
				}
			}
		}
		t.mu.RUnlock()
		t.deleteExpired(expired, attribute)
		if looked <= sweepPage {
			return
		}
	}
}

// deleteExpired deletes rows found to be expired by this attribute, unless they were replaced since.
func (t *table) deleteExpired(expired []*row, attribute string) {
	if len(expired) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range expired {
		if t.ttl == attribute && t.rows.get(r.key) == r {
			t.store(r.key, nil)
		}
	}
}

// expired reports whether the expiry time of the row, in seconds since 1970, is more than delay before now.
func (r *row) expired(attribute string, now time.Time, delay time.Duration) bool {
	v, found := r.item.get(attribute)
	if !found || v.kind != kindNumber {
		return false
	}
	seconds, err := strconv.ParseFloat(v.text, 64)
	if err != nil {
		return false
	}
	age := float64(now.UnixMilli())/1000 - seconds
	return age > delay.Seconds() && age < maxExpiryAge.Seconds()
}

// describeTimeToLive executes DescribeTimeToLive.
func (c *call) describeTimeToLive() ([]byte, error) {
	t, err := c.namedTable()
	if err != nil {
		return nil, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	description := map[string]any{"TimeToLiveStatus": "DISABLED"}
	if t.ttl != "" {
		description = map[string]any{"TimeToLiveStatus": "ENABLED", "AttributeName": t.ttl}
	}
	return json.Marshal(map[string]any{"TimeToLiveDescription": description})
}
