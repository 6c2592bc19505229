package transport

import "net"

// BreakIdle makes the next write to each idle connection fail.
func (p *Pool) BreakIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.raw.(*net.TCPConn).CloseWrite()
	}
}
