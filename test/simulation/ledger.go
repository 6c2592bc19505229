package simulation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/test/audit"
)

// ledger is a model of pkg/ledger over DynamoDB: the same conditional writes, without the protocol. TestLedger_Real
// compares the two.
type ledger struct {
	plans   map[string]map[string]broadcast.Plan // by broadcast and key
	batches map[string]map[string]batchPart      // by broadcast and batch
}

// batchPart is the ledger's part for a batch.
type batchPart struct {
	claim     broadcast.Claim
	claims    map[string]int // by owner: number of deliveries
	settled   bool
	outcome   broadcast.Outcome
	leftovers string
}

func newLedger() *ledger {
	return &ledger{make(map[string]map[string]broadcast.Plan), make(map[string]map[string]batchPart)}
}

func (l *ledger) plan(id string, p broadcast.Plan) broadcast.Plan {
	if l.plans[id] == nil {
		l.plans[id] = make(map[string]broadcast.Plan)
	}
	if earlier, ok := l.plans[id][p.Key()]; ok {
		return earlier
	}
	p.At, p.Emitted, p.Buckets = p.At.Truncate(time.Millisecond), false, slices.Clone(p.Buckets)
	l.plans[id][p.Key()] = p
	return p
}

func (l *ledger) emitted(id string, p broadcast.Plan) {
	if earlier, ok := l.plans[id][p.Key()]; ok {
		earlier.Emitted, earlier.Buckets = true, slices.Clone(p.Buckets)
		l.plans[id][p.Key()] = earlier
	}
}

func (l *ledger) claim(c broadcast.Claim, now time.Time) broadcast.ClaimResult {
	if l.batches[c.BroadcastID] == nil {
		l.batches[c.BroadcastID] = make(map[string]batchPart)
	}
	earlier, ok := l.batches[c.BroadcastID][c.BatchID]
	switch {
	case ok && earlier.settled:
		return broadcast.ClaimResult{Status: broadcast.Settled, Leftovers: earlier.leftovers}
	case ok && earlier.claim.Until.UnixMilli() >= now.UnixMilli() && earlier.claim.Owner != c.Owner:
		return broadcast.ClaimResult{Status: broadcast.Busy, Until: earlier.claim.Until}
	}
	claims := maps.Clone(earlier.claims)
	if claims == nil {
		claims = make(map[string]int)
	}
	claims[fmt.Sprint(c.Size, " ", c.Owner)] = c.Size
	l.batches[c.BroadcastID][c.BatchID] = batchPart{claim: c, claims: claims}
	if ok && earlier.claim.Owner != c.Owner {
		return broadcast.ClaimResult{Status: broadcast.TakenOver, Until: earlier.claim.Until}
	}
	return broadcast.ClaimResult{Status: broadcast.Claimed}
}

func (l *ledger) settle(batchID, owner string, outcomes []broadcast.Outcome, leftovers string) error {
	refused, recorded := 0, 0
	for _, o := range outcomes {
		part := l.batches[o.BroadcastID][batchID]
		if part.settled || part.claim.Owner != owner {
			refused++
		}
		if part.settled && part.claim.Owner == owner {
			recorded++
		}
	}
	switch {
	case recorded == len(outcomes):
		return nil // the answer to an earlier call was lost
	case refused > 0:
		return broadcast.ErrLapsed
	}
	for i, o := range outcomes {
		part := l.batches[o.BroadcastID][batchID]
		part.settled, part.outcome = true, o
		if i == 0 {
			part.leftovers = leftovers
		}
		l.batches[o.BroadcastID][batchID] = part
	}
	return nil
}

// report adds up a broadcast's parts. Outstanding is counted on its own, not computed from the audience. Contradictions
// are returned as an error, together with the sums.
func (l *ledger) report(id string) (r audit.Report, err error) {
	wrong := func(format string, args ...any) { err = errors.Join(err, fmt.Errorf(format, args...)) }
	r = audit.Report{Failed: make(map[string]int)}
	parts := l.batches[id]
	roots := make(map[string]bool)
	for _, key := range slices.Sorted(maps.Keys(l.plans[id])) {
		plan := l.plans[id][key]
		for bucket, size := range plan.Buckets {
			root := plan.BatchID(bucket)
			roots[root] = true
			if part, ok := parts[root]; ok {
				size = part.claim.Size // as the first dispatcher emitted it
			} else {
				r.Outstanding += size
			}
			r.Audience += size
		}
	}
	for _, batch := range slices.Sorted(maps.Keys(parts)) {
		part := parts[batch]
		if end := strings.LastIndexByte(batch, '~'); end < 0 && !roots[batch] {
			wrong("batch %s of broadcast %s is in no plan", batch, id)
		} else if end > 0 && !parts[batch[:end]].settled {
			wrong("batch %s of broadcast %s is the leftover of one that is not settled", batch, id)
		}
		all, largest := 0, 0
		for _, size := range part.claims {
			all, largest = all+size, max(largest, size)
		}
		r.Repeatable += all - largest
		if part.claim.Reason == broadcast.ReasonNetwork || part.claim.Reason == broadcast.ReasonServer {
			r.Repeatable += part.claim.Size
		}
		if part.claim.Redriven {
			r.Failed[part.claim.Reason] -= part.claim.Size
		}
		if !part.settled {
			r.Outstanding += part.claim.Size
			continue
		}
		o := part.outcome
		failed := 0
		for reason, n := range o.Failed {
			r.Failed[reason] += n
			failed += n
		}
		r.Delivered += o.Delivered
		r.Gone += o.Gone
		left := o.Left
		for child, c := range parts {
			if end := strings.LastIndexByte(child, '~'); end > 0 && child[:end] == batch && !c.claim.Redriven {
				left -= c.claim.Size
			}
		}
		r.Outstanding += left
		if sum := o.Delivered + o.Gone + failed + o.Left; sum != part.claim.Size {
			wrong("batch %s of broadcast %s claims %d deliveries, and its outcome has %d", batch, id, part.claim.Size, sum)
		}
		if left < 0 {
			wrong("the leftovers of batch %s of broadcast %s are %d more than it left", batch, id, -left)
		}
	}
	for reason, n := range r.Failed {
		if n == 0 {
			delete(r.Failed, reason)
		}
	}
	return r, err
}

// ledgerClient is the ledger for a process.
type ledgerClient struct {
	world *world
	skew  time.Duration // error of the process's clock
}

func (c ledgerClient) do(ctx context.Context, key string, act func() error) error {
	w := c.world
	return w.do(ctx, key, w.settings.Ledger.latency(w), &w.settings.Ledger, act)
}

func (c ledgerClient) Plan(ctx context.Context, id string, p broadcast.Plan) (held broadcast.Plan, err error) {
	err = c.do(ctx, "Plan "+id+" "+p.Key(), func() error { held = c.world.ledger.plan(id, p); return nil })
	return held, err
}

func (c ledgerClient) Emitted(ctx context.Context, id string, p broadcast.Plan) error {
	return c.do(ctx, "Emitted "+id+" "+p.Key(), func() error { c.world.ledger.emitted(id, p); return nil })
}

func (c ledgerClient) Claim(ctx context.Context, claim broadcast.Claim) (result broadcast.ClaimResult, err error) {
	now := time.Now().Add(c.skew)
	err = c.do(ctx, "Claim "+claim.BroadcastID+" "+claim.BatchID, func() error {
		w := c.world
		result = w.ledger.claim(claim, now)
		w.tracer.note(w, "  %v", result.Status)
		w.census.count(result.Status)
		return nil
	})
	return result, err
}

func (c ledgerClient) Settle(ctx context.Context, batchID, owner string, outcomes []broadcast.Outcome,
	leftovers string) error {
	return c.do(ctx, "Settle "+batchID, func() error {
		return c.world.ledger.settle(batchID, owner, outcomes, leftovers)
	})
}
