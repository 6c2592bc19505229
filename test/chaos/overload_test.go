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
)

// TestOverload publishes at ten times the rate of posts that the stack is allowed, then stops: nothing is lost, whoever
// publishes is answered as quickly as before, and the queues drain.
func TestOverload(t *testing.T) {
	const clients, share = 50, 500 // posts a second: 10 broadcasts a second
	lasts := time.Minute
	if !*long {
		t.Parallel() // with the other short one, which waits most of its time
		lasts = 500 * time.Millisecond
	}
	w := start(t, "template.yaml", "--parameter", fmt.Sprintf("PostsPerSecond=%d", share), "--parameter", "SenderConcurrency=5")
	c := gather(w)
	crowd := c.joinAll(t, clients, false)
	living, end := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer end()
	group.Go(func() { keepAlive(living, crowd) })

	// Each client has a message on its way at a time, so that a second's messages are spread over them.
	begin := time.Now()
	ticks := make(chan struct{})
	var publishers sync.WaitGroup
	for _, k := range crowd {
		publishers.Go(func() {
			for range ticks {
				k.publish(t, 200)
			}
		})
	}
	const every = time.Second * clients / share / 10
	tick := time.NewTicker(every)
	for range lasts / every {
		<-tick.C
		ticks <- struct{}{}
	}
	tick.Stop()
	close(ticks)
	publishers.Wait()
	published := time.Since(begin)
	backlog := w.waiting(t, "broadcast") + w.waiting(t, "send")
	for w.waiting(t, "broadcast")+w.waiting(t, "send") > 0 {
		if time.Since(begin) > patience+20*published {
			t.Fatalf("the queues do not drain: %d and %d", w.waiting(t, "broadcast"), w.waiting(t, "send"))
		}
		time.Sleep(200 * time.Millisecond)
	}
	drained := time.Since(begin) - published
	c.settle(t)
	c.last(t, crowd)
	end()
	group.Wait()
	reports := c.reports(t, ledger.TakenOver, broadcast.ReasonNetwork)
	v := c.trail.Check(audit.Options{MayRepeat: true})
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	if v.Delivered != v.Owed || len(reports) != v.Broadcasts {
		t.Errorf("%d of %d deliveries, %d of %d reports", v.Delivered, v.Owed, len(reports), v.Broadcasts)
	}

	// The age by when it was published: it has to grow while more comes in than goes out.
	var ages []time.Duration
	for _, r := range reports[:len(reports)-3] {
		ages = append(ages, r.Last.Sub(c.publishedAt[r.BroadcastID]))
	}
	slices.Sort(c.acks)
	t.Logf("%d broadcasts in %.1f s to %d clients with %d posts a second: %d deliveries, %d missing, %d repeated; when publishing ended %d messages waited, %.1f s later none",
		v.Broadcasts, published.Seconds(), clients, share, v.Delivered, v.Missing, v.Repeats, backlog, drained.Seconds())
	t.Logf("acknowledged after %v (median), %v (99 %%), %v (the slowest)", percentile(c.acks, 0.5), percentile(c.acks, 0.99), percentile(c.acks, 1))
	t.Logf("age at the last delivery, by tenths of the broadcasts in the order of their publication (s): %s", tenths(ages))
	t.Logf("age of a last broadcast, after the queues were empty: %v", reports[len(reports)-1].Last.Sub(c.publishedAt[reports[len(reports)-1].BroadcastID]).Round(time.Millisecond))
	t.Logf("most memory of one process, MB: %v", w.held())
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

// TestStalledReaders measures what clients that do not read cost those that do. It holds nobody to a figure.
func TestStalledReaders(t *testing.T) {
	if !*long {
		t.Skip("a measurement, of the long form")
	}
	const clients, rounds, messages = 200, 4, 20
	w := start(t, "template.yaml")
	c := gather(w)
	healthy := c.joinAll(t, clients, false)
	living, end := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer end()
	group.Go(func() { keepAlive(living, healthy) })
	measure := func() (all []time.Duration) {
		for _, k := range healthy {
			k.mu.Lock()
			k.late = nil
			k.mu.Unlock()
		}
		for range messages {
			c.enqueue(t, 1000)
			time.Sleep(200 * time.Millisecond)
		}
		for {
			all = all[:0]
			for _, k := range healthy {
				k.mu.Lock()
				all = append(all, k.late...)
				k.mu.Unlock()
			}
			if len(all) >= clients*messages {
				return all
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	measure() // warm
	// With and without take turns, so that what else the machine does befalls both.
	var without, with []time.Duration
	for range rounds {
		without = append(without, measure()...)
		stalled := c.joinAll(t, clients/100, true)
		for range 10 {
			c.enqueue(t, 100_000) // fills their buffers
		}
		c.settle(t)
		with = append(with, measure()...)
		for _, k := range stalled {
			k.leaving.Store(true)
			close(k.resume)
			k.leave(true)
		}
		c.settle(t)
	}
	t.Logf("%d clients, %d deliveries each way: median %v without stalled readers, %v with one in a hundred; 99 %%: %v and %v",
		clients, len(with), percentile(without, 0.5), percentile(with, 0.5), percentile(without, 0.99), percentile(with, 0.99))
}
