package main

import (
	"math"
	"strings"
	"testing"
)

func TestOptions_Check(t *testing.T) {
	valid := options{Speed: 1}
	for _, test := range []struct {
		name   string
		change func(*options)
		want   string // "" for no error
	}{
		{"defaults", func(*options) {}, ""},
		{"slowest", func(o *options) { o.Speed = 0.001 }, ""},
		{"fastest", func(o *options) { o.Speed = 100_000 }, ""},
		{"no speed", func(o *options) { o.Speed = 0 }, "--speed 0: want 0.001 to 100000"},
		{"NaN", func(o *options) { o.Speed = math.NaN() }, "--speed NaN: want"},
		{"infinite", func(o *options) { o.Speed = math.Inf(1) }, "--speed +Inf: want"},
		{"negative", func(o *options) { o.Speed = -1 }, "--speed -1: want"},
		{"too slow", func(o *options) { o.Speed = 1e-9 }, "--speed 1e-09: want"},
		{"too fast", func(o *options) { o.Speed = 1e9 }, "--speed 1e+09: want"},
		{"highest port", func(o *options) { o.Port, o.AWSPort, o.XRayPort = 65535, 65535, 65535 }, ""},
		{"port", func(o *options) { o.Port = 65536 }, "--port 65536: want 0 to 65535"},
		{"AWS port", func(o *options) { o.AWSPort = -1 }, "--aws-port -1: want"},
		{"X-Ray port", func(o *options) { o.XRayPort = -1 }, "--xray-port -1: want"},
	} {
		o := valid
		test.change(&o)
		err := o.check()
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
		if ran := (program{}).run(t.Context(), o); err != nil && (ran == nil || !strings.Contains(ran.Error(), test.want)) {
			t.Errorf("%s: run: got %v, want %q", test.name, ran, test.want)
		}
	}
}

// TestOptions_Conditions checks that numbers without a meaning are refused in every flag that takes one.
func TestOptions_Conditions(t *testing.T) {
	for _, value := range []string{"NaN", "Inf", "-Inf", "-1", "1e300", ""} {
		for _, o := range []options{
			{Fault: []string{"apigateway.Gone=" + value}}, {Fault: []string{"lambda.KillWithin=" + value}},
			{Fault: []string{"apigateway.Latency=" + value + "h"}}, {Fault: []string{"sqs.Seed=" + value}},
			{Quota: []string{"connections=" + value}}, {Quota: []string{"connections=" + value + ":5"}},
			{Quota: []string{"requests=5:" + value}}, {Quota: []string{"concurrency=" + value}},
			{Latency: []string{value}}, {Latency: []string{"sqs=" + value + "h"}},
		} {
			if _, _, _, err := o.conditions(); err == nil {
				t.Errorf("%+v: got nil, want an error", o)
			}
		}
	}
	for _, o := range []options{{Quota: []string{"concurrency=0"}}, {Quota: []string{"requests=0"}},
		{Quota: []string{"requests=5:0"}}, {Latency: []string{"2h"}}, {Fault: []string{"sqs.DelayBy=1h1ns"}}} {
		if _, _, _, err := o.conditions(); err == nil {
			t.Errorf("%+v: got nil, want an error", o)
		}
	}
	for _, o := range []options{{Quota: []string{"requests=0.5:1", "connections=1e9:5", "concurrency=1"}},
		{Latency: []string{"0", "1h"}, Fault: []string{"apigateway.Gone=0", "sqs.DelayBy=1h"}}} {
		if _, _, _, err := o.conditions(); err != nil {
			t.Errorf("%+v: got %v, want nil", o, err)
		}
	}
}
