package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// changes returns the changed texts of the mutants of a file, in the order of their positions.
func changes(t *testing.T, source string) []string {
	t.Helper()
	found, err := mutantsOf("p/p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range found {
		list = append(list, fmt.Sprintf("%s: %s -> %s", m.kind, source[m.from:m.to], m.text))
	}
	return list
}

func TestMutantsOf(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       []string
	}{
		{"condition", "if f(x) { y++ }", []string{"condition: f(x) -> !(f(x))", "arithmetic: ++ -> --", "removed: y++ -> "}},
		{"equality", "if x == y { return }", []string{"condition: == -> !="}},
		{"both conditions", "b := x && y || z", []string{"condition: || -> &&", "condition: && -> ||"}},
		{"switch", "switch { case x < y: }", []string{"condition: x < y -> !(x < y)", "boundary: < -> <="}},
		{"switch of a value", "switch v { case w: f() }", []string{"removed: f() -> "}},
		{"loop", "for i := range n { continue }", []string{"removed: continue -> "}},
		{"head of a loop", "for ; x >= y; i++ { }", []string{"boundary: >= -> >"}},
		{"arithmetic", "x += y * z", []string{
			"arithmetic: += -> -=", "removed: x += y * z -> ", "arithmetic: * -> /",
		}},
		{"texts", `s := "a" + t + u`, nil},
		{"constants", "x := 30 * time.Second", []string{
			"arithmetic: * -> /", "constant: 30 -> 31", "constant: 30 -> 29",
		}},
		{"zero and modes", "x := []int{0, 0o755}", []string{"constant: 0 -> 1"}},
		{"capacities", "x, y := make([]int, n, n+2), make(map[int]int, 9)", []string{"arithmetic: + -> -"}},
		{"boolean", "x := aws.Bool(true)", []string{"boolean: true -> false"}},
		{"statements", "defer f(); go g(); c <- v", []string{
			"removed: defer f() -> ", "removed: go g() -> ", "removed: c <- v -> ",
		}},
		{"receive and send clauses", "select { case c <- v: case <-d: f() }", []string{"removed: f() -> "}},
		{"error", "return 1, err", []string{"error: err -> nil", "constant: 1 -> 2", "constant: 1 -> 0"}},
		{"no error", "return x, nil", nil},
		{"error of a closure", "_ = func() error { return err }", []string{
			"removed: _ = func() error { return err } -> ", "error: err -> nil",
		}},
		{"call of several results", "return f()", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := changes(t, "package p\n\nimport \"x\"\n\nfunc f() (int, error) {\n"+test.body+"\n}\n")
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// The fingerprint depends on the statement and its function, not on the place in the file.
func TestMutantsOf_Fingerprint(t *testing.T) {
	const function = "func f() {\n\tx(1)\n}\n"
	ids := func(source string) (ids []string) {
		found, err := mutantsOf("p/p.go", []byte("package p\n"+source))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range found {
			ids = append(ids, m.id)
		}
		return ids
	}
	before := ids(function)
	if moved := ids("\nvar y = 5\n\nfunc g() { x(1) }\n\n" + function); !slices.Equal(moved[len(moved)-3:], before) {
		t.Errorf("after a move: got %v, want the end to be %v", moved, before)
	}
	if twice := ids("func f() {\n\tx(1)\n\tx(1)\n}\n"); !slices.Equal(twice[:3], before) || twice[3] == before[0] {
		t.Errorf("a statement twice: got %v, want %v and others", twice, before)
	}
	for _, changed := range []string{"func f() {\n\tx(2)\n}\n", "func g() {\n\tx(1)\n}\n"} {
		if got := ids(changed); got[1] == before[1] {
			t.Errorf("%q: got the fingerprint of %q, want another", changed, function)
		}
	}
}

func TestReadEquivalent(t *testing.T) {
	got, err := readEquivalent("# comment\n\n0123456789  The reason.\n")
	if err != nil || len(got) != 1 || got["0123456789"] != "The reason." {
		t.Errorf("got %v, %v, want one reason", got, err)
	}
	for _, text := range []string{"0123456789", "01234 reason"} {
		if _, err := readEquivalent(text); err == nil {
			t.Errorf("%q: got no error, want one", text)
		}
	}
}

// A run on a small module finds the fault that no test notices, and leaves it aside when it is listed.
func TestRun(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                        "module small\n\ngo 1.26\n",
		"test/simulation/simulation.go": "package simulation\n",
		"pkg/a/a.go": "package a\n\nvar log []string\n\nfunc Less(a, b int) bool {\n\tlog = append(log, \"less\")\n" +
			"\tif a > 1000 {\n\t\ta--\n\t}\n\treturn a < b\n}\n",
		"pkg/a/a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestLess(t *testing.T) {\n" +
			"\tif !Less(1, 2) || Less(2, 2) || !Less(1001, 1001) || Less(1000, 1000) {\n\t\tt.Fail()\n\t}\n}\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "-C", root, "init", "-q").CombinedOutput(); err != nil {
		t.Skipf("NOT RUN: git init: %v\n%s", err, out)
	}
	s := settings{
		root: root, folders: []string{"pkg"}, number: 100, workers: 2, limit: time.Hour, timeout: time.Minute,
	}
	var out bytes.Buffer
	survived, err := run(t.Context(), &out, s)
	if err != nil {
		t.Fatal(err)
	}
	want := "a.go:6:2 Less: removed: log = append(log, \"less\")"
	if survived != 1 || !strings.Contains(out.String(), want) {
		t.Errorf("got %d survivors, want one, %s:\n%s", survived, want, &out)
	}

	id, _, _ := strings.Cut(out.String(), " pkg/a/")
	s.equivalent, s.number = id[strings.LastIndex(id, "\n")+1:]+" The log is not read.\n", 2
	out.Reset()
	if survived, err := run(t.Context(), &out, s); err != nil || survived != 0 {
		t.Errorf("with equivalent faults: got %d survivors, %v, want none:\n%s", survived, err, &out)
	}
}
