package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPublish_OtherModule builds the Go example in a module of its own, with the commands of examples/publish.
func TestPublish_OtherModule(t *testing.T) {
	parent := t.TempDir()
	clone, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(clone, filepath.Join(parent, "fanfare")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "backend")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":  "module example.com/backend\n\ngo 1.26.0\n",
		"main.go": read(t, "examples/publish/main.go"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := append(plainEnvironment(t), "GOFLAGS=-mod=mod")
	for _, b := range blocksFor(t, "TestPublish_OtherModule", "examples/publish/README.md") {
		if b.lang == "sh" {
			if out, _, err := shell(t, b.text, dir, env); err != nil {
				t.Fatalf("%v: %v\n%s", b, err, out)
			}
			continue
		}
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(strings.TrimSpace(b.text), "\n") {
			line = strings.TrimPrefix(line, "require ")
			if !strings.Contains(string(mod), line+"\n") {
				t.Errorf("%v: got go.mod\n%s, want the line %q", b, mod, line)
			}
		}
	}
	program := filepath.Join(dir, "publish")
	if out, err := pipe(t, "", dir, env, "go", "build", "-o", program, "."); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "usage: ") {
		t.Errorf("got %v and %q, want the usage", err, out)
	}
}
