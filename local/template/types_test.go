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

// TestEveryPropertyIsKnown holds the tables of properties against CloudFormation's own schemas (testdata/properties.py):
// whoever sets a property that exists learns that it is used or why it is refused, never that it is unknown.
func TestEveryPropertyIsKnown(t *testing.T) {
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
			t.Errorf("%s is not in properties.json", typ)
		}
	}
	for typ, names := range properties {
		ours := emulatedTypes[typ]
		if ours == nil {
			t.Errorf("%s is not a known type", typ)
			continue
		}
		for _, name := range names {
			if _, ok := ours.Schema[name]; !ok {
				t.Errorf("%s: the property %s is not known", typ, name)
			}
		}
		for name := range ours.Schema {
			if !slices.Contains(names, name) {
				t.Errorf("%s has no property %s", typ, name)
			}
		}
		for _, name := range ours.Required {
			if !slices.Contains(names, name) {
				t.Errorf("%s requires %s, which it does not have", typ, name)
			}
		}
	}
}

// TestEveryReferenceCanBeFormed holds that the patterns of the tables have only placeholders that exist (others panic)
// and that every type can be referred to.
func TestEveryReferenceCanBeFormed(t *testing.T) {
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
			t.Errorf("Ref to %s is %q", typ, got)
		}
		for _, name := range slices.Sorted(maps.Keys(known.Attributes)) {
			if got := l.Attribute(position, r, name, tree.Place{}); got == "" || strings.ContainsAny(got, "{}") {
				t.Errorf("%s of %s is %q", name, typ, got)
			}
		}
		if len(l.Problems) > 0 {
			t.Errorf("%s: %v", typ, l.Problems)
		}
	}
}
