package apigateway_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"

	"fanfare/local/apigateway"
)

func TestFaultsOfPosts(t *testing.T) {
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
		is        func(error) bool
		delivered bool
		reason    string
	}{
		{"gone", apigateway.Faults{Gone: 1}, func(err error) bool { return errors.As(err, &gone) }, false, "GoneException"},
		{"over the rate", apigateway.Faults{RateExceeded: 1}, func(err error) bool { return errors.As(err, &limited) }, false, "rate exceeded"},
		{"the client's buffer is full", apigateway.Faults{BufferFull: 1}, func(err error) bool { return errors.As(err, &limited) }, false, "buffer full"},
		{"5xx", apigateway.Faults{ServerError: 1}, serverError, false, "fault: server error"},
		{"5xx though delivered", apigateway.Faults{DeliveredError: 1}, serverError, true, "fault: server error"},
		{"reset", apigateway.Faults{Reset: 1}, noAnswer, false, "fault: reset"},
		{"the answer is lost", apigateway.Faults{LostAnswer: 1}, noAnswer, true, "fault: the answer is lost"},
	} {
		t.Run(test.name, func(t *testing.T) {
			reasons := make(chan string, 1)
			g := start(t, newAPI(), apigateway.Options{Faults: test.faults, Observe: func(e apigateway.Event) {
				if e.Kind == apigateway.Posted && e.Status != 200 {
					reasons <- e.Reason
				}
			}}, nil)
			c := g.open(t)
			post := func(data string) error {
				_, err := g.management().PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &c.id, Data: []byte(data)})
				return err
			}
			if err := post("faulty"); !test.is(err) {
				t.Errorf("the post is answered with %v", err)
			}
			if got := <-reasons; got != test.reason {
				t.Errorf("the observer is told %q, want %q", got, test.reason)
			}
			if err := g.SetFaults(apigateway.Faults{}); err != nil {
				t.Fatal(err)
			}
			if err := post("sound"); err != nil {
				t.Errorf("without faults the post is answered with %v", err)
			}
			if test.delivered {
				c.want("faulty")
			}
			c.want("sound")
		})
	}
}

// The same seed makes the same requests suffer; the shares are about what was asked for.
func TestFaultsRepeat(t *testing.T) {
	const n = 2000
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	g.call(t, "DELETE", connectionPath(c.id), "", nil) // gone, so that a fault is the only way to another answer
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
		t.Error("the same seed brought other faults")
	}
	f.Seed++
	if slices.Equal(first, run(f)) {
		t.Error("another seed brought the same faults")
	}
	count := map[int]float64{}
	for _, status := range first {
		count[status/100*100+status%100/10*10] += 1.0 / n
	}
	for status, want := range map[int]float64{410: 0.65, 420: 0.15, 500: 0.2} {
		// Deterministic for the seed: the bound only says that the shares are not mixed up.
		if math.Abs(count[status]-want) > 0.03 {
			t.Errorf("the share of %d is %.3f, want about %.3f", status, count[status], want)
		}
	}
}

func TestLostDisconnect(t *testing.T) {
	const n = 40
	over := make(chan error, n)
	g := start(t, newAPI(), apigateway.Options{Faults: apigateway.Faults{LostDisconnect: 0.5}, Observe: func(e apigateway.Event) {
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
		t.Errorf("of %d connections %d lost their $disconnect, and it ran %d times", n, lost, ran)
	}
}

func TestLatencyOfManagementRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startOn(t, newMemory(), newAPI(), apigateway.Options{Faults: apigateway.Faults{Latency: 80 * time.Millisecond}}, nil)
		took := func() time.Duration {
			began := time.Now()
			g.post(t, "AAAAAAAAAAAAAAA=", "x")
			return time.Since(began)
		}
		if got := took(); got != 80*time.Millisecond {
			t.Errorf("a post takes %v", got)
		}
		if err := g.SetFaults(apigateway.Faults{Latency: 80 * time.Millisecond, Jitter: 40 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		seen := map[time.Duration]bool{}
		for range 20 {
			got := took()
			seen[got] = true
			if got < 80*time.Millisecond || got > 120*time.Millisecond {
				t.Errorf("with jitter a post takes %v", got)
			}
		}
		if len(seen) < 10 {
			t.Errorf("twenty posts take only %d different times", len(seen))
		}
	})
}

func TestFaultsThatAreRefused(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	for _, faults := range []apigateway.Faults{
		{Gone: -0.1}, {Gone: 1.1}, {Gone: 0.6, Reset: 0.6}, {LostDisconnect: 2}, {Gone: math.NaN()}, {LostDisconnect: math.NaN()}, {Latency: -1}, {Jitter: -1},
	} {
		if err := g.SetFaults(faults); err == nil {
			t.Errorf("%+v is accepted", faults)
		}
		if _, err := apigateway.New(newAPI(), nobody{}, apigateway.Options{Faults: faults}); err == nil {
			t.Errorf("New accepts %+v", faults)
		}
	}
	if status := g.post(t, "AAAAAAAAAAAAAAA=", ""); status != http.StatusGone {
		t.Error(fmt.Errorf("faults that were refused have an effect: %d", status))
	}
}
