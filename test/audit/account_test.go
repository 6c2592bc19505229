package audit_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/result"
	"fanfare/test/audit"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// counts are the outcomes that audit and loadtest/account have in common.
type counts struct{ Owed, Delivered, Missing, Excused, Cut, Repeats int64 }

// recorder records the same run for audit and for loadtest/account.
type recorder struct {
	trail   *audit.Trail
	records *result.Shard
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func (r *recorder) publish(n int, sent time.Time) error {
	b, err := r.trail.Offer(payload(n), "backend", sent)
	if err != nil {
		return err
	}
	b.Accept(id(n), sent)
	r.records.Add(result.Record{Kind: result.Published, Broadcast: uint32(n), At: micros(sent), A: micros(sent),
		Flag: result.ByQueue})
	r.records.Add(result.Record{Kind: result.Answered, Broadcast: uint32(n), At: micros(sent),
		Flag: result.Acknowledged, Text: id(n)})
	return nil
}

func (r *recorder) open(client int, opened time.Time) {
	r.trail.Client(name(client)).Open(opened)
	r.records.Add(result.Record{Kind: result.Opened, Connection: uint32(client), At: micros(opened), A: int64(client)})
}

func (r *recorder) receive(client, n int, received time.Time) {
	r.trail.Client(name(client)).Receive(payload(n), received)
	r.records.Delivered(uint32(client), uint32(n), micros(received))
}

// close records the end of a connection. With cause Ended it stays open until the end of the run.
func (r *recorder) close(client int, closed time.Time, cause uint8) {
	switch cause {
	case result.Moved:
		r.trail.Client(name(client)).Close(closed, audit.ByClient)
	case result.Peer:
		r.trail.Client(name(client)).Close(closed, audit.BySystem)
	}
	r.records.Add(result.Record{Kind: result.Closed, Connection: uint32(client), At: micros(closed), Flag: cause})
}

// record draws a random run and records it. Times are multiples of 50 ms, so that some coincide.
func (r *recorder) record(t *rapid.T) error {
	const ms = time.Millisecond
	messages := rapid.IntRange(1, 80).Draw(t, "messages")
	for n := range messages {
		if err := r.publish(n, at(time.Second+time.Duration(n)*100*ms)); err != nil {
			return err
		}
	}
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "outcomes"), 0))
	for client := range rapid.IntRange(1, 8).Draw(t, "clients") {
		opened := at(time.Duration(rapid.IntRange(0, 120).Draw(t, "opened")) * 50 * ms)
		cause := rapid.SampledFrom([]uint8{result.Ended, result.Moved, result.Peer}).Draw(t, "cause")
		closed := at(time.Minute)
		if cause != result.Ended {
			closed = opened.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "duration")) * 50 * ms)
		}
		r.open(client, opened)
		for n := range messages {
			received := at(time.Second + time.Duration(n)*100*ms + 50*ms)
			for range [...]int{1, 1, 1, 1, 0, 2}[random.IntN(6)] {
				r.receive(client, n, received)
			}
		}
		r.close(client, closed, cause)
	}
	return nil
}

// Package audit and package loadtest/account count the same outcomes of the same run.
func TestCheck_AgreesWithAccount(t *testing.T) {
	const deadline = 3 * time.Second
	rapid.Check(t, func(rt *rapid.T) {
		file := filepath.Join(t.TempDir(), "results")
		trail := audit.NewTrail(begin)
		a, err := accountOf(file, result.Conditions{Run: "12345678", Start: micros(begin), Deadline: deadline},
			func(records *result.Shard) error { return (&recorder{trail, records}).record(rt) })
		if err != nil {
			rt.Fatal(err)
		}
		v := trail.Check(audit.Options{Within: deadline, MayCut: true})
		d := a.Deliveries
		want := counts{d.Owed, d.Delivered, d.Missing, d.Excused, d.Cut, d.Duplicates}
		got := counts{v.Owed, v.Delivered, v.Missing, v.Excused, v.Cut, v.Repeats}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("got other counts than account (-account +audit):\n%s", diff)
		}
	})
}

// accountOf writes a result file with the records that write adds, and returns its account.
func accountOf(file string, c result.Conditions, write func(*result.Shard) error) (a *account.Account, err error) {
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	w, err := result.NewWriter(out, c)
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	records := w.Shard()
	err = write(records)
	records.Flush()
	if err := errors.Join(err, w.Close(result.End{}), out.Close()); err != nil {
		return nil, err
	}
	f, err := result.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return account.Of(f.Segments)
}
