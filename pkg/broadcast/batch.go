package broadcast

import (
	"encoding/json"
	"fmt"
	"time"
)

// Batch is messages addressed to connections: one message on the send queue, one invocation of a sender.
type Batch struct {
	// ID names the batch within each of its broadcasts. It is the same whenever the same part of an audience is
	// dispatched again, which is how a repeated batch is recognised.
	ID string `json:"id"`
	// Attempt counts how often these deliveries have been tried before.
	Attempt int `json:"attempt"`
	// Messages are posted to each connection in this order.
	Messages []Message `json:"messages"`
	// Connections are those whose 410 means that they are gone.
	Connections []string `json:"connections"`
	// Settling are those that were younger than [SettlingAge] at DispatchedAt: until they are older, a 410 means "not yet".
	Settling []string `json:"settling,omitempty"`
	// DispatchedAt is when the dispatcher had read the connections: it is not before any of them connected.
	DispatchedAt time.Time `json:"-"`
	// Reason is why the deliveries are still open after an attempt; empty on the first.
	Reason string `json:"reason,omitempty"`
	// Full counts the attempts at which the connections' own buffers were full, as far as a sender can tell, since they
	// last took a message.
	Full int `json:"full,omitempty"`
	// Redriven marks a batch that was sent back from the dead-letter queue: its deliveries were counted as failed before.
	Redriven bool `json:"redriven,omitempty"`
}

// wireBatch is a batch as the send queue carries it.
type wireBatch struct {
	plainBatch
	DispatchedAt int64 `json:"dispatchedAt"` // epoch milliseconds
}

type plainBatch Batch

// Len returns how many deliveries the batch asks for, exclusions left aside.
func (b Batch) Len() int { return len(b.Messages) * (len(b.Connections) + len(b.Settling)) }

// Encode returns the batch as the send queue carries it.
func (b Batch) Encode() (string, error) {
	if b.Connections == nil {
		b.Connections = []string{}
	}
	data, err := marshal(wireBatch{plainBatch(b), b.DispatchedAt.UnixMilli()})
	if err != nil {
		return "", fmt.Errorf("encode batch %s: %w", b.ID, err)
	}
	if len(data) > MaxQueueBytes {
		return "", fmt.Errorf("encode batch %s: %d bytes are more than SQS carries (%d)", b.ID, len(data), MaxQueueBytes)
	}
	return string(data), nil
}

// DecodeBatch reads a batch from the send queue. What is not a batch of ours is a permanent error: it will not become
// one by being tried again.
func DecodeBatch(body string) (Batch, error) {
	var w wireBatch
	if err := json.Unmarshal([]byte(body), &w); err != nil {
		return Batch{}, Permanent(ReasonMalformed, fmt.Errorf("this is not a batch: %w", err))
	}
	b := Batch(w.plainBatch)
	b.DispatchedAt = time.UnixMilli(w.DispatchedAt).UTC()
	switch {
	case b.ID == "":
		return Batch{}, Permanent(ReasonMalformed, fmt.Errorf("this is not a batch: it has no id"))
	case len(b.Messages) == 0:
		return Batch{}, Permanent(ReasonMalformed, fmt.Errorf("batch %s has no messages", b.ID))
	case len(b.Connections)+len(b.Settling) == 0:
		return Batch{}, Permanent(ReasonMalformed, fmt.Errorf("batch %s has no connections", b.ID))
	case b.Attempt < 0 || b.Full < 0:
		return Batch{}, Permanent(ReasonMalformed, fmt.Errorf("batch %s has a negative count of attempts", b.ID))
	}
	return b, nil
}
