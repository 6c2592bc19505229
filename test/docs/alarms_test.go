package docs

import (
	"encoding/json"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// resources returns the properties of the template's resources of a type, by logical id. !Ref X is decoded as "X", and
// other functions as their arguments.
func resources(t *testing.T, kind string) map[string]map[string]any {
	t.Helper()
	var template struct {
		Resources map[string]map[string]any `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "template.yaml")), &template); err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]any{}
	for id, resource := range template.Resources {
		if resource["Type"] == kind {
			found[id], _ = resource["Properties"].(map[string]any)
		}
	}
	if len(found) == 0 {
		t.Fatalf("got no resources of type %s", kind)
	}
	return found
}

// names returns the logical ids of resources in order.
func names(resources map[string]map[string]any) []string { return slices.Sorted(maps.Keys(resources)) }

// collect returns all values of a key in decoded YAML or JSON, at any depth.
func collect(value any, key string) []string {
	var found []string
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			if text, ok := v.(string); ok && k == key {
				found = append(found, text)
			}
			found = append(found, collect(v, key)...)
		}
	case []any:
		for _, v := range value {
			found = append(found, collect(v, key)...)
		}
	}
	return found
}

// TestAlarms_Functions checks that one alarm for each kind of failure watches every function.
func TestAlarms_Functions(t *testing.T) {
	functions := names(resources(t, "AWS::Serverless::Function"))
	var kinds []string
	for id, alarm := range resources(t, "AWS::CloudWatch::Alarm") {
		if !slices.Contains(collect(alarm, "Namespace"), "AWS/Lambda") {
			continue
		}
		watched := slices.Sorted(slices.Values(collect(alarm, "Value")))
		if !slices.Equal(watched, functions) {
			t.Errorf("%s: got the functions %v, want %v", id, watched, functions)
		}
		if expression := collect(alarm, "Expression"); !slices.Equal(expression, []string{"SUM(FILL(METRICS(), 0))"}) {
			t.Errorf("%s: got the expression %v, want the sum of all metrics", id, expression)
		}
		// The FILL function needs a window: the latest minute of a metric that arrives late is filled with 0 at first.
		if alarm["DatapointsToAlarm"] != 1 || alarm["EvaluationPeriods"] != 5 {
			t.Errorf("%s: got %v of %v minutes, want 1 of 5", id, alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"])
		}
		metrics := slices.Compact(slices.Sorted(slices.Values(collect(alarm, "MetricName"))))
		kinds = append(kinds, strings.Join(metrics, "+"))
	}
	slices.Sort(kinds)
	if want := []string{"Errors", "RecursiveInvocationsDropped", "Throttles"}; !slices.Equal(kinds, want) {
		t.Errorf("got alarms for %v of functions, want %v", kinds, want)
	}
}

// TestAlarms_Dashboard checks that the dashboard shows every alarm, and the failures of every function.
func TestAlarms_Dashboard(t *testing.T) {
	arguments, ok := resources(t, "AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"].([]any)
	if !ok || len(arguments) != 2 {
		t.Fatal("got no DashboardBody with a text and variables")
	}
	text, _ := arguments[0].(string)
	variables, _ := arguments[1].(map[string]any)
	var body struct {
		Widgets []struct {
			Type       string
			X, Y       int
			Properties struct {
				Title   string
				Alarms  []string
				Metrics [][]any
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatal(err)
	}
	var shown, functions []string
	for _, id := range names(resources(t, "AWS::CloudWatch::Alarm")) {
		shown = append(shown, "${"+id+".Arn}")
	}
	for _, id := range names(resources(t, "AWS::Serverless::Function")) {
		functions = append(functions, "${"+strings.TrimSuffix(id, "Function")+"}")
	}
	watched := map[string]bool{}
	places := map[[2]int]bool{}
	for _, widget := range body.Widgets {
		place := [2]int{widget.X, widget.Y}
		if places[place] {
			t.Errorf("%s: got a widget in the place of another one", widget.Properties.Title)
		}
		places[place] = true
		if widget.Type == "alarm" {
			if got := slices.Sorted(slices.Values(widget.Properties.Alarms)); !slices.Equal(got, shown) {
				t.Errorf("alarms of the dashboard:\n got %v\nwant %v", got, shown)
			}
			continue
		}
		if widget.Properties.Metrics[0][0] != "AWS/Lambda" {
			continue
		}
		metric, _ := widget.Properties.Metrics[0][1].(string)
		var lines []string
		for _, line := range widget.Properties.Metrics {
			name, _ := line[len(line)-1].(string)
			lines = append(lines, name)
		}
		slices.Sort(lines)
		if watched[metric] = true; !slices.Equal(lines, functions) {
			t.Errorf("%s: got lines for %v, want %v", widget.Properties.Title, lines, functions)
		}
	}
	for _, metric := range []string{"Errors", "Throttles", "RecursiveInvocationsDropped"} {
		if !watched[metric] {
			t.Errorf("got no widget for %s of functions", metric)
		}
	}
	for _, used := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(text, -1) {
		if _, ok := variables[used[1]]; !ok && used[1] != "Api" {
			t.Errorf("got ${%s} on the dashboard, want a variable", used[1])
		}
	}
}

// TestAlarms_Metrics checks that the code writes every metric of its own that an alarm or the dashboard uses.
func TestAlarms_Metrics(t *testing.T) {
	var code strings.Builder
	for _, folder := range []string{"pkg", "functions"} {
		err := fs.WalkDir(rootFS, folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			code.WriteString(read(t, path))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	source := read(t, "template.yaml")
	used := regexp.MustCompile(`Namespace: Fanfare(?:, |\n +)MetricName: (\w+)`).FindAllStringSubmatch(source, -1)
	for _, widget := range regexp.MustCompile(`(?s)\["Fanfare".*?\]\]\}`).FindAllString(source, -1) {
		used = append(used, regexp.MustCompile(`\[(?:"Fanfare"|"\."), "(\w+)"`).FindAllStringSubmatch(widget, -1)...)
	}
	if len(used) < 20 {
		t.Errorf("got %d uses of metrics, want at least 20", len(used))
	}
	for _, match := range used {
		name := strings.TrimSuffix(strings.TrimSuffix(match[1], "P50"), "P99") // of Metrics.Percentiles
		if !regexp.MustCompile(`\bm\.(Count|Duration|Percentiles)\("` + name + `"`).MatchString(code.String()) {
			t.Errorf("metric %s: got no code that writes it", match[1])
		}
	}
}

// TestAlarms_Page checks that docs/operate.md lists every alarm of the template and no other.
func TestAlarms_Page(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "docs/operate.md"), "\n## Alarms\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var listed []string
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, name := range regexp.MustCompile("`(\\w+Alarm)`").FindAllStringSubmatch(cells[1], -1) {
				listed = append(listed, name[1])
			}
		}
	}
	slices.Sort(listed)
	if want := names(resources(t, "AWS::CloudWatch::Alarm")); !slices.Equal(listed, want) {
		t.Errorf("alarms of docs/operate.md:\n got %v\nwant %v", listed, want)
	}
}
