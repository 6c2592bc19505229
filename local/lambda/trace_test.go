package lambda

import (
	"regexp"
	"strings"
	"testing"
)

func TestTraceHeader(t *testing.T) {
	const root, parent = "1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
	const self = "arn:aws:lambda:us-east-1:000000000000:function:f"
	const other = "arn:aws:lambda:us-east-1:000000000000:function:g"
	const lineage = `;Lineage=1:[0-9a-f]{8}:0$`
	for _, test := range []struct {
		name, header string
		sampled      bool
		want         string // a pattern
	}{
		{"none", "", false, `^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0` + lineage},
		{"none, with a daemon", "", true, `^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=1` + lineage},
		{"complete", "Root=" + root + ";Parent=" + parent + ";Sampled=1", false,
			"^Root=" + root + ";Parent=" + parent + ";Sampled=1" + lineage},
		{"root only", "Root=" + root, true, "^Root=" + root + ";Parent=[0-9a-f]{16};Sampled=1" + lineage},
		{"not sampled", "Root=" + root + ";Sampled=0", true, ";Sampled=0;"},
		{"sampling undecided", "Root=" + root + ";Sampled=?", false, ";Sampled=0;"},
		{"other fields", "Self=1-a;Root=" + root + "; Mine=x=y", false, ";Self=1-a;Mine=x=y" + lineage},
		{"nonsense", ";;=;x", false, `^Root=1-`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, turns := traceHeader(test.header, self, test.sampled)
			if !regexp.MustCompile(test.want).MatchString(got) || turns != 0 {
				t.Errorf("got %q after %d turns, want %s after 0", got, turns, test.want)
			}
		})
	}

	// The turns of two functions that call each other are counted separately.
	header := ""
	for want := range maxLineage + 2 {
		for _, arn := range []string{self, other} {
			next, turns := traceHeader(header, arn, false)
			if turns != want {
				t.Fatalf("%s after %q: got turn %d, want %d", arn, header, turns, want)
			}
			header = next
		}
	}
	if n := strings.Count(header, "Lineage="); n != 1 || strings.Count(header, "|") != 1 {
		t.Errorf("header: got %q, want one Lineage with two entries", header)
	}
}
