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

// wantDisconnect waits for $disconnect and checks its code and reason. It shuts the gateway down and checks that
// $disconnect ran once.
func (g *gateway) wantDisconnect(t *testing.T, id string, code int, reason string) {
	t.Helper()
	got := contextOf(t, g.await(t, "disconnect", 1)[0])
	if got.ConnectionID != id || got.DisconnectStatusCode != code || got.DisconnectReason == nil ||
		*got.DisconnectReason != reason {
		r, _ := json.Marshal(got)
		t.Errorf("$disconnect: got %s, want %s, %d %q", r, id, code, reason)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	if err := g.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if n := g.calls("disconnect"); n != 1 {
		t.Errorf("calls of $disconnect: got %d, want 1", n)
	}
}

func TestDisconnect_CodeAndReason(t *testing.T) {
	closeWith := func(code ws.StatusCode, reason string) func(*testing.T, *gateway, *client) {
		return func(t *testing.T, g *gateway, c *client) {
			c.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason)))
			f := c.next()
			if got, _ := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || got != code {
				t.Errorf("answer to the close: got %v %d, want a close with %d", f.Header, got, code)
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
		{"the client closes with 1001", closeWith(1001, ""), 1001, ""},
		{"the client closes with 4001", closeWith(4001, "logged out €"), 4001, "logged out €"},
		{"the client closes without a status", func(t *testing.T, g *gateway, c *client) {
			c.frame(ws.NewCloseFrame(nil))
			if f := c.next(); f.Header.OpCode != ws.OpClose || len(f.Payload) != 0 {
				t.Errorf("answer to the close: got %v %q, want an empty close", f.Header, f.Payload)
			}
			c.wantEnd()
		}, 1005, "Client-side close frame status not set"},
		{"the client is reset", func(t *testing.T, g *gateway, c *client) {
			c.conn.(*net.TCPConn).SetLinger(0)
			c.conn.Close()
		}, 1006, ""},
		{"the client ends without a close", func(t *testing.T, g *gateway, c *client) { c.conn.Close() }, 1006, ""},
		{"the client ends within a frame", func(t *testing.T, g *gateway, c *client) {
			c.write("\x81\x85")
			c.conn.Close()
		}, 1006, ""},
		{"a backend deletes it", func(t *testing.T, g *gateway, c *client) {
			if response, _ := g.call(t, "DELETE", connectionPath(c.id), "", nil); response.StatusCode != 204 {
				t.Errorf("DELETE: got %s, want 204", response.Status)
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

func TestDisconnect_SilentClient(t *testing.T) {
	t.Cleanup(apigateway.SetCloseGrace(time.Second))
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	g.call(t, "DELETE", connectionPath(c.id), "", nil)
	c.next()
	c.wantEnd()
	g.wantDisconnect(t, c.id, 1000, "Connection Closed Normally")
}

func TestDisconnect_FailureObserved(t *testing.T) {
	over := make(chan apigateway.Event, 1)
	g := start(t, newAPI(), apigateway.Options{Observe: func(e apigateway.Event) {
		if e.Kind == apigateway.Disconnected {
			over <- e
		}
	}}, map[string]handler{"disconnect": func(context.Context, []byte) (string, error) { return "", errors.New("no") }})
	c := g.open(t)
	c.conn.Close()
	if e := <-over; e.Connection != c.id || e.Code != 1006 || e.Err == nil {
		t.Errorf("event: got %+v, want connection %s, code 1006 and an error", e, c.id)
	}
	if n := g.Connections(); n != 0 {
		t.Errorf("connections: got %d, want 0", n)
	}
}

// memoryListener is a listener with in-memory connections, for synctest.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-m.conns:
		return conn, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memoryListener) Close() error {
	select {
	case <-m.closed:
	default:
		close(m.closed)
	}
	return nil
}

func (m *memoryListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3001} }

// lifetime connects over a pipe in a synctest bubble, calls use, and returns the connection's Disconnected event.
func lifetime(t *testing.T, options apigateway.Options, use func(g *gateway, c *client, id string)) apigateway.Event {
	var ended apigateway.Event
	synctest.Test(t, func(t *testing.T) {
		over := make(chan apigateway.Event, 1)
		options.Observe = func(e apigateway.Event) {
			if e.Kind == apigateway.Disconnected {
				over <- e
			}
		}
		l := newMemoryListener()
		g := startOn(t, l, newAPI(), options, map[string]handler{"default": returns(`{"statusCode":200,"body":"yes"}`)})
		here, there := net.Pipe()
		l.conns <- there
		c := newClient(t, here)
		c.write(upgradeRequest("a", "/prod", nil))
		if response := c.response(); response.StatusCode != 101 {
			t.Fatalf("handshake: got %s, want 101", response.Status)
		}
		id := contextOf(t, g.await(t, "connect", 1)[0]).ConnectionID
		use(g, c, id)
		ended = <-over
		here.Close()
		if n := g.calls("disconnect"); n != 1 {
			t.Errorf("calls of $disconnect: got %d, want 1", n)
		}
	})
	return ended
}

func TestConnection_IdleTimeout(t *testing.T) {
	ended := lifetime(t, apigateway.Options{}, func(g *gateway, c *client, _ string) { c.wantClose(1001, "Going away") })
	if ended.Code != 1001 || ended.Reason != "Going away" || ended.Duration != 10*time.Minute {
		t.Errorf("got %d %q after %v, want 1001 after 10m", ended.Code, ended.Reason, ended.Duration)
	}
}

// The idle timeout follows Options.Clock, here 6,000 times as fast as real time.
func TestConnection_ScaledClock(t *testing.T) {
	over := make(chan apigateway.Event, 1)
	g := start(t, newAPI(), apigateway.Options{Clock: clock.New(6000), Observe: func(e apigateway.Event) {
		if e.Kind == apigateway.Disconnected {
			over <- e
		}
	}}, nil)
	g.open(t).wantClose(1001, "Going away")
	if e := <-over; e.Code != 1001 || e.Duration < 10*time.Minute {
		t.Errorf("got %d after %v, want 1001 after 10m", e.Code, e.Duration)
	}
}

func TestConnection_PingsDoNotExtend(t *testing.T) {
	ended := lifetime(t, apigateway.Options{}, func(g *gateway, c *client, _ string) {
		time.Sleep(9 * time.Minute)
		c.frame(ws.NewPingFrame(nil))
		c.next()
		c.wantClose(1001, "Going away")
	})
	if ended.Duration != 10*time.Minute {
		t.Errorf("got the end after %v, want 10m", ended.Duration)
	}
}

func TestConnection_MaxDuration(t *testing.T) {
	ended := lifetime(t, apigateway.Options{}, func(g *gateway, c *client, _ string) {
		for range 13 {
			time.Sleep(9 * time.Minute)
			c.send("x")
			c.want("yes")
		}
		c.wantClose(1001, "Going away")
	})
	if ended.Code != 1001 || ended.Duration != 2*time.Hour {
		t.Errorf("got %d after %v, want 1001 after 2h", ended.Code, ended.Duration)
	}
}

func TestConnection_PostsExtend(t *testing.T) {
	ended := lifetime(t, apigateway.Options{}, func(g *gateway, c *client, id string) {
		time.Sleep(9 * time.Minute)
		if status := g.post(t, id, "x"); status != 200 {
			t.Errorf("post: got %d, want 200", status)
		}
		c.want("x")
		c.wantClose(1001, "Going away")
	})
	if ended.Duration != 19*time.Minute {
		t.Errorf("got the end after %v, want 19m", ended.Duration)
	}
}
