package sqs

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/local/awsapi"
	"fanfare/local/clock"
)

// Limits of receiving.
// Source: Developer Guide, "Amazon SQS standard queue quotas"; API Reference, ReceiveMessage, ChangeMessageVisibility.
const (
	MaxInFlight          = 120_000
	maxReceive           = 10
	maxWait              = 20 * time.Second
	maxVisibilityTimeout = 43_200 * time.Second
)

type state byte

const (
	visible state = iota
	delayed
	inFlight
)

// message is a stored message. The embedded outgoing part, id and sender are immutable. The other fields are guarded by
// the queue's lock.
type message struct {
	outgoing
	id       string
	sender   string
	sent     time.Time
	previous *message // in the list of visible messages
	next     *message

	number            uint64 // unique in its queue
	state             state
	due               time.Time // when it becomes visible; Faults make it visible before
	dueIndex          int
	ageIndex          int
	received          time.Time // the latest receive
	firstReceived     time.Time
	receiveCount      uint32 // in all queues, as ApproximateReceiveCount
	deletableFrom     uint32 // receive count of the oldest receipt handle that deletes it
	queueReceiveCount int    // in this queue; maxReceiveCount limits it
	deadLetterOf      string // ARN of the queue that gave the message up
	duplicated        bool   // by Faults
}

// queue is one standard queue. One lock guards all its messages.
type queue struct {
	name    string
	arn     string
	created time.Time
	nonce   uint64 // in its receipt handles, which no other queue accepts
	clock   *clock.Clock

	settings atomic.Pointer[settings]
	faults   *atomic.Pointer[faultPlan] // of the server

	mu         sync.Mutex
	modified   time.Time
	purged     time.Time
	deleted    bool
	lastNumber uint64
	messages   map[uint64]*message
	first      *message // visible messages, in the order in which they became visible
	last       *message
	byDue      timeHeap // delayed and in flight
	byAge      timeHeap // all
	counts     [3]int   // by state
	waiting    waiters
}

func newQueue(name, arn string, c *clock.Clock, faults *atomic.Pointer[faultPlan], s *settings) *queue {
	var nonce [8]byte
	rand.Read(nonce[:])
	q := &queue{
		name: name, arn: arn, clock: c, faults: faults, created: c.Now(), modified: c.Now(),
		nonce:    binary.BigEndian.Uint64(nonce[:]),
		messages: make(map[uint64]*message),
		byDue: timeHeap{when: func(m *message) time.Time { return m.due },
			index: func(m *message) *int { return &m.dueIndex }},
		byAge: timeHeap{when: func(m *message) time.Time { return m.sent },
			index: func(m *message) *int { return &m.ageIndex }},
	}
	q.settings.Store(s)
	return q
}

// The methods below need q.mu, unless their comments say that they take it.

// insert adds m, which is new to this queue, in the state that it has.
func (q *queue) insert(m *message) {
	q.lastNumber++
	m.number = q.lastNumber
	q.messages[m.number] = m
	q.byAge.add(m)
	q.attach(m, m.state)
}

// attach adds m to the list or heap of a state, and sets its state.
func (q *queue) attach(m *message, s state) {
	m.state = s
	q.counts[s]++
	if s != visible {
		q.byDue.add(m)
		return
	}
	m.previous, m.next = q.last, nil
	if q.last == nil {
		q.first = m
	} else {
		q.last.next = m
	}
	q.last = m
}

// detach undoes attach.
func (q *queue) detach(m *message) {
	q.counts[m.state]--
	if m.state != visible {
		q.byDue.remove(m)
		return
	}
	if m.previous == nil {
		q.first = m.next
	} else {
		m.previous.next = m.next
	}
	if m.next == nil {
		q.last = m.previous
	} else {
		m.next.previous = m.previous
	}
	m.previous, m.next = nil, nil
}

// remove removes m from the queue.
func (q *queue) remove(m *message) {
	q.detach(m)
	q.byAge.remove(m)
	delete(q.messages, m.number)
}

// advance applies the passing of time until now. It removes messages past their retention, in flight or not, and makes
// messages visible whose delay or visibility timeout is over.
func (q *queue) advance(now time.Time) {
	retention := q.settings.Load().retention
	for m := q.byAge.earliest(); m != nil && !m.sent.Add(retention).After(now); m = q.byAge.earliest() {
		q.remove(m)
	}
	for m := q.byDue.earliest(); m != nil && !m.due.After(now); m = q.byDue.earliest() {
		q.detach(m)
		q.attach(m, visible)
	}
}

// add stores new messages in order and returns their ids. It takes the lock.
func (q *queue) add(sender string, batch []outgoing) ([]string, *Error) {
	ids := make([]string, len(batch))
	stored := make([]message, len(batch))
	for i := range batch {
		ids[i] = awsapi.NewUUID()
		stored[i] = message{outgoing: batch[i], id: ids[i], sender: sender}
	}
	s := q.settings.Load()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return nil, nonExistentQueue()
	}
	now := q.clock.Now()
	faults := q.faults.Load()
	for i := range stored {
		m := &stored[i]
		delay := s.delay
		if m.delay != nil {
			delay = *m.delay
		}
		m.sent = now
		if delay += faults.sendDelay(q); delay > 0 {
			m.state, m.due = delayed, now.Add(delay)
		}
		q.insert(m)
	}
	q.wake(now)
	return ids, nil
}

// delivery is one receive of a message, with copies of the fields that the next receive changes.
type delivery struct {
	*message
	handle        string
	receiveCount  uint32
	firstReceived time.Time
	deadLetterOf  string
}

// take receives up to limit visible messages and hides them for visibility. If maxReceiveCount is positive, messages
// that have been received so often are removed instead, and returned as dead.
func (q *queue) take(now time.Time, limit int, visibility time.Duration, maxReceiveCount int) (taken []delivery,
	dead []*message) {
	var again []*message
	faults := q.faults.Load()
	for q.first != nil && len(taken) < limit && q.counts[inFlight] < MaxInFlight {
		m := faults.choose(q)
		if maxReceiveCount > 0 && m.queueReceiveCount >= maxReceiveCount {
			q.remove(m)
			dead = append(dead, m)
			continue
		}
		m.receiveCount++
		m.queueReceiveCount++
		if !m.due.After(now) { // otherwise the receive before is in flight, and its handle is valid
			m.deletableFrom = m.receiveCount
		}
		m.received = now
		if m.firstReceived.IsZero() {
			m.firstReceived = now
		}
		q.detach(m)
		m.due = now.Add(visibility)
		q.attach(m, inFlight)
		if visibility == 0 {
			again = append(again, m)
		}
		taken = append(taken, delivery{
			message: m, receiveCount: m.receiveCount, firstReceived: m.firstReceived, deadLetterOf: m.deadLetterOf,
			handle: receipt{q.nonce, m.number, m.receiveCount}.handle(),
		})
	}
	if visibility > 0 {
		for _, d := range taken {
			faults.duplicateInFlight(q, d.message)
		}
	}
	for _, m := range again {
		q.detach(m)
		q.attach(m, visible)
	}
	return taken, dead
}

// deleteByHandle deletes the message of a receipt handle. It takes the lock.
//
// The handle of an earlier receive whose visibility timeout was over deletes nothing and is no error: API Reference,
// DeleteMessage ("the request will succeed, but the message might not be deleted"). Of two receives within one
// visibility timeout, either handle deletes the message.
func (q *queue) deleteByHandle(handle string) *Error {
	r, err := parseReceipt(handle, q.nonce)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return nonExistentQueue()
	}
	if m := q.messages[r.message]; m != nil && r.receiveCount >= m.deletableFrom {
		q.remove(m)
		q.faults.Load().duplicateAfterDelete(q, m)
		q.wake(q.clock.Now())
	}
	return nil
}

// changeVisibility makes a message that is in flight visible after timeout. It takes the lock.
//
// SQS answers with success and does nothing if the message is visible again, accepts the handle of an earlier receive,
// and never answers MessageNotInflight (recorded against AWS: localstack/localstack#9632 and its tests
// test_change_message_visibility_after_visibility_timeout_expiration, test_terminate_visibility_timeout_after_receive).
func (q *queue) changeVisibility(handle string, timeout time.Duration) *Error {
	r, err := parseReceipt(handle, q.nonce)
	if err != nil {
		return err
	}
	seconds := int(timeout / time.Second)
	if timeout < 0 || timeout > maxVisibilityTimeout {
		return invalidValue(seconds, "VisibilityTimeout", "VisibilityTimeout must be an integer between 0 and 43200.")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return nonExistentQueue()
	}
	now := q.clock.Now()
	q.advance(now)
	m := q.messages[r.message]
	if m == nil {
		return invalidValue(handle, "ReceiptHandle", "Message does not exist or is not available for visibility timeout "+
			"change.")
	}
	if m.state != inFlight {
		return nil
	}
	if now.Add(timeout).Sub(m.received) > maxVisibilityTimeout {
		return invalidValue(seconds, "VisibilityTimeout", "Total VisibilityTimeout for the message is beyond the limit "+
			"[43200 seconds]")
	}
	q.detach(m)
	m.due = now.Add(timeout)
	if timeout == 0 {
		q.attach(m, visible)
	} else {
		q.attach(m, inFlight)
	}
	q.wake(now)
	return nil
}

// messageCounts returns the number of messages in each state. It takes the lock.
func (q *queue) messageCounts() [3]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.advance(q.clock.Now())
	return q.counts
}

// purgeCooldown is the time after a purge in which another one is refused. Source: API Reference, PurgeQueue.
const purgeCooldown = 60 * time.Second

// purge removes every message. It takes the lock.
func (q *queue) purge() *Error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	if !q.purged.IsZero() && now.Sub(q.purged) < purgeCooldown {
		return newError("PurgeQueueInProgress", "Only one PurgeQueue operation on %s is allowed every 60 seconds.", q.name)
	}
	q.purged = now
	for _, m := range q.messages {
		q.remove(m)
	}
	return nil
}

// close marks the queue as deleted. Waiting receivers fail with QueueDoesNotExist. It takes the lock.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deleted = true
	q.waiting.wakeAll()
}
