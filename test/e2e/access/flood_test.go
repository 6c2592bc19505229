package access_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fanfare/test/localtest"
	"fanfare/test/tokentest"
	"fanfare/test/wsclient"
)

// TestRefusals_Flood measures the effect of refused clients on others: the latency from a publish to its receipt, in
// turns without and with a flood of refused connects and publishes. It is a measurement for a quiet machine and takes
// more than a minute. FANFARE_FLOOD is the rate per second of each kind: connects without a token, connects with a
// bad one, and publishes without the right.
func TestRefusals_Flood(t *testing.T) {
	rate, err := strconv.Atoi(os.Getenv("FANFARE_FLOOD"))
	if err != nil || rate < 1 {
		t.Skip("NOT RUN: a measurement; set FANFARE_FLOOD to a rate such as 50")
	}
	const listeners, perSecond, turns, turn, maxConnecting = 20, 20, 10, 4 * time.Second, 64
	d := start(t, map[string]string{
		"Access": "jwt", "TokenIssuer": "https://issuer.example", "TokenJwksUrl": issuer(t, tokentest.Good().JWKS()),
	})
	now := time.Now()
	listener := tokentest.Good().Signed(tokentest.Listener(now))
	publisher := tokentest.Good().Signed(tokentest.Listener(now).With(tokentest.Claims{"scope": "publish"}))
	connect := func(token string, receive func([]byte)) *wsclient.Client {
		return wsclient.Connect(t, d.WebSocket, wsclient.Options{Subprotocols: bearer(token).protocols, Receive: receive})
	}

	var mu sync.Mutex
	latencies := map[bool][]time.Duration{} // by whether there was a flood
	var flooded atomic.Bool
	for range listeners {
		connect(listener, func(payload []byte) {
			sent, err := strconv.ParseInt(strings.TrimPrefix(string(payload), "at "), 10, 64)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			latencies[flooded.Load()] = append(latencies[flooded.Load()], time.Since(time.Unix(0, sent)))
		})
	}
	var answered, connects, skipped atomic.Int64
	speaker := connect(publisher, func([]byte) {})
	intruder := connect(listener, func([]byte) { answered.Add(1) })

	flood := func(ctx context.Context) {
		bad := tokentest.Evil().Signed(tokentest.Listener(now))
		var all sync.WaitGroup
		slots := make(chan struct{}, maxConnecting)
		every(ctx, rate, func(time.Time) {
			for token, want := range map[string]int{"": http.StatusUnauthorized, bad: http.StatusForbidden} {
				select {
				case slots <- struct{}{}:
				default:
					skipped.Add(1)
					continue
				}
				all.Go(func() {
					defer func() { <-slots }()
					_, err := wsclient.Dial(localtest.Context(t), d.WebSocket, wsclient.Options{Subprotocols: bearer(token).protocols})
					if got := wsclient.Refused(err); got != want {
						t.Errorf("refused connect: got status %d (%v), want %d", got, err, want)
					}
					connects.Add(1)
				})
			}
			if err := intruder.Send(t.Context(), "let me"); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
	}

	for n := range 2 * turns {
		flooded.Store(n%2 == 1)
		ctx, cancel := context.WithTimeout(t.Context(), turn)
		var work sync.WaitGroup
		if flooded.Load() {
			work.Go(func() { flood(ctx) })
		}
		every(ctx, perSecond, func(at time.Time) { speaker.MustSend(t, fmt.Sprintf("at %d", at.UnixNano())) })
		cancel()
		work.Wait()
		time.Sleep(500 * time.Millisecond) // messages under way belong to this turn
		if n == 1 {                        // the first two turns only warm up
			mu.Lock()
			clear(latencies)
			mu.Unlock()
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, flooded := range []bool{false, true} {
		l := latencies[flooded]
		slices.Sort(l)
		at := func(percent int) time.Duration { return l[len(l)*percent/100].Round(10 * time.Microsecond) }
		t.Logf("flood %-5v %6d deliveries: p50 %v, p90 %v, p99 %v", flooded, len(l), at(50), at(90), at(99))
		if want := (turns - 1) * int(turn.Seconds()) * perSecond * listeners; len(l) < want*95/100 {
			t.Errorf("got %d deliveries, want about %d", len(l), want)
		}
	}
	median := func(flooded bool) float64 { return float64(latencies[flooded][len(latencies[flooded])/2]) }
	t.Logf("refused: %d connects (%d more were skipped, as %d were under way), %d frames answered; median ratio %.2f",
		connects.Load(), skipped.Load(), maxConnecting, answered.Load(), median(true)/median(false))
}

// every calls do perSecond times a second until ctx ends, and passes the scheduled time. The schedule does not slip
// when do is slow.
func every(ctx context.Context, perSecond int, do func(at time.Time)) {
	interval := time.Second / time.Duration(perSecond)
	for at := time.Now(); ; at = at.Add(interval) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(at)):
			do(at)
		}
	}
}
