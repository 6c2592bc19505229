// Package wsclient is a WebSocket client for tests. It is built on github.com/coder/websocket, an implementation that
// shares no code with the server of local/apigateway.
package wsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// Options choose how a client connects and what becomes of its frames. The zero value keeps every frame.
type Options struct {
	Subprotocols []string    // of the handshake, in this order
	Header       http.Header // of the handshake
	// Receive gets the payload of every message instead of Frames and the methods that wait for a frame. It is called
	// from one goroutine, and may keep the payload.
	Receive func(payload []byte)
	// Ended is called once, after the last call of Receive, with the error that ended reading.
	Ended func(err error)
	// Resume is closed by the caller when the client is to begin reading; nil begins at once.
	Resume <-chan struct{}
}

// RefusedError is the error of a handshake that was answered with another status than 101.
type RefusedError struct{ Status int }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the handshake was refused with %d", e.Status)
}

// Client is an open connection. Its methods are safe for concurrent use.
type Client struct {
	conn    *websocket.Conn
	tcp     net.Conn
	options Options
	stopped chan struct{} // closed by Close and Abort, for a client that has not begun to read
	stop    func()
	ended   chan struct{} // closed when err is set

	err error // that ended reading

	mu      sync.Mutex
	frames  []string
	next    int           // index of the frame that Next returns
	reply   int           // index from which Reply searches
	changed chan struct{} // closed and replaced with every frame
}

// Dial connects. Its error is a *RefusedError if the server answers the handshake with another status than 101.
func Dial(ctx context.Context, url string, o Options) (*Client, error) {
	c := &Client{options: o, stopped: make(chan struct{}), ended: make(chan struct{}), changed: make(chan struct{})}
	c.stop = sync.OnceFunc(func() { close(c.stopped) })
	var dialer net.Dialer
	// With a transport for each client, DialContext is called once for it.
	transport := &http.Transport{DisableKeepAlives: true}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		c.tcp = conn
		return conn, err
	}
	conn, response, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: o.Header, Subprotocols: o.Subprotocols,
	})
	if err != nil {
		if response != nil && response.StatusCode != http.StatusSwitchingProtocols {
			return nil, &RefusedError{response.StatusCode}
		}
		return nil, err
	}
	conn.SetReadLimit(-1)
	c.conn = conn
	go c.read()
	return c, nil
}

func (c *Client) read() {
	defer close(c.ended)
	if c.options.Resume != nil {
		select {
		case <-c.options.Resume:
		case <-c.stopped:
		}
	}
	for {
		_, payload, err := c.conn.Read(context.Background())
		if err != nil {
			c.err = err
			if c.options.Ended != nil {
				c.options.Ended(err)
			}
			return
		}
		if c.options.Receive != nil {
			c.options.Receive(payload)
			continue
		}
		c.mu.Lock()
		c.frames = append(c.frames, string(payload))
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

// Subprotocol returns the sub-protocol that the server has chosen, or "".
func (c *Client) Subprotocol() string { return c.conn.Subprotocol() }

// NetConn returns the TCP connection, for tests that write frames which no client library would.
func (c *Client) NetConn() net.Conn { return c.tcp }

// Send sends text as one frame.
func (c *Client) Send(ctx context.Context, text string) error {
	return c.conn.Write(ctx, websocket.MessageText, []byte(text))
}

// Frames returns the payloads received so far, in order.
func (c *Client) Frames() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.frames)
}

// Next returns the first frame that Next has not returned before, and waits for it.
func (c *Client) Next(ctx context.Context) (frame string, err error) {
	err = c.wait(ctx, "a frame", func() bool {
		if c.next == len(c.frames) {
			return false
		}
		frame = c.frames[c.next]
		c.next++
		return true
	})
	return frame, err
}

// Await waits until a frame with exactly this payload has been received.
func (c *Client) Await(ctx context.Context, payload string) error {
	return c.wait(ctx, fmt.Sprintf("%.60q", payload), func() bool { return slices.Contains(c.frames, payload) })
}

// AwaitContaining waits until a frame that contains part has been received.
func (c *Client) AwaitContaining(ctx context.Context, part string) error {
	return c.wait(ctx, fmt.Sprintf("a frame with %.60q", part), func() bool {
		return slices.ContainsFunc(c.frames, func(frame string) bool { return strings.Contains(frame, part) })
	})
}

// AwaitClose waits until the connection has ended, and returns the code of the server's close frame, or -1 without one.
func (c *Client) AwaitClose(ctx context.Context) (code int, err error) {
	select {
	case <-c.ended:
		return int(websocket.CloseStatus(c.err)), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the end of the connection: %w", ctx.Err())
	}
}

// wait waits until found, which is called with c.mu held, reports true.
func (c *Client) wait(ctx context.Context, what string, found func() bool) error {
	for ended := false; ; {
		c.mu.Lock()
		ok, changed := found(), c.changed
		c.mu.Unlock()
		if ok {
			return nil
		}
		if ended {
			return fmt.Errorf("wait for %s: the connection has ended: %w", what, c.err)
		}
		select {
		case <-changed:
		case <-c.ended:
			ended = true // the last frame may have come in between
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
}

// Close leaves with the closing handshake, and waits for its end. Frames that arrive meanwhile may be dropped.
func (c *Client) Close() {
	c.stop()
	// The connection may have ended before; nothing depends on how it does.
	_ = c.conn.Close(websocket.StatusNormalClosure, "")
	<-c.ended
}

// Abort resets the TCP connection without a closing handshake, as a network failure does.
func (c *Client) Abort() {
	c.stop()
	if tcp, ok := c.tcp.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only on a closed connection
	}
	c.tcp.Close()
	_ = c.conn.CloseNow()
	<-c.ended
}

// Reply is Fanfare's answer to a frame: Type is "ack" with ID, "error" with Code and Message, or "pong".
type Reply struct{ Type, ID, Code, Message string }

// ParseReply returns the reply that a payload is, and reports whether it is one.
func ParseReply(payload string) (Reply, bool) {
	var r Reply
	if !strings.HasPrefix(payload, `{"type":`) || json.Unmarshal([]byte(payload), &r) != nil {
		return Reply{}, false
	}
	return r, r.Type == "ack" || r.Type == "error" || r.Type == "pong"
}

// Reply waits for the first reply that Reply has not returned before. Next does not skip replies.
func (c *Client) Reply(ctx context.Context) (reply Reply, err error) {
	err = c.wait(ctx, "a reply", func() bool {
		for c.reply < len(c.frames) {
			var ok bool
			reply, ok = ParseReply(c.frames[c.reply])
			c.reply++
			if ok {
				return true
			}
		}
		return false
	})
	return reply, err
}

// Publish sends text and returns the reply to it, past answers to pings. The client must have no other frame under way.
func (c *Client) Publish(ctx context.Context, text string) (Reply, error) {
	if err := c.Send(ctx, text); err != nil {
		return Reply{}, err
	}
	for {
		if reply, err := c.Reply(ctx); err != nil || reply.Type != "pong" {
			return reply, err
		}
	}
}

// Refused returns the status with which a handshake was refused, or 0 if err is no *RefusedError.
func Refused(err error) int {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused.Status
	}
	return 0
}
