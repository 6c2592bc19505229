package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"fanfare/loadtest/report"
	"fanfare/loadtest/trial"
)

// The stall: two seconds from the 200th of 600 messages on, a hundred a second.
const (
	stallRate   = 100
	stallLength = 6 * time.Second
	stallAt     = 200
	stallFor    = 2 * time.Second
)

// predicted returns the quantile of the latencies that arithmetic predicts for the stall: whoever should have been
// served x after it began waits for the rest of it, S - x; the others do not wait. A harness that forgot the messages it
// did not send, or that counted from when it sent them, would show next to none of it.
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

// quantile takes a quantile of sorted times by the nearest rank.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// tolerance allows for what the machine adds between the relay and the harness.
const tolerance = 250 * time.Millisecond

// stalled compares the measured curve with two others. It must not be below the predicted one: that is what a stall does
// at least. And it must be that of the relay, which notes how late it passed everything on: that is what the machine added
// to the stall.
func stalled(r *report.Report, f Fault) (string, error) {
	if d := r.Account.Deliveries; d.Missing != 0 || d.Duplicates != 0 || d.Owed != d.Delivered {
		return "", fmt.Errorf("a stall loses nothing, but the account reads %+v", d)
	}
	stall, ok := f.(*Stall)
	if !ok || len(stall.Passed()) == 0 {
		return "", errors.New("the relay passed nothing on")
	}
	passed := stall.Passed()
	// What the harness says of its own lag is not to be held against it twice.
	slack := tolerance + time.Duration(r.Figures["read_lag_p99"].Value*float64(time.Second))
	found := "curve as predicted:"
	for _, q := range []float64{0.5, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99} {
		least, relayed, got := predicted(q), quantile(passed, q), r.Account.Latency.Delivery.Quantile(q)
		if got < least-tolerance || got < relayed-tolerance || got > relayed+slack {
			return "", fmt.Errorf("the latencies' quantile %v is %s; the stall predicts at least %s, and the relay passed on after %s", q, report.Duration(got), report.Duration(least), report.Duration(relayed))
		}
		if q == 0.75 || q == 0.9 || q == 0.99 {
			found += fmt.Sprintf(" p%g %s (%s)", q*100, report.Duration(got), report.Duration(least))
		}
	}
	return found, nil
}

// suspendFor is how long the last control stops one of the harness's own processes.
const suspendFor = time.Second

// suspended stops a process of the harness in mid-run: the report must say that the run is invalid, and not blame the
// system.
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
		stopErr = suspend(ctx, t,
			suspendFor)
	})
	if err := errors.Join(err, stopErr); err != nil {
		return "", err
	}
	schedule, read := r.Figures["schedule_lag_p99"], r.Figures["read_lag_p99"]
	late := 0 // what the harness says it was late at: publishing and reading
	for _, d := range r.Doubts {
		if d.Lag {
			late++
		}
	}
	if r.Verdict != report.Invalid || late != 2 {
		return "", fmt.Errorf("the verdict is %s for %d kinds of lag although the harness stood still (schedule lag p99 %s, read lag p99 %s)", r.Verdict, late, schedule, read)
	}
	if n := r.Account.Deliveries.Missing; n != 0 {
		return "", fmt.Errorf("the system was blamed for %d missing deliveries", n)
	}
	return fmt.Sprintf("declared invalid: schedule lag p99 %s, read lag p99 %s", schedule, read), nil
}
