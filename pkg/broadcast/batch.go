package broadcast

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"fanfare/publish"
)

// Batch is a list of messages for a list of connections: one message on the send queue, one invocation of a sender.
type Batch struct {
	// ID identifies the batch within each of its broadcasts. It is the same whenever the same part of an audience is
	// dispatched again; a repeated batch is recognised by it.
	ID string `json:"id"`
	// Attempt is the number of earlier attempts at these deliveries.
	Attempt int `json:"attempt"`
	// Messages are posted to each connection in this order.
	Messages []Message `json:"messages"`
	// Connections are the connections that are not in Settling.
	Connections []string `json:"connections"`
	// Settling are the connections that were younger than [SettlingAge] at DispatchedAt, or had answered 410 less than
	// SettlingAge before it. Until that time has passed, a 410 does not show that they are gone.
	Settling []string `json:"settling,omitempty"`
	// Suspect are those of Connections and Settling that had answered 410 when they were listed, or are being confirmed.
	// A second 410 deletes the row; a successful post removes GoneAt from it.
	Suspect []string `json:"suspect,omitempty"`
	// DispatchedAt is the time at which the dispatcher had read the connections. All of them had connected before.
	DispatchedAt time.Time `json:"-"`
	// Confirmations is the number of earlier batches of this chain that were sent to confirm a 410. They do not count as
	// attempts.
	Confirmations int `json:"confirmations,omitempty"`
	// Reason is the reason of the last attempt's failure; empty on the first attempt.
	Reason string `json:"reason,omitempty"`
	// Full counts the attempts that met full client buffers, as far as a sender can tell, since the connections last took
	// a message.
	Full int `json:"full,omitempty"`
	// Redriven reports whether the batch came back from the dead-letter queue: its deliveries were counted as failed
	// before.
	Redriven bool `json:"redriven,omitempty"`
}

// wireBatch is the JSON form of a batch on the send queue.
type wireBatch struct {
	plainBatch
	DispatchedAt int64 `json:"dispatchedAt"` // epoch milliseconds
}

type plainBatch Batch

// Len returns the number of deliveries that the batch asks for. It does not subtract exclusions.
func (b Batch) Len() int { return len(b.Messages) * (len(b.Connections) + len(b.Settling)) }

// Encode returns the JSON of the batch for the send queue. A batch larger than MaxBatchBytes is an error.
func (b Batch) Encode() (string, error) {
	if b.Connections == nil {
		b.Connections = []string{}
	}
	data, err := marshal(wireBatch{plainBatch(b), b.DispatchedAt.UnixMilli()})
	if err != nil {
		return "", fmt.Errorf("encode batch %s: %w", b.ID, err)
	}
	if len(data) > MaxBatchBytes {
		return "", fmt.Errorf("encode batch %s: it has %d bytes, more than %d", b.ID, len(data), MaxBatchBytes)
	}
	return string(data), nil
}

// DecodeBatch reads a batch from the send queue. A body that is not a batch is a permanent error with ReasonMalformed,
// a batch with a payload that is not UTF-8 one with ReasonNotUTF8.
func DecodeBatch(body string) (Batch, error) {
	malformed := func(format string, args ...any) (Batch, error) {
		return Batch{}, Permanent(ReasonMalformed, fmt.Errorf(format, args...))
	}
	var w wireBatch
	switch err := json.Unmarshal([]byte(body), &w); {
	case errors.Is(err, publish.ErrNotUTF8):
		return Batch{}, Permanent(ReasonNotUTF8, fmt.Errorf("read a batch: %w", err))
	case err != nil:
		return malformed("the body is not a batch: %w", err)
	}
	b := Batch(w.plainBatch)
	b.DispatchedAt = time.UnixMilli(w.DispatchedAt).UTC()
	switch {
	case b.ID == "":
		return malformed("the body is not a batch: it has no id")
	case len(b.Messages) == 0:
		return malformed("batch %s has no messages", b.ID)
	case len(b.Connections)+len(b.Settling) == 0:
		return malformed("batch %s has no connections", b.ID)
	case b.Attempt < 0 || b.Full < 0 || b.Confirmations < 0:
		return malformed("batch %s: a count is negative: attempt %d, full %d, confirmations %d",
			b.ID, b.Attempt, b.Full, b.Confirmations)
	}
	return b, nil
}
