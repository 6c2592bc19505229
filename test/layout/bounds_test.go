package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"fanfare/publish"
)

// integer returns the value of a constant expression in a main.
func integer(t *testing.T, e ast.Expr) int {
	t.Helper()
	switch e := e.(type) {
	case *ast.BasicLit:
		n, err := strconv.Atoi(strings.ReplaceAll(e.Value, "_", ""))
		if err != nil {
			t.Fatal(err)
		}
		return n
	case *ast.SelectorExpr:
		if e.Sel.Name == "MaxBytes" {
			return publish.MaxBytes
		}
	}
	t.Fatalf("got the bound %v, want a number or publish.MaxBytes", e)
	return 0
}

// A function accepts exactly the numbers that the template's parameter allows.
func TestFunctions_Bounds(t *testing.T) {
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Parameters map[string]struct {
			MinValue int `yaml:"MinValue"`
			MaxValue int `yaml:"MaxValue"`
		} `yaml:"Parameters"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	mains, err := filepath.Glob("../../functions/*/main.go")
	if err != nil || len(mains) < 6 {
		t.Fatalf("got mains %v, %v, want at least 6", mains, err)
	}
	checked := 0
	for _, name := range mains {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || method.Sel.Name != "Int" || len(call.Args) != 3 {
				return true
			}
			variable, err := strconv.Unquote(call.Args[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found := regexp.MustCompile(`\b` + variable + `: !Ref (\w+)`).FindSubmatch(text)
			if found == nil {
				t.Errorf("%s: template.yaml does not set %s from a parameter", name, variable)
				return true
			}
			p := template.Parameters[string(found[1])]
			least, most := integer(t, call.Args[1]), integer(t, call.Args[2])
			if least != p.MinValue || most != p.MaxValue {
				t.Errorf("%s, %s: got %d to %d, want %d to %d as the parameter %s", name, variable, least, most,
					p.MinValue, p.MaxValue, found[1])
			}
			checked++
			return true
		})
	}
	if checked < 9 {
		t.Errorf("got %d settings, want at least 9", checked)
	}
}
