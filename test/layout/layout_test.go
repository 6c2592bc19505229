// Package layout tests the structure of the module: which packages may import which, and the size of the functions'
// mains.
package layout

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// rule says what the Go files of some folders must not import. Paths are relative to the module: "pkg" stands for the
// folder and all below it.
type rule struct {
	folders []string
	tests   bool     // the rule holds for _test.go files too
	forbid  []string // folders of this module; "" stands for all of it
	except  []string // folders of this module that are allowed
	outside []string // prefixes of import paths of other modules
}

var rules = []rule{
	{
		folders: []string{"pkg", "functions", "publish", "client", "cmd", "examples", "loadtest"},
		forbid:  []string{"local", "test"},
	},
	{folders: []string{"local"}, tests: true, forbid: []string{"pkg"}},
	{folders: []string{"loadtest"}, tests: true, forbid: []string{"pkg", "local"}},
	{folders: []string{"publish"}, forbid: []string{""}, except: []string{"publish"}},
	{folders: []string{"pkg/broadcast"}, forbid: []string{""}, except: []string{"publish"}},
	{ // the stages
		folders: []string{"pkg/ingress", "pkg/fanout", "pkg/delivery"},
		forbid:  []string{""}, except: []string{"pkg/broadcast", "pkg/access", "publish"},
		outside: []string{"github.com/aws/"},
	},
	{ // the adapters know no stage
		folders: []string{
			"pkg/registry", "pkg/ledger", "pkg/queue", "pkg/push", "pkg/quota", "pkg/telemetry", "pkg/transport",
		},
		forbid: []string{"pkg/ingress", "pkg/fanout", "pkg/delivery", "pkg/handler", "pkg/authorizer", "pkg/function"},
	},
	{folders: []string{"pkg", "publish"}, forbid: []string{"functions", "cmd", "loadtest"}},
}

// within reports whether a path is one of the folders or below one of them; "" is the root.
func within(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return folder == "" || path == folder || strings.HasPrefix(path, folder+"/")
	})
}

// breaks reports whether a file may not import a path by the rule. The file is relative to the module.
func (r rule) breaks(module, file, imported string) bool {
	if !within(filepath.ToSlash(filepath.Dir(file)), r.folders) || strings.HasSuffix(file, "_test.go") && !r.tests {
		return false
	}
	own, ok := strings.CutPrefix(imported, module+"/")
	if !ok {
		return slices.ContainsFunc(r.outside, func(prefix string) bool { return strings.HasPrefix(imported, prefix) })
	}
	return within(own, r.forbid) && !within(own, r.except)
}

// module returns the module's path.
func module(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	path, ok := strings.CutPrefix(first, "module ")
	if !ok {
		t.Fatalf("first line of go.mod: got %q, want the module's path", first)
	}
	return strings.TrimSpace(path)
}

func TestImports(t *testing.T) {
	module, files := module(t), 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") && name != "..") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		file, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files++
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			for _, r := range rules {
				if r.breaks(module, filepath.ToSlash(file), imported) {
					t.Errorf("%s: got an import of %s, want none of %q except %q",
						file, imported, slices.Concat(r.forbid, r.outside), r.except)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 300 {
		t.Errorf("got %d Go files, want all of the module", files)
	}
}

// TestRule_Breaks holds the rules against imports that must break one, and imports that must not.
func TestRule_Breaks(t *testing.T) {
	const module = "example.com/fanfare"
	for _, test := range []struct {
		file, imported string
		want           bool
	}{
		{"pkg/queue/a.go", module + "/local/sqs", true},
		{"pkg/queue/a.go", module + "/test/awstest", true},
		{"pkg/queue/a_test.go", module + "/test/awstest", false},
		{"pkg/queue/a.go", module + "/pkg/fanout", true},
		{"functions/sender/main.go", module + "/test/awstest", true},
		{"functions/sender/main.go", module + "/pkg/handler", false},
		{"cmd/fanfare/main.go", module + "/local/stack", true},
		{"local/main.go", module + "/pkg/broadcast", true},
		{"local/main_test.go", module + "/pkg/broadcast", true},
		{"loadtest/engine/a.go", module + "/pkg/broadcast", true},
		{"loadtest/engine/a_test.go", module + "/local/stack", true},
		{"publish/publish.go", module + "/pkg/broadcast", true},
		{"pkg/broadcast/batch.go", module + "/publish", false},
		{"pkg/broadcast/batch.go", module + "/pkg/access", true},
		{"pkg/fanout/pass.go", module + "/pkg/broadcast", false},
		{"pkg/fanout/pass.go", module + "/pkg/queue", true},
		{"pkg/delivery/post.go", "github.com/aws/aws-sdk-go-v2/aws", true},
		{"pkg/delivery/post.go", "golang.org/x/time/rate", false},
		{"pkg/push/push.go", "github.com/aws/aws-sdk-go-v2/aws", false},
		{"publishing/a.go", module + "/pkg/broadcast", false},
		{"test/e2e/a.go", module + "/local/stack", false},
	} {
		got := slices.ContainsFunc(rules, func(r rule) bool { return r.breaks(module, test.file, test.imported) })
		if got != test.want {
			t.Errorf("%s imports %s: got broken = %v, want %v", test.file, test.imported, got, test.want)
		}
	}
}

// The mains of the functions only wire: they have at most 60 lines.
func TestMains_Lines(t *testing.T) {
	mains, err := filepath.Glob(filepath.Join(root, "functions", "*", "main.go"))
	if err != nil || len(mains) < 6 {
		t.Fatalf("got mains %v, %v, want at least 6", mains, err)
	}
	for _, path := range mains {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(text, []byte("\n")); got > 60 {
			t.Errorf("%s: got %d lines, want at most 60", path, got)
		}
	}
}
