package apigateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"fanfare/local/awsapi"
	"fanfare/local/clock"
)

// Invoker runs functions. Invoke is called concurrently; ctx ends when the gateway no longer waits for the answer. Any
// error is a failed integration; one with a method FunctionError() (kind, message string) is the function's own.
type Invoker interface {
	Invoke(ctx context.Context, function string, event []byte, trace string) ([]byte, error)
}

// Options are the settings that no template has. The zero value works.
type Options struct {
	// Region and Account stand in ARNs; empty means us-east-1 and 000000000000.
	Region, Account string
	// Domain is the events' domainName; empty means the Host that the client asked for.
	Domain string
	// Clock is the time of idleness, of a connection's duration and of throttles; nil is the machine's.
	Clock *clock.Clock
	// Log gets what goes wrong, never payloads; nil discards it.
	Log *slog.Logger
	// Authorize decides on a management request, by the access key it is signed with; its error's text is what the
	// caller is told. The resource ends in the literal text {connectionId}, as on AWS. nil allows everything.
	Authorize awsapi.Authorizer
	// Observe is told everything that happens. It is called by many goroutines at once and delays whoever calls it.
	// nil observes nothing.
	Observe func(Event)
	// SendBuffer is how many bytes may wait for one client that does not read, 0 means DefaultSendBuffer. An empty
	// buffer takes any message.
	SendBuffer int
	// MessagesInFlight is how many messages of one connection are worked on at once; 0 means
	// DefaultMessagesInFlight, 1 means one after the other.
	MessagesInFlight int
	// Quotas limit what an account may do; the zero value does not.
	Quotas Quotas
	// Faults are what goes wrong from the start; SetFaults changes them.
	Faults Faults
}

const (
	// DefaultSendBuffer holds two messages of the greatest size. AWS's own figure is not known.
	DefaultSendBuffer = 2 * maxMessage
	// DefaultMessagesInFlight lets the messages of a client overtake each other, as they may on AWS.
	DefaultMessagesInFlight = 16
)

// headerTimeout bounds how long a client may take over the head of a request.
const headerTimeout = 10 * time.Second

// maxURL is the greatest length of a URL, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const maxURL = 4096

// maxHeader bounds the head of a request, in bytes; enough for the greatest URL and the cookies of any browser.
const maxHeader = 32 << 10

// Server is an API that clients can connect to. Its methods may be called concurrently.
type Server struct {
	api       API
	options   Options
	invoker   Invoker
	clock     *clock.Clock
	log       *slog.Logger
	routes    map[string]*route
	selection selection
	table     *table
	open      tally // connections and handshakes that are not over
	connects  *bucket
	requests  *bucket
	luck      atomic.Pointer[luck]
	http      *http.Server

	base   context.Context // of every invocation
	cancel context.CancelFunc
}

// New checks the API and returns a server for it. Its error names everything in the API that is wrong or not emulated.
func New(api API, invoker Invoker, options Options) (*Server, error) {
	options.Region = cmp.Or(options.Region, awsapi.DefaultRegion)
	options.Account = cmp.Or(options.Account, awsapi.DefaultAccount)
	options.Log = cmp.Or(options.Log, slog.New(slog.DiscardHandler))
	options.SendBuffer = cmp.Or(options.SendBuffer, DefaultSendBuffer)
	options.MessagesInFlight = cmp.Or(options.MessagesInFlight, DefaultMessagesInFlight)
	if options.SendBuffer < 0 || options.MessagesInFlight < 0 {
		return nil, fmt.Errorf("api gateway: SendBuffer %d or MessagesInFlight %d is negative", options.SendBuffer, options.MessagesInFlight)
	}
	s := &Server{api: api, options: options, invoker: invoker, clock: options.Clock, log: options.Log, table: newTable()}
	var err error
	if s.routes, s.selection, err = api.compile(s); err != nil {
		return nil, fmt.Errorf("api gateway: %w", err)
	}
	if err := options.Quotas.check(); err != nil {
		return nil, fmt.Errorf("api gateway: quotas: %w", err)
	}
	s.connects, s.requests = newBucket(options.Quotas.Connections), newBucket(options.Quotas.Requests)
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
	if err := s.http.Serve(recordingListener{l}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("api gateway: %w", err)
	}
	return nil
}

// Shutdown closes every connection with 1001 and runs its $disconnect, during which the management API still answers,
// and then stops serving. When ctx ends before all is done, invocations are cancelled and ctx's error is
// returned.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.cancel()
	over := s.open.close()
	s.table.each(func(c *connection) { c.close(statusGoingAway, goingAway) })
	select {
	case <-over:
	case <-ctx.Done():
		// Invocations end at once, sockets within closeGrace.
		s.cancel()
		return errors.Join(ctx.Err(), s.http.Close())
	}
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// Connections returns how many clients are connected.
func (s *Server) Connections() int { return s.table.len() }

// ServeHTTP answers handshakes and management requests. Handshakes need a connection that can be hijacked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		// Whatever the client has sent after a handshake that fails is not HTTP: never read it as a next request.
		w.Header().Set("Connection", "close")
	} else {
		recordingOf(r).forget()
	}
	if len(r.RequestURI) > maxURL {
		refuse(w, http.StatusRequestURITooLong, "", "Request-URI Too Long")
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

// arn is the ARN of a route, or of anything else under the stage.
func (s *Server) arn(resource string) string {
	return "arn:aws:execute-api:" + s.options.Region + ":" + s.options.Account + ":" + s.api.ID + "/" + s.api.Stage + "/" + resource
}
