package apigateway

import (
	"fmt"
	"sync"
	"time"
)

// maxWaiting limits the messages of a connection that wait while MessagesInFlight others are handled. At the limit the
// connection is not read.
const maxWaiting = 16

// inbox holds the waiting messages of a connection.
type inbox struct {
	mu      sync.Mutex
	changed sync.Cond
	waiting [][]byte
	working int
}

// receive accepts a message from the client. The reading goroutine calls it; it blocks while the inbox is full.
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

// waitStarted waits until no message is waiting, so that $disconnect does not overtake one.
func (in *inbox) waitStarted() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.waiting) > 0 {
		in.changed.Wait()
	}
}

// waitIdle waits until no message is being handled.
func (in *inbox) waitIdle() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.working > 0 {
		in.changed.Wait()
	}
}

// handle invokes the route of a message and sends the reply, if there is one.
func (c *connection) handle(message []byte) {
	s := c.server
	began := time.Now()
	r := s.routeFor(message)
	observed := Event{Kind: Received, Connection: c.id, Bytes: len(message)}
	switch now := s.clock.Now(); {
	case !take(s.requests, now) || r != nil && !take(r.throttle, now):
		// AWS does not document its frame. The text is that of REST APIs, in the form of other frames.
		observed.Err = errThrottled
		c.sendError("Too Many Requests", newID())
	case r == nil:
		observed.Err = errNoRoute
		c.sendError("Forbidden", newID())
	default:
		observed.Route = r.key
		observed.Err = c.answer(r, message)
	}
	observed.Duration = time.Since(began)
	s.observe(observed)
}

type routeError string

func (e routeError) Error() string { return string(e) }

const (
	errThrottled = routeError("message throttled")
	errNoRoute   = routeError("no route for message")
	errReplyLost = routeError("cannot send reply")
)

// statusError is the status of an integration's answer that is not 2xx.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("integration answered with status %d", int(e))
}

// routeFor returns the route of a message, or nil.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html
func (s *Server) routeFor(message []byte) *route {
	key, ok := s.selection.evaluate(message)
	// A client must not be able to invoke $connect or $disconnect.
	if ok && key != connectRoute && key != disconnectRoute {
		if r := s.routes[key]; r != nil {
			return r
		}
	}
	return s.routes[defaultRoute]
}

// answer invokes the route's integration and sends its reply, or an error frame, to the client.
func (c *connection) answer(r *route, message []byte) error {
	s := c.server
	rc := s.newRequestContext(c, r.key, "MESSAGE")
	rc.MessageID = newID()
	reply, err := r.target.respond(s.base, request{
		event: s.messageEvent(rc, string(message)), body: message, trace: newTrace(time.Now()),
	})
	if err != nil {
		s.log.Error("integration failed", "connection_id", c.id, "route", r.key, "error", err)
		c.sendError("Internal server error", rc.RequestID)
		return err
	}
	if reply.status/100 != 2 {
		if r.replies {
			// Not documented; the only public report of such a case says so.
			c.sendError("Internal server error", rc.RequestID)
		}
		return statusError(reply.status)
	}
	if !r.replies {
		return nil
	}
	if reply.body != "" && c.send([]byte(reply.body)) != nil {
		return errReplyLost
	}
	return nil
}

// sendError sends an error frame of API Gateway. Its spaces are those of captured frames.
func (c *connection) sendError(text, requestID string) {
	frame := `{"message": "` + text + `", "connectionId":"` + c.id + `", "requestId":"` + requestID + `"}`
	if err := c.send([]byte(frame)); err != nil {
		c.server.log.Debug("cannot send error frame", "connection_id", c.id, "error", err)
	}
}
