package report

import (
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/latency"
)

// figure is a figure of a report. Thresholds refer to it by name.
type figure struct {
	name string
	unit Unit
	what string
	of   func(s *summary) float64
}

// summary is an account with values that several figures need.
type summary struct {
	*account.Account
	span        time.Duration // from the first intended time to the last arrival
	scheduleLag *latency.Histogram
	readLag     *latency.Histogram
}

// ledgerPrefix is the prefix of figures that exist only if the run read the system's ledger.
const ledgerPrefix = "ledger_"

func count[T int | int64](v T) float64 { return float64(v) }

func seconds(d time.Duration) float64 { return d.Seconds() }

func quantile(of func(s *summary) *latency.Histogram, q float64) func(s *summary) float64 {
	return func(s *summary) float64 { return of(s).Quantile(q).Seconds() }
}

func share(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

func total(counts map[string]int) (n int) {
	for _, v := range counts {
		n += v
	}
	return n
}

// distributions have the prefix of their figures.
var distributions = []struct {
	prefix, what string
	of           func(s *summary) *latency.Histogram
}{
	{"", "per delivery", func(s *summary) *latency.Histogram { return &s.Latency.Delivery }},
	{"ack_", "until acknowledged", func(s *summary) *latency.Histogram { return &s.Latency.Acknowledged }},
	{"first_", "until the first client received it", func(s *summary) *latency.Histogram { return &s.Latency.First }},
	{"median_", "until half of the clients received it", func(s *summary) *latency.Histogram { return &s.Latency.Median }},
	{"tail_", "until 99 % of the clients received it", func(s *summary) *latency.Histogram { return &s.Latency.P99 }},
	{"time_to_last_", "until the last client received it", func(s *summary) *latency.Histogram { return &s.Latency.Last }},
	{"connect_", "until connected", func(s *summary) *latency.Histogram { return &s.Connections.Took }},
	{"schedule_lag_", "by which the harness published late", func(s *summary) *latency.Histogram { return s.scheduleLag }},
	{"read_lag_", "by which the harness read late", func(s *summary) *latency.Histogram { return s.readLag }},
}

var quantiles = []struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}}

// figures are all figures, in the order of "loadtest figures".
var figures = func() []figure {
	d := func(name, what string, of func(*account.Deliveries) int64) figure {
		return figure{name, Count, what, func(s *summary) float64 { return count(of(&s.Deliveries)) }}
	}
	ledger := func(name, what string, of func(*account.Ledger) int64) figure {
		return figure{ledgerPrefix + name, Count, what, func(s *summary) float64 {
			if s.Ledger == nil {
				return 0
			}
			return count(of(s.Ledger))
		}}
	}
	all := []figure{
		d("owed", "deliveries that the system owes", func(d *account.Deliveries) int64 { return d.Owed }),
		d("delivered", "owed and delivered", func(d *account.Deliveries) int64 { return d.Delivered }),
		{"delivery_ratio", Ratio, "delivered / (owed - excused)", func(s *summary) float64 {
			return share(count(s.Deliveries.Delivered), count(s.Deliveries.Owed-s.Deliveries.Excused))
		}},
		d("missing", "owed and not delivered", func(d *account.Deliveries) int64 { return d.Missing }),
		d("corrupt", "owed and delivered only damaged", func(d *account.Deliveries) int64 { return d.Corrupt }),
		d("cut", "owed, but the system closed the connection first", func(d *account.Deliveries) int64 { return d.Cut }),
		d("excused", "owed, but the client closed the connection first (churn)",
			func(d *account.Deliveries) int64 { return d.Excused }),
		d("harness_lost", "owed, but the harness lost the connection",
			func(d *account.Deliveries) int64 { return d.Harness }),
		d("unowed", "delivered to clients that connected during the broadcast",
			func(d *account.Deliveries) int64 { return d.Unowed }),
		d("duplicates", "copies beyond the first", func(d *account.Deliveries) int64 { return d.Duplicates }),
		d("reordered", "delivered after a message that was published later",
			func(d *account.Deliveries) int64 { return d.Reordered }),
		d("out_of_turn", "reordered after a message of the same publisher",
			func(d *account.Deliveries) int64 { return d.OutOfTurn }),
		d("late", "delivered after the deadline", func(d *account.Deliveries) int64 { return d.Late }),
		d("misdelivered", "an extra copy at one client of a message missing at another",
			func(d *account.Deliveries) int64 { return d.Misdelivered }),
		d("corrupt_texts", "frames with damaged payloads", func(d *account.Deliveries) int64 { return d.CorruptTexts }),
		d("foreign", "frames that do not belong to this run", func(d *account.Deliveries) int64 { return d.ForeignTexts }),
		d("stray_answers", "answers to clients without an unanswered message",
			func(d *account.Deliveries) int64 { return d.StrayAnswers }),
		d("unknown", "payloads of this run that were never published",
			func(d *account.Deliveries) int64 { return d.Unknown }),

		ledger("audience", "ledger: connections addressed",
			func(l *account.Ledger) int64 { return l.Audience }),
		ledger("delivered", "ledger: deliveries", func(l *account.Ledger) int64 { return l.Delivered }),
		ledger("gone", "ledger: connections that were gone", func(l *account.Ledger) int64 { return l.Gone }),
		ledger("failed", "ledger: deliveries that failed", func(l *account.Ledger) int64 { return l.Failed }),
		ledger("outstanding", "ledger: deliveries without an outcome",
			func(l *account.Ledger) int64 { return l.Outstanding }),
		ledger("repeatable", "ledger: deliveries that may have been repeated",
			func(l *account.Ledger) int64 { return l.Repeatable }),
		ledger("received", "deliveries of the compared messages, as counted by the clients",
			func(l *account.Ledger) int64 { return l.Received }),
		ledger("compared", "messages compared with the ledger", func(l *account.Ledger) int64 { return int64(l.Compared) }),
		ledger("disagreements", "compared messages on which ledger and clients disagree",
			func(l *account.Ledger) int64 { return int64(l.Disagreements) }),
		ledger("unsettled", "compared messages that the ledger has not settled",
			func(l *account.Ledger) int64 { return int64(l.Unsettled) }),

		{"connections", Count, "connections opened", func(s *summary) float64 { return count(s.Connections.Opened) }},
		{"failed_connects", Count, "attempts to connect that failed",
			func(s *summary) float64 { return count(total(s.Connections.Unopened)) }},
		{"lost_connections", Count, "connections closed by the system or the network",
			func(s *summary) float64 { return count(s.Connections.Lost + s.Connections.Broken) }},

		{"sent", Count, "messages published", func(s *summary) float64 { return count(s.Publishing.Sent) }},
		{"unpublished", Count, "messages that could not be published",
			func(s *summary) float64 { return count(total(s.Publishing.Unpublished)) }},
		{"acknowledged", Count, "messages acknowledged",
			func(s *summary) float64 { return count(s.Publishing.Acknowledged) }},
		{"refused", Count, "messages answered with an error",
			func(s *summary) float64 { return count(total(s.Publishing.Refused)) }},
		{"unanswered", Count, "messages without an answer, if the system answers at all", func(s *summary) float64 {
			if s.Publishing.Silent {
				return 0
			}
			return count(s.Publishing.Unanswered)
		}},

		{"published_per_second", Rate, "messages published per second",
			func(s *summary) float64 { return share(count(s.Publishing.Sent), s.span.Seconds()) }},
		{"delivered_per_second", Rate, "deliveries per second, from the first intended time to the last arrival",
			func(s *summary) float64 { return share(count(s.Deliveries.Delivered), s.span.Seconds()) }},
		{"delivered_peak", Rate, "the highest delivered_per_second of a period of the time series", func(s *summary) float64 {
			var peak int64
			for _, b := range s.Series.Bins {
				peak = max(peak, b.Delivered)
			}
			return share(count(peak), s.Series.Width.Seconds())
		}},
		{"time_to_last", Time, "the longest time until the last client received a message",
			func(s *summary) float64 { return seconds(s.Latency.Last.Max()) }},
		{"quota_floor", Time, "shortest possible broadcast: (clients - burst) / posts per second", floor},
		{"quota_share", Ratio, "quota_floor / time_to_last_p50; 0 within the burst",
			func(s *summary) float64 { return share(floor(s), s.Latency.Last.Quantile(0.5).Seconds()) }},
		{"quota_rate", Ratio, "delivered_per_second / posts per second", func(s *summary) float64 {
			return share(share(count(s.Deliveries.Delivered), s.span.Seconds()), s.Conditions.PostRate)
		}},

		{"cpu_per_frame", Time, "processor time of the harness per received frame", func(s *summary) float64 {
			var cpu time.Duration
			var frames int64
			for _, p := range s.Processes {
				if p.End != nil {
					cpu, frames = cpu+p.End.Usage.CPU, frames+p.End.Frames
				}
			}
			return share(cpu.Seconds(), count(frames))
		}},
		{"resident", Bytes, "resident memory of all processes of the harness", func(s *summary) float64 {
			var rss int64
			for _, p := range s.Processes {
				if p.End != nil {
					rss += p.End.Usage.RSS
				}
			}
			return count(rss)
		}},
	}
	for _, d := range distributions {
		for _, q := range quantiles {
			all = append(all, figure{d.prefix + q.name, Time, q.name + " of the time " + d.what, quantile(d.of, q.q)})
		}
	}
	return all
}()

func floor(s *summary) float64 {
	c := &s.Conditions
	return Floor(c.Connections-c.Slow, c.PostRate, c.PostBurst).Seconds()
}

// Floor returns the shortest time in which a message can be posted to that many clients: the burst takes no time, the
// other posts are made at rate, in posts per second. It is 0 if rate is 0.
func Floor(clients int, rate, burst float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(max(0, float64(clients)-burst) / rate * float64(time.Second))
}

// Known returns the units of all figures by name.
func Known() map[string]Unit {
	known := map[string]Unit{}
	for _, f := range figures {
		known[f.name] = f.unit
	}
	return known
}

// Describe calls f for every figure.
func Describe(f func(name string, unit Unit, what string)) {
	for _, g := range figures {
		f(g.name, g.unit, g.what)
	}
}
