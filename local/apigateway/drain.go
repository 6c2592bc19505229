package apigateway

import "sync"

// drainGroup counts running operations for a shutdown. Unlike a sync.WaitGroup it refuses new ones once it is closed.
// The zero value is open.
type drainGroup struct {
	mu      sync.Mutex
	n       int
	closed  bool
	drained chan struct{} // closed when closed is set and n is 0
}

// add counts one more operation. It returns false if the group is closed.
func (g *drainGroup) add() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.n++
	return true
}

// done ends an operation for which add returned true.
func (g *drainGroup) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	if g.closed && g.n == 0 {
		close(g.drained)
	}
}

func (g *drainGroup) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// close returns a channel that is closed when all operations are done. It may be called again.
func (g *drainGroup) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		g.drained = make(chan struct{})
		if g.n == 0 {
			close(g.drained)
		}
	}
	return g.drained
}
