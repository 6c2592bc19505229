package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// client is a WebSocket client that keeps what it receives, in order.
type client struct {
	conn   net.Conn
	mu     sync.Mutex
	frames []string // payloads; what is an answer to this client stands in answers
	answer chan map[string]string
	closed chan ws.StatusCode
}

// connect opens a connection that is closed when the test ends.
func connect(t *testing.T, url string) *client {
	t.Helper()
	c, err := dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

func dial(ctx context.Context, url string) (*client, error) {
	conn, early, _, err := ws.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	if early != nil {
		conn.Close()
		return nil, fmt.Errorf("frames came with the handshake")
	}
	c := &client{conn: conn, answer: make(chan map[string]string, 100), closed: make(chan ws.StatusCode, 1)}
	go c.read()
	return c, nil
}

func (c *client) read() {
	for {
		data, _, err := wsutil.ReadServerData(c.conn)
		if err != nil {
			code := ws.StatusNoStatusRcvd
			if closed, ok := err.(wsutil.ClosedError); ok {
				code = closed.Code
			}
			c.closed <- code
			return
		}
		var answer map[string]string
		if bytes.HasPrefix(data, []byte(`{"type":`)) && json.Unmarshal(data, &answer) == nil {
			c.answer <- answer
			continue
		}
		c.mu.Lock()
		c.frames = append(c.frames, string(data))
		c.mu.Unlock()
	}
}

func (c *client) received() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.frames...)
}

// send sends a text frame.
func (c *client) send(t *testing.T, text string) {
	t.Helper()
	if err := wsutil.WriteClientText(c.conn, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// publish sends a frame and returns the broadcast's id.
func (c *client) publish(t *testing.T, text string) string {
	t.Helper()
	c.send(t, text)
	answer := c.await(t)
	if answer["type"] != "ack" || answer["id"] == "" {
		t.Fatalf("the answer to %.40q is %v", text, answer)
	}
	return answer["id"]
}

// await returns the next answer.
func (c *client) await(t *testing.T) map[string]string {
	t.Helper()
	select {
	case answer := <-c.answer:
		return answer
	case <-time.After(patience):
		t.Fatal("no answer")
	}
	return nil
}

// awaitClose returns the code with which the connection is closed.
func (c *client) awaitClose(t *testing.T) ws.StatusCode {
	t.Helper()
	select {
	case code := <-c.closed:
		return code
	case <-time.After(patience):
		t.Fatal("the connection is not closed")
	}
	return 0
}

// has waits until the client has received the payload.
func (c *client) has(t *testing.T, payload string) {
	t.Helper()
	eventually(t, fmt.Sprintf("a client receives %.40q", payload), func() bool {
		for _, frame := range c.received() {
			if frame == payload {
				return true
			}
		}
		return false
	})
}

// abort ends the connection without a word: the network has gone.
func (c *client) abort() {
	c.conn.(*net.TCPConn).SetLinger(0)
	c.conn.Close()
}

// write sends raw frames.
func (c *client) write(t *testing.T, frames ...ws.Frame) {
	t.Helper()
	for _, f := range frames {
		if err := ws.WriteFrame(c.conn, ws.MaskFrame(f)); err != nil {
			if strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "broken pipe") {
				return // closed in the middle of it, as it should be
			}
			t.Fatal(err)
		}
	}
}
