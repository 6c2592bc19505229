package apigateway

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unique"

	"fanfare/local/awsapi"
)

// handshake is a client's wish to connect.
type handshake struct {
	headers map[string][]string // as the authorizer's event has them
	query   map[string][]string
	key     string // Sec-WebSocket-Key
	trace   string
}

// refusal is the answer to a handshake that failed.
type refusal struct {
	status int
	name   string // X-Amzn-ErrorType, may be empty
	text   string // of the JSON body, may be empty
	by     string // who decided, for the observer
	err    error  // what the gateway's owner should know; nil if nothing went wrong
}

// websocketGUID is RFC 6455's, section 1.3.
const websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// upgrade answers a request to the WebSocket endpoint. rest is the path after the stage.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, rest string) {
	began := time.Now()
	names := recordingOf(r).names()
	if bad := checkUpgrade(w, r, rest); bad != nil {
		s.refuse(w, "", bad)
		return
	}
	if !s.mayConnect() {
		s.refuse(w, "", &refusal{status: http.StatusTooManyRequests, name: "TooManyRequestsException", text: "Too Many Requests", by: "throttle"})
		return
	}
	if !s.open.enter() {
		s.refuse(w, "", &refusal{status: http.StatusServiceUnavailable, text: "Service Unavailable", by: "shutdown"})
		return
	}
	c := s.newConnection(r)
	h := newHandshake(r, names, c)
	protocol, bad := s.connect(h, c)
	if bad != nil {
		s.open.leave()
		s.refuse(w, c.id, bad)
		return
	}
	// From here on $connect has succeeded, so that whatever happens the connection ends with $disconnect.
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.open.leave()
		s.log.Error("hijack a connection", "connection_id", c.id, "error", err)
		refuse(w, http.StatusInternalServerError, "", "Internal server error")
		return
	}
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	if recorded, ok := conn.(*recording); ok {
		conn = recorded.Conn
	}
	s.observe(Event{Kind: Connected, Connection: c.id, Duration: time.Since(began)})
	c.start(conn, append([]byte(nil), early...), switching(h.key, protocol))
}

// mayConnect takes what a handshake costs.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html
func (s *Server) mayConnect() bool {
	now := s.clock.Now()
	r := s.routes[connectRoute]
	return s.connects.take(now) && s.requests.take(now) && (r == nil || r.throttle.take(now))
}

// checkUpgrade looks at what RFC 6455, section 4.2.1, demands of a handshake.
func checkUpgrade(w http.ResponseWriter, r *http.Request, rest string) *refusal {
	if !hasToken(r.Header, "Upgrade", "websocket") || !hasToken(r.Header, "Connection", "upgrade") {
		w.Header().Set("Upgrade", "websocket")
		return &refusal{status: http.StatusUpgradeRequired, text: "Upgrade Required", by: "protocol"}
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case rest != "":
		// A stage has no resources; which answer AWS gives is not documented.
		return &refusal{status: http.StatusForbidden, name: "ForbiddenException", text: "Forbidden", by: "path"}
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		return &refusal{status: http.StatusUpgradeRequired, text: "Upgrade Required", by: "protocol"}
	case r.Method != http.MethodGet || err != nil || len(key) != 16:
		return &refusal{status: http.StatusBadRequest, text: "Bad Request", by: "protocol"}
	}
	return nil
}

func hasToken(header http.Header, name, token string) bool {
	for _, value := range header.Values(name) {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

func newHandshake(r *http.Request, names map[string]string, c *connection) *handshake {
	h := &handshake{query: parseQuery(r.URL.RawQuery), key: r.Header.Get("Sec-WebSocket-Key")}
	h.trace = r.Header.Get("X-Amzn-Trace-Id")
	if !strings.Contains(h.trace, "Root=") {
		h.trace = newTrace(time.Now())
	}
	forwarded := c.sourceIP.Value()
	if before := r.Header.Get("X-Forwarded-For"); before != "" {
		forwarded = before + ", " + forwarded
	}
	added := map[string]string{
		"X-Amzn-Trace-Id": h.trace, "X-Forwarded-For": forwarded, "X-Forwarded-Proto": "http",
		"Connection": "upgrade", "Upgrade": "websocket", "content-length": "0",
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, added["X-Forwarded-Port"], _ = net.SplitHostPort(local.String())
	}
	h.headers = eventHeaders(r, names, added)
	return h
}

func (s *Server) newConnection(r *http.Request) *connection {
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	domain := s.options.Domain
	if domain == "" {
		domain = r.Host
	}
	now := s.clock.Now().UnixMilli()
	c := &connection{
		server: s, id: newID(), connectedAt: now,
		sourceIP: unique.Make(source), userAgent: unique.Make(r.UserAgent()), domain: unique.Make(domain),
	}
	c.lastActive.Store(now)
	return c
}

// connect asks the authorizer and $connect. It returns the sub-protocol that $connect chose.
func (s *Server) connect(h *handshake, c *connection) (protocol string, bad *refusal) {
	r := s.routes[connectRoute]
	if r == nil {
		return "", nil
	}
	if r.authorizer != nil {
		if bad := s.authorize(r.authorizer, h, c); bad != nil {
			return "", bad
		}
	}
	if r.target == nil {
		return "", nil
	}
	rc := s.newRequestContext(c, connectRoute, "CONNECT")
	answer, err := r.target.respond(s.base, request{event: s.connectEvent(h, rc), trace: h.trace})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "", &refusal{status: http.StatusGatewayTimeout, text: "Endpoint request timed out", by: connectRoute, err: err}
	case err != nil:
		return "", &refusal{status: http.StatusBadGateway, text: "Internal server error", by: connectRoute, err: err}
	case answer.status/100 != 2:
		return "", &refusal{status: answer.status, by: connectRoute}
	}
	return answer.header("Sec-WebSocket-Protocol"), nil
}

// switching is the answer that opens the connection.
func switching(key, protocol string) []byte {
	sum := sha1.Sum([]byte(key + websocketGUID))
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if protocol != "" {
		head += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	return []byte(head + "\r\n")
}

// refuse answers a handshake that failed.
func (s *Server) refuse(w http.ResponseWriter, id string, bad *refusal) {
	if bad.err != nil {
		s.log.Error("refuse a connection", "connection_id", id, "by", bad.by, "status", bad.status, "error", bad.err)
	}
	s.observe(Event{Kind: Refused, Connection: id, Status: bad.status, Reason: bad.by, Err: bad.err})
	refuse(w, bad.status, bad.name, bad.text)
}

// refuse writes an answer of API Gateway's own. The body is empty when text is.
func refuse(w http.ResponseWriter, status int, name, text string) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Amzn-Requestid", awsapi.NewUUID())
	header.Set("X-Amz-Apigw-Id", newID())
	if name != "" {
		header.Set("X-Amzn-Errortype", name)
	}
	var body []byte
	if text != "" {
		body = []byte(`{"message":` + quote(text) + `}`)
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

func unescapePath(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
