// Package clock provides the time of the emulated AWS services. A clock can run faster than the machine's, so that ten
// idle minutes or a day of retention pass in seconds.
//
// Only the timers of AWS's services use this clock. Processes of functions and clients use the machine's time, so the
// deadline of an invocation is not scaled.
package clock

import (
	"context"
	"time"
)

// Clock is a clock with a speed. A nil *Clock is the machine's clock. It is safe for concurrent use.
type Clock struct {
	start time.Time
	speed float64
}

// New returns a clock that starts at the machine's time and runs speed times as fast. A speed of 0 or less, or NaN,
// means 1.
func New(speed float64) *Clock {
	if !(speed > 0) {
		speed = 1
	}
	return &Clock{start: time.Now(), speed: speed}
}

// Now returns the current time of this clock.
func (c *Clock) Now() time.Time {
	if c == nil || c.speed == 1 {
		return time.Now()
	}
	elapsed := time.Since(c.start)
	return c.start.Add(time.Duration(float64(elapsed) * c.speed))
}

// Since returns the time since t on this clock.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Wall returns the duration on the machine's clock of d on this clock.
func (c *Clock) Wall(d time.Duration) time.Duration {
	if c == nil || c.speed == 1 {
		return d
	}
	return time.Duration(float64(d) / c.speed)
}

// NewTimer returns a timer that fires after d on this clock.
func (c *Clock) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(c.Wall(d)) }

// AfterFunc calls f in its own goroutine after d on this clock.
func (c *Clock) AfterFunc(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(c.Wall(d), f)
}

// Sleep waits for d on this clock. It returns the error of ctx if ctx ends first.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := c.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
