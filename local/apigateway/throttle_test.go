package apigateway_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/local/apigateway"
)

// attempt makes a request of one kind and tells whether it was let through.
type attempt func(t *testing.T, g *gateway, c *client) bool

func connecting(t *testing.T, g *gateway, _ *client) bool {
	c, response := g.handshake(t, "/prod", nil)
	c.conn.Close()
	if response.StatusCode != 101 && response.StatusCode != 429 {
		t.Errorf("a handshake is answered with %s", response.Status)
	}
	return response.StatusCode == 101
}

func sending(t *testing.T, g *gateway, c *client) bool {
	c.send("x")
	f := c.next()
	if string(f.Payload) == "yes" {
		return true
	}
	if want := `{"message": "Too Many Requests", `; string(f.Payload[:len(want)]) != want {
		t.Errorf("a message is answered with %q", f.Payload)
	}
	return false
}

func posting(t *testing.T, g *gateway, c *client) bool {
	response, _ := g.call(t, "GET", connectionPath(c.id), "", nil)
	if response.StatusCode == 200 {
		return true
	}
	if response.StatusCode != 429 || response.Header.Get("X-Amzn-ErrorType") != "LimitExceededException" {
		t.Errorf("a management request is answered with %s %v", response.Status, response.Header)
	}
	return false
}

func TestThrottles(t *testing.T) {
	const seldom = 1e-6 // no token comes back while a test runs
	for _, test := range []struct {
		name     string
		quotas   apigateway.Quotas
		change   func(*apigateway.API)
		attempts []attempt
		want     []bool
	}{
		{
			name:     "new connections, and nothing else",
			quotas:   apigateway.Quotas{Connections: apigateway.Throttle{Rate: seldom, Burst: 3}},
			attempts: []attempt{connecting, connecting, connecting, sending, posting},
			want:     []bool{true, true, false, true, true}, // the test's client was the first
		},
		{
			name:     "the bucket that all share",
			quotas:   apigateway.Quotas{Requests: apigateway.Throttle{Rate: seldom, Burst: 4}},
			attempts: []attempt{connecting, sending, posting, posting, sending, connecting},
			want:     []bool{true, true, true, false, false, false},
		},
		{
			name: "a route",
			change: func(api *apigateway.API) {
				api.RouteSettings = map[string]apigateway.Throttle{"$default": {Rate: seldom, Burst: 2}}
			},
			attempts: []attempt{sending, sending, sending, connecting, posting},
			want:     []bool{true, true, false, true, true},
		},
		{
			name: "each route by itself",
			change: func(api *apigateway.API) {
				api.DefaultRouteSettings = apigateway.Throttle{Rate: seldom, Burst: 2}
				api.RouteSettings = map[string]apigateway.Throttle{"$default": {Rate: seldom, Burst: 1}}
			},
			attempts: []attempt{connecting, connecting, sending, sending},
			want:     []bool{true, false, true, false},
		},
		{
			name:     "a rate that suffices",
			quotas:   apigateway.DefaultQuotas(),
			attempts: []attempt{connecting, sending, posting},
			want:     []bool{true, true, true},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := newAPI()
			if test.change != nil {
				test.change(&api)
			}
			g := start(t, api, apigateway.Options{Quotas: test.quotas}, map[string]handler{"default": says(`{"statusCode":200,"body":"yes"}`)})
			c := g.open(t)
			for i, try := range test.attempts {
				if got := try(t, g, c); got != test.want[i] {
					t.Errorf("attempt %d: let through: %v, want %v", i+1, got, test.want[i])
				}
			}
		})
	}
}

// The tokens come back at their rate, in the gateway's time.
func TestBucketFillsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startOn(t, newMemory(), newAPI(), apigateway.Options{Quotas: apigateway.Quotas{Requests: apigateway.Throttle{Rate: 10, Burst: 5}}}, nil)
		taken := func() (n int) {
			for range 20 {
				if g.post(t, "AAAAAAAAAAAAAAA=", "x") == http.StatusGone {
					n++
				}
			}
			return n
		}
		for _, step := range []struct {
			pause time.Duration
			want  int
		}{
			{0, 5}, {100 * time.Millisecond, 1}, {250 * time.Millisecond, 2}, {50 * time.Millisecond, 1}, {time.Hour, 5},
		} {
			time.Sleep(step.pause)
			if got := taken(); got != step.want {
				t.Errorf("%v later %d requests are let through, want %d", step.pause, got, step.want)
			}
		}
	})
}

func TestNewRefusesQuotasThatAreNone(t *testing.T) {
	for _, quotas := range []apigateway.Quotas{
		{Requests: apigateway.Throttle{Rate: 1}},
		{Connections: apigateway.Throttle{Rate: -1, Burst: 1}},
	} {
		if _, err := apigateway.New(newAPI(), nobody{}, apigateway.Options{Quotas: quotas}); err == nil {
			t.Errorf("%+v is accepted", quotas)
		}
	}
}
