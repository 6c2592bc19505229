package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/ledger"
	"fanfare/test/audit"
	"fanfare/test/localtest"
)

// TestOverload publishes at ten times the rate of posts that the stack may make, then stops: nothing is lost,
// publishers get their acks as quickly as before, and the queues drain.
func TestOverload(t *testing.T) {
	const n, postsPerSecond = 50, 500 // 10 broadcasts a second
	duration := time.Minute
	if !*long {
		t.Parallel() // beside the short form of TestSystem_Faults, which mostly waits
		duration = 500 * time.Millisecond
	}
	rate := fmt.Sprintf("PostsPerSecond=%d", postsPerSecond)
	s := start(t, "", "--speed", "1", "--parameter", rate, "--parameter", "SenderConcurrency=5")
	g := newClientGroup(s)
	clients := g.joinAll(t, n, false)
	alive, end := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	defer keeping.Wait()
	defer end()
	keeping.Go(func() { keepAlive(alive, clients) })

	// Each client has one message under way at a time, so the messages are spread over the clients.
	begin := time.Now()
	ticks := make(chan struct{})
	var publishers sync.WaitGroup
	for _, c := range clients {
		publishers.Go(func() {
			for range ticks {
				c.publish(t, 200)
			}
		})
	}
	const interval = time.Second * n / postsPerSecond / 10
	tick := time.NewTicker(interval)
	for range duration / interval {
		<-tick.C
		ticks <- struct{}{}
	}
	tick.Stop()
	close(ticks)
	publishers.Wait()
	published := time.Since(begin)
	queued := func() int { return s.Queued(t, broadcastQueue) + s.Queued(t, sendQueue) }
	backlog := queued()
	for left := backlog; left > 0; left = queued() {
		if time.Since(begin) > localtest.Deadline+20*published {
			t.Fatalf("got %d messages in the queues, want them drained", left)
		}
		time.Sleep(200 * time.Millisecond)
	}
	drained := time.Since(begin) - published
	g.settle(t)
	g.publishFinal(t, clients)
	end()
	keeping.Wait()
	reports := g.reports(t, ledger.TakenOver, broadcast.ReasonNetwork)
	v := g.trail.Check(audit.Options{MayRepeat: true})
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	if v.Delivered != v.Owed || len(reports) != v.Broadcasts {
		t.Errorf("got %d deliveries and %d reports, want %d and %d", v.Delivered, len(reports), v.Owed, v.Broadcasts)
	}

	// The age at the last delivery, in the order of publication: it grows while more is published than posted.
	age := func(r ledger.Report) time.Duration { return r.Last.Sub(g.publishedAt[r.BroadcastID]) }
	var ages []time.Duration
	for _, r := range reports[:len(reports)-3] { // without the final ones
		ages = append(ages, age(r))
	}
	slices.Sort(g.acks)
	t.Logf("%d broadcasts in %.1f s to %d clients with %d posts a second: %d deliveries, %d missing, %d repeated; "+
		"%d messages were queued when publishing ended, none %.1f s later",
		v.Broadcasts, published.Seconds(), n, postsPerSecond, v.Delivered, v.Missing, v.Repeats, backlog, drained.Seconds())
	t.Logf("time to the ack: %v (median), %v (99 %%), %v (slowest)",
		percentile(g.acks, 0.5), percentile(g.acks, 0.99), percentile(g.acks, 1))
	t.Logf("age at the last delivery, by tenths of the broadcasts in the order of publication (s): %s", tenths(ages))
	last := age(reports[len(reports)-1]).Round(time.Millisecond)
	t.Logf("age of a final broadcast, after the queues were empty: %v", last)
	t.Logf("most memory of one process, MB: %v", s.peakMemories())
}

// tenths returns the median of each tenth.
func tenths(all []time.Duration) string {
	text := ""
	for i := range 10 {
		part := slices.Clone(all[i*len(all)/10 : (i+1)*len(all)/10])
		text += fmt.Sprintf(" %.1f", percentile(part, 0.5).Seconds())
	}
	return text
}

// TestStalledReaders measures the effect of clients that do not read on the latency of the others. It has no bound.
func TestStalledReaders(t *testing.T) {
	if !*long {
		t.Skip("NOT RUN: a measurement, of the long form")
	}
	const n, rounds, messages = 200, 4, 20
	g := newClientGroup(start(t, "", "--speed", "1"))
	readers := g.joinAll(t, n, false)
	alive, end := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	defer keeping.Wait()
	defer end()
	keeping.Go(func() { keepAlive(alive, readers) })
	measure := func() (all []time.Duration) {
		for _, c := range readers {
			c.mu.Lock()
			c.latencies = nil
			c.mu.Unlock()
		}
		for range messages {
			g.enqueue(t, 1000)
			time.Sleep(200 * time.Millisecond)
		}
		for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			all = all[:0]
			for _, c := range readers {
				c.mu.Lock()
				all = append(all, c.latencies...)
				c.mu.Unlock()
			}
			if len(all) >= n*messages {
				return all
			}
			if time.Since(begin) > localtest.Deadline {
				t.Fatalf("got %d deliveries within %v, want %d", len(all), localtest.Deadline, n*messages)
			}
		}
	}
	measure() // warms up
	// Rounds without and with stalled clients alternate, so that other work of the machine affects both.
	var without, with []time.Duration
	for range rounds {
		without = append(without, measure()...)
		stalled := g.joinAll(t, n/100, true)
		for range 10 {
			g.enqueue(t, 100_000) // fills their buffers
		}
		g.settle(t)
		with = append(with, measure()...)
		for _, c := range stalled {
			c.leave(true)
		}
		g.settle(t)
	}
	t.Logf("%d clients, %d deliveries each way: median %v without stalled readers, %v with one in a hundred; "+
		"99 %%: %v and %v", n, len(with), percentile(without, 0.5), percentile(with, 0.5),
		percentile(without, 0.99), percentile(with, 0.99))
}
