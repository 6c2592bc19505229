package sqs

import (
	"container/list"
	"context"
	"time"
)

// waiters holds the long polls that wait for a message, the longest wait first, and the timer that wakes them when a
// message becomes visible by the passing of time. It is guarded by the lock of the queue.
//
// One event wakes one waiter. That waiter takes what it can and, if messages are left, wakes the next one. No message
// is left while a receiver waits, and a hundred waiters do not compete for one message.
type waiters struct {
	queue list.List // of *waiter
	timer *time.Timer
}

// waiter is one long poll. woken is closed once, when the waiter is removed from the queue to be woken.
type waiter struct {
	woken   chan struct{}
	element *list.Element
}

func (w *waiters) add(first bool) *waiter {
	one := &waiter{woken: make(chan struct{})}
	if first {
		one.element = w.queue.PushFront(one)
	} else {
		one.element = w.queue.PushBack(one)
	}
	return one
}

// remove takes a waiter out of the queue and reports whether it had been woken already.
func (w *waiters) remove(one *waiter) (woken bool) {
	select {
	case <-one.woken:
		return true
	default:
		w.queue.Remove(one.element)
		return false
	}
}

func (w *waiters) wakeFirst() {
	one := w.queue.Remove(w.queue.Front()).(*waiter)
	close(one.woken)
}

func (w *waiters) wakeAll() {
	for w.queue.Len() > 0 {
		w.wakeFirst()
	}
	if w.timer != nil {
		w.timer.Stop()
	}
}

// wake wakes the first waiter if it can receive a message. Otherwise it sets the timer for the next message that
// becomes visible. It must be called, with q.mu held, after every change that may make a message receivable.
func (q *queue) wake(now time.Time) {
	if q.waiting.queue.Len() == 0 {
		return
	}
	q.advance(now)
	if q.first != nil && q.counts[inFlight] < MaxInFlight {
		q.waiting.wakeFirst()
		return
	}
	next := q.byDue.earliest()
	if next == nil {
		return
	}
	if q.waiting.timer != nil {
		q.waiting.timer.Stop()
	}
	q.waiting.timer = q.clock.AfterFunc(next.due.Sub(now), func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.wake(q.clock.Now())
	})
}

// receive returns up to limit messages. It waits for the first one until wait has passed, or until ctx ends, whose
// error it then returns. Without a message in that time it returns none and no error. A nil visibility is the queue's
// own. It takes the lock.
//
// At the in-flight limit a short poll fails with OverLimit, and a long poll waits.
// Source: Developer Guide, "Amazon SQS standard queue quotas".
func (s *Server) receive(ctx context.Context, q *queue, limit int, visibility *time.Duration,
	wait time.Duration) ([]delivery, error) {
	var timeUp <-chan time.Time
	last := wait <= 0
	rejoining := false
	for {
		settings := q.settings.Load()
		hide := settings.visibility
		if visibility != nil {
			hide = *visibility
		}
		deadLetters, maxReceiveCount := s.deadLetterQueue(settings)

		q.mu.Lock()
		if q.deleted {
			q.mu.Unlock()
			return nil, nonExistentQueue()
		}
		now := q.clock.Now()
		q.advance(now)
		if wait <= 0 && q.counts[inFlight] >= MaxInFlight {
			q.mu.Unlock()
			return nil, newError("OverLimit", "Too many messages in flight: the queue %s has %d.", q.name, MaxInFlight)
		}
		taken, dead := q.take(now, limit, hide, maxReceiveCount)
		var self *waiter
		if len(taken) == 0 && !last {
			self = q.waiting.add(rejoining)
		}
		q.wake(now)
		q.mu.Unlock()
		if len(dead) > 0 {
			deadLetters.addDeadLetters(dead, q.arn)
		}
		if self == nil {
			return taken, nil
		}
		if timeUp == nil {
			timer := q.clock.NewTimer(wait)
			defer timer.Stop()
			timeUp = timer.C
		}
		select {
		case <-self.woken:
			rejoining = true
			continue
		case <-timeUp:
			last = true // try once more: a message may have come at the same moment
		case <-ctx.Done():
		case <-s.closed:
		}
		q.mu.Lock()
		if q.waiting.remove(self) {
			q.wake(q.clock.Now()) // pass the event on to the next waiter
		}
		q.mu.Unlock()
		if !last {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return nil, errClosed
		}
	}
}

// addDeadLetters stores messages that the queue with the ARN source gave up. They keep their ids, attributes, receive
// counts, and the time at which they were sent, from which they expire. It takes the lock.
// Source: Developer Guide, "Using dead-letter queues in Amazon SQS" and "Setting-up dead-letter queue retention".
func (q *queue) addDeadLetters(dead []*message, source string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range dead {
		m.deadLetterOf = source
		m.queueReceiveCount = 0
		m.state = visible
		q.insert(m)
	}
	q.wake(q.clock.Now())
}
