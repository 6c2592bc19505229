package progress

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/loadtest/engine"
	"fanfare/loadtest/latency"
	"fanfare/loadtest/trial"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sample(phase trial.Phase) trial.Progress {
	live := latency.NewCoarse()
	for i := range int64(12_000) {
		live.Add(i)
	}
	return trial.Progress{
		Phase: phase, Began: time.Now(), Duration: time.Minute, Messages: 60, Rate: 1, Asked: 60, Unsettled: 15,
		Status: engine.Status{Live: live, Wanted: 1000, Connected: 750, Failed: 3, Published: 15, Accepted: 14},
	}
}

func TestLine(t *testing.T) {
	for phase, want := range map[trial.Phase]string{
		trial.Connecting: "connecting ██████░░  75 % 750 of 1,000 clients · 3 attempts failed · 1m0s left",
		trial.Measuring: "measuring ██░░░░░░  25 % 750 clients · 15/60 messages · 14 acked · 12,000 received (80.0 %) · " +
			"p50 6.02ms p99 11.9ms · 1m0s left",
		trial.Settling: "ledger ██████░░  75 % 45 of 60 messages settled · 1m0s left",
	} {
		synctest.Test(t, func(t *testing.T) { // no time passes
			if got := Line(sample(phase), 8); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	if got := Line(trial.Progress{Phase: trial.Measuring, Status: engine.Status{Live: latency.NewCoarse()}},
		0); strings.Contains(got, "NaN") {
		t.Errorf("empty progress: got %s, want no NaN", got)
	}
}

func TestFit(t *testing.T) {
	if got := fit("█████ more", 7); got != "█████ …" {
		t.Errorf("got %q", got)
	}
	if got := fit("short", 7); got != "short" {
		t.Errorf("got %q", got)
	}
}

func TestTerminal_File(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if Terminal(f) || Colour(f) {
		t.Error("file: got a terminal or colours, want neither")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	Show(ctx, f, func() (trial.Progress, error) { return sample(trial.Measuring), nil })
	if b, err := os.ReadFile(f.Name()); err != nil || strings.Contains(string(b), "\x1b") {
		t.Errorf("file: got %q, %v, want no control sequences", b, err)
	}
}

func TestShow_StopsOnError(t *testing.T) {
	var b strings.Builder
	calls := 0
	show(t.Context(), &b, func() (trial.Progress, error) {
		if calls++; calls > 3 {
			return trial.Progress{}, errors.New("over")
		}
		return sample(trial.Measuring), nil
	}, time.Millisecond, func(p trial.Progress) string { return "line\n" })
	if b.String() != "line\nline\nline\n" {
		t.Errorf("got %q, want three lines", b.String())
	}
}

// BenchmarkLine measures one redraw, without reading the counters. There are five a second.
func BenchmarkLine(b *testing.B) {
	p := sample(trial.Measuring)
	for b.Loop() {
		Line(p, 24)
	}
}
