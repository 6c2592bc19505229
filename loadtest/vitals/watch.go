package vitals

import (
	"runtime"
	"time"

	"fanfare/loadtest/timing"
)

// Watch takes samples of this process. It is not safe for concurrent use.
type Watch struct {
	at        int64
	cpu       time.Duration
	busy, all float64

	began      int64
	beganCPU   time.Duration
	beganPause time.Duration
	rss        int64
}

// NewWatch returns a watch that starts now.
func NewWatch() *Watch {
	w := &Watch{at: timing.Now(), cpu: CPU(), beganPause: Pause(), rss: RSS()}
	w.busy, w.all = ticks()
	w.began, w.beganCPU = w.at, w.cpu
	return w
}

// Sample returns the figures since the last sample. The caller adds Open and the lags.
func (w *Watch) Sample() Sample {
	now, cpu := timing.Now(), CPU()
	s := Sample{At: now, RSS: RSS(), Goroutines: runtime.NumGoroutine()}
	if elapsed := now - w.at; elapsed > 0 {
		s.CPU = float64((cpu - w.cpu).Microseconds()) / float64(elapsed)
	}
	busy, all := ticks()
	if all > w.all {
		s.Machine = min((busy-w.busy)/(all-w.all), 1) // iowait may decrease (proc_stat(5))
	}
	w.at, w.cpu, w.busy, w.all = now, cpu, busy, all
	w.rss = max(w.rss, s.RSS)
	return s
}

// Usage returns the figures since the watch started. The caller adds the lags.
func (w *Watch) Usage() Usage {
	return Usage{
		CPU: CPU() - w.beganCPU, Wall: time.Duration(timing.Now()-w.began) * time.Microsecond,
		RSS: max(w.rss, RSS()), Pause: Pause() - w.beganPause, Descriptors: Descriptors(), Limit: RaiseFileLimit(),
	}
}
