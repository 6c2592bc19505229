package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"testing"

	"fanfare/local/template"
)

// The template sets every variable that a main reads, in the access mode and with the limits that use all of them.
func TestFunctions_Environment(t *testing.T) {
	resolved, err := template.LoadFile("../../template.yaml", template.Options{
		StackName:  "fanfare",
		Parameters: map[string]string{"Access": "jwt", "PublishesPerSecond": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(resolved.Functions); got < 6 {
		t.Fatalf("got %d functions, want at least 6", got)
	}
	for _, f := range resolved.Functions {
		main := filepath.Join("../../functions", filepath.Base(f.CodeURI), "main.go")
		file, err := parser.ParseFile(token.NewFileSet(), main, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			receiver, ok := method.X.(*ast.Ident)
			literal, isLiteral := call.Args[0].(*ast.BasicLit)
			if !ok || receiver.Name != "env" || !isLiteral {
				return true
			}
			variable, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if _, set := f.Environment[variable]; !set {
				t.Errorf("%s reads %s, and the template does not set it", main, variable)
			}
			return true
		})
	}
}
