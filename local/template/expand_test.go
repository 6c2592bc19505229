package template

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fanfare/local/template/internal/tree"
)

// TestExpansionIsThatOfTheTranslator holds the expansion of SAM's resources against what aws-sam-translator, the code
// that AWS runs, made of the same templates (testdata/expand.py): every generated resource, every property, resolved.
func TestExpansionIsThatOfTheTranslator(t *testing.T) {
	for _, path := range templates(t) {
		for _, parameters := range []map[string]string{nil, {"Environment": "production"}} {
			if parameters != nil && !strings.HasSuffix(path, "chat.yaml") {
				continue
			}
			if strings.HasSuffix(path, "fanfare.yaml") {
				parameters = map[string]string{"Access": "jwt"} // has no default
			}
			t.Run(filepath.Base(path)+parameters["Environment"], func(t *testing.T) {
				source, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				translated, err := os.ReadFile(strings.TrimSuffix(path, ".yaml") + ".expanded.json")
				if err != nil {
					t.Fatal(err)
				}
				ours := describe(t, path, source, parameters)
				// The translator saw code in S3, where local code has to be put before a deployment.
				theirs := describe(t, path, localCode(t, translated, ours), parameters)
				for _, id := range slices.Sorted(maps.Keys(theirs)) {
					if ours[id] == nil {
						t.Errorf("%s is missing", id)
					}
				}
				for _, id := range slices.Sorted(maps.Keys(ours)) {
					got, want := indented(t, ours[id]), indented(t, theirs[id])
					if got != want {
						t.Errorf("%s differs:\ngot  %s\nwant %s", id, got, want)
					}
				}
			})
		}
	}
}

// templates returns the templates of testdata, of which there must be some.
func templates(t testing.TB) []string {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) < 3 {
		t.Fatalf("found templates %v, %v; want at least three", paths, err)
	}
	return paths
}

// describe returns, by logical id, what a template's existing resources are, expanded and resolved.
func describe(t *testing.T, name string, data []byte, parameters map[string]string) map[string]map[string]any {
	t.Helper()
	options, err := Options{Parameters: parameters}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r := &tree.Report{File: name}
	l := newBuilder(r, tree.Parse(r, data), options)
	l.expand()
	l.build()
	if len(r.Problems) > 0 {
		t.Fatalf("%s: %v", name, r.Problems)
	}
	all := map[string]map[string]any{}
	for _, r := range l.Resources() {
		if r.Exists {
			all[r.ID] = map[string]any{
				"Type": r.Type, "Properties": l.Resolve(r.Properties, tree.At(r.ID, "")).Plain(), "DependsOn": slices.Sorted(slices.Values(r.DependsOn)),
			}
			if r.Metadata != nil {
				all[r.ID]["Metadata"] = r.Metadata.Plain()
			}
		}
	}
	return all
}

// localCode gives the functions of a translated template the code that ours have.
func localCode(t *testing.T, translated []byte, ours map[string]map[string]any) []byte {
	t.Helper()
	var template struct{ Parameters, Mappings, Conditions, Resources, Outputs map[string]map[string]any }
	if err := json.Unmarshal(translated, &template); err != nil {
		t.Fatal(err)
	}
	for id, resource := range template.Resources {
		if resource["Type"] == "AWS::Lambda::Function" && ours[id] != nil {
			resource["Properties"].(map[string]any)["Code"] = ours[id]["Properties"].(map[string]any)["Code"]
		}
	}
	all := map[string]any{"Resources": template.Resources}
	for name, section := range map[string]map[string]map[string]any{
		"Parameters": template.Parameters, "Mappings": template.Mappings, "Conditions": template.Conditions, "Outputs": template.Outputs,
	} {
		if section != nil {
			all[name] = section
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// indented returns JSON in which numbers and booleans are strings, as CloudFormation does not tell them apart, and a
// list of one is its item, as policies do not either.
func indented(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatal(err)
	}
	data, err = json.MarshalIndent(texts(plain), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func texts(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = texts(v[key])
		}
	case []any:
		for i := range v {
			v[i] = texts(v[i])
		}
		if len(v) == 1 {
			return v[0]
		}
	case bool, float64:
		data, _ := json.Marshal(v)
		return string(data)
	}
	return v
}
