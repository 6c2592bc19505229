package apigateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"fanfare/local/apigateway"
	"fanfare/local/clock"
)

// wantDisconnect waits for the $disconnect of a connection, and for its end, and wants it to have run once.
func (g *gateway) wantDisconnect(t *testing.T, id string, code int, reason string) {
	t.Helper()
	got := contextOf(t, g.await(t, "disconnect", 1)[0])
	if got.ConnectionID != id || got.DisconnectStatusCode != code || got.DisconnectReason == nil || *got.DisconnectReason != reason {
		r, _ := json.Marshal(got)
		t.Errorf("$disconnect got %s, want %s, %d %q", r, id, code, reason)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := g.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if n := g.calls("disconnect"); n != 1 {
		t.Errorf("$disconnect ran %d times", n)
	}
}

func TestDisconnectRunsOnceWithCodeAndReason(t *testing.T) {
	closeWith := func(code ws.StatusCode, reason string) func(*testing.T, *gateway, *client) {
		return func(t *testing.T, g *gateway, c *client) {
			c.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason)))
			f := c.next()
			if got, _ := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || got != code {
				t.Errorf("the close is answered with %v %d", f.Header, got)
			}
			c.wantEnd()
		}
	}
	for _, test := range []struct {
		name   string
		end    func(*testing.T, *gateway, *client)
		code   int
		reason string
	}{
		{"the client closes", closeWith(1000, "bye"), 1000, "bye"},
		{"the client leaves its page", closeWith(1001, ""), 1001, ""},
		{"the client closes with a code of its own", closeWith(4001, "logged out €"), 4001, "logged out €"},
		{"the client closes without a status", func(t *testing.T, g *gateway, c *client) {
			c.frame(ws.NewCloseFrame(nil))
			if f := c.next(); f.Header.OpCode != ws.OpClose || len(f.Payload) != 0 {
				t.Errorf("the close is answered with %v %q", f.Header, f.Payload)
			}
			c.wantEnd()
		}, 1005, "Client-side close frame status not set"},
		{"the client is reset", func(t *testing.T, g *gateway, c *client) {
			c.conn.(*net.TCPConn).SetLinger(0)
			c.conn.Close()
		}, 1006, ""},
		{"the client ends without a word", func(t *testing.T, g *gateway, c *client) { c.conn.Close() }, 1006, ""},
		{"the client ends in a frame", func(t *testing.T, g *gateway, c *client) { c.write("\x81\x85"); c.conn.Close() }, 1006, ""},
		{"a backend deletes it", func(t *testing.T, g *gateway, c *client) {
			if response, _ := g.call(t, "DELETE", connectionPath(c.id), "", nil); response.StatusCode != 204 {
				t.Errorf("DELETE is answered with %s", response.Status)
			}
			c.wantClose(1000, "Connection Closed Normally")
		}, 1000, "Connection Closed Normally"},
		{"shutdown", func(t *testing.T, g *gateway, c *client) {
			down := make(chan error)
			go func() { down <- g.Shutdown(context.Background()) }()
			c.wantClose(1001, "Going away")
			if err := <-down; err != nil {
				t.Error(err)
			}
		}, 1001, "Going away"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, newAPI(), apigateway.Options{}, nil)
			c := g.open(t)
			test.end(t, g, c)
			g.wantDisconnect(t, c.id, test.code, test.reason)
		})
	}
}

func TestDisconnectRunsThoughTheClientSaysNothing(t *testing.T) {
	t.Cleanup(apigateway.SetCloseGrace(time.Second))
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	g.call(t, "DELETE", connectionPath(c.id), "", nil)
	c.next()
	c.wantEnd()
	g.wantDisconnect(t, c.id, 1000, "Connection Closed Normally")
}

func TestDisconnectIsObservedEvenIfItFails(t *testing.T) {
	over := make(chan apigateway.Event, 1)
	g := start(t, newAPI(), apigateway.Options{Observe: func(e apigateway.Event) {
		if e.Kind == apigateway.Disconnected {
			over <- e
		}
	}}, map[string]handler{"disconnect": func(context.Context, []byte) (string, error) { return "", errors.New("no") }})
	c := g.open(t)
	c.conn.Close()
	if e := <-over; e.Connection != c.id || e.Code != 1006 || e.Err == nil {
		t.Errorf("observed %+v", e)
	}
	if n := g.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// memory is a listener whose connections are pipes, for tests in a bubble of their own time.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newMemory() *memory {
	return &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case conn := <-m.conns:
		return conn, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	select {
	case <-m.closed:
	default:
		close(m.closed)
	}
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3001} }

// lifetime connects over a pipe in a bubble, lets use do what it wants, and returns how long the connection lasted and
// how it ended.
func lifetime(t *testing.T, options apigateway.Options, use func(g *gateway, c *client, id string)) apigateway.Event {
	var ended apigateway.Event
	synctest.Test(t, func(t *testing.T) {
		over := make(chan apigateway.Event, 1)
		options.Observe = func(e apigateway.Event) {
			if e.Kind == apigateway.Disconnected {
				over <- e
			}
		}
		l := newMemory()
		g := startOn(t, l, newAPI(), options, map[string]handler{"default": says(`{"statusCode":200,"body":"yes"}`)})
		here, there := net.Pipe()
		l.conns <- there
		c := newClient(t, here)
		c.write(upgradeRequest("a", "/prod", nil))
		if response := c.response(); response.StatusCode != 101 {
			t.Fatalf("the handshake is answered with %s", response.Status)
		}
		id := contextOf(t, g.await(t, "connect", 1)[0]).ConnectionID
		use(g, c, id)
		ended = <-over
		here.Close()
		if n := g.calls("disconnect"); n != 1 {
			t.Errorf("$disconnect ran %d times", n)
		}
	})
	return ended
}

func TestIdleConnectionIsClosed(t *testing.T) {
	ended := lifetime(t, apigateway.Options{}, func(g *gateway, c *client, _ string) { c.wantClose(1001, "Going away") })
	if ended.Code != 1001 || ended.Reason != "Going away" || ended.Duration != 10*time.Minute {
		t.Errorf("it ended after %v with %d %q", ended.Duration, ended.Code, ended.Reason)
	}
}

// With a clock that runs six thousand times as fast, over sockets.
func TestScaledTime(t *testing.T) {
	over := make(chan apigateway.Event, 1)
	g := start(t, newAPI(), apigateway.Options{Clock: clock.New(6000), Observe: func(e apigateway.Event) {
		if e.Kind == apigateway.Disconnected {
			over <- e
		}
	}}, nil)
	g.open(t).wantClose(1001, "Going away")
	if e := <-over; e.Code != 1001 || e.Duration < 10*time.Minute {
		t.Errorf("it ended after %v with %d", e.Duration, e.Code)
	}
}

func TestPingsDoNotKeepAConnection(t *testing.T) {
	ended := lifetime(t, apigateway.Options{}, func(g *gateway, c *client, _ string) {
		time.Sleep(9 * time.Minute)
		c.frame(ws.NewPingFrame(nil))
		c.next()
		c.wantClose(1001, "Going away")
	})
	if ended.Duration != 10*time.Minute {
		t.Errorf("it ended after %v", ended.Duration)
	}
}

func TestMessagesKeepAConnectionForTwoHours(t *testing.T) {
	ended := lifetime(t, apigateway.Options{}, func(g *gateway, c *client, _ string) {
		for range 13 {
			time.Sleep(9 * time.Minute)
			c.send("x")
			c.want("yes")
		}
		c.wantClose(1001, "Going away")
	})
	if ended.Code != 1001 || ended.Duration != 2*time.Hour {
		t.Errorf("it ended after %v with %d", ended.Duration, ended.Code)
	}
}

func TestPostsKeepAConnection(t *testing.T) {
	ended := lifetime(t, apigateway.Options{}, func(g *gateway, c *client, id string) {
		time.Sleep(9 * time.Minute)
		if status := g.post(t, id, "x"); status != 200 {
			t.Errorf("a post is answered with %d", status)
		}
		c.want("x")
		c.wantClose(1001, "Going away")
	})
	if ended.Duration != 19*time.Minute {
		t.Errorf("it ended after %v", ended.Duration)
	}
}
