package doctor

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"fanfare/loadtest/payload"
	"fanfare/loadtest/timing"
)

// Faithful passes everything. Faults embed it for what they leave alone.
type Faithful struct{}

// Payload passes the payload.
func (Faithful) Payload(c *Client, n int, text []byte) error { return c.Send(text) }

// Upward lets everything pass.
func (Faithful) Upward(*Client, int) bool { return true }

// At names one delivery: the Nth payload, from 0, of the client of that number.
type At struct{ Client, Nth int }

func (a At) is(c *Client, n int) bool { return c.Number == a.Client && n == a.Nth }

// Drop loses one delivery.
type Drop struct {
	Faithful
	At
}

// Payload passes all but one.
func (f Drop) Payload(c *Client, n int, text []byte) error {
	if f.is(c, n) {
		return nil
	}
	return c.Send(text)
}

// Duplicate delivers one twice.
type Duplicate struct {
	Faithful
	At
}

// Payload passes all, and one again.
func (f Duplicate) Payload(c *Client, n int, text []byte) error {
	if f.is(c, n) {
		if err := c.Send(text); err != nil {
			return err
		}
	}
	return c.Send(text)
}

// Swap lets one delivery and the one after it change places.
type Swap struct {
	Faithful
	At
	held []byte
}

// Payload is called for one client by one goroutine, so held needs no lock.
func (f *Swap) Payload(c *Client, n int, text []byte) error {
	switch {
	case f.is(c, n):
		f.held = bytes.Clone(text)
		return nil
	case f.is(c, n-1):
		if err := c.Send(text); err != nil {
			return err
		}
		return c.Send(f.held)
	}
	return c.Send(text)
}

// Corrupt changes one bit of one delivery.
type Corrupt struct {
	Faithful
	At
}

// Payload passes all, one of them changed near its end.
func (f Corrupt) Payload(c *Client, n int, text []byte) error {
	if f.is(c, n) {
		text = bytes.Clone(text)
		text[len(text)-5] ^= 1
	}
	return c.Send(text)
}

// Misdeliver hands one delivery to another client, behind that client's own copy.
type Misdeliver struct {
	Faithful
	At
	To int

	mu   sync.Mutex
	own  bool   // the other client has had its own
	held []byte // until then
}

// Payload passes all, one of them to the wrong client.
func (f *Misdeliver) Payload(c *Client, n int, text []byte) error {
	if f.is(c, n) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.own {
			f.held = bytes.Clone(text)
			return nil
		}
		return c.Relay().Client(f.To).Send(text)
	}
	if err := c.Send(text); err != nil || c.Number != f.To || n != f.Nth {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.own = true; f.held == nil {
		return nil
	}
	return c.Send(f.held)
}

// Inject lets a stranger's text slip in before one delivery.
type Inject struct {
	Faithful
	At
	Text string
}

// Payload passes all, and the stranger's.
func (f Inject) Payload(c *Client, n int, text []byte) error {
	if f.is(c, n) {
		if err := c.Send([]byte(f.Text)); err != nil {
			return err
		}
	}
	return c.Send(text)
}

// HangUp closes a client's connection in place of one delivery.
type HangUp struct {
	Faithful
	At
}

// Payload passes all until the connection is closed.
func (f HangUp) Payload(c *Client, n int, text []byte) error {
	if f.is(c, n) {
		c.HangUp()
	}
	return c.Send(text)
}

// Swallow loses one message on its way to the server: the Nth of whoever publishes.
type Swallow struct {
	Faithful
	Nth int
}

// Upward lets all pass but one.
func (f Swallow) Upward(c *Client, n int) bool { return n != f.Nth }

// Stall holds everything to everybody back for a while, from when the Nth payload of the first client arrives, and notes
// how long after its intended time it passed each payload on.
type Stall struct {
	Faithful
	Nth int
	For time.Duration

	mu     sync.Mutex
	until  time.Time
	passed []time.Duration
}

// Payload waits while the stall lasts.
func (f *Stall) Payload(c *Client, n int, text []byte) error {
	f.mu.Lock()
	if n == f.Nth && f.until.IsZero() {
		f.until = time.Now().Add(f.For)
	}
	wait := time.Until(f.until)
	f.mu.Unlock()
	time.Sleep(wait) // the fault itself; it ends by itself
	err := c.Send(text)
	if h, _, readable := payload.Recognise(text, payload.Run(text)); readable {
		f.mu.Lock()
		f.passed = append(f.passed, -timing.Until(h.At))
		f.mu.Unlock()
	}
	return err
}

// Passed returns how long after their intended times payloads were passed on, in rising order.
func (f *Stall) Passed() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.passed))
}
