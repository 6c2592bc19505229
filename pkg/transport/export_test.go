package transport

import (
	"bufio"
	"net"
	"net/http"
)

// EmptyOK is emptyOK.
func EmptyOK(b []byte) int { return emptyOK(b) }

// Exchange makes one exchange over n.
func Exchange(n net.Conn, request []byte, r *http.Request) (response *http.Response, reusable bool, err error) {
	c := &conn{net: n, raw: n}
	c.reader = bufio.NewReader(c)
	return c.exchange(r.Context(), request, r)
}

// BreakIdle makes the next write to each idle connection fail.
func (p *Pool) BreakIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.raw.(*net.TCPConn).CloseWrite()
	}
}
