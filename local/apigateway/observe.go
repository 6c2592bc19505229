package apigateway

import "time"

// Kind is what an Event is about.
type Kind string

// The kinds of events, and the fields that each has besides Time, Kind and Connection.
const (
	// Connected: a client was let in; Duration is the handshake's.
	Connected Kind = "connected"
	// Refused: a handshake failed; Status is what the client was told, Reason who decided.
	Refused Kind = "refused"
	// Received: a client's message has been answered by its route; Route, Bytes, Duration; Err when that failed.
	Received Kind = "received"
	// Posted: a management request; Method, Status, Bytes; Reason when it was not a success. Status 0 was not answered.
	Posted Kind = "posted"
	// Disconnected: a connection is over and its $disconnect has run; Code, Reason, Duration of the connection; Err
	// when $disconnect failed.
	Disconnected Kind = "disconnected"
)

// Event is something that happened, for whoever prints a line about it.
type Event struct {
	Time       time.Time
	Kind       Kind
	Connection string
	Route      string
	Method     string
	Status     int
	Code       uint16
	Reason     string
	Bytes      int
	Duration   time.Duration
	Err        error
}

func (s *Server) observe(e Event) {
	if s.options.Observe != nil {
		e.Time = s.clock.Now()
		s.options.Observe(e)
	}
}
