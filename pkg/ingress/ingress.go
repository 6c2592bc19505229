// Package ingress decides what happens when a client connects, leaves or sends a frame. It never waits for a delivery:
// a frame is on the broadcast queue, or its sender is told why not, and that is all.
package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"fanfare/pkg/access"
	"fanfare/pkg/broadcast"
)

// Registry keeps the rows of open connections. Both calls may be repeated without harm.
type Registry interface {
	Add(ctx context.Context, c broadcast.Connection) error
	Remove(ctx context.Context, connectionID string) error
}

// Publisher stores a payload on the broadcast queue and returns the broadcast's id. It returns only once the queue has
// stored it: an acknowledgement rests on that.
type Publisher interface {
	Publish(ctx context.Context, payload []byte) (id string, err error)
}

// Quota tells whether a connection may publish once more, and counts it if so.
type Quota interface {
	Take(ctx context.Context, connectionID string) (bool, error)
}

// connectTime is how long after a client's arrival its row may be written. API Gateway answers 410 for a connection until
// the $connect function has returned, and once a connection is of SettlingAge a 410 means that it is gone: by then the
// function's answer has to have arrived.
const connectTime = broadcast.SettlingAge - 2*time.Second

// Connect writes the row of a connection that API Gateway is about to open, and that arrived at the given time. An error
// refuses the client; so does a row that could not be written in time, for the client would soon be taken for gone.
func Connect(ctx context.Context, r Registry, connectionID string, at time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, at.Add(connectTime))
	defer cancel()
	err := r.Add(ctx, broadcast.Connection{ID: connectionID, ConnectedAt: at})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("register connection %s: %w", connectionID, err)
	}
	return nil
}

// Disconnect deletes the row of a connection that has closed. API Gateway promises to call it no more than as a best
// effort; the sender deletes what is left when it learns that a connection is gone.
func Disconnect(ctx context.Context, r Registry, connectionID string) error {
	if err := r.Remove(ctx, connectionID); err != nil {
		return fmt.Errorf("unregister connection %s: %w", connectionID, err)
	}
	return nil
}

// Codes of the error frame that a publishing client gets, beside those of package access.
const (
	CodeEmpty       = "empty"             // the frame had no payload
	CodeTooLarge    = "payload_too_large" // more than a client may publish
	CodeTooFast     = "rate_exceeded"     // more often than a connection may publish
	CodeUnavailable = "unavailable"       // the queue did not take it: try again
)

// Reply is the frame that answers a publishing client.
type Reply struct {
	Type    string `json:"type"`              // "ack" or "error"
	ID      string `json:"id,omitempty"`      // of the broadcast, in an ack
	Code    string `json:"code,omitempty"`    // in an error, one of the codes
	Message string `json:"message,omitempty"` // in an error, for people
}

// Frame returns the reply as JSON.
func (r Reply) Frame() string {
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // four strings always marshal
	}
	return string(data)
}

// Door is the way of clients' frames to the broadcast queue. It is safe for concurrent use if its parts are.
type Door struct {
	Queue Publisher
	// MaxBytes is the largest payload that a client may publish; 0 means broadcast.MaxPayloadBytes.
	MaxBytes int
	// Quota limits how often each connection may publish; nil does not.
	Quota Quota
}

// Client is who sent a frame.
type Client struct {
	Connection string
	// Refusal is why the client may not publish; nil if it may.
	Refusal *access.Refusal
}

// Publish puts a client's frame on the broadcast queue, as it came. The reply is for the client in every case; the error
// is for the operator, and nil where only the client can mend what was wrong. What costs nothing is checked first, so that
// a client without the right to publish never causes a write.
func (d Door) Publish(ctx context.Context, c Client, frame []byte) (Reply, error) {
	most := d.MaxBytes
	if most == 0 {
		most = broadcast.MaxPayloadBytes
	}
	switch {
	case c.Refusal != nil:
		return refuse(c.Refusal.Code, c.Refusal.Message), nil
	case len(frame) == 0:
		return refuse(CodeEmpty, "An empty frame cannot be broadcast."), nil
	case len(frame) > most:
		return refuse(CodeTooLarge, fmt.Sprintf("A payload may have at most %d bytes.", most)), nil
	}
	unavailable := refuse(CodeUnavailable, "The message was not accepted. Try again.")
	if d.Quota != nil {
		switch ok, err := d.Quota.Take(ctx, c.Connection); {
		case err != nil:
			return unavailable, err
		case !ok:
			return refuse(CodeTooFast, "You publish too often. Wait a moment."), nil
		}
	}
	id, err := d.Queue.Publish(ctx, frame)
	if err != nil {
		return unavailable, fmt.Errorf("publish a client's frame: %w", err)
	}
	return Reply{Type: "ack", ID: id}, nil
}

func refuse(code, message string) Reply { return Reply{Type: "error", Code: code, Message: message} }
