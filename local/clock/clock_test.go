package clock_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/local/clock"
)

func TestClock_Speed(t *testing.T) {
	for _, test := range []struct {
		name  string
		speed float64
		want  time.Duration // on the clock in one second of the machine's
	}{
		{"faster", 600, 10 * time.Minute},
		{"machine's speed", 1, time.Second},
		{"no speed", 0, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clock.New(test.speed)
				before := c.Now()
				time.Sleep(time.Second)
				if got := c.Since(before); got != test.want {
					t.Errorf("got %v, want %v", got, test.want)
				}
				wall := time.Now()
				if err := c.Sleep(t.Context(), test.want); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(wall); got != time.Second {
					t.Errorf("Sleep(%v): got %v of the machine's time, want 1s", test.want, got)
				}
			})
		})
	}
}

func TestClock_Nil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *clock.Clock
		if got := c.Now(); !got.Equal(time.Now()) {
			t.Errorf("Now: got %v, want %v", got, time.Now())
		}
		start := time.Now()
		<-c.NewTimer(time.Minute).C
		if got := time.Since(start); got != time.Minute {
			t.Errorf("timer: got %v, want 1m", got)
		}
	})
}

func TestClock_SleepCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := clock.New(2).Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want context.DeadlineExceeded", err)
		}
	})
}

func TestNew_SpeedWithoutMeaning(t *testing.T) {
	for _, speed := range []float64{0, -1, math.NaN()} {
		if got, want := clock.New(speed).Wall(time.Hour), time.Hour; got != want {
			t.Errorf("speed %v: got %v for an hour, want %v", speed, got, want)
		}
	}
}
