package apigateway

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/textproto"
	"sync"
)

// maxRecording is the maximum length of the recorded head of a connection's first request, in bytes.
const maxRecording = maxHeader

// recordingListener accepts connections that record the head of their first request. net/http canonicalizes header
// names, and events must contain them as the client wrote them.
type recordingListener struct{ net.Listener }

func (l recordingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &recording{Conn: conn, on: true}, nil
}

type recording struct {
	net.Conn
	mu   sync.Mutex
	on   bool
	head []byte
}

func (r *recording) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	if r.on {
		r.head = append(r.head, p[:min(n, maxRecording-len(r.head))]...)
		r.on = len(r.head) < maxRecording
	}
	r.mu.Unlock()
	return n, err
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
