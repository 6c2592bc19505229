package apigateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"fanfare/local/awsapi"
	"fanfare/local/clock"
)

// Invoker invokes functions. Invoke is called concurrently; ctx ends when the gateway stops waiting. An error means
// that the integration failed. An error with a method FunctionError() (kind, message string) is an error that the
// function returned.
type Invoker interface {
	Invoke(ctx context.Context, function string, event []byte, trace string) ([]byte, error)
}

// Options are the settings that no template has. The zero value is valid.
type Options struct {
	// Region and Account are used in ARNs; "" means us-east-1 and 000000000000.
	Region, Account string
	// Domain is the domainName of events; "" means the Host header of the client's handshake.
	Domain string
	// AllowHost reports whether requests with this Host header are served; others get 403. nil serves all.
	AllowHost func(host string) bool
	// TLS is the configuration of TLS on the same port: a connection whose first byte begins a TLS handshake uses it.
	// nil serves plain HTTP only.
	TLS *tls.Config
	// Clock measures idle time, connection duration and throttles; nil means real time.
	Clock *clock.Clock
	// Log receives errors, never payloads; nil discards them.
	Log *slog.Logger
	// Authorize decides on a management request by the access key of its signature. The text of its error is sent to
	// the caller. The resource ends in the literal text {connectionId}, as on AWS. nil allows everything.
	Authorize awsapi.Authorizer
	// Observe receives every event. It is called concurrently and blocks its caller. nil observes nothing.
	Observe func(Event)
	// SendBuffer limits the bytes that wait for one slow client; 0 means DefaultSendBuffer. An empty buffer accepts
	// a message of any size.
	SendBuffer int
	// MessagesInFlight limits how many messages of one connection are handled at once; 0 means
	// DefaultMessagesInFlight, and 1 handles one after the other.
	MessagesInFlight int
	// Quotas are the account's quotas; the zero value sets none.
	Quotas Quotas
	// Faults are the initial faults; SetFaults changes them.
	Faults Faults
}

const (
	// DefaultSendBuffer is two messages of the maximum size. AWS does not publish its value.
	DefaultSendBuffer = 2 * maxMessage
	// DefaultMessagesInFlight lets messages of one client overtake each other, as they may on AWS.
	DefaultMessagesInFlight = 16
)

// headerTimeout limits the time for reading the head of a request.
const headerTimeout = 10 * time.Second

// bodyTimeout limits the time for reading the body of a request, whether the gateway or net/http reads it.
const bodyTimeout = 10 * time.Second

// maxURL is the maximum length of a URL, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const maxURL = 4096

// maxValues limits the request line and the values of the headers together, in bytes. AWS documents it for REST APIs.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
const maxValues = 10240

// maxHeader limits the head of a request, in bytes. It is larger than maxValues, which has an answer of its own.
const maxHeader = 32 << 10

// Server is a running API. It is safe for concurrent use.
type Server struct {
	api       API
	options   Options
	invoker   Invoker
	clock     *clock.Clock
	log       *slog.Logger
	routes    map[string]*route
	selection selection
	table     *table
	open      drainGroup // connections and handshakes that have not ended
	connects  *rate.Limiter
	requests  *rate.Limiter
	faults    atomic.Pointer[faultSequence]
	http      *http.Server

	base   context.Context // parent of every invocation
	cancel context.CancelFunc
}

// New validates the API and returns a server for it. Its error contains everything that is wrong or not emulated.
func New(api API, invoker Invoker, options Options) (*Server, error) {
	options.Region = cmp.Or(options.Region, awsapi.DefaultRegion)
	options.Account = cmp.Or(options.Account, awsapi.DefaultAccount)
	options.SendBuffer = cmp.Or(options.SendBuffer, DefaultSendBuffer)
	options.MessagesInFlight = cmp.Or(options.MessagesInFlight, DefaultMessagesInFlight)
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.SendBuffer < 0 || options.MessagesInFlight < 0 {
		return nil, fmt.Errorf("api gateway: SendBuffer %d or MessagesInFlight %d is negative",
			options.SendBuffer, options.MessagesInFlight)
	}
	s := &Server{api: api, options: options, invoker: invoker, clock: options.Clock, log: options.Log, table: newTable()}
	var err error
	if s.routes, s.selection, err = api.compile(s); err != nil {
		return nil, fmt.Errorf("api gateway: %w", err)
	}
	if err := options.Quotas.check(); err != nil {
		return nil, fmt.Errorf("api gateway: quotas: %w", err)
	}
	s.connects, s.requests = newLimiter(options.Quotas.Connections), newLimiter(options.Quotas.Requests)
	if err := s.SetFaults(options.Faults); err != nil {
		return nil, err
	}
	s.base, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withRecording,
	}
	return s, nil
}

// Serve accepts connections until Shutdown, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(recordingListener{l, s.options.TLS}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("api gateway: %w", err)
	}
	return nil
}

// Shutdown closes every connection with 1001, waits for each $disconnect, and then stops serving. The management API
// answers until then. If ctx ends first, Shutdown cancels all invocations and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.cancel()
	over := s.open.close()
	s.table.each(func(c *connection) { c.close(statusGoingAway, goingAway) })
	select {
	case <-over:
	case <-ctx.Done():
		// Cancelled invocations return at once; sockets are closed within closeGrace.
		s.cancel()
		return errors.Join(ctx.Err(), s.http.Close())
	}
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// Connections returns the number of connected clients.
func (s *Server) Connections() int { return s.table.len() }

// ServeHTTP answers handshakes and management requests. Handshakes need a connection that can be hijacked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		// Bytes that follow a failed handshake are not HTTP: close, so that they are not read as the next request.
		w.Header().Set("Connection", "close")
	} else {
		recordingOf(r).stop()
		limitBody(w, time.Now().Add(bodyTimeout))
	}
	if s.options.AllowHost != nil && !s.options.AllowHost(r.Host) {
		refuse(w, http.StatusForbidden, "ForbiddenException", "Forbidden: no API with this host name")
		return
	}
	if len(r.RequestURI) > maxURL {
		refuse(w, http.StatusRequestURITooLong, "", "Request-URI Too Long")
		return
	}
	if headSize(r) > maxValues {
		refuse(w, http.StatusRequestHeaderFieldsTooLarge, "", "Request Header Fields Too Large")
		return
	}
	stage, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	if unescapePath(stage) != s.api.Stage {
		refuse(w, http.StatusForbidden, "ForbiddenException", "Forbidden")
		return
	}
	resource, id, _ := strings.Cut(rest, "/")
	if unescapePath(resource) == "@connections" {
		s.manage(w, r, unescapePath(id))
		return
	}
	s.upgrade(w, r, rest)
}

// headSize returns the size of a request's line and of the values of its headers, in bytes.
func headSize(r *http.Request) int {
	size := len(r.Method) + len(" ") + len(r.RequestURI) + len(" ") + len(r.Proto) + len(r.Host)
	for _, values := range r.Header {
		for _, value := range values {
			size += len(value)
		}
	}
	return size
}

// limitBody sets the time by which the body of a request must have arrived; the zero time sets no limit.
func limitBody(w http.ResponseWriter, deadline time.Time) {
	_ = http.NewResponseController(w).SetReadDeadline(deadline) // httptest's recorder has no deadlines and the whole body
}

// arn returns the ARN of a route or of another resource under the stage.
func (s *Server) arn(resource string) string {
	return "arn:aws:execute-api:" + s.options.Region + ":" + s.options.Account + ":" +
		s.api.ID + "/" + s.api.Stage + "/" + resource
}
