package apigateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/textproto"
	"sync"
	"sync/atomic"
)

// maxRecording is the maximum length of the recorded head of a connection's first request, in bytes.
const maxRecording = maxHeader

// tlsHandshake is the first byte of a TLS connection: the content type of a handshake record (RFC 8446, section 5.1).
const tlsHandshake = 0x16

// recordingListener accepts connections that record the head of their first request. net/http canonicalizes header
// names, and events must contain them as the client wrote them. With a TLS configuration, it accepts TLS connections,
// too.
type recordingListener struct {
	net.Listener
	tls *tls.Config
}

func (l recordingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &recording{Conn: conn, config: l.tls, on: true}, nil
}

// recording is an accepted connection. Its first Read decides whether it is a TLS connection.
type recording struct {
	net.Conn
	config *tls.Config // nil serves no TLS
	secure atomic.Pointer[tls.Conn]
	begun  bool // a first Read has returned data; used by the reading goroutine only

	mu   sync.Mutex
	on   bool
	head []byte
}

func (r *recording) Read(p []byte) (int, error) {
	n, err := r.read(p)
	r.mu.Lock()
	if r.on {
		r.head = append(r.head, p[:min(n, maxRecording-len(r.head))]...)
		r.on = len(r.head) < maxRecording
	}
	r.mu.Unlock()
	return n, err
}

func (r *recording) read(p []byte) (int, error) {
	if secure := r.secure.Load(); secure != nil {
		return secure.Read(p)
	}
	n, err := r.Conn.Read(p)
	if r.begun || n == 0 {
		return n, err
	}
	r.begun = true
	if r.config == nil || p[0] != tlsHandshake {
		return n, err
	}
	first := &prefixed{Conn: r.Conn, prefix: bytes.Clone(p[:n])}
	r.secure.Store(tls.Server(first, r.config))
	return r.secure.Load().Read(p)
}

func (r *recording) Write(p []byte) (int, error) { return r.stream().Write(p) }

// stream returns the connection that carries HTTP or WebSocket frames: the TLS connection, or the accepted one.
func (r *recording) stream() net.Conn {
	if secure := r.secure.Load(); secure != nil {
		return secure
	}
	return r.Conn
}

// acceptedConn returns the connection below a TLS connection.
func acceptedConn(secure *tls.Conn) net.Conn {
	if first, ok := secure.NetConn().(*prefixed); ok {
		return first.Conn
	}
	return secure.NetConn()
}

// prefixed is a connection whose first bytes have been read already.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (c *prefixed) Read(p []byte) (int, error) {
	if len(c.prefix) > 0 {
		n := copy(p, c.prefix)
		c.prefix = c.prefix[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// stop ends the recording. A later handshake on the same connection has canonical header names.
func (r *recording) stop() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.on, r.head = false, nil
	r.mu.Unlock()
}

// names returns the header names of the first request as written, by their canonical form, and ends the recording.
func (r *recording) names() map[string]string {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	head := r.head
	r.on, r.head = false, nil
	r.mu.Unlock()
	names := map[string]string{}
	_, head, _ = bytes.Cut(head, []byte("\n")) // the request line
	for line := range bytes.Lines(head) {
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			break
		}
		names[textproto.CanonicalMIMEHeaderKey(string(name))] = string(name)
	}
	return names
}

type recordingKey struct{}

func withRecording(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, recordingKey{}, conn)
}

// recordingOf returns the recording of a request's connection, or nil.
func recordingOf(r *http.Request) *recording {
	recorded, _ := r.Context().Value(recordingKey{}).(*recording)
	return recorded
}
