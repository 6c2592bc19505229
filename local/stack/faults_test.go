package stack

import (
	"maps"
	"strings"
	"testing"
	"time"

	"fanfare/local/apigateway"
)

func TestFaults_Set(t *testing.T) {
	var f Faults
	for name, value := range map[string]string{
		"seed": "7", "apigateway.rateexceeded": "0.25", "apigateway.Latency": "20ms", "sqs.Queues": "a,b",
		"DynamoDB.Unprocessed": "1", "lambda.KillWithin": "1.5s",
	} {
		if err := f.Set(name, value); err != nil {
			t.Error(err)
		}
	}
	if f.APIGateway.RateExceeded != 0.25 || f.APIGateway.Latency != 20*time.Millisecond || len(f.SQS.Queues) != 2 ||
		f.DynamoDB.Unprocessed != 1 || f.Lambda.KillWithin != 1500*time.Millisecond {
		t.Errorf("got %+v, want the faults as they were set", f)
	}
	want := map[string]string{
		"apigateway.Seed": "7", "sqs.Seed": "7", "dynamodb.Seed": "7", "lambda.Seed": "7", "apigateway.RateExceeded": "0.25",
		"apigateway.Latency": "20ms", "sqs.Queues": "a,b", "dynamodb.Unprocessed": "1", "lambda.KillWithin": "1.5s",
	}
	if got := f.Settings(); !maps.Equal(got, want) {
		t.Errorf("got settings %v, want %v", got, want)
	}
	var again Faults
	for name, value := range f.Settings() {
		if err := again.Set(name, value); err != nil {
			t.Error(err)
		}
	}
	if got := again.Settings(); !maps.Equal(got, want) {
		t.Errorf("set again: got settings %v, want %v", got, want)
	}
}

// TestFaults_SetAll checks that every field of the services' faults can be set.
func TestFaults_SetAll(t *testing.T) {
	names := FaultNames()
	if len(names) < 30 {
		t.Fatalf("got %d faults, want at least 30", len(names))
	}
	for _, name := range names {
		var f Faults
		set := false
		for _, value := range []string{"1", "1s"} {
			set = set || f.Set(name, value) == nil
		}
		if _, shown := f.Settings()[name]; !set || !shown {
			t.Errorf("%s: got set %v and shown %v, want true and true", name, set, shown)
		}
	}
}

func TestFaults_Invalid(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"apigateway.Nonsense", "1", "apigateway.Gone"},
		{"kinesis.Throttle", "1", `no fault "kinesis.Throttle"`},
		{"apigateway", "1", "no fault"},
		{"apigateway.Gone", "1.1", "0 to 1"},
		{"apigateway.Gone", "-1", "0 to 1"},
		{"apigateway.Gone", "NaN", "0 to 1"},
		{"sqs.LatencyBy", "20", "like 20ms"},
		{"lambda.KillWithin", "-1s", "like 20ms"},
		{"seed", "-1", "whole number"},
	} {
		var f Faults
		if err := f.Set(test.name, test.value); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s=%s: got %v, want %q", test.name, test.value, err, test.want)
		}
		if len(f.Settings()) > 0 {
			t.Errorf("%s=%s: got settings %v, want none", test.name, test.value, f.Settings())
		}
	}
}

func TestQuotas_Set(t *testing.T) {
	set := func(settings ...string) (Quotas, error) {
		var q Quotas
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			if err := q.Set(name, value); err != nil {
				return q, err
			}
		}
		return q, nil
	}
	for _, test := range []struct {
		settings []string
		want     Quotas
	}{
		{nil, Quotas{}},
		{[]string{"aws"}, Quotas{apigateway.Throttle{Rate: 500, Burst: 500}, apigateway.Throttle{Rate: 10_000, Burst: 5000},
			1000}},
		{[]string{"aws", "concurrency=10"},
			Quotas{apigateway.Throttle{Rate: 500, Burst: 500}, apigateway.Throttle{Rate: 10_000, Burst: 5000}, 10}},
		{[]string{"connections=3", "requests=10:7"},
			Quotas{Connections: apigateway.Throttle{Rate: 3, Burst: 3}, Requests: apigateway.Throttle{Rate: 10, Burst: 7}}},
	} {
		if got, err := set(test.settings...); err != nil || got != test.want {
			t.Errorf("%v: got %+v, %v, want %+v", test.settings, got, err, test.want)
		}
	}
	for _, bad := range []string{"posts=1", "aws=1", "requests", "requests=0", "requests=0.5", "requests=1:0",
		"requests=x", "requests=NaN", "concurrency=0", "concurrency"} {
		if _, err := set(bad); err == nil {
			t.Errorf("%s: got no error", bad)
		}
	}
}

func TestLatency_Set(t *testing.T) {
	var l Latency
	if err := l.Set("", "8ms"); err != nil ||
		l != (Latency{8 * time.Millisecond, 8 * time.Millisecond, 8 * time.Millisecond}) {
		t.Errorf("got %v, %v, want 8ms for all", l, err)
	}
	if err := l.Set("sqs", "2ms"); err != nil || l.SQS != 2*time.Millisecond || l.DynamoDB != 8*time.Millisecond {
		t.Errorf("got %v, %v, want 2ms for sqs and 8ms for dynamodb", l, err)
	}
	for _, bad := range [][2]string{{"s3", "1ms"}, {"sqs", "1"}, {"sqs", "-1ms"}} {
		if err := l.Set(bad[0], bad[1]); err == nil {
			t.Errorf("%v: got no error", bad)
		}
	}
}
