package sqs

import (
	"container/list"
	"context"
	"time"
)

// waiters are the long polls that wait for a message, the longest first, and the timer that wakes them for messages
// which become visible by the passing of time. The queue's lock guards them.
//
// One event wakes one waiter: it takes what it can and, if more is left, wakes the next. So no message waits while
// somebody waits for it, and a hundred waiters do not fight over one message.
type waiters struct {
	queue list.List // of *waiter
	timer *time.Timer
}

// waiter is one long poll. woken is closed once, by whoever removes it from the queue.
type waiter struct {
	woken chan struct{}
	place *list.Element
}

func (w *waiters) join(first bool) *waiter {
	one := &waiter{woken: make(chan struct{})}
	if first {
		one.place = w.queue.PushFront(one)
	} else {
		one.place = w.queue.PushBack(one)
	}
	return one
}

// leave takes one out of the queue, and reports whether it had been woken already.
func (w *waiters) leave(one *waiter) (woken bool) {
	select {
	case <-one.woken:
		return true
	default:
		w.queue.Remove(one.place)
		return false
	}
}

func (w *waiters) wakeFirst() {
	one := w.queue.Remove(w.queue.Front()).(*waiter)
	close(one.woken)
}

func (w *waiters) dismiss() {
	for w.queue.Len() > 0 {
		w.wakeFirst()
	}
	if w.timer != nil {
		w.timer.Stop()
	}
}

// wake wakes the first waiter if there is something for it to take, and otherwise sets the timer for when there will
// be. Everything that may make a message receivable calls it, before it lets go of q.mu.
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

// receive takes up to limit messages, waiting for the first one until wait is over or ctx ends (whose error it then
// returns). Nothing within the time is no error. visibility nil is the queue's own. It takes the lock.
//
// At the in-flight limit a short poll is told OverLimit, a long poll waits in vain.
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
			return nil, refuse("OverLimit", "Too many messages in flight: the queue %s has %d.", q.name, MaxInFlight)
		}
		taken, dead := q.take(now, limit, hide, maxReceiveCount)
		var self *waiter
		if len(taken) == 0 && !last {
			self = q.waiting.join(rejoining)
		}
		q.wake(now)
		q.mu.Unlock()
		if len(dead) > 0 {
			deadLetters.bury(dead, q.arn)
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
			last = true // one more look: a message may have come together with the end
		case <-ctx.Done():
		case <-s.closed:
		}
		q.mu.Lock()
		if q.waiting.leave(self) {
			q.wake(q.clock.Now()) // what woke this one is for the next
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

// bury stores messages that the queue source gave up. They keep their ids, the time they were sent (by which they
// expire), their receive counts and attributes. Source: Developer Guide, "Using dead-letter queues in Amazon SQS" and
// "Setting-up dead-letter queue retention". It takes the lock.
func (q *queue) bury(dead []*message, source string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range dead {
		m.deadLetterOf = source
		m.receptionsHere = 0
		m.state = visible
		q.enter(m)
	}
	q.wake(q.clock.Now())
}
