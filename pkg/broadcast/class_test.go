package broadcast_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"fanfare/pkg/broadcast"
)

func TestClassOf(t *testing.T) {
	cause := errors.New("cause")
	for _, test := range []struct {
		name   string
		err    error
		class  broadcast.Class
		reason string
	}{
		{"gone", broadcast.Gone(cause), broadcast.ClassGone, broadcast.ReasonGone},
		{"retry", broadcast.Retry(broadcast.ReasonServer, cause), broadcast.ClassRetry, broadcast.ReasonServer},
		{
			"permanent", broadcast.Permanent(broadcast.ReasonTooLarge, cause),
			broadcast.ClassPermanent, broadcast.ReasonTooLarge,
		},
		{"wrapped", fmt.Errorf("post: %w", broadcast.Gone(cause)), broadcast.ClassGone, broadcast.ReasonGone},
		{"no time left", fmt.Errorf("wait: %w", context.DeadlineExceeded), broadcast.ClassRetry, broadcast.ReasonDeadline},
		{"canceled", context.Canceled, broadcast.ClassRetry, broadcast.ReasonDeadline},
		{"unclassified", cause, broadcast.ClassFatal, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			class, reason := broadcast.ClassOf(test.err)
			if class != test.class || reason != test.reason {
				t.Errorf("got %v, %q, want %v, %q", class, reason, test.class, test.reason)
			}
		})
	}
	if err := broadcast.Gone(cause); !errors.Is(err, cause) {
		t.Errorf("got %v, want it to wrap %v", err, cause)
	}
}
