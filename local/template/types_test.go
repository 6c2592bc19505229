package template

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

// TestResourceTypes_Properties compares the schemas with CloudFormation's own (testdata/properties.py): every property
// that exists is accepted or refused with a reason, and never unknown.
func TestResourceTypes_Properties(t *testing.T) {
	data, err := os.ReadFile("testdata/properties.json")
	if err != nil {
		t.Fatal(err)
	}
	var properties map[string][]string
	if err := json.Unmarshal(data, &properties); err != nil {
		t.Fatal(err)
	}
	for typ, known := range emulatedTypes {
		if known.Schema != nil && properties[typ] == nil {
			t.Errorf("got no %s in properties.json", typ)
		}
	}
	for typ, names := range properties {
		ours := emulatedTypes[typ]
		if ours == nil {
			t.Errorf("got no type %s", typ)
			continue
		}
		for _, name := range names {
			if _, ok := ours.Schema[name]; !ok {
				t.Errorf("%s: got no property %s", typ, name)
			}
		}
		for name := range ours.Schema {
			if !slices.Contains(names, name) {
				t.Errorf("%s: got property %s, want none of that name", typ, name)
			}
		}
		for _, name := range ours.Required {
			if !slices.Contains(names, name) {
				t.Errorf("%s: got required property %s, want one that exists", typ, name)
			}
		}
	}
}

// TestResourceTypes_References checks that the patterns of all types have only known placeholders, as others panic, and
// that Ref works for every type.
func TestResourceTypes_References(t *testing.T) {
	for typ, known := range emulatedTypes {
		options, err := Options{}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		report := &tree.Report{File: "t.yaml"}
		l := newBuilder(report, tree.Parse(report, []byte("Resources: {}")), options)
		position := &tree.Value{Line: 1, Column: 1}
		r := &cfn.Resource{ID: "Thing", Type: typ, Position: position, Properties: position.NewObject()}
		if got := l.Reference(r); got == "" || strings.ContainsAny(got, "{}") {
			t.Errorf("%s: got Ref %q", typ, got)
		}
		for _, name := range slices.Sorted(maps.Keys(known.Attributes)) {
			if got := l.Attribute(position, r, name, tree.Place{}); got == "" || strings.ContainsAny(got, "{}") {
				t.Errorf("%s: got attribute %s %q", typ, name, got)
			}
		}
		if len(l.Problems) > 0 {
			t.Errorf("%s: got problems %v, want none", typ, l.Problems)
		}
	}
}
