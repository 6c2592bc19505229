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

// handshake is a client's request to connect.
type handshake struct {
	headers map[string][]string // as in the authorizer's event
	query   map[string][]string
	key     string // Sec-WebSocket-Key
	trace   string
}

// refusal is the answer to a failed handshake.
type refusal struct {
	status int
	name   string // X-Amzn-ErrorType, may be empty
	text   string // message of the JSON body, may be empty
	by     string // the part of the gateway that refused, for Event.Reason
	err    error  // the cause to log; nil if it is the client's
}

// websocketGUID is the GUID of RFC 6455, section 1.3.
const websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// upgrade answers a request to the WebSocket endpoint. rest is the path after the stage.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, rest string) {
	began := time.Now()
	names := recordingOf(r).names()
	if bad := checkUpgrade(w, r, rest); bad != nil {
		s.refuse(w, "", bad)
		return
	}
	if !s.takeConnect() {
		s.refuse(w, "", &refusal{
			status: http.StatusTooManyRequests, name: "TooManyRequestsException", text: "Too Many Requests", by: "throttle",
		})
		return
	}
	if !s.open.add() {
		s.refuse(w, "", &refusal{status: http.StatusServiceUnavailable, text: "Service Unavailable", by: "shutdown"})
		return
	}
	c := s.newConnection(r)
	h := newHandshake(r, names, c)
	protocol, bad := s.connect(h, c)
	if bad != nil {
		s.open.done()
		s.refuse(w, c.id, bad)
		return
	}
	// $connect has succeeded, so that the connection must end with $disconnect from here on.
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.open.done()
		s.log.Error("cannot hijack connection", "connection_id", c.id, "error", err)
		refuse(w, http.StatusInternalServerError, "", "Internal server error")
		return
	}
	early, _ := buffered.Peek(buffered.Reader.Buffered())
	if recorded, ok := conn.(*recording); ok {
		conn = recorded.stream()
	}
	s.observe(Event{Kind: Connected, Connection: c.id, Duration: time.Since(began)})
	c.start(conn, append([]byte(nil), early...), switching(h.key, protocol))
}

// takeConnect takes a token for a handshake from each bucket. It reports whether all had one.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html
func (s *Server) takeConnect() bool {
	now := s.clock.Now()
	r := s.routes[connectRoute]
	return take(s.connects, now) && take(s.requests, now) && (r == nil || take(r.throttle, now))
}

// checkUpgrade validates a handshake as RFC 6455, section 4.2.1, requires.
func checkUpgrade(w http.ResponseWriter, r *http.Request, rest string) *refusal {
	if !hasToken(r.Header, "Upgrade", "websocket") || !hasToken(r.Header, "Connection", "upgrade") {
		w.Header().Set("Upgrade", "websocket")
		return &refusal{status: http.StatusUpgradeRequired, text: "Upgrade Required", by: "protocol"}
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case rest != "":
		// A stage has no resources. AWS does not document the answer.
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
	if recorded := recordingOf(r); recorded != nil && recorded.secure.Load() != nil {
		added["X-Forwarded-Proto"] = "https"
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

// connect invokes the authorizer and $connect. It returns the sub-protocol that $connect chose.
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

// switching returns the answer that opens the connection.
func switching(key, protocol string) []byte {
	sum := sha1.Sum([]byte(key + websocketGUID))
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if protocol != "" {
		head += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	return []byte(head + "\r\n")
}

// refuse answers a failed handshake.
func (s *Server) refuse(w http.ResponseWriter, id string, bad *refusal) {
	if bad.err != nil {
		s.log.Error("connection refused", "connection_id", id, "by", bad.by, "status", bad.status, "error", bad.err)
	}
	s.observe(Event{Kind: Refused, Connection: id, Status: bad.status, Reason: bad.by, Err: bad.err})
	refuse(w, bad.status, bad.name, bad.text)
}

// refuse writes an answer of API Gateway itself. The body is empty if text is empty.
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
	_, _ = w.Write(body) // an error means that the client has gone
}

func unescapePath(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
