package lambda_test

import (
	"errors"
	"testing"

	"fanfare/local/lambda"
)

// BenchmarkInvoke measures the duration of an invocation by a sequential caller.
func BenchmarkInvoke(b *testing.B) {
	s := benchmarked(b)
	for b.Loop() {
		if _, err := s.Invoke(b.Context(), "f", []byte(`{"text":"hello"}`), ""); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInvokeParallel measures the invocations per second of concurrent callers.
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

// BenchmarkColdStart measures a process from its start to its first response and its exit.
func BenchmarkColdStart(b *testing.B) {
	s := benchmarked(b)
	for b.Loop() {
		_, err := s.Invoke(b.Context(), "f", []byte(`{"do":"exit"}`), "")
		if _, ok := errors.AsType[*lambda.FunctionError](err); !ok {
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
