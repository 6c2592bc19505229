// Package echo is a bare broadcast server: it sends every text of a client to every client at once, without any
// guarantee. The harness is measured against it, as no system can be much faster, and doctor uses it behind its relay.
//
// It answers like Fanfare: {"type":"ack","id":"…"} to a message, {"type":"pong"} to {"action":"ping"}. A client
// whose socket does not take a message at once is closed, so that a slow one never delays the others.
package echo

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/gobwas/ws"
)

const (
	// maxMessage is the size in bytes of the largest text: API Gateway's limit.
	maxMessage = 131072
	// queued bounds the messages that wait for a shard; if it is reached, publishers wait.
	queued = 1024
)

// Options configures a server. The zero value is ready.
type Options struct {
	Silent  bool              // send no answers
	Publish func(text []byte) // called for each message instead of Broadcast, if not nil; it may keep text
}

// Server is a broadcast server. It is safe for concurrent use.
type Server struct {
	options Options
	shards  []*shard
	next    atomic.Uint64

	mu        sync.Mutex
	listeners map[net.Listener]bool
	closed    bool
	done      chan struct{}
	running   sync.WaitGroup
}

// shard sends to a part of the clients, in one order for all of them.
type shard struct {
	frames chan []byte
	mu     sync.Mutex
	peers  map[*peer]bool // true once the handshake is answered
}

// peer is one client.
type peer struct {
	conn net.Conn
	raw  syscall.RawConn

	mu    sync.Mutex // guards the following: one frame at a time
	frame []byte
	err   error
	try   func(fd uintptr) bool
}

// New returns a server without a listener. The caller must Close it.
func New(o Options) *Server {
	s := &Server{options: o, listeners: map[net.Listener]bool{}, done: make(chan struct{})}
	for range runtime.GOMAXPROCS(0) {
		h := &shard{frames: make(chan []byte, queued), peers: map[*peer]bool{}}
		s.shards = append(s.shards, h)
		s.running.Go(func() { h.run(s.done) })
	}
	return s
}

// Serve accepts clients until Close; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = true
	s.mu.Unlock()
	for n := 0; ; n++ {
		conn, err := l.Accept()
		if err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.closed {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		h := s.shards[n%len(s.shards)]
		s.running.Go(func() { s.serve(h, conn) })
	}
}

// Close closes all connections and returns when all goroutines of the server have ended.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.done)
	for l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	for _, h := range s.shards {
		h.mu.Lock()
		for p := range h.peers {
			p.conn.Close()
		}
		h.mu.Unlock()
	}
	s.running.Wait()
}

// Broadcast sends text to every client. It waits while the queue of a shard is full, and returns false if the server
// closes meanwhile.
func (s *Server) Broadcast(text []byte) bool {
	frame := ws.MustCompileFrame(ws.NewTextFrame(text))
	for _, h := range s.shards {
		select {
		case h.frames <- frame:
		case <-s.done:
			return false
		}
	}
	return true
}

func (h *shard) run(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case frame := <-h.frames:
			h.mu.Lock()
			for p, in := range h.peers {
				if in && p.send(frame) != nil {
					p.conn.Close() // its reader removes it
				}
			}
			h.mu.Unlock()
		}
	}
}

// admission is the connection during the handshake. It adds the client when the handshake is answered: the client must
// receive the messages sent after the answer, and none sent before.
type admission struct {
	h *shard
	p *peer
}

func (a admission) Read(b []byte) (int, error) { return a.p.conn.Read(b) }

func (a admission) Write(b []byte) (int, error) {
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	n, err := a.p.conn.Write(b)
	if err == nil {
		a.h.peers[a.p] = true
	}
	return n, err
}

// meet registers a client before its handshake, so that Close can close it. It returns false if the server is closing.
func (s *Server) meet(h *shard, p *peer) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-s.done:
		return false
	default:
		h.peers[p] = false
		return true
	}
}

// serve handles one connection until it closes.
func (s *Server) serve(h *shard, conn net.Conn) {
	defer conn.Close()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	p := &peer{conn: conn, raw: raw}
	p.try = p.write
	if !s.meet(h, p) {
		return
	}
	defer func() {
		h.mu.Lock()
		delete(h.peers, p)
		h.mu.Unlock()
	}()
	if _, err := ws.Upgrade(admission{h, p}); err != nil {
		return
	}
	for {
		text, err := p.receive()
		if err != nil {
			return
		}
		if string(text) == `{"action":"ping"}` {
			if p.send(ws.MustCompileFrame(ws.NewTextFrame([]byte(`{"type":"pong"}`)))) != nil {
				return
			}
			continue
		}
		if !s.publish(text) {
			return
		}
		if s.options.Silent {
			continue
		}
		ack := fmt.Appendf(nil, `{"type":"ack","id":"echo-%d"}`, s.next.Add(1))
		if p.send(ws.MustCompileFrame(ws.NewTextFrame(ack))) != nil {
			return
		}
	}
}

// publish broadcasts a message of a client. It returns false if the server is closing.
func (s *Server) publish(text []byte) bool {
	if s.options.Publish != nil {
		s.options.Publish(text)
		return true
	}
	return s.Broadcast(text)
}

var errFull = errors.New("client does not read")

// send writes a whole frame without blocking, or fails.
func (p *peer) send(frame []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frame = frame
	if err := p.raw.Write(p.try); err != nil {
		return err
	}
	return p.err
}

func (p *peer) write(fd uintptr) bool {
	n, err := syscall.Write(int(fd), p.frame)
	p.err = err
	if err == nil && n < len(p.frame) {
		p.err = errFull
	}
	return true
}

var errTooLarge = errors.New("message too large")

// receive returns the next text.
func (p *peer) receive() ([]byte, error) {
	var text []byte
	for {
		h, err := ws.ReadHeader(p.conn)
		if err != nil {
			return nil, err
		}
		if int64(len(text))+h.Length > maxMessage {
			return nil, errTooLarge
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(p.conn, body); err != nil {
			return nil, err
		}
		if h.Masked {
			ws.Cipher(body, h.Mask, 0)
		}
		switch h.OpCode {
		case ws.OpClose:
			_ = p.send(ws.MustCompileFrame(ws.NewCloseFrame(body)))
			return nil, io.EOF
		case ws.OpPing:
			if err := p.send(ws.MustCompileFrame(ws.NewPongFrame(body))); err != nil {
				return nil, err
			}
		case ws.OpPong:
		default:
			if text = append(text, body...); h.Fin {
				return text, nil
			}
		}
	}
}
