package account_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/result"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	start  = int64(1_764_000_000_000_000)
	second = int64(1_000_000)
)

var conditions = result.Conditions{
	Run: "12345678", Processes: 1, Connections: 2, Publishers: 1, Rate: 1, Count: 3, Size: 256, Start: start,
	Deadline: 5 * time.Second,
}

// segment writes the records of one process to a file and opens it.
func segment(t testing.TB, c result.Conditions, records ...result.Record) *result.Segment {
	t.Helper()
	var out bytes.Buffer
	w, err := result.NewWriter(&out, c)
	if err != nil {
		t.Fatal(err)
	}
	s := w.Shard()
	for _, r := range records {
		s.Add(r)
	}
	s.Flush()
	if err := w.Close(result.End{}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "results")
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := result.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f.Segments[0]
}

func of(t testing.TB, segments ...*result.Segment) *account.Account {
	t.Helper()
	a, err := account.Of(segments)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The following return records. Times are in seconds after start.

func at(s float64) int64 { return start + int64(s*float64(second)) }

func opened(connection uint32, s float64) result.Record {
	return result.Record{Kind: result.Opened, Connection: connection, At: at(s), A: int64(connection), B: 1000}
}

func slow(r result.Record) result.Record { r.Flag = result.Slow; return r }

func closed(connection uint32, s float64, cause uint8) result.Record {
	return result.Record{Kind: result.Closed, Connection: connection, At: at(s), Flag: cause}
}

func published(n uint32, s float64) result.Record {
	return result.Record{Kind: result.Published, Broadcast: n, At: at(s) + 100, A: at(s), B: 256, Flag: result.ByClient}
}

func acked(n uint32, s float64) result.Record {
	return result.Record{Kind: result.Answered, Broadcast: n, At: at(s), Flag: result.Acknowledged, Text: "id"}
}

func refused(n uint32, s float64, guess uint8) result.Record {
	return result.Record{Kind: result.Answered, Broadcast: n, At: at(s), Flag: result.Refused | guess, Text: "too_large"}
}

func delivered(connection, n uint32, s float64) result.Record {
	return result.Record{Kind: result.Delivered, Connection: connection, Broadcast: n, At: at(s)}
}

func odd(connection uint32, what uint8, n, known int64) result.Record {
	return result.Record{Kind: result.Odd, Connection: connection, Flag: what, At: at(2), A: 256, Broadcast: uint32(n),
		B: known}
}

// story returns the records of two clients and three acknowledged messages at 0, 1 and 2 s, followed by more.
func story(more ...result.Record) []result.Record {
	return append([]result.Record{
		opened(0, -2), opened(1, -1),
		published(0, 0), acked(0, 0.1), published(1, 1), acked(1, 1.1), published(2, 2), acked(2, 2.1),
	}, more...)
}

func ended(records []result.Record) []result.Record {
	return append(records, closed(0, 20, result.Ended), closed(1, 20, result.Ended))
}

func all(except ...[2]uint32) []result.Record {
	var records []result.Record
	for n := range uint32(3) {
	next:
		for c := range uint32(2) {
			for _, e := range except {
				if e == [2]uint32{c, n} {
					continue next
				}
			}
			records = append(records, delivered(c, n, float64(n)+0.5+float64(c)/10))
		}
	}
	return records
}

func TestAccount_Outcomes(t *testing.T) {
	for name, c := range map[string]struct {
		records []result.Record
		want    account.Deliveries
		found   string // kind of a finding that is expected, if any
	}{
		"all delivered": {
			records: ended(story(all()...)),
			want:    account.Deliveries{Owed: 6, Delivered: 6},
		},
		"missing": {
			records: ended(story(all([2]uint32{1, 2})...)),
			want:    account.Deliveries{Owed: 6, Delivered: 5, Missing: 1}, found: "missing",
		},
		"duplicate": {
			records: ended(story(append(all(), delivered(1, 2, 3))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 6, Duplicates: 1}, found: "duplicate",
		},
		"duplicate out of order": { // a copy is not reordered
			records: ended(story(append(all(), delivered(1, 0, 3))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 6, Duplicates: 1}, found: "duplicate",
		},
		"reordered": {
			records: ended(story(append(all([2]uint32{1, 1}, [2]uint32{1, 2}), delivered(1, 2, 3), delivered(1, 1, 3.1))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 6, Reordered: 1, OutOfTurn: 1}, found: "reordered",
		},
		"late": {
			records: ended(story(append(all([2]uint32{1, 1}), delivered(1, 1, 6.1))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 6, Late: 1, Reordered: 1, OutOfTurn: 1}, found: "late",
		},
		"misdelivered": {
			records: ended(story(append(all([2]uint32{1, 2}), delivered(0, 2, 2.7))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 5, Missing: 1, Duplicates: 1, Misdelivered: 1},
			found:   "misdelivered",
		},
		"corrupt, readable": {
			records: ended(story(append(all([2]uint32{1, 2}), odd(1, result.Corrupt, 2, 1))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 5, Corrupt: 1, CorruptTexts: 1}, found: "corrupt",
		},
		"corrupt, not readable": {
			records: ended(story(append(all([2]uint32{1, 2}), odd(1, result.Corrupt, 0, 0))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 5, Missing: 1, CorruptTexts: 1}, found: "corrupt",
		},
		"corrupt and whole copy": {
			records: ended(story(append(all(), odd(1, result.Corrupt, 2, 1))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 6, CorruptTexts: 1}, found: "corrupt",
		},
		"foreign": {
			records: ended(story(append(all(), odd(1, result.Foreign, 0, 0))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 6, ForeignTexts: 1}, found: "foreign",
		},
		"stray answer": {
			records: ended(story(append(all(), odd(1, result.StrayAnswer, 0, 0))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 6, StrayAnswers: 1}, found: "stray answer",
		},
		"unknown": {
			records: ended(story(append(all(), delivered(1, 77, 3))...)),
			want:    account.Deliveries{Owed: 6, Delivered: 6, Unknown: 1}, found: "unknown",
		},
		"closed by the system": {
			records: append(story(all([2]uint32{1, 1}, [2]uint32{1, 2})...), closed(0, 20, result.Ended),
				closed(1, 1.05, result.Peer)),
			want: account.Deliveries{Owed: 5, Delivered: 4, Cut: 1}, found: "lost",
		},
		"closed by the system after the deadline": { // of message 1, second 6
			records: append(story(all([2]uint32{1, 1})...), closed(0, 20, result.Ended), closed(1, 6.5, result.Peer)),
			want:    account.Deliveries{Owed: 6, Delivered: 5, Missing: 1}, found: "missing",
		},
		"closed by the client": {
			records: append(story(all([2]uint32{1, 1}, [2]uint32{1, 2})...), closed(0, 20, result.Ended),
				closed(1, 1.05, result.Moved)),
			want: account.Deliveries{Owed: 5, Delivered: 4, Excused: 1},
		},
		"closed by the client after the deadline": {
			records: append(story(all([2]uint32{1, 1})...), closed(0, 20, result.Ended), closed(1, 6.5, result.Moved)),
			want:    account.Deliveries{Owed: 6, Delivered: 5, Missing: 1}, found: "missing",
		},
		"lost by the harness": {
			records: append(story(all([2]uint32{1, 1}, [2]uint32{1, 2})...), closed(0, 20, result.Ended),
				closed(1, 1.05, result.Harness)),
			want: account.Deliveries{Owed: 5, Delivered: 4, Harness: 1}, found: "lost",
		},
		"process killed": { // its last record is the delivery at 2.5 s
			records: story(all([2]uint32{1, 2})...),
			want:    account.Deliveries{Owed: 6, Delivered: 5, Harness: 1},
		},
		"client reconnects": { // as connection 2, between messages 1 and 2
			records: append(story(append(all([2]uint32{1, 2}), delivered(2, 2, 2.5))...),
				closed(1, 1.7, result.Moved), opened(2, 1.8), closed(0, 20, result.Ended), closed(2, 20, result.Ended)),
			want: account.Deliveries{Owed: 6, Delivered: 6},
		},
		"connected during the broadcast": {
			records: append(story(append(all(), opened(2, 2.05), delivered(2, 2, 2.5))...),
				closed(0, 20, result.Ended), closed(1, 20, result.Ended), closed(2, 20, result.Ended)),
			want: account.Deliveries{Owed: 6, Delivered: 6, Unowed: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := of(t, segment(t, conditions, c.records...))
			if a.Deliveries != c.want {
				t.Errorf("got  %+v\nwant %+v", a.Deliveries, c.want)
			}
			if len(a.Findings) == 0 {
				if c.found != "" {
					t.Errorf("got no finding, want %s", c.found)
				}
				return
			}
			for _, f := range a.Findings {
				if f.Kind == c.found {
					return
				}
			}
			t.Errorf("got findings %v, want %s", a.Findings, c.found)
		})
	}
}

func TestAccount_Owed(t *testing.T) {
	base := []result.Record{opened(0, -2), opened(1, -1), published(0, 0), published(1, 1), published(2, 2)}
	with := func(more ...result.Record) []result.Record {
		return ended(append(append([]result.Record{}, base...), more...))
	}
	for name, c := range map[string]struct {
		records       []result.Record
		owed, missing int64
		unanswered    int
	}{
		"no answers at all":           {with(), 6, 6, 3},
		"acknowledged":                {with(acked(0, 0.1)), 2, 2, 2},
		"unanswered, received by one": {with(acked(0, 0.1), delivered(0, 1, 1.1)), 4, 3, 1 + 1},
		"refused":                     {with(acked(0, 0.1), refused(1, 1.1, 0)), 2, 2, 1},
		"refused by a guess, received": {with(acked(0, 0.1), refused(1, 1.1, result.Guessed),
			delivered(0, 1, 1.2)), 4, 3, 1},
		"refused by a guess, not received": {with(acked(0, 0.1), refused(1, 1.1, result.Guessed)), 2, 2, 1},
		"refused, received": {with(acked(0, 0.1), refused(1, 1.1, 0), delivered(0, 1, 1.2)), 2,
			2, 1},
		"answer to an unpublished message": {with(acked(9, 0.1)), 0, 0, 3},
		"all acknowledged":                 {with(acked(0, 0.1), acked(1, 1.1), acked(2, 2.1)), 6, 6, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := of(t, segment(t, conditions, c.records...))
			if a.Deliveries.Owed != c.owed || a.Deliveries.Missing != c.missing || a.Publishing.Unanswered != c.unanswered {
				t.Errorf("got owed %d, missing %d, unanswered %d, want %d, %d, %d", a.Deliveries.Owed, a.Deliveries.Missing,
					a.Publishing.Unanswered, c.owed, c.missing, c.unanswered)
			}
		})
	}
}

// Message 1 is lost before the system stores it. The answer to message 2 arrives while 1 is pending and is assigned to
// 1.
func TestAccount_GuessedAnswer(t *testing.T) {
	guess := acked(1, 2.1)
	guess.Flag |= result.Guessed
	a := of(t, segment(t, conditions, ended([]result.Record{opened(0, -2), opened(1, -1), published(0, 0), published(1, 1),
		published(2, 2),
		acked(0, 0.1), guess, delivered(0, 0, 0.2), delivered(1, 0, 0.2), delivered(0, 2, 2.2), delivered(1, 2, 2.2)})...))
	if want := (account.Deliveries{Owed: 4, Delivered: 4}); a.Deliveries != want || a.Publishing.Unanswered != 1 {
		t.Errorf("got %+v, unanswered %d, want %+v, 1", a.Deliveries, a.Publishing.Unanswered, want)
	}
	if a.Broadcasts[1].ID != "" || a.Broadcasts[2].ID != "id" {
		t.Errorf("got ids %q and %q, want none and \"id\"", a.Broadcasts[1].ID, a.Broadcasts[2].ID)
	}
}

func TestAccount_SlowClients(t *testing.T) {
	records := append([]result.Record{opened(0, -2), slow(opened(1, -1)), published(0, 0), acked(0, 0.1), published(1, 1),
		acked(1, 1.1)},
		delivered(0, 0, 0.5), delivered(0, 1, 1.5), delivered(1, 0, 4.5), closed(0, 20, result.Ended),
		closed(1, 20, result.Ended))
	a := of(t, segment(t, conditions, records...))
	if want := (account.Deliveries{Owed: 2, Delivered: 2}); a.Deliveries != want {
		t.Errorf("got %+v, want %+v", a.Deliveries, want)
	}
	if want := (account.Deliveries{Owed: 2, Delivered: 1, Missing: 1}); a.Slow != want {
		t.Errorf("slow: got %+v, want %+v", a.Slow, want)
	}
	if n, longest := a.Latency.Delivery.Count(), a.Latency.Last.Max(); n != 2 || longest > time.Second {
		t.Errorf("got %d latencies, last %v, want 2 without slow clients", n, longest)
	}
	if a.Connections.Slow != 1 {
		t.Errorf("got %d slow connections, want 1", a.Connections.Slow)
	}
}

// Latency counts from the intended time of publishing: message 1 was published 3 s late.
func TestLatency_FromIntendedTime(t *testing.T) {
	held := published(1, 1)
	held.At = at(4)
	a := of(t, segment(t, conditions, opened(0, -1), published(0, 0), held, delivered(0, 0, 0.25), delivered(0, 1, 4.25),
		closed(0, 20, result.Ended)))
	if got := a.Broadcasts[1].Last; got != 3250*time.Millisecond {
		t.Errorf("got last after %v, want 3.25s", got)
	}
	if got := a.Latency.Delivery.Max().Round(10 * time.Millisecond); got != 3250*time.Millisecond {
		t.Errorf("got longest %v, want 3.25s", got)
	}
}

func TestAccount_WarmUp(t *testing.T) {
	c := conditions
	c.Warmup = 1500 * time.Millisecond
	a := of(t, segment(t, c, ended(story(all()...))...))
	if a.Deliveries.Owed != 6 || a.Latency.Delivery.Count() != 2 || a.Latency.Last.Count() != 1 ||
		a.Latency.Acknowledged.Count() != 1 {
		t.Errorf("got owed %d, %d latencies of %d messages, %d acknowledgements, want 6, 2, 1, 1", a.Deliveries.Owed,
			a.Latency.Delivery.Count(), a.Latency.Last.Count(), a.Latency.Acknowledged.Count())
	}
	if !a.Broadcasts[1].Warm || a.Broadcasts[2].Warm {
		t.Error("got warm-up messages other than 0 and 1")
	}
}

func TestBroadcast_Times(t *testing.T) {
	records := []result.Record{published(0, 0), acked(0, 0.1)}
	for i := range uint32(200) {
		records = append(records, opened(i, -1), delivered(i, 0, float64(i+1)/100), closed(i, 20, result.Ended))
	}
	c := conditions
	c.Connections = 200
	b := of(t, segment(t, c, records...)).Broadcasts[0]
	want := account.Broadcast{First: 10 * time.Millisecond, Median: time.Second, P99: 1980 * time.Millisecond,
		Last: 2 * time.Second}
	if b.First != want.First || b.Median != want.Median || b.P99 != want.P99 || b.Last != want.Last {
		t.Errorf("got first %v, median %v, p99 %v, last %v, want %v, %v, %v, %v", b.First, b.Median, b.P99, b.Last,
			want.First, want.Median, want.P99, want.Last)
	}
	if b.Owed != 200 || b.Delivered != 200 || b.ID != "id" {
		t.Errorf("got %+v, want 200 owed and delivered", b)
	}
}

func TestSeries_Bounded(t *testing.T) {
	c := conditions
	c.Count = 2000
	records := []result.Record{opened(0, -1)}
	for n := range uint32(2000) {
		records = append(records, published(n, float64(n)), acked(n, float64(n)), delivered(0, n, float64(n)+0.5))
	}
	a := of(t, segment(t, c, append(records, closed(0, 3000, result.Ended))...))
	if len(a.Series.Bins) > account.SeriesBins || a.Series.Width != 4*time.Second {
		t.Errorf("got %d bins of %v, want at most %d of 4s", len(a.Series.Bins), a.Series.Width, account.SeriesBins)
	}
	var published, acknowledged int
	var arrived, timed int64
	for _, b := range a.Series.Bins {
		published += b.Published
		acknowledged += b.Acknowledged
		arrived += b.Delivered
		if b.Latency != nil {
			timed += b.Latency.Count()
		}
	}
	if published != 2000 || acknowledged != 2000 || arrived != 2000 || timed != 2000 {
		t.Errorf("got published %d, acknowledged %d, delivered %d, timed %d, want 2000 each", published, acknowledged,
			arrived, timed)
	}
}

func TestAccount_MixedRuns(t *testing.T) {
	other := conditions
	other.Run = "87654321"
	if _, err := account.Of([]*result.Segment{segment(t, conditions), segment(t, other)}); err == nil {
		t.Error("two runs: got no error, want one")
	}
	if _, err := account.Of([]*result.Segment{segment(t, conditions), segment(t, conditions)}); err == nil {
		t.Error("the same process twice: got no error, want one")
	}
	if _, err := account.Of(nil); err == nil {
		t.Error("no segments: got no error, want one")
	}
}
