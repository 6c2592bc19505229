package account_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"

	"pgregory.net/rapid"
)

// world is a random run with the expected counts, which draw computes delivery by delivery.
type world struct {
	processes int
	records   [][]result.Record // by process
	want      account.Deliveries
}

func draw(t *rapid.T) world {
	w := world{processes: rapid.IntRange(1, 4).Draw(t, "processes")}
	w.records = make([][]result.Record, w.processes)
	messages := rapid.IntRange(1, 140).Draw(t, "messages")
	sent := make([]int64, messages)
	for n := range sent {
		r := published(uint32(n), float64(n)/10)
		sent[n] = r.At
		w.records[n%w.processes] = append(w.records[n%w.processes], r, acked(uint32(n), float64(n)/10+0.01))
	}
	deadline := conditions.Deadline.Microseconds()
	missing, copies := map[int]int64{}, map[int]int64{}
	// One draw for all outcomes: a draw for each would take most of the time of the test.
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "outcomes"), 0))
	for p := range w.processes {
		for c := range uint32(rapid.IntRange(1, 5).Draw(t, "connections")) {
			opens := at(rapid.Float64Range(-1, 8).Draw(t, "opens"))
			closes := opens + int64(rapid.Float64Range(0, 20).Draw(t, "stays")*float64(second))
			cause := rapid.SampledFrom([]uint8{result.Ended, result.Moved, result.Peer, result.Harness}).Draw(t, "cause")
			open := opened(c, 0)
			open.At = opens
			w.records[p] = append(w.records[p], open)
			for n := range sent {
				owed := sent[n] > opens && sent[n] <= closes
				if owed {
					w.want.Owed++
				}
				outcome := [...]string{"", "", "", "", "", "", "none", "twice", "damaged"}[random.IntN(9)]
				arrival := result.Record{Kind: result.Delivered, Connection: c, Broadcast: uint32(n), At: sent[n] + 50_000}
				switch {
				case outcome == "damaged":
					w.records[p] = append(w.records[p], result.Record{Kind: result.Odd, Flag: result.Corrupt, Connection: c,
						Broadcast: uint32(n), B: 1, At: arrival.At})
					w.want.CorruptTexts++
					if owed {
						w.want.Corrupt++
					}
				case outcome == "none" && owed:
					switch inTime := closes-sent[n] >= deadline; {
					case inTime || cause == result.Ended:
						w.want.Missing++
						missing[n]++
					case cause == result.Moved:
						w.want.Excused++
					case cause == result.Peer:
						w.want.Cut++
					case cause == result.Harness:
						w.want.Harness++
					}
				case outcome == "none":
				default:
					w.records[p] = append(w.records[p], arrival)
					if owed {
						w.want.Delivered++
					} else {
						w.want.Unowed++
					}
					if outcome == "twice" {
						w.records[p] = append(w.records[p], arrival)
						w.want.Duplicates++
						copies[n]++
					}
				}
			}
			w.records[p] = append(w.records[p], result.Record{Kind: result.Closed, Connection: c, At: closes, Flag: cause})
		}
	}
	for n, m := range missing {
		w.want.Misdelivered += min(m, copies[n])
	}
	return w
}

func TestAccount_Oracle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := draw(rt)
		var segments []*result.Segment
		for p, records := range w.records {
			c := conditions
			c.Process, c.Processes, c.Count = p, w.processes, 140
			segments = append(segments, segment(t, c, records...))
		}
		d := of(t, segments...).Deliveries
		if d != w.want {
			rt.Fatalf("got  %+v\nwant %+v", d, w.want)
		}
		if sum := d.Delivered + d.Missing + d.Corrupt + d.Cut + d.Excused + d.Harness; sum != d.Owed {
			rt.Fatalf("got outcomes of %d deliveries, want %d", sum, d.Owed)
		}
	})
}

// The results do not depend on the number of processes.
func TestAccount_ManyProcesses(t *testing.T) {
	const clients, messages = 90, 70
	build := func(processes int) *account.Account {
		records := make([][]result.Record, processes)
		for n := range uint32(messages) {
			p := int(n) % processes
			records[p] = append(records[p], published(n, float64(n)/20), acked(n, float64(n)/20+0.003))
		}
		for c := range clients {
			p, local := c%processes, uint32(c/processes)
			open := opened(local, -1)
			open.A = int64(c)
			records[p] = append(records[p], open)
			for n := range uint32(messages) {
				delay := float64((c*7919+int(n)*104729)%100_003) / 50_000
				records[p] = append(records[p], delivered(local, n, float64(n)/20+delay))
			}
			records[p] = append(records[p], closed(local, 30, result.Ended))
		}
		var segments []*result.Segment
		for p := range records {
			c := conditions
			c.Process, c.Processes, c.Connections, c.Count = p, processes, clients, messages
			segments = append(segments, segment(t, c, records[p]...))
		}
		return of(t, segments...)
	}
	one, many := build(1), build(3)
	if one.Deliveries != many.Deliveries {
		t.Errorf("got one process  %+v\nthree processes  %+v, want the same", one.Deliveries, many.Deliveries)
	}
	for i := range one.Broadcasts {
		if one.Broadcasts[i] != many.Broadcasts[i] {
			t.Fatalf("message %d: got %+v and %+v, want the same", i, one.Broadcasts[i], many.Broadcasts[i])
		}
	}
	for name, pair := range map[string][2]*latency.Histogram{
		"delivery": {&one.Latency.Delivery, &many.Latency.Delivery}, "first": {&one.Latency.First, &many.Latency.First},
		"median": {&one.Latency.Median, &many.Latency.Median}, "p99": {&one.Latency.P99, &many.Latency.P99},
		"last":         {&one.Latency.Last, &many.Latency.Last},
		"acknowledged": {&one.Latency.Acknowledged, &many.Latency.Acknowledged},
	} {
		a, err := pair[0].Encode()
		if err != nil {
			t.Fatal(err)
		}
		b, err := pair[1].Encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(a) == 0 || !bytes.Equal(a, b) {
			t.Errorf("%s: got different histograms, want the same", name)
		}
	}
	if one.Latency.Delivery.Count() != clients*messages {
		t.Errorf("got %d latencies, want %d", one.Latency.Delivery.Count(), clients*messages)
	}
}

func BenchmarkAccount(b *testing.B) {
	const clients, messages = 5000, 60
	records := make([]result.Record, 0, clients*(messages+2))
	for c := range uint32(clients) {
		records = append(records, opened(c, -1))
	}
	for n := range uint32(messages) {
		records = append(records, published(n, float64(n)), acked(n, float64(n)))
		for c := range uint32(clients) {
			records = append(records, delivered(c, n, float64(n)+float64(c)/10000))
		}
	}
	for c := range uint32(clients) {
		records = append(records, closed(c, 100, result.Ended))
	}
	c := conditions
	c.Connections, c.Count = clients, messages
	s := segment(b, c, records...)
	for b.Loop() {
		began := time.Now()
		if a := of(b, s); a.Deliveries.Delivered != clients*messages {
			b.Fatalf("got %+v, want all delivered", a.Deliveries)
		}
		b.ReportMetric(float64(time.Since(began).Nanoseconds())/(clients*messages), "ns/delivery")
	}
}
