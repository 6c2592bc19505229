package clock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/local/clock"
)

func TestClockRunsAtItsSpeed(t *testing.T) {
	for _, test := range []struct {
		name  string
		speed float64
		want  time.Duration // that passes while the wall passes one second
	}{
		{"faster", 600, 10 * time.Minute},
		{"the wall's pace", 1, time.Second},
		{"no speed given", 0, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clock.New(test.speed)
				before := c.Now()
				time.Sleep(time.Second)
				if got := c.Since(before); got != test.want {
					t.Errorf("%v passed, want %v", got, test.want)
				}
				wall := time.Now()
				if err := c.Sleep(t.Context(), test.want); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(wall); got != time.Second {
					t.Errorf("sleeping %v took %v of the wall's time, want 1s", test.want, got)
				}
			})
		})
	}
}

func TestNilClockIsTheMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *clock.Clock
		if got := c.Now(); !got.Equal(time.Now()) {
			t.Errorf("Now() = %v, want %v", got, time.Now())
		}
		start := time.Now()
		<-c.NewTimer(time.Minute).C
		if got := time.Since(start); got != time.Minute {
			t.Errorf("a timer of a minute took %v", got)
		}
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := clock.New(2).Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sleep returned %v, want the context's error", err)
		}
	})
}
