package stack

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"fanfare/local/apigateway"
	"fanfare/local/lambda"
)

// Quotas are the limits of the account in its Region. Zero is no limit, except for Concurrency.
type Quotas struct {
	// Connections limits new connections of each API.
	Connections apigateway.Throttle
	// Requests limits connects, client messages and @connections calls of each API together.
	Requests apigateway.Throttle
	// Concurrency limits the concurrent invocations of all functions together. 0 is Lambda's default of 1,000.
	Concurrency int
}

// Set sets a quota by its name. "connections" and "requests" take a rate per second and, after a colon, a burst; the
// default burst is the rate. "concurrency" takes a number of invocations. "aws" takes no value and sets AWS's defaults.
func (q *Quotas) Set(name, value string) error {
	switch name {
	case "aws":
		if value != "" {
			return errors.New("quota aws takes no value")
		}
		defaults := apigateway.DefaultQuotas()
		*q = Quotas{Connections: defaults.Connections, Requests: defaults.Requests,
			Concurrency: lambda.DefaultAccountConcurrency}
		return nil
	case "connections":
		return parseThrottle(&q.Connections, name, value)
	case "requests":
		return parseThrottle(&q.Requests, name, value)
	case "concurrency":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("quota concurrency: %q is not a number of at least 1", value)
		}
		q.Concurrency = n
		return nil
	}
	return fmt.Errorf("no quota %q; the quotas are aws, concurrency, connections, requests", name)
}

// maxRate is the largest rate and burst. It is far above what a machine serves.
const maxRate = 1e9

func parseThrottle(t *apigateway.Throttle, name, value string) error {
	rate, burst, found := strings.Cut(value, ":")
	perSecond, err := strconv.ParseFloat(rate, 64)
	depth := int(perSecond)
	if err == nil && found {
		depth, err = strconv.Atoi(burst)
	}
	if err != nil || !(perSecond > 0) || perSecond > maxRate || depth < 1 || depth > maxRate {
		return fmt.Errorf("quota %s: %q is not a rate per second and a burst of at least 1, like 500 or 10000:5000", name,
			value)
	}
	*t = apigateway.Throttle{Rate: perSecond, Burst: depth}
	return nil
}

// maxDelay is the longest latency of the network or of a fault.
const maxDelay = time.Hour

// Latency is the round-trip time of the network between callers and services, in the machine's time. Calls between
// AWS's services, like the polls of a mapping, have no latency.
type Latency struct{ APIGateway, SQS, DynamoDB time.Duration }

// Set sets the latency of a service by its name: "apigateway" (of @connections), "sqs", "dynamodb", or "" for all
// three.
func (l *Latency) Set(service, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > maxDelay {
		return fmt.Errorf("latency: %q is not a duration like 20ms of at most %v", value, maxDelay)
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
		return fmt.Errorf("no latency of %q; the services are apigateway, sqs, dynamodb", service)
	}
	return nil
}

// withLatency adds the latency of the network to faults without a latency.
func (s *Stack) withLatency(f apigateway.Faults) apigateway.Faults {
	if f.Latency == 0 {
		f.Latency = s.latency.APIGateway
	}
	return f
}

// delay delays requests and responses by half of d each.
func delay(d time.Duration, service http.Handler) http.Handler {
	if d == 0 {
		return service
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !wait(r, d/2) {
			return
		}
		service.ServeHTTP(&delayedResponse{ResponseWriter: w, request: r, time: d - d/2}, r)
	})
}

// delayedResponse delays a response.
type delayedResponse struct {
	http.ResponseWriter
	request *http.Request
	time    time.Duration
}

func (w *delayedResponse) WriteHeader(status int) {
	if w.time > 0 {
		wait(w.request, w.time)
		w.time = 0
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *delayedResponse) Write(body []byte) (int, error) {
	if w.time > 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(body)
}

// wait waits for d and reports whether the caller is still connected.
func wait(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
