package dynamodb

import (
	"slices"
	"time"
)

// replica is a copy of a table's rows that gets every write late. Eventually consistent reads use it if Faults.StaleBy
// is set.
type replica struct {
	rows    rowList
	delay   time.Duration
	pending []lateWrite // the oldest first
}

// lateWrite is one write of a row; a nil row is a deletion.
type lateWrite struct {
	at  time.Time
	key string
	row *row
}

// apply makes the writes that are at least as old as the delay.
func (r *replica) apply(now time.Time) {
	done := 0
	for _, w := range r.pending {
		if now.Sub(w.at) < r.delay {
			break
		}
		r.rows.store(w.key, w.row)
		done++
	}
	r.pending = slices.Delete(r.pending, 0, done)
}

// store stores the row at key, in the replica after its delay. A nil row deletes. t.mu is held.
func (t *table) store(key string, stored *row) {
	t.rows.store(key, stored)
	if t.replica != nil {
		now := t.clock.Now()
		t.replica.apply(now)
		t.replica.pending = append(t.replica.pending, lateWrite{now, key, stored})
	}
}

// read calls use with the rows of the table while it holds the lock. A stale read gets the rows of the replica, if
// there is one.
func (t *table) read(stale bool, use func(*rowList)) {
	if !stale {
		t.mu.RLock()
		defer t.mu.RUnlock()
		use(&t.rows)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.replica == nil {
		use(&t.rows)
		return
	}
	t.replica.apply(t.clock.Now())
	use(&t.replica.rows)
}

// setReplica starts a replica with that delay, changes its delay, or with a delay of 0 removes it.
func (t *table) setReplica(delay time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case delay == 0:
		t.replica = nil
	case t.replica == nil:
		t.replica = &replica{rows: t.rows.clone(), delay: delay}
	default:
		t.replica.delay = delay
	}
}
