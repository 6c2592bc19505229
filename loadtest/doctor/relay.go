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

// Fault decides what becomes of payloads. Its methods are called by many goroutines at once.
type Fault interface {
	// Payload takes the n-th payload, from 0, for a client. Whatever shall reach anybody, it has to send.
	Payload(c *Client, n int, text []byte) error
	// Upward takes the n-th frame, from 0, of a client and tells whether it may pass.
	Upward(c *Client, n int) bool
}

// Relay is a relay to one server. Its methods may be called concurrently.
type Relay struct {
	upstream string
	fault    Fault

	mu      sync.Mutex
	clients []*Client
	closed  bool

	listener net.Listener
	running  sync.WaitGroup
}

// Client is one relayed connection.
type Client struct {
	Number int // counts the connections from 0
	relay  *Relay
	down   net.Conn
	up     net.Conn

	mu sync.Mutex // one frame at a time towards the client
}

// New returns a relay from l to the server at upstream (host:port). It runs until Close.
func New(l net.Listener, upstream string, fault Fault) *Relay {
	r := &Relay{upstream: upstream, fault: fault, listener: l}
	r.running.Go(r.accept)
	return r
}

// Close ends all connections and returns when nothing of the relay runs any more.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	for _, c := range r.clients {
		c.HangUp()
	}
	r.mu.Unlock()
	r.listener.Close()
	r.running.Wait()
}

func (r *Relay) accept() {
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
				return // the client hears of it by its closed connection
			}
			defer up.Close()
			r.mu.Lock()
			if r.closed {
				r.mu.Unlock()
				return
			}
			c := &Client{Number: len(r.clients), relay: r, down: down, up: up}
			r.clients = append(r.clients, c)
			r.mu.Unlock()
			r.running.Go(func() {
				_ = c.upward()
				c.HangUp()
			})
			_ = c.downward() // either side's end is the end of both
		})
	}
}

// Client returns the client of that number, nil if there is none.
func (r *Relay) Client(number int) *Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if number < 0 || number >= len(r.clients) {
		return nil
	}
	return r.clients[number]
}

// Relay returns the relay that the client is connected through.
func (c *Client) Relay() *Relay { return c.relay }

// HangUp closes the client's connection without a word.
func (c *Client) HangUp() {
	c.down.Close()
	c.up.Close()
}

// Send sends a text to the client.
func (c *Client) Send(text []byte) error { return c.send(ws.NewTextFrame(text)) }

func (c *Client) send(f ws.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.down.Write(ws.MustCompileFrame(f)); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}

// upward passes the handshake's request and then whole frames, as masked as they come.
func (c *Client) upward() error {
	r := bufio.NewReader(c.down)
	if err := passHead(r, c.up); err != nil {
		return err
	}
	for n := 0; ; n++ {
		h, body, err := frame(r)
		if err != nil {
			return err
		}
		if h.OpCode.IsData() && !c.relay.fault.Upward(c, n) {
			continue
		}
		if _, err := c.up.Write(ws.MustCompileFrame(ws.Frame{Header: h, Payload: body})); err != nil {
			return err
		}
	}
}

func (c *Client) downward() error {
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
			err = c.relay.fault.Payload(c, n, body)
			n++
		} else {
			err = c.send(ws.Frame{Header: h, Payload: body})
		}
		if err != nil {
			return err
		}
	}
}

// passHead passes an HTTP head, up to its empty line.
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
