package apigateway

import "time"

// Kind is the kind of an Event.
type Kind string

// The kinds of events, each with the fields that it sets besides Time, Kind and Connection.
const (
	// Connected: a handshake succeeded. Duration is that of the handshake.
	Connected Kind = "connected"
	// Refused: a handshake failed. Status is the HTTP status, Reason names the part of the gateway that refused.
	Refused Kind = "refused"
	// Received: a client's message was handled. Sets Route, Bytes and Duration, and Err on failure, which an answer
	// that is not 2xx is, too.
	Received Kind = "received"
	// Posted: a management request. Sets Method, Status and Bytes, and Reason on failure. Status is 0 if there was
	// no response.
	Posted Kind = "posted"
	// Disconnected: a connection ended and its $disconnect returned. Sets Code, Reason and Duration, which is that of
	// the connection, and Err if $disconnect failed.
	Disconnected Kind = "disconnected"
)

// Event describes one occurrence at the API, for Options.Observe.
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
