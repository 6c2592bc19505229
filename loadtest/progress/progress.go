// Package progress prints the progress of a load test: one line with a bar and the main figures, redrawn in place on a
// terminal, or a new line every five seconds elsewhere.
package progress

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"fanfare/loadtest/report"
	"fanfare/loadtest/trial"

	"golang.org/x/term"
)

const (
	// redraw is the interval of redraws on a terminal.
	redraw = 200 * time.Millisecond
	// plain is the interval of lines without a terminal.
	plain = 5 * time.Second
)

// Terminal reports whether f is a terminal that can redraw a line.
func Terminal(f *os.File) bool {
	return os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// width returns the number of columns of the terminal f, 80 if unknown.
func width(f *os.File) int {
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns == 0 {
		return 80
	}
	return columns
}

// Colour reports whether output to f should have colours: it is a terminal, and NO_COLOR is not set (no-color.org).
func Colour(f *os.File) bool { return Terminal(f) && os.Getenv("NO_COLOR") == "" }

// Show prints the progress of a trial until ctx ends. On a terminal it redraws one line, and clears it at the end.
func Show(ctx context.Context, f *os.File, current func() (trial.Progress, error)) {
	if Terminal(f) {
		show(ctx, f, current, redraw, func(p trial.Progress) string {
			return "\r\x1b[2K" + fit(Line(p, 24), width(f)-1)
		})
		fmt.Fprint(f, "\r\x1b[2K")
		return
	}
	show(ctx, f, current, plain, func(p trial.Progress) string { return Line(p, 0) + "\n" })
}

func show(ctx context.Context, w io.Writer, current func() (trial.Progress, error), every time.Duration,
	line func(trial.Progress) string) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		p, err := current()
		if err != nil {
			return // the trial returns the error
		}
		fmt.Fprint(w, line(p))
	}
}

// Line returns the progress of a trial as one line, with a bar of that many cells; 0 is no bar.
func Line(p trial.Progress, cells int) string {
	done, figures := 0.0, ""
	left := max(p.Duration-time.Since(p.Began), 0)
	switch p.Phase {
	case trial.Connecting:
		done = share(p.Connected, p.Wanted)
		figures = fmt.Sprintf("%s of %s clients", report.Grouped(float64(p.Connected)), report.Grouped(float64(p.Wanted)))
		if p.Failed > 0 {
			figures += fmt.Sprintf(" · %d attempts failed", p.Failed)
		}
	case trial.Settling:
		done = share(p.Asked-p.Unsettled, p.Asked)
		figures = fmt.Sprintf("%s of %s messages settled", report.Grouped(float64(p.Asked-p.Unsettled)),
			report.Grouped(float64(p.Asked)))
	default:
		done = share(int(p.Published), p.Messages)
		expected := float64(p.Published) * float64(p.Wanted)
		figures = fmt.Sprintf("%s clients · %s/%s messages · %s acked · %s received (%s)",
			report.Grouped(float64(p.Connected)),
			report.Grouped(float64(p.Published)), report.Grouped(float64(p.Messages)), report.Grouped(float64(p.Accepted)),
			report.Grouped(float64(p.Live.Count())), percent(float64(p.Live.Count()), expected))
		if p.Live.Count() > 0 {
			figures += fmt.Sprintf(" · p50 %s p99 %s", report.Duration(p.Live.Quantile(0.5)),
				report.Duration(p.Live.Quantile(0.99)))
		}
	}
	bar := ""
	if cells > 0 {
		full := int(done * float64(cells))
		bar = strings.Repeat("█", full) + strings.Repeat("░", cells-full) + " "
	}
	line := fmt.Sprintf("%s %s%3.0f %% %s", p.Phase, bar, done*100, figures)
	if left > 0 {
		line += " · " + left.Round(time.Second).String() + " left"
	}
	return line
}

func share(part, whole int) float64 {
	if whole <= 0 {
		return 0
	}
	return min(float64(part)/float64(whole), 1)
}

func percent(part, whole float64) string {
	if whole <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", part/whole*100)
}

// fit truncates a line to that many columns. Every character must be one column wide.
func fit(line string, columns int) string {
	runes := []rune(line)
	if columns > 0 && len(runes) > columns {
		return string(runes[:columns-1]) + "…"
	}
	return line
}
