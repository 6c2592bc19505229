package delivery

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"fanfare/pkg/broadcast"
)

// What becomes of a rest.
const (
	fateRequeue    = "requeue"
	fateBury       = "bury"
	fateDisconnect = "disconnect"
	fateDrop       = "drop" // failed, and a redrive would not help
)

// rest is a part of a batch that is not delivered yet: messages for connections, for one reason. It is recorded with the
// batch's outcome, so that whoever repeats the batch hands on the same rest under the same id.
type rest struct {
	Fate        string   `json:"fate"`
	Reason      string   `json:"reason"`
	Messages    []string `json:"messages"` // ids
	Connections []string `json:"connections,omitempty"`
	Settling    []string `json:"settling,omitempty"`
	Full        int      `json:"full,omitempty"` // as in Batch, of the batch that the rest becomes
}

// rests groups what is open by the message from which it is open and by reason, and decides what becomes of it.
func (s *Sender) rests(batch broadcast.Batch, messages []broadcast.Message, t *tally) []rest {
	type group struct {
		from, to int // messages[from:to]
		fate     string
		reason   string
		full     int
	}
	groups := make(map[group]*rest)
	put := func(g group, o open) {
		r := groups[g]
		if r == nil {
			r = &rest{Fate: g.fate, Reason: g.reason, Full: g.full}
			for _, m := range messages[g.from:g.to] {
				r.Messages = append(r.Messages, m.ID)
			}
			groups[g] = r
		}
		if o.settling {
			r.Settling = append(r.Settling, o.connection)
		} else {
			r.Connections = append(r.Connections, o.connection)
		}
	}
	last, theirs := batch.Attempt+1 >= s.MaxAttempts, s.buffersFull(batch, t)
	for _, o := range t.open {
		g := group{from: o.from, to: len(messages), fate: fateRequeue, reason: o.reason, full: batch.Full}
		if o.took {
			g.full = 0
		}
		if o.reason == broadcast.ReasonThrottled && theirs {
			g.reason = broadcast.ReasonBufferFull
			if !o.took {
				g.full++
			}
		}
		if last {
			g.fate, g.reason = s.end(batch.Attempt+1, g.full, o.reason)
			g.full = 0 // a redrive begins anew
		}
		put(g, o)
	}
	for _, o := range t.refused {
		put(group{from: o.from, to: o.from + 1, fate: fateBury, reason: o.reason}, o)
	}

	keys := make([]group, 0, len(groups))
	for g := range groups {
		keys = append(keys, g)
	}
	slices.SortFunc(keys, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.fate, b.fate), cmp.Compare(a.reason, b.reason), cmp.Compare(a.full, b.full))
	})
	rests := make([]rest, len(keys))
	for i, g := range keys {
		rests[i] = *groups[g]
	}
	return rests
}

// account adds the rest to the outcomes of its messages: as left, or as failed.
func (t *tally) account(r rest, messages []broadcast.Message) {
	for i, m := range messages {
		if !slices.Contains(r.Messages, m.ID) {
			continue
		}
		o, n := &t.outcomes[i], audience(m, r.Connections)+audience(m, r.Settling)
		if r.Fate == fateRequeue {
			o.Left += n
			continue
		}
		if o.Failed == nil {
			o.Failed = make(map[string]int)
		}
		o.Failed[r.Reason] += n
	}
}

// batch returns the rest as a batch of its own. Its id follows from the parent's and from its place among the rests.
func (r rest) batch(parent broadcast.Batch, place int) broadcast.Batch {
	b := parent
	b.ID = fmt.Sprintf("%s~%d", parent.ID, place)
	b.Attempt = parent.Attempt + 1
	b.Redriven = false
	b.Connections, b.Settling, b.Reason, b.Full = r.Connections, r.Settling, r.Reason, r.Full
	b.Messages = nil
	for _, m := range parent.Messages {
		if slices.Contains(r.Messages, m.ID) {
			b.Messages = append(b.Messages, m)
		}
	}
	return b
}

func encodeRests(rests []rest) (string, error) {
	if len(rests) == 0 {
		return "", nil
	}
	data, err := json.Marshal(rests)
	if err != nil {
		return "", fmt.Errorf("encode what is left of a batch: %w", err)
	}
	return string(data), nil
}

func decodeRests(text string) ([]rest, error) {
	if text == "" {
		return nil, nil
	}
	var rests []rest
	err := json.Unmarshal([]byte(text), &rests)
	return rests, err
}
