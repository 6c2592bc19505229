package chaos

import (
	"net/http"
	"testing"
	"time"

	"fanfare/test/localtest"
)

// TestSystem_Recovery kills the senders or the dispatcher in the middle of a broadcast, with the template's own
// timeouts and AWS's clock at its own speed. It measures the time from the kill to the last delivery of what they
// held.
func TestSystem_Recovery(t *testing.T) {
	if !*long {
		t.Skip("only in the long form: the timeouts take minutes")
	}
	const clients, rounds = 40, 2
	for _, test := range []struct {
		function string            // as in the log
		resource string            // in the template
		faults   map[string]string // while the broadcast is published
		most     time.Duration
	}{
		{function: "sender", resource: "SenderFunction", most: 45 * time.Second},
		{
			function: "dispatcher", resource: "DispatcherFunction",
			faults: map[string]string{"dynamodb.Latency": "3s"}, most: 75 * time.Second,
		},
	} {
		t.Run(test.function, func(t *testing.T) {
			t.Parallel()
			// A batch of about 20 connections takes a sender two seconds.
			g := newClientGroup(start(t, "", "--speed", "1", "--parameter", "PostsPerSecond=20",
				"--parameter", "SenderConcurrency=2", "--parameter", "BatchConnections=20"))
			all := g.joinAll(t, clients, false)
			g.enqueue(t, 100) // starts the processes
			g.settle(t)
			for round := range rounds {
				before := make(map[*client]int64)
				for _, c := range all {
					before[c] = c.final.Load()
				}
				reached := func() (n int) {
					for _, c := range all {
						if c.final.Load() > before[c] {
							n++
						}
					}
					return n
				}
				g.final.Store(int64(g.sequence + 1))
				if test.faults != nil {
					g.control(t, http.MethodPost, "faults", test.faults)
				}
				g.enqueue(t, 100)
				if test.faults == nil {
					g.wait(t, "a delivery", func() bool { return reached() > 0 })
				}
				time.Sleep(500 * time.Millisecond) // the process has set the visibility, and has not ended
				killed, crashes := time.Now(), g.crashes()
				g.control(t, http.MethodPost, "kill", map[string]string{"function": test.resource})
				g.wait(t, "a crash", func() bool { return g.crashes() > crashes })
				g.control(t, http.MethodDelete, "faults", nil)
				first := reached()
				g.wait(t, "every delivery", func() bool { return reached() == clients })
				took := time.Since(killed)
				t.Logf("round %d: %d of %d clients were reached before the kill of the %s, the others within %.1f s",
					round, first, clients, test.function, took.Seconds())
				if took > test.most || first == clients {
					t.Errorf("got the last delivery %v after the kill, %d before it, want %v and fewer than %d",
						took, first, test.most, clients)
				}
				g.settle(t)
			}
		})
	}
}

// wait waits until done returns true.
func (g *clientGroup) wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for begin := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > 2*localtest.Deadline {
			t.Fatalf("got no %s, want it", what)
		}
	}
}
