package transport

import "net"

// EmptyOK is emptyOK.
func EmptyOK(b []byte) int { return emptyOK(b) }

// BreakIdle makes the next write to each idle connection fail.
func (p *Pool) BreakIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.raw.(*net.TCPConn).CloseWrite()
	}
}
