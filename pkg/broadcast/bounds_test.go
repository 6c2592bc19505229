package broadcast_test

import (
	"strings"
	"testing"
	"time"

	"fanfare/pkg/broadcast"
)

func TestConnection_Settling(t *testing.T) {
	const age = broadcast.SettlingAge
	now := time.UnixMilli(1_800_000_000_000)
	for _, test := range []struct {
		name              string
		connected, gone   time.Duration // before now; a gone of 0 is none
		suspect, settling bool
	}{
		{"just connected", 0, 0, false, true},
		{"connected almost long enough ago", age - 1, 0, false, true},
		{"connected long enough ago", age, 0, false, false},
		{"gone almost long enough ago", 2 * age, age - 1, true, true},
		{"gone long enough ago", 2 * age, age, true, false},
	} {
		c := broadcast.Connection{ID: "a=", ConnectedAt: now.Add(-test.connected)}
		if test.gone > 0 {
			c.GoneAt = now.Add(-test.gone)
		}
		if suspect, settling := c.Suspect(), c.Settling(now); suspect != test.suspect || settling != test.settling {
			t.Errorf("%s: got suspect %v, settling %v, want %v, %v", test.name, suspect, settling, test.suspect, test.settling)
		}
	}
}

func TestBatch_EncodeLargest(t *testing.T) {
	b := broadcast.Batch{ID: "b", Connections: []string{""}}
	body, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b.Connections[0] = strings.Repeat("x", broadcast.MaxBatchBytes-len(body))
	if body, err = b.Encode(); err != nil || len(body) != broadcast.MaxBatchBytes {
		t.Errorf("got %d bytes, %v, want %d", len(body), err, broadcast.MaxBatchBytes)
	}
	b.Connections[0] += "x"
	if _, err := b.Encode(); err == nil {
		t.Error("one byte more: got no error, want one")
	}
}

func TestBatch_Len(t *testing.T) {
	b := broadcast.Batch{
		Messages: make([]broadcast.Message, 3), Connections: []string{"a=", "b="}, Settling: []string{"c=", "d=", "e="},
	}
	if got, want := b.Len(), 15; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestPlan_Audience(t *testing.T) {
	p := broadcast.Plan{Segment: 2, Segments: 4, Stretch: 3, Buckets: []int{5, 0, 7}}
	if got, want := p.Audience(), 12; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	if got, want := p.BatchID(1), "2/4.3.1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
