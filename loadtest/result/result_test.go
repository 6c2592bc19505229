package result_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/loadtest/result"
	"fanfare/loadtest/vitals"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func record(t *rapid.T) result.Record {
	r := result.Record{
		Kind:       result.Kind(rapid.IntRange(1, 8).Draw(t, "kind")),
		Connection: rapid.Uint32().Draw(t, "connection"),
		Broadcast:  rapid.Uint32().Draw(t, "broadcast"),
		At:         rapid.Int64Range(0, 1<<60).Draw(t, "at"),
	}
	if r.Kind != result.Delivered {
		r.Flag = rapid.Uint8().Draw(t, "flag")
		r.A = rapid.Int64().Draw(t, "a")
		r.B = rapid.Int64().Draw(t, "b")
		r.Text = rapid.StringN(0, 60, 500).Draw(t, "text")
	}
	return r
}

func write(t testing.TB, shards ...[]result.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := result.NewWriter(&out, result.Conditions{Run: "12345678", Count: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, records := range shards {
		s := w.Shard()
		for _, r := range records {
			if r.Kind == result.Delivered {
				s.Delivered(r.Connection, r.Broadcast, r.At)
			} else {
				s.Add(r)
			}
		}
		s.Flush()
	}
	if err := w.Sample(vitals.Sample{At: 7, CPU: 0.5}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(result.End{Frames: 3}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAppendLedger(t *testing.T) {
	name := filepath.Join(t.TempDir(), "results")
	// With two processes, the ledger is of the whole run and in the last segment.
	if err := os.WriteFile(name, slices.Concat(write(t), write(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	var want result.Ledger
	for n := range 12_000 { // more than one block
		want.Reports = append(want.Reports, result.LedgerReport{ID: strings.Repeat("i", 36), Parts: n, Dispatched: true,
			Audience: 5, Delivered: 3, Failed: 2, Reasons: map[string]int{"throttled": 2}})
	}
	for _, l := range []result.Ledger{want, {Error: "no such table"}, {}} {
		if err := result.AppendLedger(name, l); err != nil {
			t.Fatal(err)
		}
		f, err := result.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		got := f.Segments[1].Ledger
		if f.Segments[0].Ledger != nil || got == nil || !cmp.Equal(got.Reports, want.Reports) ||
			got.Error != l.Error || f.Cut || f.Segments[1].End == nil {
			t.Errorf("got %d reports, error %q, want %d, %q", len(got.Reports), got.Error, len(want.Reports), l.Error)
		}
		f.Close()
	}
	if f, err := open(t, write(t)); err != nil || f.Segments[0].Ledger != nil {
		t.Errorf("run without a ledger: got %+v, %v, want nil, nil", f.Segments[0].Ledger, err)
	}
	if err := result.AppendLedger(name+".not", want); err == nil {
		t.Error("missing file: got no error, want one")
	}
}

func open(t testing.TB, content []byte) (*result.File, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "results")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := result.Open(name)
	if err == nil {
		t.Cleanup(func() { f.Close() })
	}
	return f, err
}

func read(t testing.TB, s *result.Segment) []result.Record {
	t.Helper()
	var got []result.Record
	if err := s.Each(func(r *result.Record) error { got = append(got, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWriter_RoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(record), 0, 50).Draw(rt, "records")
		f, err := open(t, write(t, want))
		if err != nil {
			rt.Fatal(err)
		}
		s := f.Segments[0]
		if got := read(t, s); !slices.Equal(got, want) {
			rt.Fatalf("got  %v\nwant %v", got, want)
		}
		counted := int64(0)
		for _, r := range want {
			if r.Kind == result.Delivered || r.Kind == result.Odd {
				counted++
			}
		}
		if f.Cut || s.End == nil || s.End.Records != counted || s.End.Frames != 3 {
			rt.Fatalf("got cut %v, end %+v, want %d records", f.Cut, s.End, counted)
		}
		if len(s.Samples) != 1 || s.Samples[0].CPU != 0.5 || s.Conditions.Run != "12345678" {
			rt.Fatalf("got samples %v, conditions %+v, want those written", s.Samples, s.Conditions)
		}
	})
}

func deliveries(n int) []result.Record {
	records := make([]result.Record, n)
	at := time.Now().UnixMicro()
	for i := range records {
		records[i] = result.Record{Kind: result.Delivered, Connection: uint32(i % 5000), Broadcast: uint32(i / 5000), At: at +
			int64(i)*17}
	}
	return records
}

func TestWriter_LargeSegments(t *testing.T) {
	want := deliveries(100_000)
	content := write(t, want, want)
	if perRecord := float64(len(content)) / 200_000; perRecord > 6 {
		t.Errorf("got %.1f bytes a delivery, want at most 6", perRecord)
	}
	f, err := open(t, content)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, f.Segments[0]); !slices.Equal(got, append(slices.Clone(want), want...)) {
		t.Error("got other records than those written")
	}
}

func TestOpen_ConcatenatedFiles(t *testing.T) {
	a, b := deliveries(10), deliveries(3)
	f, err := open(t, append(write(t, a), write(t, b)...))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Segments) != 2 || len(read(t, f.Segments[0])) != 10 || len(read(t, f.Segments[1])) != 3 {
		t.Errorf("got %d segments, want 2 of 10 and 3 records", len(f.Segments))
	}
}

func TestOpen_TruncatedFile(t *testing.T) {
	whole := write(t, deliveries(20_000))
	for _, cut := range []int{1, 4, 5, 100, len(whole) / 2} {
		f, err := open(t, whole[:len(whole)-cut])
		if err != nil {
			t.Fatalf("%d bytes short: %v", cut, err)
		}
		if !f.Cut || f.Segments[0].End != nil {
			t.Errorf("%d bytes short: got cut %v, end %v, want true, nil", cut, f.Cut, f.Segments[0].End)
		}
		read(t, f.Segments[0])
	}
}

func TestOpen_DamagedFile(t *testing.T) {
	whole := write(t, deliveries(100))
	for _, at := range []int{10, len(whole) / 2, len(whole) - 6} {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 4
		if _, err := open(t, damaged); err == nil {
			t.Errorf("byte %d of %d changed: got no error, want one", at, len(whole))
		}
	}
	for name, content := range map[string]string{"empty": "", "text": "hello, world\n", "JSON": `{"a":1}`} {
		if _, err := open(t, []byte(content)); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
	newer := bytes.Replace(whole, []byte(`"version":1`), []byte(`"version":2`), 1)
	if _, err := open(t, newer); err == nil {
		t.Error("changed header: got no error, want one")
	}
}

type brokenDisk struct{ left int }

func (d *brokenDisk) Write(p []byte) (int, error) {
	if d.left -= len(p); d.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestWriter_FullDisk(t *testing.T) {
	w, err := result.NewWriter(&brokenDisk{left: 40_000}, result.Conditions{})
	if err != nil {
		t.Fatal(err)
	}
	s := w.Shard()
	for _, r := range deliveries(50_000) {
		s.Delivered(r.Connection, r.Broadcast, r.At)
	}
	s.Flush()
	if err := w.Close(result.End{}); err == nil || !strings.Contains(err.Error(), "disk full") || !w.Failed() {
		t.Errorf("close after a failed write: got %v, failed %v, want disk full, true", err, w.Failed())
	}
}

func FuzzOpen(f *testing.F) {
	seeds := [][]byte{write(f, deliveries(20)), write(f, nil), {'S', 2, '{', '}'}, []byte("hello")}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := open(t, content)
		if err != nil {
			return
		}
		for _, s := range file.Segments {
			_ = s.Each(func(*result.Record) error { return nil })
		}
	})
}

func BenchmarkDelivered(b *testing.B) {
	w, err := result.NewWriter(&brokenDisk{left: 1 << 62}, result.Conditions{})
	if err != nil {
		b.Fatal(err)
	}
	s := w.Shard()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Delivered(uint32(i%5000), uint32(i/5000), 1764000000123456+int64(i)*17)
	}
	s.Flush()
	if err := w.Close(result.End{}); err != nil {
		b.Fatal(err)
	}
}
