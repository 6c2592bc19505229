package apigateway

import "sync"

// tally counts what must be over before a shutdown is, and lets nothing new begin after close. The zero value is open.
type tally struct {
	mu     sync.Mutex
	n      int
	closed bool
	over   chan struct{}
}

// enter counts one more, unless the tally is closed.
func (t *tally) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.n++
	return true
}

func (t *tally) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	if t.closed && t.n == 0 {
		close(t.over)
	}
}

func (t *tally) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// close returns a channel that is closed once all that entered have left. It may be called again.
func (t *tally) close() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		t.over = make(chan struct{})
		if t.n == 0 {
			close(t.over)
		}
	}
	return t.over
}
