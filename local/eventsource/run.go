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

// Queue is the part of SQS that a mapping uses.
type Queue interface {
	// Receive waits up to wait for up to limit messages (1 to 10), and hides them for the queue's visibility timeout.
	Receive(ctx context.Context, queueARN string, limit int, wait time.Duration) ([]sqs.Message, error)
	// Delete deletes received messages.
	Delete(queueARN string, receiptHandles ...string) error
}

// Invoker is the part of Lambda that a mapping uses. If an error in the chain has a method Throttled() bool that
// returns true, the function did not run because its concurrency was used up.
type Invoker interface {
	Invoke(ctx context.Context, function string, event []byte, trace string) ([]byte, error)
}

// Options of a mapping. The zero value is valid.
type Options struct {
	// Clock measures windows, polls, pauses and the growth of concurrency; nil means real time. The queue must use
	// the same clock.
	Clock *clock.Clock
	// Log receives failed batches without their contents; nil discards them.
	Log *slog.Logger
	// Authorize checks once whether the function's role may read the queue. It receives the mapping's AccessKeyID,
	// each action that AWS requires, and the queue's ARN. nil allows everything.
	Authorize awsapi.Authorizer
}

// pollerActions are the actions that the execution role must allow.
// Source: docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html, execution role permissions.
var pollerActions = []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}

// Run runs a mapping until ctx ends. It then stops receiving, waits for the batches in progress and returns nil. It
// returns an error at once if the mapping is invalid, not emulated or not permitted.
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
		// Buffered, so that sending never blocks; one pending value is enough.
		busy: make(chan struct{}, 1),
		turn: make(chan struct{}, 1),
	}
	s.scale(ctx)
	s.pollers.Wait()
	return nil
}

// source is a running mapping. A poller is a goroutine that repeatedly receives a batch and processes it, so that the
// number of pollers limits the concurrent invocations.
type source struct {
	Mapping
	queue   Queue
	invoker Invoker
	clock   *clock.Clock
	log     *slog.Logger
	pollers sync.WaitGroup
	busy    chan struct{} // receives when no poller waits for messages any more
	turn    chan struct{} // with a window: held by the poller that collects a batch

	mu      sync.Mutex
	running int // pollers
	waiting int // pollers that wait for messages
	allowed int // limit of running
}

// scale starts the first pollers, and one more per step while all are busy. It returns when ctx has ended.
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

// grow waits for one step and then starts one more poller if all are still busy. It reports whether the caller should
// continue to grow.
func (s *source) grow(ctx context.Context) bool {
	if s.clock.Sleep(ctx, rampPause) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting > 0 || s.running >= s.ceiling() {
		return false // the next poller that becomes busy sends to s.busy
	}
	s.allowed = max(s.allowed, s.running+1)
	s.startPoller(ctx)
	return true
}

// startPoller starts a poller. The caller holds s.mu.
func (s *source) startPoller(ctx context.Context) {
	s.running++
	s.waiting++
	s.pollers.Go(func() { s.poll(ctx) })
}

// poll is a poller. It returns when ctx ends or when there are more pollers than needed or allowed.
func (s *source) poll(ctx context.Context) {
	var rest []sqs.Message // received, but too large for the last batch
	pause := firstPause
	for {
		b, left, err := s.take(ctx, rest)
		rest = left
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Error("cannot receive messages", "error", err)
			_ = s.clock.Sleep(ctx, pause) // returns ctx's error only, which endPoller checks
			pause = min(2*pause, maxPause)
		case len(b.messages) > 0:
			s.setWaiting(-1)
			s.process(ctx, b)
			s.setWaiting(+1)
			fallthrough
		default:
			pause = firstPause
		}
		if len(rest) == 0 && s.endPoller(ctx, len(b.messages) == 0) {
			return
		}
	}
}

// Pauses after a failure of SQS and between throttled invocations double from firstPause to maxPause. AWS does not
// document Lambda's own.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// setWaiting changes the number of pollers that wait for messages, and sends to s.busy when it becomes 0.
func (s *source) setWaiting(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting += by
	if s.waiting == 0 {
		select {
		case s.busy <- struct{}{}:
		default: // a value is pending
		}
	}
}

// endPoller reports whether a poller must end, and then removes it from the count. idle means that it received nothing,
// which lets all but the first pollers end.
func (s *source) endPoller(ctx context.Context, idle bool) bool {
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

// take receives the messages of a batch. With a window one poller does so at a time, because several would each wait
// for their own batches to fill. A poller with remaining messages does not wait for its turn.
func (s *source) take(ctx context.Context, rest []sqs.Message) (b batch, left []sqs.Message, err error) {
	if s.Window > 0 && len(rest) == 0 {
		select {
		case s.turn <- struct{}{}:
			defer func() { <-s.turn }()
		case <-ctx.Done(): // gather then receives nothing
		}
	}
	return s.gather(ctx, rest)
}

// gather receives the messages of a batch, starting with the rest of the previous one. It returns the messages that did
// not fit. It returns the error of receiving only if there is nothing to process.
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
			break // process the messages first; a lasting error fails the next poll too
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

// process invokes the function with a batch and deletes the processed messages.
func (s *source) process(ctx context.Context, b batch) {
	response, err := s.invoke(ctx, b)
	if err != nil {
		if !s.ReportBatchItemFailures {
			s.backOff()
		}
		s.log.Warn("batch failed, its messages return after the visibility timeout",
			"messages", len(b.messages), "error", err)
		return
	}
	done := b.messages
	if s.ReportBatchItemFailures {
		if done, err = split(response, b.messages); err != nil {
			s.log.Warn("invalid batch response, the whole batch counts as failed",
				"messages", len(b.messages), "error", err)
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
			s.log.Error("cannot delete messages, they return after the visibility timeout", "messages", len(part), "error", err)
		}
	}
}

// invoke invokes the function and retries while it is throttled. The end of ctx stops the retries but not a running
// invocation.
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
			return nil, fmt.Errorf("throttled for the whole visibility timeout: %w", err)
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

// backOff halves the concurrency, to no less than MinMaximumConcurrency.
func (s *source) backOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed = max(min(s.allowed, s.running)/2, MinMaximumConcurrency)
}
