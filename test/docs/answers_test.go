package docs

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fanfare/pkg/access"
	"fanfare/pkg/ingress"
)

// TestReadme_ErrorCodes checks that README.md lists every code of an error frame and no other.
func TestReadme_ErrorCodes(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "README.md"), "A refused publish is answered")
	section, _, _ = strings.Cut(section, "\n\n")
	_, list, _ := strings.Cut(section, "The codes are")
	listed := map[string]bool{}
	for _, found := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(list, -1) {
		listed[found[1]] = true
	}
	want := []string{
		access.CodeExpired, access.CodeListenOnly, access.CodeNoRight,
		ingress.CodeEmpty, ingress.CodeTooFast, ingress.CodeTooLarge, ingress.CodeUnavailable,
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(listed)); !slices.Equal(got, want) {
		t.Errorf("got the codes %v, want %v", got, want)
	}
}
