package engine

import (
	"io"
	"testing"
	"time"

	"fanfare/loadtest/client"
	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"
)

func TestSilence_ProcessSuspended(t *testing.T) {
	var s silence
	for i, look := range []struct{ now, frames, want int64 }{ // milliseconds
		{1000, 0, 0}, {1020, 0, 20}, {1040, 0, 40}, {1060, 3, 0}, {1080, 3, 20},
		{61_080, 3, 120}, // it stood still for a minute
		{61_100, 3, 140}, {61_120, 4, 0},
	} {
		if got := s.look(look.now*1000, look.frames); got != time.Duration(look.want)*time.Millisecond {
			t.Errorf("look %d: %v, want %d ms", i, got, look.want)
		}
	}
}

// With a system that answers, a run is not over while an answer is on its way; one that answers nothing is not waited for.
func TestEngine_CompleteNeedsAnswers(t *testing.T) {
	e := &Engine{reading: 1}
	l := &listener{engine: e, live: latency.NewCoarse(), earlier: map[string]bool{}}
	var err error
	if e.pool, err = client.NewPool(client.Options{URL: "ws://127.0.0.1",
		Handler: func(int) client.Handler { return l }}); err != nil {
		t.Fatal(err)
	}
	defer e.pool.Close()
	c := result.Conditions{Run: "12345678", Count: 3, Deadline: time.Minute}
	w, err := result.NewWriter(io.Discard, c)
	if err != nil {
		t.Fatal(err)
	}
	l.begin(&c, w.Shard())
	l.complete.Store(1) // the only client has everything
	publisher, answer := &client.Conn{}, []byte(`{"type":"ack","id":"x"}`)
	for event, want := range []bool{true, false, false} { // while the answer is on its way
		l.ask(publisher, uint32(event), 1)
		if got := e.complete(); got != want {
			t.Errorf("message %d is not answered, and complete is %v", event, got)
		}
		if !l.answer(publisher, answer, 2) || !e.complete() {
			t.Errorf("message %d is answered, and not complete", event)
		}
	}
	l.end()
	if err := w.Close(result.End{}); err != nil {
		t.Fatal(err)
	}
}
