package loopback

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

// scarce is a listener at the limit of open files for its first calls.
type scarce struct {
	net.Listener
	failures int
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.failures > 0 {
		s.failures--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

func TestListener_FileLimit(t *testing.T) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var causes []error
	l, err := newListener(&scarce{tcp, 1}, func(cause error) { causes = append(causes, cause) })
	if err != nil {
		t.Fatal(err)
	}
	var clients []net.Conn
	for range 2 {
		client, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, client)
	}
	accepted, err := l.Accept() // refuses the first client and returns the second one
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if got, want := accepted.RemoteAddr().String(), clients[1].LocalAddr().String(); got != want {
		t.Errorf("accepted: got %s, want %s", got, want)
	}
	answer, err := http.ReadResponse(bufio.NewReader(clients[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable || len(body) == 0 {
		t.Errorf("refused: got %d, %q, %v, want 503 and a body", answer.StatusCode, body, err)
	}
	if len(causes) != 1 || !errors.Is(causes[0], syscall.EMFILE) {
		t.Errorf("got causes %v, want one EMFILE", causes)
	}
	if err := l.Close(); err != nil {
		t.Errorf("close: got %v, want nil", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: got %v, want %v", err, net.ErrClosed)
	}
}
