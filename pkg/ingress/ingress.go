// Package ingress decides what happens when a client connects, leaves or sends a frame. It never waits for a delivery:
// a frame is on the broadcast queue, or its sender is told why not, and that is all.
package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

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

// Codes of the error frame that a publishing client gets.
const (
	CodeEmpty       = "empty"             // the frame had no payload
	CodeTooLarge    = "payload_too_large" // more than can be posted to anyone
	CodeUnavailable = "unavailable"       // the queue did not take it: try again
)

// Reply is the frame that answers a publishing client.
type Reply struct {
	Type    string `json:"type"`              // "ack" or "error"
	ID      string `json:"id,omitempty"`      // of the broadcast, in an ack
	Code    string `json:"code,omitempty"`    // in an error, one of the Code constants
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

// Publish puts a client's frame on the broadcast queue, as it came. The reply is for the client in every case; the error
// is for the operator, and nil where only the client can mend what was wrong.
func Publish(ctx context.Context, p Publisher, frame []byte) (Reply, error) {
	switch {
	case len(frame) == 0:
		return refuse(CodeEmpty, "An empty frame cannot be broadcast."), nil
	case len(frame) > broadcast.MaxPayloadBytes:
		return refuse(CodeTooLarge, fmt.Sprintf("A payload may have at most %d bytes.", broadcast.MaxPayloadBytes)), nil
	}
	id, err := p.Publish(ctx, frame)
	if err != nil {
		return refuse(CodeUnavailable, "The message was not accepted. Try again."), fmt.Errorf("publish a client's frame: %w", err)
	}
	return Reply{Type: "ack", ID: id}, nil
}

func refuse(code, message string) Reply { return Reply{Type: "error", Code: code, Message: message} }
