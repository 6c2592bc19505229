package apigateway_test

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"

	"fanfare/local/apigateway"
)

func TestFaults_Posts(t *testing.T) {
	var limited *types.LimitExceededException
	var gone *types.GoneException
	serverError := func(err error) bool {
		var response interface{ HTTPStatusCode() int }
		return errors.As(err, &response) && slices.Contains([]int{500, 502, 503, 504}, response.HTTPStatusCode())
	}
	noAnswer := func(err error) bool {
		var response interface{ HTTPStatusCode() int }
		return err != nil && (!errors.As(err, &response) || response.HTTPStatusCode() == 0)
	}
	for _, test := range []struct {
		name      string
		faults    apigateway.Faults
		matches   func(error) bool
		delivered bool
		reason    string
	}{
		{"gone", apigateway.Faults{Gone: 1}, func(err error) bool { return errors.As(err, &gone) }, false, "GoneException"},
		{"rate exceeded", apigateway.Faults{RateExceeded: 1}, func(err error) bool { return errors.As(err, &limited) },
			false, "rate exceeded"},
		{"buffer full", apigateway.Faults{BufferFull: 1}, func(err error) bool { return errors.As(err, &limited) },
			false, "buffer full"},
		{"5xx", apigateway.Faults{ServerError: 1}, serverError, false, "fault: server error"},
		{"delivered with 5xx", apigateway.Faults{DeliveredError: 1}, serverError, true, "fault: server error"},
		{"reset", apigateway.Faults{Reset: 1}, noAnswer, false, "fault: reset"},
		{"lost answer", apigateway.Faults{LostAnswer: 1}, noAnswer, true, "fault: the answer is lost"},
	} {
		t.Run(test.name, func(t *testing.T) {
			reasons := make(chan string, 1)
			g := start(t, newAPI(), apigateway.Options{Faults: test.faults, Observe: func(e apigateway.Event) {
				if e.Kind == apigateway.Posted && e.Status != 200 {
					reasons <- e.Reason
				}
			}}, nil)
			c := g.open(t)
			if err := g.sdkPost(t, c.id, "faulty"); !test.matches(err) {
				t.Errorf("post with fault: got error %v, want that of %s", err, test.name)
			}
			if got := <-reasons; got != test.reason {
				t.Errorf("reason: got %q, want %q", got, test.reason)
			}
			if err := g.SetFaults(apigateway.Faults{}); err != nil {
				t.Fatal(err)
			}
			if err := g.sdkPost(t, c.id, "sound"); err != nil {
				t.Errorf("post without faults: got error %v, want none", err)
			}
			if test.delivered {
				c.want("faulty")
			}
			c.want("sound")
		})
	}
}

// Equal seeds inject equal faults. The shares are about those that were set.
func TestFaults_Seed(t *testing.T) {
	const n = 2000
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	g.call(t, "DELETE", connectionPath(c.id), "", nil) // now every post without a fault is answered with 410
	run := func(f apigateway.Faults) (statuses []int) {
		t.Helper()
		if err := g.SetFaults(f); err != nil {
			t.Fatal(err)
		}
		for range n {
			statuses = append(statuses, g.post(t, c.id, "x"))
		}
		return statuses
	}
	f := apigateway.Faults{Seed: 7, RateExceeded: 0.1, BufferFull: 0.05, ServerError: 0.2}
	first, again := run(f), run(f)
	if !slices.Equal(first, again) {
		t.Error("equal seeds: got different faults, want equal ones")
	}
	f.Seed++
	if slices.Equal(first, run(f)) {
		t.Error("different seeds: got equal faults, want different ones")
	}
	count := map[int]float64{}
	for _, status := range first {
		count[status/100*100+status%100/10*10] += 1.0 / n
	}
	for status, want := range map[int]float64{410: 0.65, 420: 0.15, 500: 0.2} {
		// The result depends on the seed only; the tolerance is for the deviation of this seed.
		if math.Abs(count[status]-want) > 0.03 {
			t.Errorf("share of status %d: got %.3f, want about %.3f", status, count[status], want)
		}
	}
}

func TestFaults_LostDisconnect(t *testing.T) {
	const n = 40
	over := make(chan error, n)
	faults := apigateway.Faults{LostDisconnect: 0.5}
	g := start(t, newAPI(), apigateway.Options{Faults: faults, Observe: func(e apigateway.Event) {
		if e.Kind == apigateway.Disconnected {
			over <- e.Err
		}
	}}, nil)
	lost := 0
	for range n {
		g.dial(t, "", nil).conn.Close()
		if err := <-over; err != nil {
			lost++
		}
	}
	if ran := g.calls("disconnect"); lost == 0 || lost == n || ran != n-lost {
		t.Errorf("of %d connections: got %d without $disconnect and %d with it, want a sum of all", n, lost, ran)
	}
}

func TestFaults_Latency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := apigateway.Faults{Latency: 80 * time.Millisecond}
		g := startOn(t, newMemoryListener(), newAPI(), apigateway.Options{Faults: faults}, nil)
		took := func() time.Duration {
			began := time.Now()
			g.post(t, "AAAAAAAAAAAAAAA=", "x")
			return time.Since(began)
		}
		if got := took(); got != 80*time.Millisecond {
			t.Errorf("duration of a post: got %v, want 80ms", got)
		}
		faults.Jitter = 40 * time.Millisecond
		if err := g.SetFaults(faults); err != nil {
			t.Fatal(err)
		}
		seen := map[time.Duration]bool{}
		for range 20 {
			got := took()
			seen[got] = true
			if got < 80*time.Millisecond || got > 120*time.Millisecond {
				t.Errorf("duration of a post with jitter: got %v, want 80ms to 120ms", got)
			}
		}
		if len(seen) < 10 {
			t.Errorf("different durations of 20 posts: got %d, want at least 10", len(seen))
		}
	})
}

func TestFaults_GonePause(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	a := g.open(t)
	ids := []string{a.id, g.open2(t, a.id).id}
	for _, test := range []struct {
		pause time.Duration
		want  []int // statuses of two posts to each connection
	}{
		{time.Hour, []int{410, 200}},
		{time.Nanosecond, []int{410, 410}},
		{0, []int{410, 410}},
	} {
		if err := g.SetFaults(apigateway.Faults{Gone: 1, GonePause: test.pause}); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if got := []int{g.post(t, id, "x"), g.post(t, id, "x")}; !slices.Equal(got, test.want) {
				t.Errorf("pause of %v: got %v, want %v", test.pause, got, test.want)
			}
		}
	}
}

func TestFaults_Refusals(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	for _, faults := range []apigateway.Faults{
		{Gone: -0.1}, {Gone: 1.1}, {Gone: 0.6, Reset: 0.6}, {LostDisconnect: 2},
		{Gone: math.NaN()}, {LostDisconnect: math.NaN()}, {Latency: -1}, {Jitter: -1}, {GonePause: -1},
	} {
		if err := g.SetFaults(faults); err == nil {
			t.Errorf("SetFaults(%+v): got no error, want one", faults)
		}
		if _, err := apigateway.New(newAPI(), noopInvoker{}, apigateway.Options{Faults: faults}); err == nil {
			t.Errorf("New with %+v: got no error, want one", faults)
		}
	}
	if status := g.post(t, "AAAAAAAAAAAAAAA=", ""); status != http.StatusGone {
		t.Errorf("post after refused faults: got %d, want 410", status)
	}
}
