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

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"fanfare/test/tokentest"
)

// TestAFloodOfTheRefused measures what honest clients notice of refused ones: the latency from a publish to its receipt,
// in turns with and without a flood of refused connects and publishes. It is a measurement for a quiet machine and takes
// a while: FANFARE_FLOOD is the flood's rate, of refused connects without a token, of refused connects with a bad one,
// and of refused publishes, each per second.
func TestAFloodOfTheRefused(t *testing.T) {
	rate, err := strconv.Atoi(os.Getenv("FANFARE_FLOOD"))
	if err != nil || rate < 1 {
		t.Skip("NOT RUN: a measurement; set FANFARE_FLOOD to a rate such as 50")
	}
	const listeners, perSecond, turns, turn = 20, 20, 10, 4 * time.Second
	w := start(t, map[string]string{"Access": "jwt", "TokenIssuer": "https://issuer.example", "TokenJwksUrl": issuer(t, tokentest.Good().JWKS())})
	now := time.Now()
	listener := tokentest.Good().Signed(tokentest.Listener(now))
	publisher := tokentest.Good().Signed(tokentest.Listener(now).With(tokentest.Claims{"scope": "publish"}))
	url := "ws" + strings.TrimPrefix(w.Endpoints[0], "http")

	var mu sync.Mutex
	latencies := map[bool][]time.Duration{} // by whether there was a flood
	var flooded atomic.Bool
	for range listeners {
		c := w.mustConnect(t, bearer(listener))
		go func() {
			for frame := range c.frames {
				sent, err := strconv.ParseInt(strings.TrimPrefix(frame, "at "), 10, 64)
				if err != nil {
					continue
				}
				mu.Lock()
				latencies[flooded.Load()] = append(latencies[flooded.Load()], time.Since(time.Unix(0, sent)))
				mu.Unlock()
			}
		}()
	}
	speaker := w.mustConnect(t, bearer(publisher))
	intruder := w.mustConnect(t, bearer(listener))
	go func() {
		for range speaker.frames {
		}
	}()
	var frames atomic.Int64
	go func() {
		for range intruder.frames {
			frames.Add(1)
		}
	}()

	var connects, unanswered atomic.Int64
	flood := func(ctx context.Context) {
		bad := tokentest.Evil().Signed(tokentest.Listener(now))
		var all sync.WaitGroup
		slots := make(chan struct{}, 64)
		every(ctx, rate, func(time.Time) {
			for _, protocols := range [][]string{nil, {"fanfare.bearer", bad}} {
				select {
				case slots <- struct{}{}:
				default:
					unanswered.Add(1) // too slow to be flooded more
					continue
				}
				all.Go(func() {
					defer func() { <-slots }()
					dialer := ws.Dialer{Protocols: protocols, Timeout: patience}
					_, _, _, err := dialer.Dial(context.WithoutCancel(ctx), url)
					if status, ok := err.(ws.StatusError); !ok || int(status) != map[bool]int{true: http.StatusUnauthorized, false: http.StatusForbidden}[protocols == nil] {
						t.Errorf("a refused connect ends with %v", err)
					}
					connects.Add(1)
				})
			}
			if err := wsutil.WriteClientText(intruder.conn, []byte("let me")); err != nil {
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
		every(ctx, perSecond, func(at time.Time) {
			if err := wsutil.WriteClientText(speaker.conn, fmt.Appendf(nil, "at %d", at.UnixNano())); err != nil {
				t.Error(err)
			}
		})
		cancel()
		work.Wait()
		time.Sleep(500 * time.Millisecond) // what is under way belongs to this turn
		if n == 1 {                        // the first two warm everything up
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
		t.Logf("flood %-5v %6d deliveries: p50 %v, p90 %v, p99 %v", flooded, len(l), l[len(l)/2].Round(10*time.Microsecond),
			l[len(l)*9/10].Round(10*time.Microsecond), l[len(l)*99/100].Round(10*time.Microsecond))
		if want := (turns - 1) * int(turn.Seconds()) * perSecond * listeners; len(l) < want*95/100 {
			t.Errorf("%d deliveries, of about %d", len(l), want)
		}
	}
	t.Logf("refused: %d connects (%d more were not begun, as 64 were under way), %d frames answered; median ratio %.2f",
		connects.Load(), unanswered.Load(), frames.Load(), float64(latencies[true][len(latencies[true])/2])/float64(latencies[false][len(latencies[false])/2]))
}

// every calls do so often a second, on a schedule that does not slip, until ctx ends. It tells the time that was meant.
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
