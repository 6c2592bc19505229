package transport

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// maxResponse bounds a response, header and body together. A longer one is an error.
	maxResponse = 1 << 20
	// maxIdle bounds the time that an unused connection is kept. It is the value of net/http's default transport.
	maxIdle = 90 * time.Second
)

// Pool sends requests to one server over a bounded number of HTTP/1.1 connections, which it keeps open. It is an
// [aws.HTTPClient] and safe for concurrent use. It starts no goroutines.
//
// A Pool exists to save CPU: the goroutine that calls Do writes the request and reads the response itself, where
// net/http hands them to two other goroutines. net/http still parses all responses but the simplest. A Pool does only
// what a small signed request needs: no proxies, redirects, cookies, HTTP/2 or bodies of unknown length. Anything else
// is an error. (HTTP/2 was measured: a post costs half as much again, and one connection would carry all posts.)
//
// A request is sent at most once. The one exception is a kept connection that is found closed before a byte of the
// request has been written: then the request goes out on a new connection. After the first byte the server may
// have acted on the request, so every later failure is returned. net/http follows the same rule for POST.
type Pool struct {
	address string // host:port
	tls     *tls.Config
	base    url.URL
	timeout time.Duration
	slots   chan struct{} // holds one element per request in flight

	mu   sync.Mutex
	idle []*conn // the most recently used last
}

// NewPool returns a pool for the server of base, an http or https URL whose path is ignored. At most size requests are
// in flight, the others wait. timeout bounds each request from the dial to the end of the response; the wait for a
// free connection is bounded by the request's context alone. The TLS configuration may be nil.
func NewPool(base *url.URL, size int, timeout time.Duration, config *tls.Config) (*Pool, error) {
	p := &Pool{base: url.URL{Scheme: base.Scheme, Host: base.Host}, timeout: timeout, slots: make(chan struct{}, size)}
	port := base.Port()
	switch base.Scheme {
	case "http":
		port = cmp.Or(port, "80")
	case "https":
		port = cmp.Or(port, "443")
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		config = config.Clone()
		config.ServerName = base.Hostname()
		config.NextProtos = []string{"http/1.1"}
		if config.ClientSessionCache == nil {
			config.ClientSessionCache = tls.NewLRUClientSessionCache(size) // makes reconnecting cheaper
		}
		p.tls = config
	default:
		return nil, fmt.Errorf("open connections to %q: the scheme must be http or https", base)
	}
	if base.Hostname() == "" {
		return nil, fmt.Errorf("open connections to %q: no host", base)
	}
	p.address = net.JoinHostPort(base.Hostname(), port)
	return p, nil
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Do sends the request and returns the response with its body in memory. The headers of an empty 200 response are left
// out. Do returns the context's error soon after the request's context has ended.
func (p *Pool) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if r.URL.Scheme != p.base.Scheme || r.URL.Host != p.base.Host {
		return nil, fmt.Errorf("send to %s://%s: the connections are to %s", r.URL.Scheme, r.URL.Host, &p.base)
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	request, err := appendRequest((*buffer)[:0], r)
	*buffer = request
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}

	ctx := r.Context()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.slots }()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := time.Now()
	deadline := now.Add(p.timeout)
	for {
		c := p.takeIdle(now, deadline)
		kept := c != nil
		if !kept {
			var err error
			if c, err = p.dial(ctx, deadline); err != nil {
				return nil, cmp.Or(ctx.Err(), err)
			}
		}
		response, reusable, err := c.exchange(ctx, request, r)
		if reusable {
			p.putIdle(c)
		} else {
			c.close()
		}
		if kept && errors.As(err, new(notSentError)) && ctx.Err() == nil && time.Now().Before(deadline) {
			continue
		}
		return response, err
	}
}

// appendRequest appends the request as it is sent. It returns an error for what a Pool does not support.
func appendRequest(b []byte, r *http.Request) ([]byte, error) {
	if r.Body != nil && r.ContentLength <= 0 || r.Body == nil && r.ContentLength > 0 || len(r.TransferEncoding) > 0 {
		return b, fmt.Errorf("a body with the length %d is not supported", r.ContentLength)
	}
	uri, host := r.URL.RequestURI(), cmp.Or(r.Host, r.URL.Host)
	if !isWord(r.Method) || !isWord(uri) || !isWord(host) {
		return b, fmt.Errorf("the request line %q or the host %q is malformed", r.Method+" "+uri, host)
	}
	b = append(append(append(b, r.Method...), ' '), uri...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), host...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, max(r.ContentLength, 0), 10)
	ends := 4 // of lines
	for name, values := range r.Header {
		if name == "Host" || name == "Content-Length" {
			continue // written above
		}
		if !isWord(name) {
			return b, fmt.Errorf("the header name %q is malformed", name)
		}
		for _, value := range values {
			b = append(append(append(append(b, "\r\n"...), name...), ": "...), value...)
			ends++
		}
	}
	b = append(b, "\r\n\r\n"...)
	// A line break inside a value would let the value add headers.
	if bytes.Count(b, []byte("\n")) != ends || bytes.Count(b, []byte("\r")) != ends || bytes.IndexByte(b, 0) >= 0 {
		return b, errors.New("a header value contains a line break or a zero byte")
	}
	if r.Body == nil {
		return b, nil
	}
	head := len(b)
	b = slices.Grow(b, int(r.ContentLength))[:head+int(r.ContentLength)]
	if _, err := io.ReadFull(r.Body, b[head:]); err != nil {
		return b, fmt.Errorf("read the body of %d bytes: %w", r.ContentLength, err)
	}
	if n, err := r.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return b, fmt.Errorf("the body is longer than %d bytes", r.ContentLength)
	}
	return b, nil
}

// isWord reports whether s is not empty and consists of visible ASCII characters.
func isWord(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// takeIdle returns the most recently used idle connection that is still open, or nil.
func (p *Pool) takeIdle(now, deadline time.Time) *conn {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		idle := now.Sub(c.since)
		if c.net.SetDeadline(deadline) == nil && idle >= 0 && idle < maxIdle && c.open() {
			return c
		}
		c.close()
	}
}

func (p *Pool) putIdle(c *conn) {
	c.since = time.Now().Round(0) // the wall clock, as the monotonic one may stand still while Lambda freezes the process
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
}

// CloseIdleConnections closes the connections that no request uses.
func (p *Pool) CloseIdleConnections() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

func (p *Pool) dial(ctx context.Context, deadline time.Time) (*conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	c := &conn{net: raw, raw: raw}
	socket, err := raw.(*net.TCPConn).SyscallConn()
	if err != nil {
		c.close()
		return nil, fmt.Errorf("open a connection to %s: %w", p.address, err)
	}
	c.open = openCheck(socket)
	if p.tls != nil {
		secure := tls.Client(raw, p.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			c.close()
			return nil, fmt.Errorf("TLS handshake with %s: %w", p.address, err)
		}
		c.net = secure
	}
	c.reader = bufio.NewReader(c)
	if err := c.net.SetDeadline(deadline); err != nil {
		c.close()
		return nil, fmt.Errorf("open a connection to %s: %w", p.address, err)
	}
	return c, nil
}

// conn is one connection. One goroutine uses it at a time.

type conn struct {
	net    net.Conn      // what requests are written to, TLS if the server has it
	raw    net.Conn      // the TCP connection
	open   func() bool   // reports whether the connection, idle, can carry a request
	reader *bufio.Reader // reads from the conn itself, which bounds the response
	left   int           // bytes of the response that may still be read
	failed bool          // a read has failed
	since  time.Time     // when it became idle
}

// close closes the TCP connection. It leaves out the close message of TLS, which could block.
func (c *conn) close() { c.raw.Close() }

// Read reads from the network, at most c.left bytes in all.
func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	n, err := c.net.Read(p[:min(len(p), c.left)])
	c.left -= n
	c.failed = c.failed || err != nil
	return n, err
}

var errTooLong = fmt.Errorf("the response is longer than %d bytes", maxResponse)

// notSentError means that no byte of the request has been written.
type notSentError struct{ error }

func (e notSentError) Unwrap() error { return e.error }

// exchange writes the request and reads the response. reusable reports whether the connection may carry another
// request.
func (c *conn) exchange(ctx context.Context, request []byte, r *http.Request) (
	response *http.Response, reusable bool, err error,
) {
	stop := context.AfterFunc(ctx, func() { c.net.SetDeadline(time.Unix(1, 0)) }) // ends the read or write under way
	defer func() {
		if !stop() {
			reusable = false // the deadline of the connection has been or is being changed
		}
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	c.left = maxResponse
	if n, err := c.net.Write(request); err != nil {
		if n == 0 {
			return nil, false, notSentError{err}
		}
		// A server may answer, 413 for example, and close the connection before it has read the whole request.
		if response, _, readErr := c.readResponse(r); readErr == nil {
			return response, false, nil
		}
		return nil, false, err
	}
	return c.readResponse(r)
}

func (c *conn) readResponse(r *http.Request) (response *http.Response, reusable bool, err error) {
	if _, err := c.reader.Peek(1); err != nil {
		return nil, false, fmt.Errorf("read the response: %w", err)
	}
	buffered, _ := c.reader.Peek(c.reader.Buffered())
	if n := emptyOK(buffered); n > 0 {
		if _, err := c.reader.Discard(n); err != nil {
			return nil, false, fmt.Errorf("read the response: %w", err)
		}
		response = &http.Response{
			Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Body: io.NopCloser(failingReader{}), Request: r,
		}
		return response, !c.failed && c.reader.Buffered() == 0, nil
	}
	// Interim responses may come unasked and are skipped (RFC 9110, section 15.2). maxResponse bounds them, too.
	for response == nil || response.StatusCode < 200 {
		if response, err = http.ReadResponse(c.reader, r); err != nil {
			return nil, false, fmt.Errorf("read the response: %w", err)
		}
		if response.StatusCode == http.StatusSwitchingProtocols {
			return nil, false, fmt.Errorf("read the response: unexpected status %s", response.Status)
		}
	}
	if response.ContentLength != 0 {
		var data []byte
		data, err = io.ReadAll(response.Body)
		response.Body.Close()
		// The status is valid even if the body is incomplete: reading the body returns the error.
		response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(data), failingReader{err}))
	}
	return response, err == nil && !response.Close && !c.failed && c.reader.Buffered() == 0, nil
}

// emptyOK returns the length of the response at the beginning of b if it is a complete and well-formed 200 response
// without a body, after which the connection stays open. It returns 0 for every other response and in case of doubt.
// Nearly all responses are of this kind, and parsing them in full would cost 6 % of the CPU of a post.
func emptyOK(b []byte) int {
	const status, end = "HTTP/1.1 200 OK\r\n", "\r\n\r\n"
	n := bytes.Index(b, []byte(end))
	if n < 0 || !bytes.HasPrefix(b, []byte(status)) || n < len(status) {
		return 0
	}
	lengths := 0
	for line := range bytes.SplitSeq(b[len(status):n], []byte("\r\n")) {
		name, value, found := bytes.Cut(line, []byte(": "))
		if !found || !isName(name) || hasControl(value) {
			return 0
		}
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if lengths++; string(value) != "0" {
				return 0
			}
		case bytes.EqualFold(name, []byte("Connection")):
			if string(value) != "keep-alive" {
				return 0
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")), bytes.EqualFold(name, []byte("Trailer")):
			return 0
		}
	}
	if lengths != 1 {
		return 0
	}
	return n + len(end)
}

// isName reports whether b consists of letters, digits and hyphens.
func isName(b []byte) bool {
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(b) > 0
}

// hasControl reports whether b contains a control character.
func hasControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// failingReader reads nothing and returns err, or io.EOF if there is none.
type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}
