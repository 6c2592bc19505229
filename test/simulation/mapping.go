package simulation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// mapping is an event source mapping: it receives from a queue and invokes a function, with a limit of concurrency.
type mapping struct {
	world       *world
	name        string
	queue       *messageQueue
	batch       int           // messages to an invocation, at most
	concurrency int           // invocations at once, at most
	timeout     time.Duration // of the function
	start       func() function

	running   int
	scheduled bool       // a poll is scheduled
	idle      []*process // waiting for an invocation
	processes int
}

// handler is a function in a process of its own: invoked many times, but not twice at once.
type function func(ctx context.Context, inv *invocation, event events.SQSEvent) (events.SQSEventResponse, error)

// process is an execution environment. It keeps its memory until it dies.
type process struct {
	function function
	started  time.Time
}

// invocation is one call of a function.
type invocation struct {
	number  int
	id      string // Lambda's request id
	mapping *mapping
	process *process
	handles []handle
	cancel  context.CancelFunc
	dead    bool // guarded by world.mu
	died    chan struct{}
	ended   bool
	// outOfTime reports whether its stage failed at its deadline, which is a second before the invocation's.
	outOfTime bool
	started   time.Time
	changes   int // changes of visibility: one at its start, another after a failure
	// operator reports whether it is an operator's command instead of a function.
	operator bool

	// delivered holds a sender's accepted posts, whose outcome may not be recorded.
	delivered []post
}

// returns is the key of the answer to Lambda, or to the shell: the last effect of an invocation.
const returns = "~returns"

// recursion is the number of invocations of one function in a chain after which Lambda drops the message. Source:
// Lambda developer guide, "Use Lambda recursive loop detection to prevent infinite loops".
const recursion = 16

type invocationKey struct{}

// invoked returns the invocation of a context.
func invoked(ctx context.Context) *invocation { return ctx.Value(invocationKey{}).(*invocation) }

// invocation returns a new invocation and its context.
func (w *world) invocation(name string, timeout time.Duration) (context.Context, *invocation) {
	w.invocations++
	inv := &invocation{number: w.invocations, id: fmt.Sprintf("%s-%d", name, w.invocations), died: make(chan struct{}),
		started: time.Now()}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), invocationKey{}, inv), timeout)
	inv.cancel = cancel
	w.running[inv] = true
	return ctx, inv
}

// spawn runs an invocation that belongs to no mapping, such as a client's connect function.
func (w *world) spawn(name string, timeout time.Duration, do func(ctx context.Context)) {
	ctx, inv := w.invocation(name, timeout)
	go func() {
		defer inv.cancel()
		do(ctx)
		_ = w.do(context.WithoutCancel(ctx), returns, instantly, nil, func() error { delete(w.running, inv); return nil })
	}()
}

// poll schedules a look at the queue, within 50 ms.
func (m *mapping) poll() {
	if m.scheduled || m.running >= m.concurrency {
		return
	}
	m.scheduled = true
	m.world.after(m.world.between(0, 50*time.Millisecond), m.name+" polls", func() {
		m.scheduled = false
		if m.running < m.concurrency {
			n := 1 + m.world.random.IntN(m.batch)
			if handles := m.queue.receive(n, m.queue.visibility); len(handles) > 0 {
				m.invoke(handles)
			}
		}
		if slices.ContainsFunc(m.queue.messages, func(msg *message) bool { return !msg.visible.After(time.Now()) }) {
			m.poll()
		}
	})
}

// invoke invokes the function with the received messages.
func (m *mapping) invoke(handles []handle) {
	w := m.world
	ctx, inv := w.invocation(m.name, m.timeout)
	inv.mapping, inv.handles = m, handles
	w.receivedOnce(inv)
	for _, h := range handles {
		if h.message.lineage >= recursion {
			w.fail("Lambda drops %s as recursive: it came through %d invocations of the %s",
				h.message.id, h.message.lineage, m.name)
		}
	}
	if len(m.idle) > 0 {
		i := w.random.IntN(len(m.idle))
		inv.process = m.idle[i]
		m.idle = slices.Delete(m.idle, i, i+1)
	} else {
		inv.process = &process{function: m.start(), started: time.Now()}
		m.processes++
	}
	m.running++
	w.tracer.note(w, "  %s gets %s", inv.id, ids(handles))
	w.after(m.timeout, inv.id+" times out", func() {
		if !inv.ended {
			w.census.Timeouts++
		}
		w.kill(inv, "time-out")
	})
	event := recordsOf(m.queue.name, handles)
	go func() {
		defer inv.cancel()
		response, err := inv.process.function(ctx, inv, event)
		_ = w.do(context.WithoutCancel(ctx), returns, instantly, nil, func() error {
			w.answered(inv, response, err)
			return nil
		})
	}()
}

// answered deletes the messages that succeeded. The others become visible again after the visibility timeout.
func (w *world) answered(inv *invocation, response events.SQSEventResponse, err error) {
	if inv.ended {
		return
	}
	m := inv.mapping
	inv.outOfTime = err != nil && time.Since(inv.started) >= m.timeout-time.Second
	m.idle = append(m.idle, inv.process)
	w.leave(inv)
	if err != nil {
		w.census.Errors++
		w.tracer.note(w, "  %s failed: %v", inv.id, err)
		return
	}
	failed := make(map[string]bool)
	for _, f := range response.BatchItemFailures {
		failed[f.ItemIdentifier] = true
	}
	for _, h := range inv.handles {
		if !failed[h.message.id] {
			m.queue.delete(h)
		}
	}
}

// lineage returns the number of invocations in the chain of a message that the invocation sends to its own queue. AWS
// does not say from which of the received messages the chain continues; here it is the one with the longest chain.
func (inv *invocation) lineage() int {
	longest := 0
	for _, h := range inv.handles {
		longest = max(longest, h.message.lineage+1)
	}
	return longest
}

// kill ends a process during an invocation.
func (w *world) kill(inv *invocation, how string) {
	if inv.ended {
		return // it has answered
	}
	w.end(inv)
	w.census.Kills++
	w.recovers(inv)
	w.tracer.note(w, "  %s dies: %s", inv.id, how)
	w.leave(inv)
}

// end ends everything that the invocation waits for.
func (w *world) end(inv *invocation) {
	w.mu.Lock()
	inv.dead = true
	w.mu.Unlock()
	close(inv.died)
	inv.cancel()
}

// leave updates the world after the end of an invocation, normal or not.
func (w *world) leave(inv *invocation) {
	inv.ended = true
	delete(w.running, inv)
	w.allowRepeats(inv)
	if inv.mapping != nil {
		inv.mapping.running--
		inv.mapping.poll()
	}
}

func ids(handles []handle) []string {
	var ids []string
	for _, h := range handles {
		ids = append(ids, fmt.Sprintf("%s (%d)", h.message.id, h.count))
	}
	return ids
}
