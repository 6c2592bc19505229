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
	for id, folder := range map[string]string{"A": "one/a", "B": "one/b", "Again": "one/a", "C": "two/c", "D": "two/deeper/c"} {
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
			if out, err := exec.Command(filepath.Join(folders[f.Name], "bootstrap")).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
				t.Errorf("%s prints %q, %v; want %q", f.LogicalID, out, err, want)
			}
		}
	}
	t.Run("programs of one name in one module", check)
	t.Run("several at a time", func(t *testing.T) {
		var building sync.WaitGroup
		for range 4 {
			building.Go(func() { check(t) })
		}
		building.Wait()
	})
	t.Run("one after the other", func(t *testing.T) {
		other := flock.New(filepath.Join(dir, ".lock"))
		if err := other.Lock(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := build(ctx, functions, dir); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another build") {
			t.Errorf("beside another build: %v", err)
		}
		if err := other.Unlock(); err != nil {
			t.Fatal(err)
		}
		check(t)
	})
	t.Run("what does not build is named, and all of it", func(t *testing.T) {
		before := functions
		defer func() { functions = before }()
		for id, folder := range map[string]string{"Broken": "one/broken", "Library": "two/library"} {
			add(id, folder)
		}
		write(t, filepath.Join(code, "one/broken/main.go"), "package main\n\nfunc main() { nonsense() }\n")
		_, err := build(t.Context(), functions, dir)
		if err == nil {
			t.Fatal("it builds")
		}
		for _, part := range []string{"Broken does not build", "undefined: nonsense", "Library does not build"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in:\n%v", part, err)
			}
		}
		if strings.Contains(err.Error(), "A does not build") {
			t.Errorf("a sound function is blamed:\n%v", err)
		}
	})
	t.Run("and the others are as they were", check)
	t.Run("a changed one is built anew", func(t *testing.T) {
		moved := functions[0]
		moved.Folder = filepath.Join(code, "two/new")
		write(t, filepath.Join(moved.Folder, "main.go"), program("two/new"))
		functions[0] = moved
		check(t)
	})
}

func TestAFinishedBootstrapIsTakenAsItIs(t *testing.T) {
	code, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(code, "bootstrap"), "#!/bin/sh\n")
	folders, err := build(t.Context(), []template.Function{{Name: "f", Source: template.Source{LogicalID: "F"}, Folder: code}}, dir)
	if err != nil || folders["f"] != code {
		t.Errorf("%v, %v", folders, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v was written", left)
	}
}
