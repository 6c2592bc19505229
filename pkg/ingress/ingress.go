// Package ingress decides what happens when a client connects, disconnects or sends a frame. It never waits for a
// delivery: a frame is stored on the broadcast queue, or its sender receives an error frame.
package ingress

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"fanfare/pkg/access"
	"fanfare/pkg/broadcast"
	"fanfare/publish"
)

// Registry stores the rows of open connections. Both methods are idempotent.
type Registry interface {
	Add(ctx context.Context, c broadcast.Connection) error
	Remove(ctx context.Context, connectionID string) error
}

// Queue stores a payload on the broadcast queue, as the broadcast with the id. It must not return nil before the
// payload is stored, because the client is then sent an acknowledgement. After an error the payload may be stored.
type Queue interface {
	Publish(ctx context.Context, id string, payload []byte) error
}

// Quota reports whether a connection may publish once more, and counts the publish if it may.
type Quota interface {
	Take(ctx context.Context, connectionID string) (bool, error)
}

// connectTime is the time after a client's arrival within which its row may be written. API Gateway answers 410 for a
// connection until the $connect function has returned, and from SettlingAge on a 410 means that the connection is gone.
// The function must have returned before.
const connectTime = broadcast.SettlingAge - 2*time.Second

// Connect writes the row of a connection that API Gateway is about to open; at is the time of the client's arrival. An
// error refuses the client. It is also an error if the row was not written within eight seconds of the arrival, because
// the connection could then be taken for gone.
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

// Disconnect deletes the row of a closed connection. API Gateway calls it on a best-effort basis only; the sender
// deletes the remaining rows when it finds that their connections are gone.
func Disconnect(ctx context.Context, r Registry, connectionID string) error {
	if err := r.Remove(ctx, connectionID); err != nil {
		return fmt.Errorf("unregister connection %s: %w", connectionID, err)
	}
	return nil
}

// Codes of the error frame for a publishing client, in addition to those of package access.
const (
	CodeEmpty       = "empty"             // the frame has no payload
	CodeTooLarge    = "payload_too_large" // the frame is larger than MaxBytes
	CodeTooFast     = "rate_exceeded"     // the connection's quota is used up
	CodeUnavailable = "unavailable"       // the message may have been stored, or not; a retry may broadcast it again
)

// Reply is the frame that answers a publishing client.
type Reply struct {
	Type    string `json:"type"`              // "ack" or "error"
	ID      string `json:"id,omitempty"`      // of an ack: the broadcast's id
	Code    string `json:"code,omitempty"`    // of an error: one of the codes
	Message string `json:"message,omitempty"` // of an error: its text
}

// Frame returns the reply as JSON.
func (r Reply) Frame() string {
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // four strings always marshal
	}
	return string(data)
}

// Publisher publishes clients' frames. It is safe for concurrent use if its fields are.
type Publisher struct {
	Queue Queue
	// MaxBytes is the size of the largest payload that a client may publish; 0 means broadcast.MaxPayloadBytes.
	MaxBytes int
	// Quota limits the rate of each connection; nil means no limit.
	Quota Quota
	// NewID returns the id of a new broadcast; nil means a random one that begins with publish.ClientIDPrefix.
	NewID func() string
}

// Client is the sender of a frame.
type Client struct {
	Connection string
	// Refusal is the reason if the client may not publish, else nil.
	Refusal *access.Refusal
}

// Publish puts a client's frame on the broadcast queue unchanged. The reply is for the client, also when there is an
// error. The error is for the operator; it is nil if the client's request was at fault. The checks that cost nothing
// come first, so that a client without the right to publish never causes a write.
func (p Publisher) Publish(ctx context.Context, c Client, frame []byte) (Reply, error) {
	maxBytes := p.MaxBytes
	if maxBytes == 0 {
		maxBytes = broadcast.MaxPayloadBytes
	}
	switch {
	case c.Refusal != nil:
		return refuse(c.Refusal.Code, c.Refusal.Message), nil
	case len(frame) == 0:
		return refuse(CodeEmpty, "An empty frame cannot be broadcast."), nil
	case len(frame) > maxBytes:
		return refuse(CodeTooLarge, fmt.Sprintf("A payload may have at most %d bytes.", maxBytes)), nil
	}
	if p.Quota != nil {
		switch ok, err := p.Quota.Take(ctx, c.Connection); {
		case err != nil:
			return refuse(CodeUnavailable, "The message was not accepted. Try again."), err
		case !ok:
			return refuse(CodeTooFast, "You publish too often. Wait a moment."), nil
		}
	}
	id := publish.ClientIDPrefix + rand.Text()
	if p.NewID != nil {
		id = p.NewID()
	}
	if err := p.Queue.Publish(ctx, id, frame); err != nil {
		return refuse(CodeUnavailable, "The message may or may not have been accepted. Sent again, it may arrive twice."),
			fmt.Errorf("publish a frame of connection %s: %w", c.Connection, err)
	}
	return Reply{Type: "ack", ID: id}, nil
}

func refuse(code, message string) Reply { return Reply{Type: "error", Code: code, Message: message} }
