package apigateway_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/local/apigateway"
)

// attempt makes a request of one kind and reports whether it was accepted.
type attempt func(t *testing.T, g *gateway, c *client) bool

func connecting(t *testing.T, g *gateway, _ *client) bool {
	c, response := g.handshake(t, "/prod", nil)
	c.conn.Close()
	if response.StatusCode != 101 && response.StatusCode != 429 {
		t.Errorf("handshake: got %s, want 101 or 429", response.Status)
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
		t.Errorf("message: got %q, want the error frame", f.Payload)
	}
	return false
}

func posting(t *testing.T, g *gateway, c *client) bool {
	response, _ := g.call(t, "GET", connectionPath(c.id), "", nil)
	if response.StatusCode == 200 {
		return true
	}
	if response.StatusCode != 429 || response.Header.Get("X-Amzn-ErrorType") != "LimitExceededException" {
		t.Errorf("management request: got %s %v, want 429 LimitExceededException", response.Status, response.Header)
	}
	return false
}

func TestThrottle_Limits(t *testing.T) {
	const seldom = 1e-6 // adds no token during a test
	for _, test := range []struct {
		name     string
		quotas   apigateway.Quotas
		change   func(*apigateway.API)
		attempts []attempt
		want     []bool
	}{
		{
			name:     "new connections",
			quotas:   apigateway.Quotas{Connections: apigateway.Throttle{Rate: seldom, Burst: 3}},
			attempts: []attempt{connecting, connecting, connecting, sending, posting},
			want:     []bool{true, true, false, true, true}, // g.open took the first token
		},
		{
			name:     "shared bucket",
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
			name: "one bucket per route",
			change: func(api *apigateway.API) {
				api.DefaultRouteSettings = apigateway.Throttle{Rate: seldom, Burst: 2}
				api.RouteSettings = map[string]apigateway.Throttle{"$default": {Rate: seldom, Burst: 1}}
			},
			attempts: []attempt{connecting, connecting, sending, sending},
			want:     []bool{true, false, true, false},
		},
		{
			// The time to fill this bucket does not fit in a time.Duration.
			name:     "low rate and large burst",
			quotas:   apigateway.Quotas{Requests: apigateway.Throttle{Rate: seldom, Burst: 10_000}},
			attempts: []attempt{connecting, sending, posting},
			want:     []bool{true, true, true},
		},
		{
			name:     "high rate",
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
			g := start(t, api, apigateway.Options{Quotas: test.quotas},
				map[string]handler{"default": returns(`{"statusCode":200,"body":"yes"}`)})
			c := g.open(t)
			for i, try := range test.attempts {
				if got := try(t, g, c); got != test.want[i] {
					t.Errorf("attempt %d: got accepted %v, want %v", i+1, got, test.want[i])
				}
			}
		})
	}
}

// The bucket refills at its rate, in the gateway's time.
func TestThrottle_Refill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quotas := apigateway.Quotas{Requests: apigateway.Throttle{Rate: 10, Burst: 5}}
		g := startOn(t, newMemoryListener(), newAPI(), apigateway.Options{Quotas: quotas}, nil)
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
				t.Errorf("accepted requests after %v: got %d, want %d", step.pause, got, step.want)
			}
		}
	})
}

func TestNew_InvalidQuotas(t *testing.T) {
	for _, quotas := range []apigateway.Quotas{
		{Requests: apigateway.Throttle{Rate: 1}},
		{Connections: apigateway.Throttle{Rate: -1, Burst: 1}},
	} {
		if _, err := apigateway.New(newAPI(), noopInvoker{}, apigateway.Options{Quotas: quotas}); err == nil {
			t.Errorf("New with %+v: got no error, want one", quotas)
		}
	}
}
