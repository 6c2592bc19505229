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
	for i, o := range []struct{ now, frames, want int64 }{ // milliseconds
		{1000, 0, 0}, {1020, 0, 20}, {1040, 0, 40}, {1060, 3, 0}, {1080, 3, 20},
		{61_080, 3, 120}, // the process was suspended for a minute
		{61_100, 3, 140}, {61_120, 4, 0},
	} {
		if got := s.observe(o.now*1000, o.frames); got != time.Duration(o.want)*time.Millisecond {
			t.Errorf("observation %d: got %v, want %d ms", i, got, o.want)
		}
	}
}

// A run waits for answers if the system has answered before.
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
	l.complete.Store(1) // the only client has all messages
	publisher, answer := &client.Conn{}, []byte(`{"type":"ack","id":"x"}`)
	for event, want := range []bool{true, false, false} { // before the answer
		l.addPending(publisher, uint32(event), 1)
		if got := e.complete(); got != want {
			t.Errorf("before answer %d: got complete %v, want %v", event, got, want)
		}
		if !l.answer(publisher, answer, 2) || !e.complete() {
			t.Errorf("after answer %d: got complete false, want true", event)
		}
	}
	l.end()
	if err := w.Close(result.End{}); err != nil {
		t.Fatal(err)
	}
}
