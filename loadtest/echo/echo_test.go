package echo_test

import (
	"net"
	"testing"
	"time"

	"fanfare/loadtest/echo"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, o echo.Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := echo.New(o)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return "ws://" + l.Addr().String()
}

func dial(t *testing.T, url string) net.Conn {
	t.Helper()
	conn, _, _, err := ws.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { conn.Close() })
	return conn
}

func read(t *testing.T, conn net.Conn) string {
	t.Helper()
	text, err := wsutil.ReadServerText(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ask waits until the server has registered the connection: the answer comes afterwards.
func ask(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := wsutil.WriteClientText(conn, []byte(`{"action":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, conn); got != `{"type":"pong"}` {
		t.Fatalf("ping: got answer %q, want a pong", got)
	}
}

func TestServer_BroadcastAndAck(t *testing.T) {
	url := serve(t, echo.Options{})
	var conns []net.Conn
	for range 5 {
		conn := dial(t, url)
		ask(t, conn)
		conns = append(conns, conn)
	}
	if err := wsutil.WriteClientText(conns[0], []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for i, conn := range conns {
		want := map[string]bool{"hello": true}
		if i == 0 {
			want[`{"type":"ack","id":"echo-1"}`] = true
		}
		for range len(want) {
			if got := read(t, conn); !want[got] {
				t.Errorf("client %d: got %q, want hello or its ack", i, got)
			}
		}
	}
}

// Close does not wait for a client that sends no handshake.
func TestServer_CloseDuringHandshake(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := echo.New(echo.Options{})
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	idle, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	ask(t, dial(t, "ws://"+l.Addr().String())) // idle was accepted before
	s.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestServer_Silent(t *testing.T) {
	conn := dial(t, serve(t, echo.Options{Silent: true}))
	ask(t, conn)
	for _, text := range []string{"one", "two"} {
		if err := wsutil.WriteClientText(conn, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, conn); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
}

func TestServer_SlowClientClosed(t *testing.T) {
	url := serve(t, echo.Options{Silent: true})
	slow, fast := dial(t, url), dial(t, url)
	ask(t, slow)
	ask(t, fast)
	text := make([]byte, 100_000)
	for i := range text {
		text[i] = 'x'
	}
	// The fast client still receives messages after the buffers of the slow one are full.
	for range 200 {
		if err := wsutil.WriteClientText(fast, text); err != nil {
			t.Fatal(err)
		}
		if got := read(t, fast); len(got) != len(text) {
			t.Fatalf("got %d bytes, want 100,000", len(got))
		}
	}
	for range 200 {
		if _, err := wsutil.ReadServerText(slow); err != nil {
			return
		}
	}
	t.Error("slow client: got all 20 MB, want a closed connection")
}
