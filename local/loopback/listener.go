package loopback

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Listen listens on a TCP port of 127.0.0.1; 0 selects a free port. At the limit of open files, the listener answers
// new connections with 503 and closes them, where a plain one would leave its clients waiting. It calls full for each,
// which may be nil.
func Listen(port int, full func(error)) (net.Listener, error) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return nil, err
	}
	return newListener(l, full)
}

// listener keeps a file open, so that it can accept one more connection at the limit of open files.
type listener struct {
	net.Listener
	full func(error)

	mu      sync.Mutex
	reserve io.Closer // nil if no file could be opened
}

func newListener(l net.Listener, full func(error)) (*listener, error) {
	reserve, err := os.Open(os.DevNull)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &listener{Listener: l, full: full, reserve: reserve}, nil
}

// Accept returns the next connection. An error of the limit of open files is returned only if the reserve is in use.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err == nil || !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) || !l.refuse(err) {
			return conn, err
		}
	}
}

// refusalTime limits the time in which a client must send its request to read the refusal.
const refusalTime = 100 * time.Millisecond

const refusal = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\n" +
	"Content-Length: 48\r\n\r\n{\"message\":\"Service Unavailable: no free files\"}"

// refuse accepts a connection with the reserved file, answers and closes it. It returns false if there is no reserve.
func (l *listener) refuse(cause error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reserve == nil {
		l.reserve = openReserve()
		return false
	}
	l.reserve.Close()
	defer func() { l.reserve = openReserve() }()
	conn, err := l.Listener.Accept()
	if err != nil {
		return !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) // Accept returns it again
	}
	if l.full != nil {
		l.full(cause)
	}
	_ = conn.SetDeadline(time.Now().Add(refusalTime)) // an error means that the client has gone
	_, _ = conn.Read(make([]byte, 4<<10))             // closing with unread data would lose the answer
	_, _ = io.WriteString(conn, refusal)
	conn.Close()
	return true
}

// openReserve returns an open file, or nil.
func openReserve() io.Closer {
	file, err := os.Open(os.DevNull)
	if err != nil {
		return nil
	}
	return file
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reserve != nil {
		l.reserve.Close()
		l.reserve = nil
	}
	return err
}
