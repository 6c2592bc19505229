// Package clock is the time that the local AWS lives by. It can run faster than the wall, so that ten minutes of
// idleness or a day of retention pass in seconds, through the same code that waits for them at normal speed.
//
// Only the timers of AWS's own services belong to this clock. What runs beside them (function processes, clients)
// keeps the machine's time, so a deadline told to a function is never scaled.
package clock

import (
	"context"
	"time"
)

// Clock tells a time that passes speed times as fast as the wall's. A nil *Clock is the machine's own clock.
// It is safe for concurrent use.
type Clock struct {
	start time.Time
	speed float64
}

// New returns a clock that starts at the present and runs at speed times the wall's pace; a speed of 0 or less
// counts as 1.
func New(speed float64) *Clock {
	if speed <= 0 {
		speed = 1
	}
	return &Clock{start: time.Now(), speed: speed}
}

// Now returns the present by this clock.
func (c *Clock) Now() time.Time {
	if c == nil || c.speed == 1 {
		return time.Now()
	}
	elapsed := time.Since(c.start)
	return c.start.Add(time.Duration(float64(elapsed) * c.speed))
}

// Since returns how much of this clock's time has passed since t.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Wall returns how long d of this clock's time takes on the wall.
func (c *Clock) Wall(d time.Duration) time.Duration {
	if c == nil || c.speed == 1 {
		return d
	}
	return time.Duration(float64(d) / c.speed)
}

// NewTimer returns a timer that fires after d of this clock's time.
func (c *Clock) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(c.Wall(d)) }

// AfterFunc calls f in its own goroutine after d of this clock's time.
func (c *Clock) AfterFunc(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(c.Wall(d), f)
}

// Sleep waits for d of this clock's time, or until ctx ends, whose error it then returns.
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
