package audit_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"fanfare/test/audit"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return begin.Add(d) }

func payload(n int) []byte { return binary.BigEndian.AppendUint64([]byte("payload"), uint64(n)) }

// run is a run in which every client receives every broadcast once, in order, with correct reports; tests add faults.
type run struct {
	clients, broadcasts int
	pass                int           // broadcasts in a pass
	every               time.Duration // interval of broadcasts
	took                time.Duration

	// deliver replaces a delivery. It returns false for the usual reception.
	deliver func(c *audit.Client, client, n int, at time.Time) bool
	// report changes a report.
	report func(n int, r *audit.Report)
	// finish adds to the trail.
	finish func(t *audit.Trail)
	// exclude names the clients that are excluded from a broadcast and do not receive it.
	exclude func(n int) []string
}

func name(client int) string { return fmt.Sprintf("c%d", client) }
func id(n int) string        { return fmt.Sprintf("b%d", n) }

func (r run) trail(t testing.TB) *audit.Trail {
	trail := audit.NewTrail(begin)
	clients := make([]*audit.Client, r.clients)
	for i := range clients {
		clients[i] = trail.Client(name(i))
		clients[i].Open(at(time.Second))
	}
	var pass []string
	for n := range r.broadcasts {
		sent := at(2*time.Second + time.Duration(n)*r.every)
		var exclude []string
		if r.exclude != nil {
			exclude = r.exclude(n)
		}
		b, err := trail.Offer(payload(n), "backend", sent, exclude...)
		if err != nil {
			t.Fatal(err)
		}
		b.Accept(id(n), sent)
		if pass = append(pass, id(n)); len(pass) == r.pass {
			trail.Pass(pass...)
			pass = nil
		}
		excluded := make(map[string]bool)
		for _, c := range exclude {
			excluded[c] = true
		}
		for i, c := range clients {
			received := sent.Add(r.took)
			if r.deliver != nil && r.deliver(c, i, n, received) || excluded[name(i)] {
				continue
			}
			c.Receive(payload(n), received)
		}
		report := audit.Report{Audience: r.clients - len(exclude), Delivered: r.clients - len(exclude),
			Failed: map[string]int{}}
		if r.report != nil {
			r.report(n, &report)
		}
		if err := trail.Report(id(n), report); err != nil {
			t.Fatal(err)
		}
	}
	if r.finish != nil {
		r.finish(trail)
	}
	return trail
}

// small is a run of few deliveries.
var small = run{clients: 4, broadcasts: 6, pass: 3, every: 10 * time.Millisecond, took: 5 * time.Millisecond}

func TestCheck_NoFaults(t *testing.T) {
	r := small
	r.exclude = func(n int) []string { return []string{name(n % 4)} }
	v := r.trail(t).Check(audit.Options{Within: 5 * time.Millisecond})
	if err := v.Err(); err != nil {
		t.Fatal(err)
	}
	if v.Owed != 18 || v.Delivered != 18 || v.Received != 18 || v.Clients != 4 || v.Broadcasts != 6 {
		t.Errorf("got %+v, want 18 owed and delivered", v)
	}
}

// Each planted fault must be found, and nothing else.
func TestCheck_PlantedFaults(t *testing.T) {
	// only changes the delivery of broadcast 2 to client 1.
	only := func(change func(c *audit.Client, at time.Time)) func(*audit.Client, int, int, time.Time) bool {
		return func(c *audit.Client, client, n int, at time.Time) bool {
			if client != 1 || n != 2 {
				return false
			}
			change(c, at)
			return true
		}
	}
	reports := func(change func(*audit.Report)) func(int, *audit.Report) {
		return func(n int, r *audit.Report) {
			if n == 2 {
				change(r)
			}
		}
	}
	drop := only(func(*audit.Client, time.Time) {})
	for _, test := range []struct {
		name    string
		deliver func(*audit.Client, int, int, time.Time) bool
		report  func(int, *audit.Report)
		finish  func(*audit.Trail)
		exclude func(int) []string
		options audit.Options
		want    map[audit.Kind]int64
		detail  string
	}{
		{
			name: "dropped, delivered by the report", deliver: drop,
			want: map[audit.Kind]int64{audit.Missing: 1, audit.Unaccounted: 1},
		},
		{
			name: "dropped, not in the audience", deliver: drop,
			report: reports(func(r *audit.Report) { r.Audience--; r.Delivered-- }),
			want:   map[audit.Kind]int64{audit.Missing: 1, audit.Unaccounted: 1}, detail: "the audience must have at least 4",
		},
		{
			name: "dropped, gone by the report", deliver: drop,
			report: reports(func(r *audit.Report) { r.Gone++; r.Delivered-- }),
			want:   map[audit.Kind]int64{audit.Missing: 1, audit.Unaccounted: 1}, detail: "can have been gone",
		},
		{
			name: "duplicate", deliver: only(func(c *audit.Client, at time.Time) {
				c.Receive(payload(2), at)
				c.Receive(payload(2), at)
			}),
			want: map[audit.Kind]int64{audit.Duplicate: 1},
		},
		{
			name: "one repeat more than allowed", deliver: only(func(c *audit.Client, at time.Time) {
				c.Receive(payload(2), at)
				c.Receive(payload(2), at)
				c.Receive(payload(2), at)
			}),
			report: reports(func(r *audit.Report) { r.Repeatable = 1 }),
			finish: func(t *audit.Trail) { t.MayRepeat(id(2), name(1)) },
			want:   map[audit.Kind]int64{audit.Duplicate: 1},
		},
		{
			name: "one repeat more than the report allows", deliver: only(func(c *audit.Client, at time.Time) {
				c.Receive(payload(2), at)
				c.Receive(payload(2), at)
				c.Receive(payload(2), at)
			}),
			options: audit.Options{MayRepeat: true},
			report:  reports(func(r *audit.Report) { r.Repeatable = 1 }),
			want:    map[audit.Kind]int64{audit.Duplicate: 1}, detail: "reception number 3",
		},
		{
			name: "repeat allowed for another broadcast",
			deliver: only(func(c *audit.Client, at time.Time) {
				c.Receive(payload(2), at)
				c.Receive(payload(2), at)
			}),
			options: audit.Options{MayRepeat: true},
			report: func(n int, r *audit.Report) {
				if n == 1 {
					r.Repeatable = 1
				}
			},
			want: map[audit.Kind]int64{audit.Duplicate: 1},
		},
		{
			name: "allowed repeat, not in the report", deliver: only(func(c *audit.Client, at time.Time) {
				c.Receive(payload(2), at)
				c.Receive(payload(2), at)
			}),
			finish: func(t *audit.Trail) { t.MayRepeat(id(2), name(1)) },
			want:   map[audit.Kind]int64{audit.Unaccounted: 1}, detail: "1 deliveries were repeated, the report allows 0",
		},
		{
			name: "repeat allowed for another delivery", deliver: only(func(c *audit.Client, at time.Time) {
				c.Receive(payload(2), at)
				c.Receive(payload(2), at)
			}),
			finish: func(t *audit.Trail) { t.MayRepeat(id(2), name(2)); t.MayRepeat(id(1), name(1)) },
			want:   map[audit.Kind]int64{audit.Duplicate: 1},
		},
		{
			name: "swapped within a pass", deliver: func(c *audit.Client, client, n int, at time.Time) bool {
				switch {
				case client != 1 || n > 1:
					return false
				case n == 1:
					c.Receive(payload(1), at)
					c.Receive(payload(0), at)
				}
				return true
			},
			want: map[audit.Kind]int64{audit.Reordered: 1}, detail: "number 1 of its pass came after number 2",
		},
		{
			name: "stalled", deliver: only(func(c *audit.Client, at time.Time) {
				c.Receive(payload(2), at.Add(time.Millisecond))
			}),
			options: audit.Options{Within: 5 * time.Millisecond},
			want:    map[audit.Kind]int64{audit.Late: 1},
		},
		{
			name: "damaged", deliver: only(func(c *audit.Client, at time.Time) {
				p := payload(2)
				p[3] ^= 1
				c.Receive(p, at)
			}),
			want: map[audit.Kind]int64{audit.Missing: 1, audit.Corrupt: 1, audit.Unaccounted: 1},
		},
		{
			name: "truncated", deliver: only(func(c *audit.Client, at time.Time) { c.Receive(payload(2)[:10], at) }),
			want: map[audit.Kind]int64{audit.Missing: 1, audit.Corrupt: 1, audit.Unaccounted: 1},
		},
		{
			name:    "excluded client",
			exclude: func(n int) []string { return []string{name(1)}[:min(1, n/2)] }, // from broadcast 2 on
			deliver: only(func(c *audit.Client, at time.Time) { c.Receive(payload(2), at) }),
			report:  reports(func(r *audit.Report) { r.Audience++; r.Delivered++ }),
			want:    map[audit.Kind]int64{audit.Misdelivered: 1}, detail: "excludes",
		},
		{
			name: "client never open",
			finish: func(t *audit.Trail) {
				t.Client("other").Receive(payload(2), at(3*time.Second))
				t.Report(id(2), audit.Report{Audience: 5, Delivered: 5})
			},
			want: map[audit.Kind]int64{audit.Misdelivered: 1}, detail: "never open",
		},
		{
			name: "client closed",
			finish: func(t *audit.Trail) {
				c := t.Client("other")
				c.Open(at(0))
				c.Close(at(2500*time.Millisecond), audit.ByClient)
				for n := range 5 {
					c.Receive(payload(n), at(2200*time.Millisecond))
				}
				c.Receive(payload(5), at(2501*time.Millisecond))
				for n := range 6 {
					t.Report(id(n), audit.Report{Audience: 5, Delivered: 5})
				}
			},
			want: map[audit.Kind]int64{audit.Misdelivered: 1}, detail: "closed since",
		},
		{
			name: "client not yet open",
			finish: func(t *audit.Trail) {
				c := t.Client("other")
				c.Open(at(2700 * time.Millisecond))
				c.Receive(payload(2), at(2600*time.Millisecond))
				t.Report(id(2), audit.Report{Audience: 5, Delivered: 5})
			},
			options: audit.Options{Join: time.Minute},
			want:    map[audit.Kind]int64{audit.Misdelivered: 1}, detail: "not open before",
		},
		{
			name: "client opened too late",
			finish: func(t *audit.Trail) {
				c := t.Client("other")
				c.Open(at(2121 * time.Millisecond))
				c.Receive(payload(2), at(2700*time.Millisecond))
				t.Report(id(2), audit.Report{Audience: 5, Delivered: 5})
			},
			options: audit.Options{Join: 100 * time.Millisecond},
			want:    map[audit.Kind]int64{audit.Misdelivered: 1}, detail: "too late",
		},
		{
			name: "closed by the system", deliver: drop,
			report: reports(func(r *audit.Report) { r.Gone++; r.Delivered-- }),
			finish: func(t *audit.Trail) { t.Client(name(1)).Close(at(time.Hour), audit.BySystem) },
			want:   map[audit.Kind]int64{audit.Cut: 1},
		},
		{
			name: "dropped, closed after the limit", deliver: drop,
			report:  reports(func(r *audit.Report) { r.Gone++; r.Delivered-- }),
			finish:  func(t *audit.Trail) { t.Client(name(1)).Close(at(time.Hour), audit.ByClient) },
			options: audit.Options{Within: time.Minute},
			want:    map[audit.Kind]int64{audit.Missing: 1},
		},
		{
			name: "delivered one too high", report: reports(func(r *audit.Report) { r.Delivered++ }),
			want: map[audit.Kind]int64{audit.Unaccounted: 2}, detail: "add up",
		},
		{
			name:   "delivered and audience one too high",
			report: reports(func(r *audit.Report) { r.Delivered++; r.Audience++ }),
			want:   map[audit.Kind]int64{audit.Unaccounted: 1}, detail: "4 clients received it",
		},
		{
			name: "delivery to a client closed long before",
			finish: func(t *audit.Trail) {
				c := t.Client("vanished")
				c.Open(at(0))
				c.Close(at(time.Second), audit.ByClient)
				t.Report(id(2), audit.Report{Audience: 5, Delivered: 5})
			},
			options: audit.Options{Unnoticed: 1019 * time.Millisecond},
			want:    map[audit.Kind]int64{audit.Unaccounted: 1}, detail: "4 clients received it, and 0 more",
		},
		{
			name:   "one delivery also failed",
			report: reports(func(r *audit.Report) { r.Audience++; r.Failed["network"]++ }),
			want:   map[audit.Kind]int64{audit.Unaccounted: 1}, detail: "at most 0 clients did not receive it",
		},
		{
			name:   "one delivery failed instead",
			report: reports(func(r *audit.Report) { r.Delivered--; r.Failed["network"]++ }),
			want:   map[audit.Kind]int64{audit.Unaccounted: 2}, detail: "at most 0 of them may be missing",
		},
		{
			name: "one delivery also gone", report: reports(func(r *audit.Report) { r.Audience++; r.Gone++ }),
			want: map[audit.Kind]int64{audit.Unaccounted: 1}, detail: "can have been gone",
		},
		{
			name:   "received and closed, also gone",
			report: reports(func(r *audit.Report) { r.Audience++; r.Gone++ }),
			finish: func(t *audit.Trail) { t.Client(name(1)).Close(at(time.Hour), audit.ByClient) },
			want:   map[audit.Kind]int64{audit.Unaccounted: 1}, detail: "can have been gone",
		},
		{
			name: "audience one too low", report: reports(func(r *audit.Report) { r.Audience-- }),
			want: map[audit.Kind]int64{audit.Unaccounted: 2},
		},
		{
			name:   "negative count balanced",
			report: reports(func(r *audit.Report) { r.Gone--; r.Failed["network"]++; r.Outstanding = 0 }),
			want:   map[audit.Kind]int64{audit.Unaccounted: 2}, detail: "negative",
		},
		{
			name: "negative counts, dropped", deliver: drop,
			report: reports(func(r *audit.Report) { r.Failed["network"], r.Outstanding = -2, -1 }),
			want:   map[audit.Kind]int64{audit.Missing: 1, audit.Unaccounted: 3}, detail: "negative",
		},
		{
			name: "outstanding", deliver: drop, report: reports(func(r *audit.Report) { r.Delivered--; r.Outstanding++ }),
			want: map[audit.Kind]int64{audit.Unaccounted: 1}, detail: "outstanding",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := small
			r.deliver, r.report, r.finish, r.exclude = test.deliver, test.report, test.finish, test.exclude
			v := r.trail(t).Check(test.options)
			if fmt.Sprint(v.Faults) != fmt.Sprint(test.want) {
				t.Fatalf("got faults %v, want %v:\n%v", v.Faults, test.want, v.Err())
			}
			if !strings.Contains(v.Err().Error(), test.detail) {
				t.Errorf("got findings without %q:\n%v", test.detail, v.Err())
			}
			if v.Owed != v.Delivered+v.Excused+v.Cut+v.Failed+v.Outstanding+v.Missing {
				t.Errorf("got %+v, want outcomes that add up to Owed", v)
			}
		})
	}
}

// What Options, the trail or the reports allow is not a fault.
func TestCheck_Allowed(t *testing.T) {
	drop := func(c *audit.Client, client, n int, at time.Time) bool { return client == 1 && n == 2 }
	for _, test := range []struct {
		name    string
		deliver func(*audit.Client, int, int, time.Time) bool
		report  func(int, *audit.Report)
		finish  func(*audit.Trail)
		options audit.Options
		check   func(*audit.Verdict) bool
	}{
		{
			name: "failed by the report", deliver: drop,
			report: func(n int, r *audit.Report) {
				if n == 2 {
					r.Delivered--
					r.Failed["throttled"]++
				}
			},
			check: func(v *audit.Verdict) bool { return v.Failed == 1 && v.Missing == 0 && v.Unserved[name(1)] == 1 },
		},
		{
			name: "outstanding by the report", deliver: drop,
			report: func(n int, r *audit.Report) {
				if n == 2 {
					r.Delivered--
					r.Outstanding++
				}
			},
			options: audit.Options{Incomplete: true},
			check:   func(v *audit.Verdict) bool { return v.Outstanding == 1 },
		},
		{
			name: "closed by the client", deliver: drop,
			finish: func(t *audit.Trail) { t.Client(name(1)).Close(at(time.Hour), audit.ByClient) },
			check:  func(v *audit.Verdict) bool { return v.Excused == 1 },
		},
		{
			name: "closed by the system", deliver: drop,
			finish:  func(t *audit.Trail) { t.Client(name(1)).Close(at(time.Hour), audit.BySystem) },
			options: audit.Options{MayCut: true},
			check:   func(v *audit.Verdict) bool { return v.Cut == 1 },
		},
		{
			name: "allowed repeat, failed by the report",
			deliver: func(c *audit.Client, client, n int, at time.Time) bool {
				if client == 1 && n == 2 {
					c.Receive(payload(n), at)
				}
				return false
			},
			report: func(n int, r *audit.Report) {
				if n == 2 {
					r.Delivered--
					r.Failed["network"]++
					r.Repeatable++
				}
			},
			finish: func(t *audit.Trail) { t.MayRepeat(id(2), name(1)) },
			check:  func(v *audit.Verdict) bool { return v.Repeats == 1 && v.Allowed == 1 },
		},
		{
			name: "received before a crash, closed before the repeat",
			report: func(n int, r *audit.Report) {
				r.Audience, r.Delivered = r.Audience-n/5,
					r.Delivered-n/5
			}, // the last broadcast
			finish: func(t *audit.Trail) {
				t.Client(name(1)).Close(at(time.Hour), audit.ByClient)
				t.MayRepeat(id(5), name(1))
			},
			check: func(v *audit.Verdict) bool { return v.Delivered == 24 && v.Repeats == 0 },
		},
		{
			name: "repeats of a batch",
			deliver: func(c *audit.Client, client, n int, at time.Time) bool {
				if n == 2 {
					c.Receive(payload(n), at)
				}
				return false
			},
			options: audit.Options{MayRepeat: true},
			report:  func(_ int, r *audit.Report) { r.Repeatable = 4 },
			check:   func(v *audit.Verdict) bool { return v.Repeats == 4 && v.Allowed == 4 },
		},
		{
			name: "opened during the broadcast",
			finish: func(t *audit.Trail) {
				c := t.Client("newcomer")
				c.Open(at(2500 * time.Millisecond))
				c.Receive(payload(2), at(2600*time.Millisecond))
				t.Report(id(2), audit.Report{Audience: 5, Delivered: 5})
			},
			options: audit.Options{Join: time.Second},
			check:   func(v *audit.Verdict) bool { return v.Newcomers == 1 },
		},
		{
			name: "opened and closed during the broadcast",
			finish: func(t *audit.Trail) {
				c := t.Client("newcomer")
				c.Open(at(2500 * time.Millisecond))
				c.Close(at(2600*time.Millisecond), audit.ByClient)
				t.Report(id(2), audit.Report{Audience: 5, Delivered: 4, Gone: 1})
				t.Report(id(3), audit.Report{Audience: 5, Delivered: 5}) // posts succeed until the system notices the close
			},
			options: audit.Options{Join: time.Second},
			check:   func(v *audit.Verdict) bool { return v.Owed == 24 },
		},
		{
			name: "closed unnoticed",
			finish: func(t *audit.Trail) {
				c := t.Client("vanished")
				c.Open(at(0))
				c.Close(at(time.Second), audit.ByClient)
				t.Report(id(2), audit.Report{Audience: 5, Delivered: 5})
			},
			options: audit.Options{Unnoticed: 1020 * time.Millisecond},
			check:   func(v *audit.Verdict) bool { return v.Owed == 24 },
		},
		{
			name:   "dead connection",
			finish: func(t *audit.Trail) { t.Dead(1); t.Report(id(2), audit.Report{Audience: 5, Delivered: 4, Gone: 1}) },
			check:  func(v *audit.Verdict) bool { return v.Owed == 24 },
		},
		{
			name: "order between passes",
			deliver: func(c *audit.Client, client, n int, at time.Time) bool {
				if n == 3 {
					c.Receive(payload(3), at)
					c.Receive(payload(2), at)
				}
				return n == 2 || n == 3
			},
			check: func(v *audit.Verdict) bool { return v.Delivered == 24 },
		},
		{
			name: "order after a second pass",
			deliver: func(c *audit.Client, client, n int, at time.Time) bool {
				if n == 2 {
					c.Receive(payload(2), at)
					c.Receive(payload(1), at)
				}
				return n == 1 || n == 2
			},
			finish: func(t *audit.Trail) { t.Pass(id(1)) },
			check:  func(v *audit.Verdict) bool { return v.Delivered == 24 },
		},
		{
			name: "not accepted, received by one",
			finish: func(t *audit.Trail) {
				b, err := t.Offer(payload(100), "backend", at(5*time.Second))
				if err != nil {
					panic(err)
				}
				b.Identify("unknown to its publisher")
				t.Client(name(1)).Receive(payload(100), at(6*time.Second))
				t.Report("unknown to its publisher", audit.Report{Audience: 4, Delivered: 1, Failed: map[string]int{"network": 3}})
			},
			check: func(v *audit.Verdict) bool { return v.Owed == 24 && v.Received == 25 },
		},
		{
			name: "opened at the time of the offer",
			finish: func(t *audit.Trail) {
				t.Client("late").Open(at(2050 * time.Millisecond)) // time of the last offer
			},
			check: func(v *audit.Verdict) bool { return v.Owed == 24 },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := small
			r.deliver, r.report, r.finish = test.deliver, test.report, test.finish
			v := r.trail(t).Check(test.options)
			if err := v.Err(); err != nil {
				t.Fatal(err)
			}
			if !test.check(v) {
				t.Errorf("got %+v, want the allowed counts", v)
			}
		})
	}
}

func TestTrail_RepeatedOffer(t *testing.T) {
	trail := audit.NewTrail(begin)
	if _, err := trail.Offer(payload(1), "a", at(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := trail.Offer(payload(1), "b", at(0)); err == nil {
		t.Error("second offer of a payload: got no error, want one")
	}
	if err := trail.Report("b1", audit.Report{}); err == nil {
		t.Error("report without an offer: got no error, want one")
	}
}

// A single fault among a million deliveries is found.
func TestCheck_MillionDeliveries(t *testing.T) {
	large := run{clients: 1000, broadcasts: 1000, pass: 10, every: time.Millisecond, took: 40 * time.Millisecond}
	for kind, deliver := range map[audit.Kind]func(c *audit.Client, client, n int, at time.Time) bool{
		audit.Missing: func(c *audit.Client, client, n int, at time.Time) bool { return client == 617 && n == 871 },
		audit.Duplicate: func(c *audit.Client, client, n int, at time.Time) bool {
			if client == 617 && n == 871 {
				c.Receive(payload(871), at)
			}
			return false
		},
		audit.Reordered: func(c *audit.Client, client, n int, at time.Time) bool {
			if client != 617 || n != 871 && n != 872 {
				return false
			}
			if n == 872 {
				c.Receive(payload(872), at)
				c.Receive(payload(871), at)
			}
			return true
		},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := large
			r.deliver = deliver
			v := r.trail(t).Check(audit.Options{Within: time.Second})
			f := v.Findings[0]
			if v.Faults[kind] != 1 || f.Client != name(617) || f.Broadcast != id(871) {
				t.Errorf("got %+v, want one %s at client 617 of broadcast 871", v, kind)
			}
			if v.Received < 999_999 {
				t.Errorf("got %d receptions, want 999,999 or more", v.Received)
			}
		})
	}
}

func BenchmarkReceive(b *testing.B) {
	trail := audit.NewTrail(begin)
	p := payload(1)
	trail.Offer(p, "", begin)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := trail.Client(fmt.Sprint(pb))
		for pb.Next() {
			c.Receive(p, begin)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	trail := run{clients: 1000, broadcasts: 1000, pass: 10, every: time.Millisecond, took: time.Millisecond}.trail(b)
	for b.Loop() {
		if err := trail.Check(audit.Options{}).Err(); err != nil {
			b.Fatal(err)
		}
	}
}
