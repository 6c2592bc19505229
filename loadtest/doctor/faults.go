package doctor

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"fanfare/loadtest/payload"
	"fanfare/loadtest/timing"
)

// passAll passes everything. Faults embed it for what they do not change.
type passAll struct{}

func (passAll) payload(c *peer, n int, text []byte) error { return c.send(text) }

func (passAll) upward(*peer, int) bool { return true }

// target names one delivery: the nth payload, from 0, to the peer of that number.
type target struct{ peer, nth int }

func (a target) is(c *peer, n int) bool { return c.number == a.peer && n == a.nth }

// drop loses one delivery.
type drop struct {
	passAll
	target
}

func (f drop) payload(c *peer, n int, text []byte) error {
	if f.is(c, n) {
		return nil
	}
	return c.send(text)
}

// duplicate sends one delivery twice.
type duplicate struct {
	passAll
	target
}

func (f duplicate) payload(c *peer, n int, text []byte) error {
	if f.is(c, n) {
		if err := c.send(text); err != nil {
			return err
		}
	}
	return c.send(text)
}

// swap exchanges one delivery with the next one to the same peer.
type swap struct {
	passAll
	target
	held []byte
}

// payload is called for one peer by one goroutine, so held needs no lock.
func (f *swap) payload(c *peer, n int, text []byte) error {
	switch {
	case f.is(c, n):
		f.held = bytes.Clone(text)
		return nil
	case f.is(c, n-1):
		if err := c.send(text); err != nil {
			return err
		}
		return c.send(f.held)
	}
	return c.send(text)
}

// corrupt changes one bit near the end of one delivery.
type corrupt struct {
	passAll
	target
}

func (f corrupt) payload(c *peer, n int, text []byte) error {
	if f.is(c, n) {
		text = bytes.Clone(text)
		text[len(text)-5] ^= 1
	}
	return c.send(text)
}

// misdeliver sends one delivery to another peer, after that peer's own copy of the message.
type misdeliver struct {
	passAll
	target
	to int

	mu   sync.Mutex
	own  bool   // the other peer has received its own copy
	held []byte // the delivery, while own is false
}

func (f *misdeliver) payload(c *peer, n int, text []byte) error {
	if f.is(c, n) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.own {
			f.held = bytes.Clone(text)
			return nil
		}
		return c.relay.peer(f.to).send(text)
	}
	if err := c.send(text); err != nil || c.number != f.to || n != f.nth {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.own = true; f.held == nil {
		return nil
	}
	return c.send(f.held)
}

// inject sends a text that the harness did not publish before one delivery.
type inject struct {
	passAll
	target
	text string
}

func (f inject) payload(c *peer, n int, text []byte) error {
	if f.is(c, n) {
		if err := c.send([]byte(f.text)); err != nil {
			return err
		}
	}
	return c.send(text)
}

// hangUp closes a peer's connection instead of one delivery.
type hangUp struct {
	passAll
	target
}

func (f hangUp) payload(c *peer, n int, text []byte) error {
	if f.is(c, n) {
		c.hangUp()
	}
	return c.send(text)
}

// lose drops one message on its way to the server: the nth of each publisher.
type lose struct {
	passAll
	nth int
}

func (f lose) upward(c *peer, n int) bool { return n != f.nth }

// stall delays all payloads to all peers: when the nth payload of any peer first arrives, for the given length.
type stall struct {
	passAll
	nth    int
	length time.Duration

	mu     sync.Mutex
	until  time.Time
	passed []time.Duration
}

func (f *stall) payload(c *peer, n int, text []byte) error {
	f.mu.Lock()
	if n == f.nth && f.until.IsZero() {
		f.until = time.Now().Add(f.length)
	}
	wait := time.Until(f.until)
	f.mu.Unlock()
	time.Sleep(wait) // this is the fault; it ends by itself
	err := c.send(text)
	if h, _, readable := payload.Recognise(text, payload.Run(text)); readable {
		f.mu.Lock()
		f.passed = append(f.passed, -timing.Until(h.At))
		f.mu.Unlock()
	}
	return err
}

// delays returns the time from each payload's intended time until the relay passed it on, in ascending order.
func (f *stall) delays() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.passed))
}
