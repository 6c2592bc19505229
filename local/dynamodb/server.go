package dynamodb

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/local/awsapi"
	"fanfare/local/clock"
)

// maxRequest is the size of the largest request. The largest one of AWS, BatchWriteItem, is 16 MB.
const maxRequest = 16<<20 + 1<<20

// targetPrefix is the API version, which comes before the operation in the header X-Amz-Target.
const targetPrefix = "DynamoDB_20120810."

// DefaultTTLDelay is the default of Options.TTLDelay. AWS promises deletion "within a few days"; its older
// documentation said 48 hours.
const DefaultTTLDelay = 48 * time.Hour

// Options configures a server. The zero value is ready for use.
type Options struct {
	Region  string       // "" is us-east-1
	Account string       // twelve digits; "" is 000000000000
	Clock   *clock.Clock // time of expiry and of creation dates; nil is real time
	Log     *slog.Logger // nil discards

	// Authorize decides on the action ("dynamodb:Scan") of each request on a resource: a table's ARN, or "*". A denial is
	// answered with AccessDeniedException.
	Authorize awsapi.Authorizer

	// TTLDelay is the time, by Clock, for which an item stays readable after its expiry time. 0 is DefaultTTLDelay. With a
	// negative delay, items are deleted by the next sweep, within a minute.
	TTLDelay time.Duration
}

// Server emulates DynamoDB for one account in one Region. It is an http.Handler, safe for concurrent use.
type Server struct {
	options Options
	stop    context.CancelFunc
	stopped chan struct{}

	mu     sync.RWMutex // guards the map, not the tables
	tables map[string]*table

	recent recentTransactions
	faults atomic.Pointer[injector] // nil is no faults
}

// New returns a server without tables. The caller must close it.
func New(options Options) *Server {
	options.Region = cmp.Or(options.Region, awsapi.DefaultRegion)
	options.Account = cmp.Or(options.Account, awsapi.DefaultAccount)
	options.Log = cmp.Or(options.Log, slog.New(slog.DiscardHandler))
	options.TTLDelay = cmp.Or(options.TTLDelay, DefaultTTLDelay)
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{options: options, stop: stop, stopped: make(chan struct{}), tables: make(map[string]*table)}
	go func() {
		defer close(s.stopped)
		s.sweep(ctx)
	}()
	return s
}

// Close stops the deletion of expired items and waits for it. It does not wait for requests.
func (s *Server) Close() {
	s.stop()
	<-s.stopped
}

// call is one request of the API.
type call struct {
	*members
	server    *Server
	operation string
	accessKey string
	fault     *fault
	page      *[]byte // a reusable buffer for a page of items
}

// pages pools the buffers of pages, which are megabytes each.
var pages = sync.Pool{New: func() any { return new([]byte) }}

// ServeHTTP answers one request of the API: POST, AWS JSON 1.0, the operation in X-Amz-Target. The request must be
// signed, because of the access key; the signature is not verified.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Read the whole request first: a client that is still writing may lose an earlier answer.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		s.answer(w, nil, &failure{kind: namespaceService + "SerializationException", status: http.StatusRequestEntityTooLarge,
			message: "read request: " + err.Error()})
		return
	}
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	fault := s.faults.Load().draw(operation)
	if fault != nil {
		if err := s.options.Clock.Sleep(r.Context(), fault.delay); err != nil {
			return // the client has disconnected
		}
	}
	page := pages.Get().(*[]byte)
	defer pages.Put(page)
	answer, err := s.serve(r, operation, body, &call{server: s, operation: operation, fault: fault, page: page})
	s.answer(w, answer, err)
	if f := (*failure)(nil); errors.As(err, &f) {
		s.options.Log.Debug("dynamodb request", "operation", operation, "error", f.code())
	}
}

func (s *Server) serve(r *http.Request, name string, body []byte, c *call) ([]byte, error) {
	operation, known := operations[name]
	if !known || r.Method != http.MethodPost || name == r.Header.Get("X-Amz-Target") {
		return nil, &failure{kind: namespaceService + "UnknownOperationException", status: http.StatusBadRequest,
			message: fmt.Sprintf("the local DynamoDB has no operation %s %q", r.Method, r.Header.Get("X-Amz-Target"))}
	}
	if c.accessKey = awsapi.AccessKeyID(r.Header.Get("Authorization")); c.accessKey == "" {
		return nil, &failure{kind: namespaceService + "MissingAuthenticationTokenException", status: http.StatusBadRequest,
			message: "Request is missing Authentication Token"}
	}
	if c.fault != nil && c.fault.failure != nil {
		return nil, c.fault.failure
	}
	var err error
	if c.members, err = parseRequest(body); err != nil {
		return nil, err
	}
	if err := c.allow(name, operation.parameters, operation.refused); err != nil {
		return nil, err
	}
	answer, err := operation.serve(c)
	if err == nil && c.fault != nil && c.fault.answerLost != nil {
		return nil, c.fault.answerLost
	}
	return answer, err
}

// answer writes an answer or an error, with the headers that the SDKs expect.
func (s *Server) answer(w http.ResponseWriter, body []byte, err error) {
	status := http.StatusOK
	if err != nil {
		var f *failure
		if !errors.As(err, &f) {
			s.options.Log.Error("dynamodb request failed", "error", err)
			f = serviceError("InternalServerError", "%v", err)
			f.status = http.StatusInternalServerError
		}
		status, body = f.status, f.body()
	}
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.Header().Set("X-Amzn-Requestid", rand.Text()+rand.Text())
	awsapi.WriteJSON(w, awsapi.JSON10, status, body)
}

// table returns the table of a name or an ARN in the request, if the caller may perform the action on it.
func (c *call) table(name, action string) (*table, error) {
	name = strings.TrimPrefix(name, c.server.arn(""))
	if err := checkTableName(name); err != nil {
		return nil, err
	}
	if err := c.authorize(action, c.server.arn(name)); err != nil {
		return nil, err
	}
	c.server.mu.RLock()
	defer c.server.mu.RUnlock()
	t := c.server.tables[name]
	if t == nil {
		return nil, serviceError("ResourceNotFoundException", "Requested resource not found")
	}
	return t, nil
}

func (c *call) authorize(action, resource string) error {
	err := c.server.options.Authorize.Check(c.accessKey, "dynamodb:"+action, resource)
	if err == nil {
		return nil
	}
	return &failure{kind: namespaceService + "AccessDeniedException", status: http.StatusBadRequest,
		message: err.Error()}
}

// arn returns the ARN of a table.
func (s *Server) arn(table string) string {
	return "arn:aws:dynamodb:" + s.options.Region + ":" + s.options.Account + ":table/" + table
}

// answer is a JSON object of an answer, under construction.
type answer struct{ text []byte }

// member starts a member. The caller must append its value to text.
func (a *answer) member(name string) {
	separator := byte(',')
	if len(a.text) == 0 {
		separator = '{'
	}
	a.text = append(a.text, separator, '"')
	a.text = append(a.text, name...)
	a.text = append(a.text, '"', ':')
}

func (a *answer) raw(name string, json []byte) {
	a.member(name)
	a.text = append(a.text, json...)
}

func (a *answer) item(name string, it item) {
	a.member(name)
	a.text = it.appendJSON(a.text)
}

func (a *answer) integer(name string, n int) {
	a.member(name)
	a.text = strconv.AppendInt(a.text, int64(n), 10)
}

func (a *answer) end() []byte {
	if len(a.text) == 0 {
		return []byte("{}")
	}
	return append(a.text, '}')
}
