package sqs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/local/awsapi"
	"fanfare/local/clock"
)

// Options configures a server. The zero value serves account 000000000000 in us-east-1 in real time and allows every
// request.
type Options struct {
	Region  string // "" is us-east-1
	Account string // twelve digits; "" is 000000000000

	// Endpoint begins the queue URLs, such as http://127.0.0.1:4566, without a final slash. "" is http:// and the Host of
	// the request. In queue URLs that clients send, only the path counts.
	Endpoint string

	// Clock is the time of delays, timeouts, retention and cool-downs; nil is real time.
	Clock *clock.Clock

	// Log gets one record for each request that fails by an internal error, and one for each request at level debug.
	// Records contain no message bodies. nil discards.
	Log *slog.Logger

	// Authorize decides on each operation: its action is like "sqs:SendMessage" (batches have the action of their single
	// operation), its resource the ARN of the queue, or "*" for ListQueues. A denial is answered with AccessDenied.
	Authorize awsapi.Authorizer

	// Faults apply from the start. SetFaults changes them.
	Faults Faults
}

// QueueConfig describes a queue to be created. Attributes have SQS's names (VisibilityTimeout, RedrivePolicy, ...) and
// format: strings, policies as JSON. Missing attributes have SQS's defaults.
type QueueConfig struct {
	Name       string
	Attributes map[string]string
}

// Server holds the queues of one account in one Region. It is safe for concurrent use.
type Server struct {
	options Options
	log     *slog.Logger

	queues  sync.Map   // name -> *queue
	naming  sync.Mutex // held while queues are created, changed and deleted
	removed map[string]time.Time

	faults    atomic.Pointer[faultPlan]
	closed    chan struct{}
	closeOnce sync.Once
}

var errClosed = errors.New("sqs: server closed")

// New returns a server without queues. The caller must close it.
func New(o Options) *Server {
	o.Region = cmp.Or(o.Region, awsapi.DefaultRegion)
	o.Account = cmp.Or(o.Account, awsapi.DefaultAccount)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Endpoint = strings.TrimSuffix(o.Endpoint, "/")
	s := &Server{options: o, log: o.Log, removed: make(map[string]time.Time), closed: make(chan struct{})}
	s.SetFaults(o.Faults)
	return s
}

// Close ends long polls. The messages are lost.
func (s *Server) Close() {
	s.closeOnce.Do(func() { close(s.closed) })
	for _, q := range s.all() {
		q.mu.Lock()
		q.waiting.wakeAll()
		q.mu.Unlock()
	}
}

func (s *Server) arn(name string) string {
	return fmt.Sprintf("arn:aws:sqs:%s:%s:%s", s.options.Region, s.options.Account, name)
}

// queue returns the queue of that name, or nil.
func (s *Server) queue(name string) *queue {
	q, ok := s.queues.Load(name)
	if !ok {
		return nil
	}
	return q.(*queue)
}

// queueByARN returns the queue with that ARN, or nil.
func (s *Server) queueByARN(arn string) *queue {
	if name, ok := strings.CutPrefix(arn, s.arn("")); ok {
		return s.queue(name)
	}
	return nil
}

// all returns the queues by name.
func (s *Server) all() []*queue {
	var all []*queue
	s.queues.Range(func(_, q any) bool { all = append(all, q.(*queue)); return true })
	slices.SortFunc(all, func(a, b *queue) int { return strings.Compare(a.name, b.name) })
	return all
}

// deadLetterQueue returns the dead-letter queue and the maxReceiveCount of these settings, or nil and 0 if there is
// none.
func (s *Server) deadLetterQueue(of *settings) (*queue, int) {
	if of.redrive == nil {
		return nil, 0
	}
	q := s.queueByARN(of.redrive.deadLetterARN)
	if q == nil {
		return nil, 0
	}
	return q, of.redrive.maxReceiveCount
}

// CreateQueue creates a queue and returns its ARN. If a queue of that name has the given attributes, this is no error,
// as over the wire. The error is an *Error.
func (s *Server) CreateQueue(c QueueConfig) (arn string, err error) {
	q, refusal := s.create(c)
	if refusal != nil {
		return "", refusal
	}
	return q.arn, nil
}

// Receive receives 1 to 10 messages of the queue with that ARN, with all their attributes, and hides them for the
// queue's visibility timeout. It waits up to wait, 0 to 20 s by Options.Clock, for the first message. Without a message
// in that time it returns none and no error. If ctx ends first, it returns the error of ctx.
func (s *Server) Receive(ctx context.Context, queueARN string, limit int, wait time.Duration) ([]Message, error) {
	q := s.queueByARN(queueARN)
	if q == nil {
		return nil, nonExistentQueue()
	}
	if err := checkReceive(limit, wait); err != nil {
		return nil, err
	}
	before, after := s.faults.Load().request(ctx, s, "ReceiveMessage", q.name)
	if before != nil {
		return nil, before
	}
	taken, err := s.receive(ctx, q, limit, nil, wait)
	if err := cmp.Or(err, after); err != nil {
		return nil, err
	}
	messages := make([]Message, len(taken))
	for i, d := range taken {
		messages[i] = Message{
			ID: d.id, ReceiptHandle: d.handle, Body: d.body, MD5OfBody: d.md5Body,
			MD5OfMessageAttributes: d.md5Attributes, Attributes: d.system(), MessageAttributes: maps.Clone(d.attributes),
		}
	}
	return messages, nil
}

func checkReceive(limit int, wait time.Duration) *Error {
	if limit < 1 || limit > maxReceive {
		return invalidValue(limit, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
	}
	if wait < 0 || wait > maxWait {
		return invalidValue(int(wait/time.Second), "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
	}
	return nil
}

// Delete deletes the messages of any number of receipt handles from the queue with that ARN. A handle whose message is
// deleted, or was received again since, is no error. The errors of invalid handles are joined.
func (s *Server) Delete(queueARN string, receiptHandles ...string) error {
	q := s.queueByARN(queueARN)
	if q == nil {
		return nonExistentQueue()
	}
	before, after := s.faults.Load().request(context.Background(), s, "DeleteMessageBatch", q.name)
	if before != nil {
		return before
	}
	problems := []error{after}
	for _, handle := range receiptHandles {
		if err := q.deleteByHandle(handle); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// system returns the system attributes of a delivery. Times are milliseconds since 1970.
func (d delivery) system() map[string]string {
	attributes := map[string]string{
		"SenderId":                         d.sender,
		"SentTimestamp":                    strconv.FormatInt(d.sent.UnixMilli(), 10),
		"ApproximateReceiveCount":          strconv.FormatUint(uint64(d.receiveCount), 10),
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(d.firstReceived.UnixMilli(), 10),
	}
	for name, text := range map[string]string{
		"AWSTraceHeader":           d.traceHeader,
		"MessageGroupId":           d.groupID,
		"DeadLetterQueueSourceArn": d.deadLetterOf,
	} {
		if text != "" {
			attributes[name] = text
		}
	}
	return attributes
}
