package delivery

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"fanfare/pkg/broadcast"
)

// action says how leftovers are handled. The values are stored in the ledger.
type action string

const (
	requeue    action = "requeue"    // send them to the send queue, for another attempt
	confirm    action = "confirm"    // send them to the send queue, to confirm a 410; this is not an attempt
	deadLetter action = "bury"       // failed; send them to the dead-letter queue
	disconnect action = "disconnect" // failed; close the connections
	drop       action = "drop"       // failed; a redrive would not help
)

// leftover is a part of a batch that was not delivered: messages for connections, with one reason. It is recorded with
// the batch's outcome, so that a repeated batch hands on the same leftovers with the same ids.
type leftover struct {
	Action      action   `json:"fate"`
	Reason      string   `json:"reason"`
	Messages    []string `json:"messages"` // ids
	Connections []string `json:"connections,omitempty"`
	Settling    []string `json:"settling,omitempty"`
	Full        int      `json:"full,omitempty"` // Batch.Full of the batch that the leftover becomes
}

// leftovers groups the pending deliveries by their first message and their reason, and decides how each group is
// handled.
func (s *Sender) leftovers(batch broadcast.Batch, messages []broadcast.Message, t *tally) []leftover {
	type group struct {
		from, to int // messages[from:to]
		action   action
		reason   string
		full     int
	}
	groups := make(map[group]*leftover)
	put := func(g group, p pending) {
		l := groups[g]
		if l == nil {
			l = &leftover{Action: g.action, Reason: g.reason, Full: g.full}
			for _, m := range messages[g.from:g.to] {
				l.Messages = append(l.Messages, m.ID)
			}
			groups[g] = l
		}
		if p.settling && g.action != confirm {
			l.Settling = append(l.Settling, p.connection)
		} else {
			l.Connections = append(l.Connections, p.connection)
		}
	}
	last, buffersFull := batch.Attempt+1 >= s.MaxAttempts, s.buffersFull(batch, t)
	for _, p := range t.pending {
		g := group{from: p.from, to: len(messages), action: requeue, reason: p.reason, full: batch.Full}
		if !p.took.IsZero() {
			g.full = 0
		}
		if p.confirm {
			g.action = confirm
			put(g, p)
			continue
		}
		if p.reason == broadcast.ReasonThrottled && buffersFull {
			g.reason = broadcast.ReasonBufferFull
			if p.took.IsZero() {
				g.full++
			}
		}
		if last {
			g.action, g.reason = s.lastAction(batch.Attempt+1, g.full, p.reason)
			g.full = 0 // a redrive starts again
		}
		put(g, p)
	}
	for _, p := range t.refused {
		put(group{from: p.from, to: p.from + 1, action: deadLetter, reason: p.reason}, p)
	}

	keys := make([]group, 0, len(groups))
	for g := range groups {
		keys = append(keys, g)
	}
	slices.SortFunc(keys, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.action, b.action),
			cmp.Compare(a.reason, b.reason), cmp.Compare(a.full, b.full))
	})
	all := make([]leftover, len(keys))
	for i, g := range keys {
		all[i] = *groups[g]
	}
	return all
}

// count adds the leftover to the outcomes of its messages: as left, or as failed.
func (t *tally) count(l leftover, messages []broadcast.Message) {
	for i, m := range messages {
		if !slices.Contains(l.Messages, m.ID) {
			continue
		}
		o, n := &t.outcomes[i], audience(m, l.Connections)+audience(m, l.Settling)
		if l.Action == requeue || l.Action == confirm {
			o.Left += n
			if o.Retries == nil {
				o.Retries = make(map[string]int)
			}
			if n > 0 {
				o.Retries[l.Reason] += n
			}
			continue
		}
		if o.Failed == nil {
			o.Failed = make(map[string]int)
		}
		o.Failed[l.Reason] += n
	}
}

// batch returns the leftover as a batch. Its id is made of the parent's id and its index among the leftovers.
func (l leftover) batch(parent broadcast.Batch, index int) broadcast.Batch {
	b := parent
	b.ID = fmt.Sprintf("%s~%d", parent.ID, index)
	b.Redriven = false
	b.Connections, b.Settling, b.Reason, b.Full = l.Connections, l.Settling, l.Reason, l.Full
	if l.Action == confirm {
		b.Confirmations++
		b.Suspect = l.Connections
	} else {
		b.Attempt++
		b.Suspect = nil
		for _, id := range parent.Suspect {
			if slices.Contains(l.Connections, id) || slices.Contains(l.Settling, id) {
				b.Suspect = append(b.Suspect, id)
			}
		}
	}
	b.Messages = nil
	for _, m := range parent.Messages {
		if slices.Contains(l.Messages, m.ID) {
			b.Messages = append(b.Messages, m)
		}
	}
	return b
}

func encodeLeftovers(leftovers []leftover) (string, error) {
	if len(leftovers) == 0 {
		return "", nil
	}
	data, err := json.Marshal(leftovers)
	if err != nil {
		return "", fmt.Errorf("encode leftovers: %w", err)
	}
	return string(data), nil
}

func decodeLeftovers(text string) ([]leftover, error) {
	if text == "" {
		return nil, nil
	}
	var leftovers []leftover
	if err := json.Unmarshal([]byte(text), &leftovers); err != nil {
		return nil, fmt.Errorf("decode leftovers: %w", err)
	}
	return leftovers, nil
}
