package fanout_test

import (
	"context"
	"testing"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/test/cpu"
)

// pages is a connections table that is read for free: a segment is one page.
type pages [][]broadcast.Connection

func (p pages) Page(_ context.Context, segment, segments int, _ string) ([]broadcast.Connection, string, error) {
	if segments == 1 {
		return p[0], "c", nil // the table has more than a page, so it is read in segments
	}
	return p[segment], "", nil
}

// BenchmarkDispatcher_Dispatch plans and hands over the batches of a broadcast to 20,000 connections. The table, ledger
// and queues are in memory.
func BenchmarkDispatcher_Dispatch(b *testing.B) {
	const rows = 20_000
	all := connections(rows, time.Hour)
	b.ReportAllocs()
	start := cpu.Used(b)
	for b.Loop() {
		w := newWorld(all, 0)
		w.Registry = pages{all[:rows/4], all[rows/4 : rows/2], all[rows/2 : rows*3/4], all[rows*3/4:]}
		for _, r := range w.Dispatch(b.Context(), []broadcast.Request{request("m")}) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
		if n := len(w.queues.batches); n < rows/100 {
			b.Fatalf("got %d batches, want at least %d", n, rows/100)
		}
	}
	cpu.Report(b, start)
}
