package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"fanfare/local/template"
)

// program is a main package that prints a word.
func program(word string) string {
	return fmt.Sprintf("package main\n\nfunc main() { println(%q) }\n", word)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// output runs the bootstrap in a folder and returns its output.
func output(folder string) (string, error) {
	out, err := exec.Command(filepath.Join(folder, "bootstrap")).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestBuild(t *testing.T) {
	code, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(code, "one", "go.mod"), "module one\n\ngo 1.26\n")
	write(t, filepath.Join(code, "two", "go.mod"), "module two\n\ngo 1.26\n")
	var functions []template.Function
	add := func(id, folder string) {
		functions = append(functions, template.Function{
			Source: template.Source{LogicalID: id, File: "template.yaml", Line: len(functions) + 1},
			Name:   "stack-" + id, BuildMethod: "go1.x", Folder: filepath.Join(code, folder),
		})
	}
	for id, folder := range map[string]string{"A": "one/a", "B": "one/b", "Again": "one/a", "C": "two/c",
		"D": "two/deeper/c"} {
		write(t, filepath.Join(code, folder, "main.go"), program(folder))
		add(id, folder)
	}
	check := func(t *testing.T) {
		t.Helper()
		folders, err := build(t.Context(), functions, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range functions {
			want, _ := filepath.Rel(code, f.Folder)
			if got, err := output(folders[f.Name]); err != nil || got != want {
				t.Errorf("%s: got %q, %v, want %q", f.LogicalID, got, err, want)
			}
		}
	}
	t.Run("programs of the same name in one module", check)
	t.Run("concurrent builds", func(t *testing.T) {
		var building sync.WaitGroup
		for range 4 {
			building.Go(func() { check(t) })
		}
		building.Wait()
	})
	t.Run("lock", func(t *testing.T) {
		other := flock.New(filepath.Join(dir, ".lock"))
		if err := other.Lock(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := build(ctx, functions, dir)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another build") {
			t.Errorf("got %v, want a wait for another build until the deadline", err)
		}
		if err := other.Unlock(); err != nil {
			t.Fatal(err)
		}
		check(t)
	})
	t.Run("errors of all functions", func(t *testing.T) {
		before := functions
		defer func() { functions = before }()
		for id, folder := range map[string]string{"Broken": "one/broken", "Library": "two/library"} {
			add(id, folder)
		}
		write(t, filepath.Join(code, "one/broken/main.go"), "package main\n\nfunc main() { nonsense() }\n")
		_, err := build(t.Context(), functions, dir)
		if err == nil {
			t.Fatal("got no error, want two functions that do not build")
		}
		for _, part := range []string{"Broken does not build", "undefined: nonsense", "Library does not build"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("got %v, want %q in it", err, part)
			}
		}
		if strings.Contains(err.Error(), "A does not build") {
			t.Errorf("got %v, want no error of A", err)
		}
	})
	t.Run("after a failed build", check)
	t.Run("changed function", func(t *testing.T) {
		moved := functions[0]
		moved.Folder = filepath.Join(code, "two/new")
		write(t, filepath.Join(moved.Folder, "main.go"), program("two/new"))
		functions[0] = moved
		check(t)
	})
}

func TestBuild_FinishedBootstrap(t *testing.T) {
	code, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(code, "program"), "#!/bin/sh\n")
	if err := os.Symlink("program", filepath.Join(code, "bootstrap")); err != nil {
		t.Fatal(err)
	}
	folders, err := build(t.Context(),
		[]template.Function{{Name: "f", Source: template.Source{LogicalID: "F"}, Folder: code}}, dir)
	if err != nil || folders["f"] != code {
		t.Errorf("got %v, %v, want %s", folders, err, code)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("got files %v, want none", left)
	}
}

// TestBuild_BootstrapAlwaysRuns starts a bootstrap again and again while several builds with different results use the
// same folder, as processes of the program local do.
func TestBuild_BootstrapAlwaysRuns(t *testing.T) {
	code, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(code, "go.mod"), "module code\n\ngo 1.26\n")
	write(t, filepath.Join(code, "a", "main.go"), program("a"))
	write(t, filepath.Join(code, "broken", "main.go"), "package main\n\nfunc main() { nonsense() }\n")
	function := func(id, folder string) template.Function {
		return template.Function{
			Source: template.Source{LogicalID: id}, Name: id, BuildMethod: "go1.x", Folder: filepath.Join(code, folder),
		}
	}
	a, trimmed := function("A", "a"), function("A", "a")
	trimmed.BuildProperties = map[string]string{"TrimGoPath": "true"}
	if _, err := build(t.Context(), []template.Function{a}, dir); err != nil {
		t.Fatal(err)
	}
	var building sync.WaitGroup
	for _, functions := range [][]template.Function{{a}, {trimmed}, {a, function("Broken", "broken")}} {
		building.Go(func() {
			for range 2 {
				_, err := build(t.Context(), functions, dir)
				if (err != nil) != (len(functions) == 2) {
					t.Errorf("%d functions: got %v", len(functions), err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		building.Wait()
		close(done)
	}()
	for runs := 0; ; runs++ {
		if got, err := output(filepath.Join(dir, "A")); err != nil || got != "a" {
			t.Errorf("run %d: got %q, %v, want a", runs, got, err)
			building.Wait()
			return
		}
		select {
		case <-done:
			if left, _ := filepath.Glob(filepath.Join(dir, ".build-*")); len(left) > 0 {
				t.Errorf("got temporary folders %v, want none", left)
			}
			return
		default:
		}
	}
}
