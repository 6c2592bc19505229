package broadcast_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/test/cpu"
)

// benchBatch is a batch of one message for 250 connections.
func benchBatch() broadcast.Batch {
	at := time.Unix(1_795_000_000, 0).UTC()
	b := broadcast.Batch{
		ID: "0-0001", DispatchedAt: at,
		Messages: []broadcast.Message{{ID: "m", SentAt: at, Payload: bytes.Repeat([]byte("x"), 256)}},
	}
	for i := range 250 {
		b.Connections = append(b.Connections, fmt.Sprintf("L0SM9cOF%06d=", i))
	}
	return b
}

func BenchmarkBatch_Encode(b *testing.B) {
	batch := benchBatch()
	b.ReportAllocs()
	start := cpu.Used(b)
	for b.Loop() {
		if _, err := batch.Encode(); err != nil {
			b.Fatal(err)
		}
	}
	cpu.Report(b, start)
}

func BenchmarkDecodeBatch(b *testing.B) {
	body, err := benchBatch().Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	start := cpu.Used(b)
	for b.Loop() {
		if _, err := broadcast.DecodeBatch(body); err != nil {
			b.Fatal(err)
		}
	}
	cpu.Report(b, start)
}
