package broadcast

import "time"

// Connection is an open WebSocket connection as its row describes it.
type Connection struct {
	ID          string
	ConnectedAt time.Time
}

// Settling reports whether a 410 for the connection may still mean "not yet open" at the given time.
func (c Connection) Settling(at time.Time) bool { return at.Sub(c.ConnectedAt) < SettlingAge }
