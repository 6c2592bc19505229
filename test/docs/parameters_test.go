package docs

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write docs/parameters.md")

// samTemplate is the part of template.yaml that docs/parameters.md is generated from.
type samTemplate struct {
	Metadata struct {
		Interface struct {
			ParameterGroups []struct {
				Label struct {
					Default string `yaml:"default"`
				} `yaml:"Label"`
				Parameters []string `yaml:"Parameters"`
			} `yaml:"ParameterGroups"`
		} `yaml:"AWS::CloudFormation::Interface"`
	} `yaml:"Metadata"`
	Parameters map[string]map[string]yaml.Node `yaml:"Parameters"`
}

// parametersHead is the text before the tables, with ~ in place of the backquotes.
const parametersHead = `# Parameters

~make deploy~ asks for these parameters. On your machine, ~make run~ takes ~Access~ from ~ACCESS~ and the others from
~ARGS~:

<!-- test: TestQuickStart -->
~~~sh
make run ARGS="--parameter PostsPerSecond=20000"
~~~

The tables below are generated from [template.yaml](../template.yaml): ~go test ./test/docs -run Parameters -update~.

<!-- generated -->
`

// TestParameters_Page compares docs/parameters.md with the template.
func TestParameters_Page(t *testing.T) {
	var template samTemplate
	if err := yaml.Unmarshal([]byte(read(t, "template.yaml")), &template); err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	page.WriteString(strings.ReplaceAll(parametersHead, "~", "`"))
	listed := 0
	for _, group := range template.Metadata.Interface.ParameterGroups {
		fmt.Fprintf(&page, "## %s\n\n", group.Label.Default)
		page.WriteString("| parameter | default | allowed | meaning |\n| --- | --- | --- | --- |\n")
		for _, name := range group.Parameters {
			p, found := template.Parameters[name]
			if !found {
				t.Errorf("group %q has no parameter %s", group.Label.Default, name)
				continue
			}
			listed++
			fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", name, defaultOf(p), allowed(p), text(p, "Description"))
		}
		page.WriteString("\n")
	}
	if listed != len(template.Parameters) {
		t.Errorf("got %d parameters in groups, want %d", listed, len(template.Parameters))
	}
	want := strings.TrimSuffix(page.String(), "\n") + "<!-- /generated -->\n"
	if *update {
		if err := os.WriteFile(root+"docs/parameters.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := read(t, "docs/parameters.md"); got != want {
		t.Error("docs/parameters.md differs from template.yaml: run go test ./test/docs -run Parameters -update")
	}
}

// TestParameters_References checks the parameter names that the pages mention. The changelog mentions former names
// too.
func TestParameters_References(t *testing.T) {
	var template samTemplate
	if err := yaml.Unmarshal([]byte(read(t, "template.yaml")), &template); err != nil {
		t.Fatal(err)
	}
	mention := regexp.MustCompile("`((?:Token|Max|Publishes|PublishB|PublishC|Posts?|Sender|Dispatcher|Batch|Scan|Log|" +
		"Alarm|Allowed|Full)\\w+)`")
	for _, path := range pages(t) {
		if path == "CHANGELOG.md" {
			continue
		}
		for _, found := range mention.FindAllStringSubmatch(read(t, path), -1) {
			name := found[1]
			if _, ok := template.Parameters[name]; !ok && !strings.Contains(read(t, "template.yaml"), "  "+name+":") {
				t.Errorf("%s: got %s, want a parameter, resource or output of template.yaml", path, name)
			}
		}
	}
}

// text returns a property of a parameter with the characters escaped that Markdown would take as markup.
func text(p map[string]yaml.Node, key string) string {
	return strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(strings.TrimSpace(p[key].Value))
}

func defaultOf(p map[string]yaml.Node) string {
	value, found := p["Default"]
	switch {
	case !found:
		return "none, required"
	case value.Value == "":
		return "empty"
	}
	return "`" + value.Value + "`"
}

// allowed returns the values that a parameter accepts, in words.
func allowed(p map[string]yaml.Node) string {
	if values, found := p["AllowedValues"]; found {
		var all []string
		for _, v := range values.Content {
			all = append(all, "`"+v.Value+"`")
		}
		return strings.Join(all, ", ")
	}
	if text(p, "MinValue") != "" {
		return fmt.Sprintf("%s to %s", text(p, "MinValue"), text(p, "MaxValue"))
	}
	if constraint := text(p, "ConstraintDescription"); constraint != "" {
		return strings.TrimSuffix(constraint, ".")
	}
	if text(p, "Type") == "CommaDelimitedList" {
		return "values separated by commas"
	}
	return "text"
}
