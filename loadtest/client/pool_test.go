package client_test

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"fanfare/loadtest/client"
	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a handler that records all events.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (d *recorder) write(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *recorder) Opened(c *client.Conn) { d.write("opened %d", c.Slot) }

func (d *recorder) Message(c *client.Conn, text []byte, binary bool, at int64) {
	if len(text) > 40 {
		d.write("message %d of %d bytes", c.Slot, len(text))
		return
	}
	d.write("message %d %s", c.Slot, text)
}

func (d *recorder) Closed(c *client.Conn, cause uint8, code int, detail string, at int64) {
	d.write("closed %d %s %d", c.Slot, result.CauseName(cause), code)
}

// await waits until n lines have that beginning.
func (d *recorder) await(t *testing.T, beginning string, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		found := 0
		for _, line := range d.lines {
			if strings.HasPrefix(line, beginning) {
				found++
			}
		}
		all := strings.Join(d.lines, "\n")
		d.mu.Unlock()
		if found == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q: got %d times, want %d, in:\n%s", beginning, found, n, all)
		}
	}
}

// script starts a server that calls do for each connection and returns its URL.
func script(t *testing.T, do func(conn net.Conn)) string {
	t.Helper()
	var running sync.WaitGroup
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				if _, err := ws.Upgrade(conn); err == nil {
					do(conn)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return "ws://" + l.Addr().String()
}

// both runs a test with each transport.
func both(t *testing.T, test func(t *testing.T, streams bool)) {
	for name, streams := range map[string]bool{"poller": false, "streams": true} {
		t.Run(name, func(t *testing.T) { test(t, streams) })
	}
}

func pool(t *testing.T, o client.Options) (*client.Pool, *recorder) {
	t.Helper()
	d := &recorder{}
	o.Handler = func(int) client.Handler { return d }
	p, err := client.NewPool(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, d
}

func dial(t *testing.T, p *client.Pool, slot uint32, slow bool) *client.Conn {
	t.Helper()
	c, err := p.Dial(t.Context(), slot, slow)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// readFrame reads one frame and unmasks it.
func readFrame(conn net.Conn) (ws.Frame, error) {
	h, err := ws.ReadHeader(conn)
	if err != nil {
		return ws.Frame{}, err
	}
	body := make([]byte, min(h.Length, client.MaxMessage))
	if _, err := io.ReadFull(conn, body); err != nil {
		return ws.Frame{}, err
	}
	return ws.UnmaskFrame(ws.Frame{Header: h, Payload: body}), nil
}

func untilClosed(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func TestPool_MessageSizes(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		url := script(t, func(conn net.Conn) {
			// The first message may arrive together with the handshake.
			ws.WriteFrame(conn, ws.NewTextFrame([]byte("hello")))
			ws.WriteFrame(conn, ws.NewTextFrame(make([]byte, 131_072)))
			ws.WriteFrame(conn, ws.NewFrame(ws.OpText, false, make([]byte, 100)))
			ws.WriteFrame(conn, ws.NewFrame(ws.OpContinuation, true, make([]byte, 50)))
			untilClosed(conn)
		})
		p, d := pool(t, client.Options{URL: url, Shards: 2, Streams: streams})
		for slot := range uint32(4) {
			dial(t, p, slot, false)
		}
		d.await(t, "opened", 4)
		for slot := range 4 {
			d.await(t, fmt.Sprintf("message %d hello", slot), 1)
			d.await(t, fmt.Sprintf("message %d of 131072 bytes", slot), 1)
			d.await(t, fmt.Sprintf("message %d of 150 bytes", slot), 1)
		}
		if p.Open() != 4 || p.Frames() != 12 {
			t.Errorf("got %d open, %d messages, want 4, 12", p.Open(), p.Frames())
		}
	})
}

func TestPool_WriteAndPing(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		url := script(t, func(conn net.Conn) {
			ws.WriteFrame(conn, ws.NewPingFrame([]byte("are you there")))
			for {
				f, err := readFrame(conn)
				if err != nil {
					return
				}
				ws.WriteFrame(conn, ws.NewTextFrame(fmt.Appendf(nil, "%x masked %v: %s", byte(f.Header.OpCode), true,
					f.Payload[:min(len(f.Payload), 20)])))
			}
		})
		p, d := pool(t, client.Options{URL: url, Shards: 1, Streams: streams})
		c := dial(t, p, 7, false)
		d.await(t, "message 7 a masked true: are you there", 1)
		if err := c.WriteText([]byte("good morning")); err != nil {
			t.Fatal(err)
		}
		d.await(t, "message 7 1 masked true: good morning", 1)
	})
}

func TestPool_CloseCauses(t *testing.T) {
	for name, c := range map[string]struct {
		server func(net.Conn)
		want   string
	}{
		"by the system, with a code": {func(conn net.Conn) {
			ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "Going away")))
			untilClosed(conn)
		}, "closed 0 by the system 1001"},
		"by the system, without a code": {func(conn net.Conn) {
			ws.WriteFrame(conn, ws.NewCloseFrame(nil))
			untilClosed(conn)
		}, "closed 0 by the system 1005"},
		"by the system, without a close frame": {func(conn net.Conn) {}, "closed 0 by the system 0"},
		"by the network": {func(conn net.Conn) {
			conn.(*net.TCPConn).SetLinger(0) // closing sends a reset
		}, "closed 0 broken 0"},
		"after a protocol violation": {func(conn net.Conn) { conn.Write([]byte{0xff, 0xff}); untilClosed(conn) },
			"closed 0 broken 0"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, streams bool) {
				p, d := pool(t, client.Options{URL: script(t, c.server), Shards: 1, Streams: streams})
				conn := dial(t, p, 0, false)
				d.await(t, c.want, 1)
				if err := conn.WriteText([]byte("x")); !errors.Is(err, client.ErrClosed) {
					t.Errorf("write after close: got %v, want %v", err, client.ErrClosed)
				}
				p.Drop(conn, result.Moved, "")
				d.await(t, "closed", 1) // once only
			})
		})
	}
}

func TestPool_DropSendsCloseFrame(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		received := make(chan ws.Header, 1)
		url := script(t, func(conn net.Conn) {
			if h, err := ws.ReadHeader(conn); err == nil {
				received <- h
			}
		})
		p, d := pool(t, client.Options{URL: url, Shards: 1, Streams: streams})
		p.Drop(dial(t, p, 3, false), result.Moved, "")
		d.await(t, "closed 3 churn 0", 1)
		select {
		case h := <-received:
			if h.OpCode != ws.OpClose || !h.Masked {
				t.Errorf("got frame %+v, want a masked close frame", h)
			}
		case <-time.After(time.Minute):
			t.Error("got no frame, want a close frame")
		}
	})
}

// If a system stops reading, writes go to the backlog, which has a bound; when it reads again, everything arrives.
func TestConn_Backlog(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		read := make(chan bool)
		total := make(chan int)
		url := script(t, func(conn net.Conn) {
			<-read
			sum := 0
			for {
				f, err := readFrame(conn)
				if err != nil || f.Header.OpCode == ws.OpClose {
					total <- sum
					return
				}
				sum += len(f.Payload)
			}
		})
		p, _ := pool(t, client.Options{URL: url, Shards: 1, Streams: streams})
		c := dial(t, p, 0, false)
		written := 0
		for {
			text := make([]byte, 60_000)
			err := c.WriteText(text)
			if errors.Is(err, client.ErrBacklog) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if written += len(text); written > 1<<28 {
				t.Fatal("got a backlog without a bound")
			}
		}
		if c.Backlog() == 0 {
			t.Error("got no backlog")
		}
		close(read)
		for deadline := time.Now().Add(time.Minute); c.Backlog() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("timeout while the backlog is sent")
			}
		}
		p.Drop(c, result.Ended, "")
		if got := <-total; got != written {
			t.Errorf("got %d bytes, want %d", got, written)
		}
	})
}

func TestPool_SlowClients(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		for rate, want := range map[int]bool{0: false, 20_000: true} {
			url := script(t, func(conn net.Conn) {
				if _, err := readFrame(conn); err == nil { // not with the handshake, which slow clients read too
					ws.WriteFrame(conn, ws.NewTextFrame([]byte("hello")))
				}
				untilClosed(conn)
			})
			p, d := pool(t, client.Options{URL: url, Shards: 1, Streams: streams, SlowRate: rate})
			for slot, slow := range []bool{true, false} {
				if err := dial(t, p, uint32(slot), slow).WriteText([]byte("begin")); err != nil {
					t.Fatal(err)
				}
			}
			d.await(t, "message 1 hello", 1)
			if want {
				d.await(t, "message 0 hello", 1)
			} else {
				d.await(t, "message 0", 0)
			}
			p.Close()
			d.await(t, "closed", 2)
		}
	})
}

// The read lag includes the time for which the handler of the only shard blocks, 200 ms.
func TestPool_ReadLag(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		url := script(t, untilClosed)
		p, _ := pool(t, client.Options{URL: url, Shards: 1, Streams: streams})
		dial(t, p, 0, false)
		p.TakeLag()
		p.Shards()[0].Do(func(client.Handler, iter.Seq[*client.Conn]) { time.Sleep(200 * time.Millisecond) })
		var lag latency.Histogram
		worst := time.Duration(0)
		for deadline := time.Now().Add(time.Minute); worst < 100*time.Millisecond || lag.Max() < 100*time.Millisecond ||
			lag.Count() < 5; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("got worst lag %v, %d lags, longest %v, want 100ms or more", worst, lag.Count(), lag.Max())
			}
			worst = max(worst, p.WorstLag())
			lag.Merge(p.TakeLag())
		}
	})
}
