package localtest

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Deadline bounds every wait of the end-to-end and chaos tests. It only ends tests that would hang: it is far longer
// than any step takes, also on a busy machine with the race detector.
const Deadline = 3 * time.Minute

// startDeadline bounds the start of the local AWS, which may build every function.
const startDeadline = 5 * time.Minute

// poll is the interval at which a condition is tested.
const poll = 10 * time.Millisecond

// Context returns a context that ends after Deadline, or earlier with the test.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	t.Cleanup(cancel)
	return ctx
}

// Until waits until done reports true. Its error is ctx's, and names the condition.
func Until(ctx context.Context, condition string, done func() bool) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", condition, ctx.Err())
		}
	}
	return nil
}

// Eventually waits until done reports true, and fails the test after Deadline.
func Eventually(t testing.TB, condition string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	defer cancel()
	if err := Until(ctx, condition, done); err != nil {
		t.Fatal(err)
	}
}
