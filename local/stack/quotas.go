package stack

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"fanfare/local/apigateway"
	"fanfare/local/lambda"
)

// Quotas are what the account may do at a time in its Region. Zero is no limit, except for Concurrency.
type Quotas struct {
	// Connections limits new connections to an API.
	Connections apigateway.Throttle
	// Requests limits connects, messages of clients and calls of @connections together, of each API.
	Requests apigateway.Throttle
	// Concurrency is that of all functions together; 0 is Lambda's default of 1,000.
	Concurrency int
}

// Set sets a quota: "connections" or "requests" to a rate a second, with a burst after a colon unless it is as great
// as the rate; "concurrency" to a number of invocations. "aws" with no value sets what an account has on AWS by default.
func (q *Quotas) Set(name, value string) error {
	switch name {
	case "aws":
		if value != "" {
			return fmt.Errorf("quota aws takes no value")
		}
		defaults := apigateway.DefaultQuotas()
		*q = Quotas{Connections: defaults.Connections, Requests: defaults.Requests, Concurrency: lambda.DefaultAccountConcurrency}
		return nil
	case "connections":
		return parseThrottle(&q.Connections, name, value)
	case "requests":
		return parseThrottle(&q.Requests, name, value)
	case "concurrency":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("quota concurrency: %q is no number of invocations, at least 1", value)
		}
		q.Concurrency = n
		return nil
	}
	return fmt.Errorf("there is no quota %q; there are aws, concurrency, connections, requests", name)
}

func parseThrottle(t *apigateway.Throttle, name, value string) error {
	rate, burst, found := strings.Cut(value, ":")
	perSecond, err := strconv.ParseFloat(rate, 64)
	depth := int(perSecond)
	if err == nil && found {
		depth, err = strconv.Atoi(burst)
	}
	if err != nil || !(perSecond > 0) || depth < 1 {
		return fmt.Errorf("quota %s: %q is not like 500 or 10000:5000 (a rate a second, a burst of at least 1)", name, value)
	}
	*t = apigateway.Throttle{Rate: perSecond, Burst: depth}
	return nil
}

// Latency is how long the network takes from a caller to a service and back, in the machine's time. What AWS's services
// do among themselves (a mapping that polls its queue) is not delayed.
type Latency struct{ APIGateway, SQS, DynamoDB time.Duration }

// Set sets the latency of a service by its name, "apigateway" (that is @connections), "sqs" or "dynamodb"; "" is all three.
func (l *Latency) Set(service, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return fmt.Errorf("latency: %q is no duration: want one like 20ms", value)
	}
	switch service {
	case "":
		*l = Latency{d, d, d}
	case "apigateway":
		l.APIGateway = d
	case "sqs":
		l.SQS = d
	case "dynamodb":
		l.DynamoDB = d
	default:
		return fmt.Errorf("there is no latency of %q; there are apigateway, sqs, dynamodb", service)
	}
	return nil
}

// delayed adds the network's latency to faults that have none of their own.
func (s *Stack) delayed(f apigateway.Faults) apigateway.Faults {
	if f.Latency == 0 {
		f.Latency = s.latency.APIGateway
	}
	return f
}

// distant delays requests and answers by half of d each.
func distant(d time.Duration, service http.Handler) http.Handler {
	if d == 0 {
		return service
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !travel(r, d/2) {
			return
		}
		service.ServeHTTP(&returning{ResponseWriter: w, request: r, time: d - d/2}, r)
	})
}

// returning holds an answer back for the time of its way.
type returning struct {
	http.ResponseWriter
	request *http.Request
	time    time.Duration
}

func (w *returning) WriteHeader(status int) {
	if w.time > 0 {
		travel(w.request, w.time)
		w.time = 0
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *returning) Write(body []byte) (int, error) {
	if w.time > 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(body)
}

// travel waits, and reports whether the caller is still there.
func travel(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
