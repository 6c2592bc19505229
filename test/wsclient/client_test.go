package wsclient_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"

	"fanfare/test/localtest"
	"fanfare/test/wsclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs handle for each connection, and returns the URL. The path /refuse answers 403.
func serve(t *testing.T, handle func(conn ws.Handshake, rw *peer)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		upgrader := ws.HTTPUpgrader{Protocol: func(name string) bool { return name == "chosen" }}
		conn, _, handshake, err := upgrader.Upgrade(r, w)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		handle(handshake, &peer{t, conn})
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// peer is the server's end of a connection.
type peer struct {
	t    *testing.T
	conn interface {
		Read([]byte) (int, error)
		Write([]byte) (int, error)
	}
}

func (p *peer) send(texts ...string) {
	for _, text := range texts {
		if err := wsutil.WriteServerText(p.conn, []byte(text)); err != nil {
			p.t.Error(err)
		}
	}
}

func (p *peer) receive() (string, error) {
	text, err := wsutil.ReadClientText(p.conn)
	return string(text), err
}

func TestDial_Refused(t *testing.T) {
	url := serve(t, nil)
	_, err := wsclient.Dial(localtest.Context(t), url+"/refuse", wsclient.Options{})
	if got := wsclient.Refused(err); got != http.StatusForbidden {
		t.Errorf("got %v, want a refusal with 403", err)
	}
	if got := wsclient.Refused(errors.New("other")); got != 0 {
		t.Errorf("other error: got status %d, want 0", got)
	}
}

func TestDial_Subprotocol(t *testing.T) {
	url := serve(t, func(_ ws.Handshake, p *peer) { _, _ = p.receive() })
	c := wsclient.Connect(t, url, wsclient.Options{Subprotocols: []string{"other", "chosen"}})
	if got := c.Subprotocol(); got != "chosen" {
		t.Errorf("got sub-protocol %q, want chosen", got)
	}
}

func TestClient_Frames(t *testing.T) {
	long := strings.Repeat("x", 128<<10)
	url := serve(t, func(_ ws.Handshake, p *peer) {
		p.send("first", `{"type":"pong"}`, `{"type":"other"}`, long)
		text, err := p.receive()
		if err != nil || text != "hello" {
			t.Errorf("the server got %q, %v, want hello", text, err)
		}
		p.send(`{"type":"ack","id":"1"}`)
		if err := ws.WriteFrame(p.conn, ws.NewCloseFrame(ws.NewCloseFrameBody(1001, ""))); err != nil {
			t.Error(err)
		}
	})
	c := wsclient.Connect(t, url, wsclient.Options{})
	if got := c.MustNext(t); got != "first" {
		t.Errorf("next: got %q, want first", got)
	}
	c.MustAwait(t, long)
	c.MustAwait(t, "first") // frames that Next has returned count
	if err := c.AwaitContaining(localtest.Context(t), "oth"); err != nil {
		t.Error(err)
	}
	if got, want := c.MustPublish(t, "hello"), (wsclient.Reply{Type: "ack", ID: "1"}); got != want {
		t.Errorf("publish: got %+v, want %+v", got, want)
	}
	if got := c.MustNext(t); got != `{"type":"pong"}` {
		t.Errorf("next: got %q, want the pong", got)
	}
	if got := c.MustAwaitClose(t); got != 1001 {
		t.Errorf("got close code %d, want 1001", got)
	}
	want := []string{"first", `{"type":"pong"}`, `{"type":"other"}`, long, `{"type":"ack","id":"1"}`}
	if got := c.Frames(); !slices.Equal(got, want) {
		t.Errorf("got %d frames, want %d in order", len(got), len(want))
	}
	if _, err := c.Reply(localtest.Context(t)); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("reply after the end: got %v, want an error that says so", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Next(ctx); err != nil {
		t.Errorf("next frame that was received: got %v, want no error", err)
	}
}

func TestClient_Callbacks(t *testing.T) {
	url := serve(t, func(_ ws.Handshake, p *peer) {
		p.send("first", "second")
		_, _ = p.receive()
	})
	var received atomic.Int32
	ended := make(chan error, 1)
	resume := make(chan struct{})
	c := wsclient.Connect(t, url, wsclient.Options{
		Receive: func([]byte) { received.Add(1) }, Ended: func(err error) { ended <- err }, Resume: resume,
	})
	time.Sleep(20 * time.Millisecond)
	if got := received.Load(); got != 0 {
		t.Errorf("before Resume: got %d frames, want 0", got)
	}
	close(resume)
	localtest.Eventually(t, "both frames are received", func() bool { return received.Load() == 2 })
	c.Close()
	if err := <-ended; err == nil {
		t.Error("got no error after Close")
	}
	if got := len(c.Frames()); got != 0 {
		t.Errorf("got %d frames beside Receive, want 0", got)
	}
}

// A server sees how a client leaves.
func TestClient_Leave(t *testing.T) {
	how := make(chan error, 1)
	url := serve(t, func(_ ws.Handshake, p *peer) {
		_, err := p.receive()
		how <- err
	})
	c := wsclient.Connect(t, url, wsclient.Options{Resume: make(chan struct{})})
	c.Close()
	if closed, ok := errors.AsType[wsutil.ClosedError](<-how); !ok || closed.Code != ws.StatusNormalClosure {
		t.Errorf("Close: the server got %v, want a close frame with 1000", closed)
	}
	c = wsclient.Connect(t, url, wsclient.Options{Resume: make(chan struct{})})
	c.Abort()
	if err := <-how; err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("Abort: the server got %v, want a reset", err)
	}
}
