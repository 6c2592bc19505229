package broadcast

import "time"

// Connection is an open WebSocket connection as its row describes it.
type Connection struct {
	ID          string
	ConnectedAt time.Time
	// GoneAt is the time at which a post was first answered 410; zero if none was, or if a later post succeeded.
	GoneAt time.Time
}

// Settling reports whether a 410 at the given time is not yet proof that the connection is gone: it may still be
// opening, or the first 410 is too recent to be confirmed by a second one.
func (c Connection) Settling(at time.Time) bool {
	return at.Sub(c.ConnectedAt) < SettlingAge || c.Suspect() && at.Sub(c.GoneAt) < SettlingAge
}

// Suspect reports whether the last post to the connection that is noted in its row was answered 410.
func (c Connection) Suspect() bool { return !c.GoneAt.IsZero() }
