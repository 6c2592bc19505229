package lambda_test

import (
	"testing"

	"fanfare/local/lambda"
)

// One caller after another: the time of an invocation.
func BenchmarkInvoke(b *testing.B) {
	s := benchmarked(b)
	for b.Loop() {
		if _, err := s.Invoke(b.Context(), "f", []byte(`{"text":"hello"}`), ""); err != nil {
			b.Fatal(err)
		}
	}
}

// Many callers: invocations of this machine per second.
func BenchmarkInvokeParallel(b *testing.B) {
	s := benchmarked(b)
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Invoke(b.Context(), "f", []byte(`{"text":"hello"}`), ""); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "invocations/s")
}

// A process from its start to the answer of its first invocation, and its end.
func BenchmarkColdStart(b *testing.B) {
	s := benchmarked(b)
	for b.Loop() {
		_, err := s.Invoke(b.Context(), "f", []byte(`{"do":"exit"}`), "")
		if _, ok := err.(*lambda.FunctionError); !ok {
			b.Fatal(err)
		}
	}
}

func benchmarked(b *testing.B) *lambda.Service {
	s, _ := start(b, lambda.Options{Report: func(lambda.Report) {}}, lambda.Function{Name: "f", Dir: goDir(b)})
	if err := s.WarmUp(b.Context()); err != nil {
		b.Fatal(err)
	}
	return s
}
