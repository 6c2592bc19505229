package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"fanfare/loadtest/payload"

	"github.com/gobwas/ws"
)

// fault decides what happens to frames. Its methods are called concurrently.
type fault interface {
	// payload handles the n-th payload, from 0, for a peer. The relay sends nothing itself; payload must.
	payload(c *peer, n int, text []byte) error
	// upward reports whether the n-th frame, from 0, of a peer may pass to the server.
	upward(c *peer, n int) bool
}

// relay stands between the harness and a WebSocket server and injects a fault. It passes the handshake and the frames
// of the client unchanged. Of the server's frames it hands the payloads of a load test to the fault. It is safe for
// concurrent use.
type relay struct {
	upstream string
	fault    fault

	mu      sync.Mutex
	clients []*peer
	closed  bool

	listener net.Listener
	running  sync.WaitGroup
}

// peer is one relayed connection.
type peer struct {
	number int // in the order of connecting, from 0
	relay  *relay
	down   net.Conn // to the client
	up     net.Conn // to the server

	mu sync.Mutex // one frame at a time to the client
}

// newRelay returns a relay from l to the server at upstream (host:port). It runs until Close.
func newRelay(l net.Listener, upstream string, fault fault) *relay {
	r := &relay{upstream: upstream, fault: fault, listener: l}
	r.running.Go(r.accept)
	return r
}

// Close ends all connections and returns when all goroutines of the relay have ended.
func (r *relay) Close() {
	r.mu.Lock()
	r.closed = true
	for _, c := range r.clients {
		c.hangUp()
	}
	r.mu.Unlock()
	r.listener.Close()
	r.running.Wait()
}

func (r *relay) accept() {
	for {
		down, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		r.running.Go(func() {
			defer down.Close()
			var d net.Dialer
			up, err := d.DialContext(context.Background(), "tcp", r.upstream)
			if err != nil {
				return // the client sees that its connection closes
			}
			defer up.Close()
			r.mu.Lock()
			if r.closed {
				r.mu.Unlock()
				return
			}
			c := &peer{number: len(r.clients), relay: r, down: down, up: up}
			r.clients = append(r.clients, c)
			r.mu.Unlock()
			r.running.Go(func() {
				_ = c.upward()
				c.hangUp()
			})
			_ = c.downward() // when one side ends, both are closed
		})
	}
}

// peer returns the peer of that number, nil if there is none.
func (r *relay) peer(number int) *peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if number < 0 || number >= len(r.clients) {
		return nil
	}
	return r.clients[number]
}

// hangUp closes both connections without a close frame.
func (c *peer) hangUp() {
	c.down.Close()
	c.up.Close()
}

// send sends a text to the client.
func (c *peer) send(text []byte) error { return c.write(ws.NewTextFrame(text)) }

func (c *peer) write(f ws.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.down.Write(ws.MustCompileFrame(f)); err != nil {
		return fmt.Errorf("relay: send to client: %w", err)
	}
	return nil
}

// upward passes the request of the handshake and then whole frames, still masked.
func (c *peer) upward() error {
	r := bufio.NewReader(c.down)
	if err := passHead(r, c.up); err != nil {
		return err
	}
	for n := 0; ; n++ {
		h, body, err := frame(r)
		if err != nil {
			return err
		}
		if h.OpCode.IsData() && !c.relay.fault.upward(c, n) {
			continue
		}
		if _, err := c.up.Write(ws.MustCompileFrame(ws.Frame{Header: h, Payload: body})); err != nil {
			return err
		}
	}
}

func (c *peer) downward() error {
	r := bufio.NewReader(c.up)
	if err := passHead(r, c.down); err != nil {
		return err
	}
	for n := 0; ; {
		h, body, err := frame(r)
		if err != nil {
			return err
		}
		if h.OpCode == ws.OpText && h.Fin && payload.Run(body) != "" {
			err = c.relay.fault.payload(c, n, body)
			n++
		} else {
			err = c.write(ws.Frame{Header: h, Payload: body})
		}
		if err != nil {
			return err
		}
	}
}

// passHead passes the head of an HTTP message, up to its empty line.
func passHead(r *bufio.Reader, w io.Writer) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
		if len(line) <= len("\r\n") {
			return nil
		}
	}
}

var errTooLarge = errors.New("relay: frame too large")

func frame(r io.Reader) (ws.Header, []byte, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return h, nil, err
	}
	if h.Length > payload.MaxSize*2 {
		return h, nil, errTooLarge
	}
	body := make([]byte, h.Length)
	_, err = io.ReadFull(r, body)
	return h, body, err
}
