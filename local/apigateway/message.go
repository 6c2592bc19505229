package apigateway

import (
	"sync"
	"time"
)

// maxWaiting is how many messages of a connection may wait while MessagesInFlight others are worked on. A client that
// sends more is not read until one is taken up.
const maxWaiting = 16

// inbox holds the messages of a connection that wait for their turn.
type inbox struct {
	mu      sync.Mutex
	changed sync.Cond
	waiting [][]byte
	working int
}

// receive takes a message from the client, in the reading goroutine.
func (c *connection) receive(message []byte) {
	c.lastActive.Store(c.server.clock.Now().UnixMilli())
	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	if closing {
		return
	}
	in := c.inbox
	if in == nil {
		in = &inbox{}
		in.changed.L = &in.mu
		c.inbox = in
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.waiting) >= maxWaiting {
		in.changed.Wait()
	}
	in.waiting = append(in.waiting, message)
	if in.working < c.server.options.MessagesInFlight {
		in.working++
		go c.work(in)
	}
}

// work handles waiting messages until there are none.
func (c *connection) work(in *inbox) {
	for {
		in.mu.Lock()
		if len(in.waiting) == 0 {
			in.working--
			in.changed.Broadcast()
			in.mu.Unlock()
			return
		}
		message := in.waiting[0]
		in.waiting[0] = nil
		if in.waiting = in.waiting[1:]; len(in.waiting) == 0 {
			in.waiting = nil
		}
		in.changed.Broadcast()
		in.mu.Unlock()
		c.handle(message)
	}
}

// taken waits until every message has been taken up: $disconnect does not overtake them.
func (in *inbox) taken() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.waiting) > 0 {
		in.changed.Wait()
	}
}

// finished waits until no message is worked on.
func (in *inbox) finished() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.working > 0 {
		in.changed.Wait()
	}
}

// handle takes a message to its route and the answer, if there is one, to the client.
func (c *connection) handle(message []byte) {
	s := c.server
	began := time.Now()
	r := s.pick(message)
	happened := Event{Kind: Received, Connection: c.id, Bytes: len(message)}
	switch now := s.clock.Now(); {
	case !s.requests.take(now) || r != nil && !r.throttle.take(now):
		// What AWS sends is not documented; this is its text for REST APIs, in the form of its other frames.
		happened.Err = errThrottled
		c.complain("Too Many Requests", newID())
	case r == nil:
		happened.Err = errNoRoute
		c.complain("Forbidden", newID())
	default:
		happened.Route = r.key
		happened.Err = c.answer(r, message)
	}
	happened.Duration = time.Since(began)
	s.observe(happened)
}

type routeError string

func (e routeError) Error() string { return string(e) }

const (
	errThrottled = routeError("the message is throttled")
	errNoRoute   = routeError("no route for the message")
	errNotOK     = routeError("the integration's status is not 2xx")
	errReplyLost = routeError("the reply cannot be sent")
)

// pick returns the route of a message, or nil.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html
func (s *Server) pick(message []byte) *route {
	key, ok := s.selection.evaluate(message)
	// A client must not be able to play $connect or $disconnect.
	if ok && key != connectRoute && key != disconnectRoute {
		if r := s.routes[key]; r != nil {
			return r
		}
	}
	return s.routes[defaultRoute]
}

// answer has the route's integration answer a message, and tells the client what there is to tell.
func (c *connection) answer(r *route, message []byte) error {
	s := c.server
	rc := s.newRequestContext(c, r.key, "MESSAGE")
	rc.MessageID = newID()
	said, err := r.target.respond(s.base, request{
		event: s.messageEvent(rc, string(message)), body: message, trace: newTrace(time.Now()),
	})
	if err != nil {
		s.log.Error("answer a message", "connection_id", c.id, "route", r.key, "error", err)
		c.complain("Internal server error", rc.RequestID)
		return err
	}
	if !r.replies {
		return nil
	}
	if said.status/100 != 2 {
		// The only public report of such an answer on a route with a response says so; nothing is documented.
		c.complain("Internal server error", rc.RequestID)
		return errNotOK
	}
	if said.body != "" && c.send([]byte(said.body)) != nil {
		return errReplyLost
	}
	return nil
}

// complain sends a frame of API Gateway's own. Its spaces are as captured.
func (c *connection) complain(text, requestID string) {
	frame := `{"message": "` + text + `", "connectionId":"` + c.id + `", "requestId":"` + requestID + `"}`
	if err := c.send([]byte(frame)); err != nil {
		c.server.log.Debug("tell a client of an error", "connection_id", c.id, "error", err)
	}
}
