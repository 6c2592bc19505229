package broadcast_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"fanfare/pkg/broadcast"
)

func TestFateOf(t *testing.T) {
	cause := errors.New("cause")
	for _, test := range []struct {
		name   string
		err    error
		fate   broadcast.Fate
		reason string
	}{
		{"gone", broadcast.Gone(cause), broadcast.FateGone, broadcast.ReasonGone},
		{"retry", broadcast.Retry(broadcast.ReasonServer, cause), broadcast.FateRetry, broadcast.ReasonServer},
		{"permanent", broadcast.Permanent(broadcast.ReasonTooLarge, cause), broadcast.FatePermanent, broadcast.ReasonTooLarge},
		{"wrapped", fmt.Errorf("while posting: %w", broadcast.Gone(cause)), broadcast.FateGone, broadcast.ReasonGone},
		{"no time left", fmt.Errorf("wait: %w", context.DeadlineExceeded), broadcast.FateRetry, broadcast.ReasonDeadline},
		{"stopped", context.Canceled, broadcast.FateRetry, broadcast.ReasonDeadline},
		{"anything else", cause, broadcast.FateFatal, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			fate, reason := broadcast.FateOf(test.err)
			if fate != test.fate || reason != test.reason {
				t.Errorf("%v for %q, want %v for %q", fate, reason, test.fate, test.reason)
			}
		})
	}
	if !errors.Is(broadcast.Gone(cause), cause) {
		t.Error("the cause is lost")
	}
}
