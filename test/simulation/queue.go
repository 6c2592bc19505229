package simulation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// message is a message on a queue.
type message struct {
	id         string
	body       string
	attributes map[string]string
	lineage    int // invocations in its chain of the function that receives it
	sent       time.Time
	visible    time.Time
	receives   int
	receipt    int // the latest
	// moved reports whether SQS moved it to the dead-letter queue because it was received too often.
	moved bool
}

// messageQueue is a standard SQS queue: it may deliver a message twice, late, and in any order.
type messageQueue struct {
	world       *world
	name        string
	visibility  time.Duration
	maxReceives int
	dead        *messageQueue
	messages    []*message
	stored      map[string]bool // ids of all messages that were ever stored
	poll        func()          // makes the event source mapping poll
}

// send stores a message.
func (q *messageQueue) send(body string, attributes map[string]string, delay time.Duration) *message {
	w := q.world
	m := &message{
		id: fmt.Sprintf("%s-%d", q.name, len(q.stored)+1), body: body, attributes: attributes,
		sent: time.Now(), visible: time.Now().Add(delay),
	}
	// A message may take a while to reach all of SQS's servers.
	if w.chance(w.settings.Queue.Late) {
		m.visible = m.visible.Add(w.between(0, 30*time.Second))
	}
	q.put(m)
	return m
}

func (q *messageQueue) put(m *message) {
	q.stored[m.id] = true
	q.messages = append(q.messages, m)
	q.announce(m)
}

// announce makes the mapping poll when the message becomes visible.
func (q *messageQueue) announce(m *message) {
	if q.poll != nil {
		q.world.after(max(0, time.Until(m.visible)), q.name+" shows "+m.id, q.poll)
	}
}

// handle is a received message.
type handle struct {
	message *message
	receipt int
	count   int // its receive count
}

// receive returns up to n messages and hides them for the visibility timeout.
func (q *messageQueue) receive(n int, visibility time.Duration) []handle {
	w := q.world
	var handles []handle
	candidates := slices.DeleteFunc(slices.Clone(q.messages), func(m *message) bool { return m.visible.After(time.Now()) })
	if w.chance(w.settings.Queue.Shuffle) {
		w.random.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	}
	for _, m := range candidates[:min(n, len(candidates))] {
		if q.dead != nil && m.receives >= q.maxReceives {
			q.move(m)
			continue
		}
		m.receives++
		m.receipt++
		handles = append(handles, handle{m, m.receipt, m.receives})
		m.visible = time.Now().Add(visibility)
		if w.chance(w.settings.Queue.Duplicate) {
			// One of the servers of SQS delivers it again.
			m.visible = time.Now().Add(w.between(0, 5*time.Second))
			w.census.Repeated++
			if w.random.IntN(2) == 0 {
				m.receives--
			}
		}
		q.announce(m)
	}
	return handles
}

// hide changes the time at which a message becomes visible. A message that is visible stays so.
func (q *messageQueue) hide(m *message, visibility time.Duration) {
	if !m.visible.After(time.Now()) {
		return
	}
	m.visible = time.Now().Add(visibility)
	q.world.tracer.note(q.world, "  %s shows %s in %v", q.name, m.id, visibility)
	q.announce(m)
}

// move moves a message that was received too often to the dead-letter queue. It keeps its id.
func (q *messageQueue) move(m *message) {
	q.remove(m)
	m.receives, m.visible, m.moved = 0, time.Now(), true
	q.world.census.Moved++
	q.world.tracer.note(q.world, "  %s is moved to the dead-letter queue", m.id)
	q.dead.put(m)
}

// delete deletes a message if it is still there. A receipt that is not the latest may have no effect.
func (q *messageQueue) delete(h handle) {
	w := q.world
	if w.chance(w.settings.Queue.Undeleted) || h.receipt != h.message.receipt && w.random.IntN(2) == 0 {
		return
	}
	q.remove(h.message)
}

// text returns the handle as a receipt handle of SQS.
func (h handle) text() string { return fmt.Sprintf("%s %d", h.message.id, h.receipt) }

// handle parses a receipt handle. The message is nil if it is no longer there.
func (q *messageQueue) handle(text string) (h handle) {
	id, receipt, _ := strings.Cut(text, " ")
	h.receipt, _ = strconv.Atoi(receipt)
	if i := slices.IndexFunc(q.messages, func(m *message) bool { return m.id == id }); i >= 0 {
		h.message = q.messages[i]
	}
	return h
}

func (q *messageQueue) remove(m *message) {
	q.messages = slices.DeleteFunc(q.messages, func(other *message) bool { return other == m })
}

// recordsOf returns messages of a queue as an event of Lambda's event source mapping.
func recordsOf(queue string, handles []handle) events.SQSEvent {
	var e events.SQSEvent
	for _, h := range handles {
		record := events.SQSMessage{
			MessageId: h.message.id, ReceiptHandle: h.text(), Body: h.message.body,
			Attributes: map[string]string{
				"ApproximateReceiveCount": strconv.Itoa(h.count),
				"SentTimestamp":           strconv.FormatInt(h.message.sent.UnixMilli(), 10),
			},
			MessageAttributes: make(map[string]events.SQSMessageAttribute), EventSourceARN: queue,
		}
		for name, value := range h.message.attributes {
			record.MessageAttributes[name] = events.SQSMessageAttribute{StringValue: &value, DataType: "String"}
		}
		e.Records = append(e.Records, record)
	}
	return e
}
