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

// ownTemplate is the template of this repository.
const ownTemplate = "../../template.yaml"

// TestExpansion_Translator compares the expansion of SAM's resources with that of aws-sam-translator, the code that AWS
// runs (testdata/expand.py): every generated resource and every property, resolved.
func TestExpansion_Translator(t *testing.T) {
	for _, path := range templates(t) {
		for _, parameters := range []map[string]string{nil, {"Environment": "production"}} {
			if parameters != nil && !strings.HasSuffix(path, "chat.yaml") {
				continue
			}
			t.Run(filepath.Base(path)+parameters["Environment"], func(t *testing.T) {
				ours := describe(t, parsed(t, path, read(t, path)), parameters)
				golden := localCode(t, read(t, strings.TrimSuffix(path, ".yaml")+".expanded.json"), ours)
				expectSame(t, ours, describe(t, parsed(t, path, golden), parameters))
			})
		}
	}
}

// TestExpansion_OwnTemplate compares like TestExpansion_Translator. The translator's output has only the resources that
// SAM generates; all others are those of the template. If it fails after a change of the template, run
// testdata/expand.py.
func TestExpansion_OwnTemplate(t *testing.T) {
	parameters := map[string]string{"Access": "jwt"}
	source := parsed(t, ownTemplate, read(t, ownTemplate))
	ours := describe(t, source, parameters)
	golden := parsed(t, ownTemplate, localCode(t, read(t, "testdata/fanfare.expanded.json"), ours))
	resources := slices.DeleteFunc(slices.Clone(source.Get("Resources").Fields), func(f tree.Field) bool {
		return strings.HasPrefix(f.Value.Get("Type").Text, "AWS::Serverless::")
	})
	generated := golden.Get("Resources").Fields
	if len(generated) < 6 || len(resources) < 6 {
		t.Fatalf("got %d generated and %d other resources, want at least 6 of each", len(generated), len(resources))
	}
	sections := slices.Clone(source.Fields)
	for i, f := range sections {
		if f.Key == "Resources" {
			sections[i].Value = f.Value.NewObject(slices.Concat(resources, generated)...)
		}
	}
	expectSame(t, ours, describe(t, source.NewObject(sections...), parameters))
}

// expectSame compares two descriptions of a template.
func expectSame(t *testing.T, ours, theirs map[string]map[string]any) {
	t.Helper()
	for _, id := range slices.Sorted(maps.Keys(theirs)) {
		if ours[id] == nil {
			t.Errorf("got no resource %s", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ours)) {
		if got, want := indented(t, ours[id]), indented(t, theirs[id]); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", id, got, want)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parsed(t *testing.T, path string, data []byte) *tree.Value {
	t.Helper()
	r := &tree.Report{File: path}
	root := tree.Parse(r, data)
	if len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	return root
}

// templates returns the templates in testdata.
func templates(t testing.TB) []string {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) < 3 {
		t.Fatalf("got templates %v, %v; want at least 3", paths, err)
	}
	return paths
}

// describe returns the type, properties, dependencies and metadata of a template's existing resources, by logical id.
func describe(t *testing.T, root *tree.Value, parameters map[string]string) map[string]map[string]any {
	t.Helper()
	options, err := Options{Parameters: parameters}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r := &tree.Report{File: "t.yaml"}
	b := newBuilder(r, root, options)
	b.expand()
	b.build()
	if len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	all := map[string]map[string]any{}
	for _, resource := range b.Resources() {
		if !resource.Exists {
			continue
		}
		all[resource.ID] = map[string]any{
			"Type":       resource.Type,
			"Properties": b.Resolve(resource.Properties, tree.At(resource.ID, "")).Plain(),
			"DependsOn":  slices.Sorted(slices.Values(resource.DependsOn)),
		}
		if resource.Metadata != nil {
			all[resource.ID]["Metadata"] = resource.Metadata.Plain()
		}
	}
	return all
}

// localCode restores the local code of the functions in a translated template.
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
		"Parameters": template.Parameters, "Mappings": template.Mappings, "Conditions": template.Conditions,
		"Outputs": template.Outputs,
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

// indented returns JSON in which numbers and booleans are strings, because CloudFormation does not distinguish them,
// and a list of one item is its item, because policies do not distinguish them.
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
