package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"fanfare/loadtest/report"
	"fanfare/loadtest/trial"
)

// The stall lasts two seconds and begins at the 200th of 600 messages, at 100 messages a second.
const (
	stallRate   = 100
	stallLength = 6 * time.Second
	stallAt     = 200
	stallFor    = 2 * time.Second
)

// predicted returns the quantile of the latencies that arithmetic predicts for the stall: a message that was due x
// after the stall began waits stallFor - x; the other messages do not wait. A harness that forgot the messages it did
// not send, or that counted from the time of sending, would show almost none of it.
func predicted(q float64) time.Duration {
	total := int(stallRate * stallLength.Seconds())
	waits := make([]time.Duration, total)
	for i := range waits {
		x := time.Duration(float64(i-stallAt) / stallRate * float64(time.Second))
		if x >= 0 && x < stallFor {
			waits[i] = stallFor - x
		}
	}
	slices.Sort(waits)
	return quantile(waits, q)
}

// quantile returns a quantile of sorted times by the nearest rank.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// tolerance is the allowance for what the machine adds between the relay and the harness.
const tolerance = 250 * time.Millisecond

// stalled compares the measured latencies with two other curves. They must not be below the predicted ones, which are a
// lower bound. They must equal the delays at which the relay passed the payloads on, which include what the machine
// added.
func stalled(r *report.Report, f fault) (string, error) {
	if d := r.Account.Deliveries; d.Missing != 0 || d.Duplicates != 0 || d.Owed != d.Delivered {
		return "", fmt.Errorf("got %+v after a stall, want everything delivered once", d)
	}
	s, ok := f.(*stall)
	if !ok {
		return "", fmt.Errorf("got fault %T, want a stall", f)
	}
	passed := s.delays()
	if len(passed) == 0 {
		return "", errors.New("the relay passed no payload on")
	}
	// The read lag is a delay of the harness that it reports itself.
	slack := tolerance + time.Duration(r.Figures["read_lag_p99"].Value*float64(time.Second))
	var found strings.Builder
	found.WriteString("curve as predicted:")
	for _, q := range []float64{0.5, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99} {
		least, relayed, got := predicted(q), quantile(passed, q), r.Account.Latency.Delivery.Quantile(q)
		if got < least-tolerance || got < relayed-tolerance || got > relayed+slack {
			return "", fmt.Errorf("got latency quantile %v %s, want at least %s as predicted, and %s as the relay passed it on",
				q, report.Duration(got), report.Duration(least), report.Duration(relayed))
		}
		if q == 0.75 || q == 0.9 || q == 0.99 {
			fmt.Fprintf(&found, " p%g %s (%s)", q*100, report.Duration(got), report.Duration(least))
		}
	}
	return found.String(), nil
}

// suspendFor is the time for which the last test stops one of the harness's processes.
const suspendFor = time.Second

// suspended stops a process of the harness during a run. The report must be invalid and must not blame the system.
func suspended(ctx context.Context, o Options) (found string, err error) {
	upstream, stop, err := server(o.URL)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, stop()) }()
	s := settings("ws://" + upstream + "/")
	s.Processes, s.Rate, s.Duration = 2, 100, 3*time.Second
	var stopErr error
	r, err := measure(ctx, s, o.Command, func(ctx context.Context, t *trial.Trial) {
		stopErr = suspend(ctx, t, suspendFor)
	})
	if err := errors.Join(err, stopErr); err != nil {
		return "", err
	}
	schedule, read := r.Figures["schedule_lag_p99"], r.Figures["read_lag_p99"]
	late := 0 // kinds of lag in the report; want publishing and reading
	for _, d := range r.Doubts {
		if d.Lag {
			late++
		}
	}
	if r.Verdict != report.Invalid || late != 2 {
		return "", fmt.Errorf("got verdict %s and %d kinds of lag (schedule lag p99 %s, read lag p99 %s), want invalid and 2",
			r.Verdict, late, schedule, read)
	}
	if n := r.Account.Deliveries.Missing; n != 0 {
		return "", fmt.Errorf("got %d missing deliveries, want 0", n)
	}
	return fmt.Sprintf("run invalid: schedule lag p99 %s, read lag p99 %s", schedule, read), nil
}
