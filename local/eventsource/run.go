package eventsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fanfare/local/awsapi"
	"fanfare/local/clock"
	"fanfare/local/sqs"
)

// Queue is what a mapping needs of SQS.
type Queue interface {
	// Receive waits up to wait for up to max messages (1 to 10), and hides them for the queue's visibility time-out.
	Receive(ctx context.Context, queueARN string, max int, wait time.Duration) ([]sqs.Message, error)
	// Delete deletes received messages.
	Delete(queueARN string, receiptHandles ...string) error
}

// Invoker is what a mapping needs of Lambda. An error that has, or wraps one that has, a method Throttled() bool that
// returns true says that the function was not run for want of concurrency.
type Invoker interface {
	Invoke(ctx context.Context, function string, event []byte, trace string) ([]byte, error)
}

// Options of a mapping's run. The zero value is usable.
type Options struct {
	// Clock times windows, polls, pauses and the growth of concurrency; nil is real time. It must be the queue's.
	Clock *clock.Clock
	// Log gets failed batches, never what is in them; nil discards it.
	Log *slog.Logger
	// Authorize is asked, once, whether the function's role may read the queue: with the mapping's AccessKeyID, the
	// actions that AWS demands and the queue's ARN. nil allows everything.
	Authorize awsapi.Authorizer
}

// pollerActions are what the execution role needs.
// Source: docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html, execution role permissions.
var pollerActions = []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}

// Run runs a mapping until ctx ends: it then receives no more and returns, with nil, once the batches it has are
// finished. It returns an error at once if the mapping is invalid, not emulated or not permitted.
func Run(ctx context.Context, m Mapping, q Queue, invoker Invoker, o Options) error {
	m, err := m.complete()
	if err != nil {
		return err
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	for _, action := range pollerActions {
		if err := o.Authorize.Check(m.AccessKeyID, action, m.QueueARN); err != nil {
			return m.wrap(fmt.Errorf("InvalidParameterValueException: The function execution role does not have "+
				"permissions to call %s: %w", action, err))
		}
	}
	if m.Disabled {
		<-ctx.Done()
		return nil
	}
	s := &source{
		Mapping: m, queue: q, invoker: invoker, clock: o.Clock,
		log: o.Log.With("mapping", m.UUID, "function", m.FunctionName, "queue", m.QueueARN),
		// Buffered, so that telling never waits: one untaken word is enough.
		busy: make(chan struct{}, 1),
		turn: make(chan struct{}, 1),
	}
	s.scale(ctx)
	s.pollers.Wait()
	return nil
}

// source is a running mapping. A poller is a goroutine that receives a batch, has it processed and looks for the next,
// so that there are as many invocations at a time as pollers at most.
type source struct {
	Mapping
	queue   Queue
	invoker Invoker
	clock   *clock.Clock
	log     *slog.Logger
	pollers sync.WaitGroup
	busy    chan struct{} // told when no poller waits for messages any more
	turn    chan struct{} // held by the poller that gathers a batch, if there is a window

	mu      sync.Mutex
	running int // pollers
	waiting int // of them, for messages
	allowed int // pollers there may be now
}

// scale starts the first pollers, and one more at every step while all are busy. It returns when ctx has ended.
func (s *source) scale(ctx context.Context) {
	s.mu.Lock()
	s.allowed = min(firstConcurrency, s.ceiling())
	for s.running < s.allowed {
		s.startPoller(ctx)
	}
	s.mu.Unlock()
	for {
		select {
		case <-s.busy:
		case <-ctx.Done():
			return
		}
		for s.grow(ctx) {
		}
	}
}

// grow waits for one step and then allows one poller more, if all are still busy. It reports whether they may be after
// that as well.
func (s *source) grow(ctx context.Context) bool {
	if s.clock.Sleep(ctx, rampPause) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting > 0 || s.running >= s.ceiling() {
		return false // whoever becomes busy next will tell
	}
	s.allowed = max(s.allowed, s.running+1)
	s.startPoller(ctx)
	return true
}

// startPoller starts a poller. s.mu is held.
func (s *source) startPoller(ctx context.Context) {
	s.running++
	s.waiting++
	s.pollers.Go(func() { s.poll(ctx) })
}

// poll is a poller: it ends with ctx, or when there are more than needed or allowed.
func (s *source) poll(ctx context.Context) {
	var rest []sqs.Message // received, but too much for the last batch
	pause := firstPause
	for {
		b, left, err := s.take(ctx, rest)
		rest = left
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Error("cannot receive messages", "error", err)
			_ = s.clock.Sleep(ctx, pause) // its error is ctx's, which is looked at next
			pause = min(2*pause, maxPause)
		case len(b.messages) > 0:
			s.setWaiting(-1)
			s.process(ctx, b)
			s.setWaiting(+1)
			fallthrough
		default:
			pause = firstPause
		}
		if len(rest) == 0 && s.leave(ctx, len(b.messages) == 0) {
			return
		}
	}
}

// Pauses after a failure of SQS and between throttled invocations double from the first to the longest.
// Lambda's own are not documented.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// setWaiting counts the pollers that wait for messages, and tells when there is none.
func (s *source) setWaiting(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting += by
	if s.waiting == 0 {
		select {
		case s.busy <- struct{}{}:
		default: // told already
		}
	}
}

// leave reports whether a poller must end, and takes it out of the count then. idle says that it found nothing, which
// sends all but the first few home.
func (s *source) leave(ctx context.Context, idle bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if idle {
		s.allowed = min(s.allowed, firstConcurrency)
	}
	if ctx.Err() == nil && s.running <= s.allowed {
		return false
	}
	s.running--
	s.waiting--
	return true
}

// take receives the messages of a batch. If there is a window, one poller at a time does: several would each wait for
// their own batches to fill. One that has messages left does not wait for its turn.
func (s *source) take(ctx context.Context, rest []sqs.Message) (b batch, left []sqs.Message, err error) {
	if s.Window > 0 && len(rest) == 0 {
		select {
		case s.turn <- struct{}{}:
			defer func() { <-s.turn }()
		case <-ctx.Done(): // gather receives nothing then
		}
	}
	return s.gather(ctx, rest)
}

// gather receives the messages of a batch, first among them the rest of the previous one. It returns what is too much
// for this batch. The error is that of receiving, when there is nothing to process.
func (s *source) gather(ctx context.Context, rest []sqs.Message) (b batch, left []sqs.Message, err error) {
	left = s.fill(&b, rest)
	wait, deadline := longPoll, time.Time{}
	for len(left) == 0 && len(b.messages) < s.BatchSize && ctx.Err() == nil {
		if len(b.messages) > 0 {
			if deadline.IsZero() {
				deadline = s.clock.Now().Add(s.Window)
			}
			if wait = min(longPoll, deadline.Sub(s.clock.Now())); wait <= 0 {
				break
			}
		}
		messages, err := s.queue.Receive(ctx, s.QueueARN, min(receiveLimit, s.BatchSize-len(b.messages)), wait)
		if err != nil {
			if len(b.messages) == 0 {
				return b, nil, err
			}
			break // what there is comes first; the next poll will fail too, if it is for long
		}
		if len(messages) == 0 && len(b.messages) == 0 {
			break
		}
		left = s.fill(&b, messages)
	}
	return b, left, nil
}

// fill adds messages to a batch and returns those that do not fit.
func (s *source) fill(b *batch, messages []sqs.Message) (left []sqs.Message) {
	for i, m := range messages {
		if len(b.messages) == s.BatchSize || !b.add(m, encode(m, s.QueueARN, s.region())) {
			return messages[i:]
		}
	}
	return nil
}

// process invokes the function with a batch and deletes what it has dealt with.
func (s *source) process(ctx context.Context, b batch) {
	response, err := s.invoke(ctx, b)
	if err != nil {
		if !s.ReportBatchItemFailures {
			s.backOff()
		}
		s.log.Warn("the batch failed: its messages come back after the visibility time-out", "messages", len(b.messages), "error", err)
		return
	}
	done := b.messages
	if s.ReportBatchItemFailures {
		if done, err = split(response, b.messages); err != nil {
			s.log.Warn("the response does not report failures as it should: the whole batch counts as failed", "messages", len(b.messages), "error", err)
			return
		}
		if failed := len(b.messages) - len(done); failed > 0 {
			s.log.Info("some messages of the batch failed", "messages", len(b.messages), "failed", failed)
		}
	}
	for part := range slices.Chunk(done, receiveLimit) {
		handles := make([]string, len(part))
		for i, m := range part {
			handles[i] = m.ReceiptHandle
		}
		if err := s.queue.Delete(s.QueueARN, handles...); err != nil {
			s.log.Error("cannot delete messages, which therefore come back", "messages", len(part), "error", err)
		}
	}
}

// invoke invokes the function, again and again while it is throttled. An invocation that has begun is not broken off by
// the end of ctx, only the waiting for one.
func (s *source) invoke(ctx context.Context, b batch) ([]byte, error) {
	event, trace := b.event(), b.trace()
	until := s.clock.Now().Add(s.VisibilityTimeout)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		response, err := s.invoker.Invoke(context.WithoutCancel(ctx), s.FunctionName, event, trace)
		if !isThrottled(err) {
			return response, err
		}
		s.backOff()
		left := until.Sub(s.clock.Now())
		if left <= 0 {
			return nil, fmt.Errorf("throttled until the visibility time-out had passed: %w", err)
		}
		if ctxErr := s.clock.Sleep(ctx, min(pause, left)); ctxErr != nil {
			return nil, errors.Join(ctxErr, err)
		}
	}
}

func isThrottled(err error) bool {
	throttle, ok := errors.AsType[interface {
		error
		Throttled() bool
	}](err)
	return ok && throttle.Throttled()
}

// backOff halves the concurrency, down to the least that a mapping can have.
func (s *source) backOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed = max(min(s.allowed, s.running)/2, MinMaximumConcurrency)
}
