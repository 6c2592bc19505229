package sqs

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"fanfare/local/awsapi"
)

// Limits of move tasks. Source: API Reference, StartMessageMoveTask and ListMessageMoveTasks.
const (
	maxMoveRate   = 500 // messages per second
	maxListedMove = 10
)

// moves holds the message move tasks by the ARN of their source, a dead-letter queue, the newest first. It keeps the
// last ten tasks of each queue.
type moves struct {
	mu      sync.Mutex
	tasks   map[string][]*moveTask
	running sync.WaitGroup
}

// moveTask moves the visible messages of a dead-letter queue to the queues they came from, or to another queue. The
// lock of moves guards the fields that change.
type moveTask struct {
	id          string
	source      string
	destination string // "" is the queue that each message came from
	rate        int    // messages per second; 0 is no limit
	started     time.Time
	toMove      int
	moved       int
	status      string
	failure     string
	cancel      chan struct{}
}

const (
	statusRunning    = "RUNNING"
	statusCompleted  = "COMPLETED"
	statusCancelling = "CANCELLING"
	statusCancelled  = "CANCELLED"
	statusFailed     = "FAILED"
)

// taskHandle is the content of a task handle, base64 of JSON.
type taskHandle struct {
	TaskID    string `json:"taskId"`
	SourceARN string `json:"sourceArn"`
}

func (t *moveTask) handle() string {
	b, err := json.Marshal(taskHandle{t.id, t.source})
	if err != nil {
		panic(err) // two strings can always be encoded
	}
	return base64.StdEncoding.EncodeToString(b)
}

func resourceNotFound(parameter string) *Error {
	return newError("ResourceNotFoundException", "The resource that you specified for the %s parameter doesn't exist.",
		parameter)
}

// movedQueue returns the queue of an ARN parameter.
func (c *call) movedQueue(parameter, arn string) (*queue, *Error) {
	if !queueARNPattern.MatchString(arn) {
		return nil, invalidParameter("You must use this format to specify the %s: "+
			"arn:<partition>:<service>:<region>:<account-id>:<resource-id>", parameter)
	}
	q := c.s.queueByARN(arn)
	if q == nil {
		return nil, resourceNotFound(parameter)
	}
	return q, nil
}

func (c *call) startMessageMoveTask() (any, error) {
	task := &moveTask{
		id: awsapi.NewUUID(), status: statusRunning, cancel: make(chan struct{}),
		source: c.in.required("SourceArn"), destination: c.in.text("DestinationArn"),
	}
	if rate, ok := c.in.integer("MaxNumberOfMessagesPerSecond"); ok {
		if rate < 1 || rate > maxMoveRate {
			c.in.fail(invalidValue(rate, "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500, if provided."))
		}
		task.rate = rate
	}
	if err := c.ready(task.source); err != nil {
		return nil, err
	}
	source, err := c.movedQueue("SourceArn", task.source)
	if err != nil {
		return nil, err
	}
	sources := c.s.sourcesOf(task.source)
	if len(sources) == 0 {
		return nil, invalidParameter("Source queue must be configured as a Dead Letter Queue.")
	}
	destinations := []string{task.destination}
	if task.destination == "" {
		destinations = nil
		for _, q := range sources {
			destinations = append(destinations, q.arn)
		}
	} else if _, err := c.movedQueue("DestinationArn", task.destination); err != nil {
		return nil, err
	} else if task.destination == task.source {
		return nil, invalidParameter("Source queue arn and destination queue arn cannot be the same.")
	}
	if err := c.authorizeMove(task.source, destinations); err != nil {
		return nil, err
	}
	task.toMove = source.messageCounts()[visible]
	if err := c.s.start(task); err != nil {
		return nil, err
	}
	return map[string]string{"TaskHandle": task.handle()}, nil
}

// authorizeMove checks the permissions that a move needs besides StartMessageMoveTask.
// Source: Developer Guide, "Configuring dead-letter queue redrive permissions".
func (c *call) authorizeMove(source string, destinations []string) error {
	for _, action := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} {
		if err := c.authorize(action, source); err != nil {
			return err
		}
	}
	for _, destination := range destinations {
		if err := c.authorize("sqs:SendMessage", destination); err != nil {
			return err
		}
	}
	return nil
}

// start starts a task, unless another task of the same source is running.
func (s *Server) start(task *moveTask) error {
	s.moves.mu.Lock()
	defer s.moves.mu.Unlock()
	select {
	case <-s.closed:
		return errClosed
	default:
	}
	earlier := s.moves.tasks[task.source]
	if len(earlier) > 0 && (earlier[0].status == statusRunning || earlier[0].status == statusCancelling) {
		return invalidParameter("There is already a task running. Only one active task is allowed for a source queue arn " +
			"at a given time.")
	}
	if s.moves.tasks == nil {
		s.moves.tasks = make(map[string][]*moveTask)
	}
	tasks := append([]*moveTask{task}, earlier...)
	s.moves.tasks[task.source] = tasks[:min(len(tasks), maxListedMove)]
	task.started = s.options.Clock.Now()
	s.moves.running.Go(func() { s.move(task) })
	return nil
}

// move moves messages until the source has none visible, the task is cancelled or fails, or the server closes.
func (s *Server) move(task *moveTask) {
	end := func(status, failure string) {
		s.moves.mu.Lock()
		defer s.moves.mu.Unlock()
		task.status, task.failure = status, failure
	}
	for {
		select {
		case <-task.cancel:
			end(statusCancelled, "")
			return
		case <-s.closed:
			return
		default:
		}
		ok, err := s.moveOne(task)
		if err != nil {
			end(statusFailed, err.Error())
			return
		}
		if !ok {
			end(statusCompleted, "")
			return
		}
		s.moves.mu.Lock()
		task.moved++
		s.moves.mu.Unlock()
		if task.rate == 0 {
			continue
		}
		timer := s.options.Clock.NewTimer(time.Second / time.Duration(task.rate))
		select {
		case <-timer.C:
		case <-task.cancel:
		case <-s.closed:
		}
		timer.Stop()
	}
}

// Failure reasons of a task, recorded against AWS by localstack and by users.
var (
	errNoQueue  = errors.New("AWS.SimpleQueueService.NonExistentQueue")
	errNoSource = errors.New("CouldNotDetermineMessageSource")
)

// moveOne moves the first visible message, and reports false if there is none. A moved message gets a new id and a new
// time of sending. Source: Developer Guide, "Learn how to configure a dead-letter queue redrive".
func (s *Server) moveOne(task *moveTask) (bool, error) {
	source := s.queueByARN(task.source)
	if source == nil {
		return false, errNoQueue
	}
	source.mu.Lock()
	source.advance(source.clock.Now())
	m := source.first
	if m == nil {
		source.mu.Unlock()
		return false, nil
	}
	arn := task.destination
	if arn == "" {
		arn = m.deadLetterOf
	}
	destination := s.queueByARN(arn)
	if destination == nil {
		source.mu.Unlock()
		if arn == "" {
			return false, errNoSource
		}
		return false, errNoQueue
	}
	source.remove(m)
	source.mu.Unlock()
	destination.mu.Lock()
	defer destination.mu.Unlock()
	now := destination.clock.Now()
	destination.insert(&message{outgoing: m.outgoing, id: awsapi.NewUUID(), sender: m.sender, sent: now})
	destination.wake(now)
	return true, nil
}

func (c *call) listMessageMoveTasks() (any, error) {
	arn := c.in.required("SourceArn")
	limit, ok := c.in.integer("MaxResults")
	if !ok {
		limit = 1
	} else if limit < 1 || limit > maxListedMove {
		c.in.fail(invalidValue(limit, "MaxResults", "Must be between 1 and 10, if provided."))
	}
	if err := c.ready(arn); err != nil {
		return nil, err
	}
	if _, err := c.movedQueue("SourceArn", arn); err != nil {
		return nil, err
	}
	c.s.moves.mu.Lock()
	defer c.s.moves.mu.Unlock()
	tasks := c.s.moves.tasks[arn]
	entries := []moveEntry{}
	for _, t := range tasks[:min(len(tasks), limit)] {
		entries = append(entries, t.entry())
	}
	return map[string]any{"Results": entries}, nil
}

type moveEntry struct {
	TaskHandle                        string `json:",omitempty"`
	Status                            string
	SourceArn                         string
	DestinationArn                    string `json:",omitempty"`
	MaxNumberOfMessagesPerSecond      int    `json:",omitempty"`
	ApproximateNumberOfMessagesMoved  int
	ApproximateNumberOfMessagesToMove int
	FailureReason                     string `json:",omitempty"`
	StartedTimestamp                  int64
}

func (t *moveTask) entry() moveEntry {
	e := moveEntry{
		Status: t.status, SourceArn: t.source, DestinationArn: t.destination, MaxNumberOfMessagesPerSecond: t.rate,
		ApproximateNumberOfMessagesMoved: t.moved, ApproximateNumberOfMessagesToMove: t.toMove,
		FailureReason: t.failure, StartedTimestamp: t.started.UnixMilli(),
	}
	if t.status == statusRunning {
		e.TaskHandle = t.handle()
	}
	return e
}

func (c *call) cancelMessageMoveTask() (any, error) {
	text := c.in.required("TaskHandle")
	var handle taskHandle
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(b, &handle) != nil || handle.TaskID == "" {
		c.in.fail(invalidParameter("Value for parameter TaskHandle is invalid."))
	}
	if err := c.ready(handle.SourceARN); err != nil {
		return nil, err
	}
	if c.s.queueByARN(handle.SourceARN) == nil {
		return nil, resourceNotFound("SourceArn")
	}
	c.s.moves.mu.Lock()
	defer c.s.moves.mu.Unlock()
	for _, t := range c.s.moves.tasks[handle.SourceARN] {
		if t.id != handle.TaskID {
			continue
		}
		if t.status != statusRunning {
			return nil, newError("UnsupportedOperation", "Only a running task can be cancelled; the status of this "+
				"task is %s.", t.status)
		}
		t.status = statusCancelling
		close(t.cancel)
		return map[string]int{"ApproximateNumberOfMessagesMoved": t.moved}, nil
	}
	return nil, newError("ResourceNotFoundException", "Task does not exist.")
}
