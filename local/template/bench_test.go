package template_test

import (
	"os"
	"testing"

	"fanfare/local/template"
)

// BenchmarkLoad resolves this repository's own template, as every start of the program local does.
func BenchmarkLoad(b *testing.B) {
	data, err := os.ReadFile("../../template.yaml")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := template.Load("template.yaml", data,
			template.Options{Parameters: map[string]string{"Access": "open"}}); err != nil {
			b.Fatal(err)
		}
	}
}
