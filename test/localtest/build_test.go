package localtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fanfare/test/localtest"
)

func TestFlags_MatchMakefile(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(localtest.Root(), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "export GOFLAGS := " + localtest.Flags + "\n"; !strings.Contains(string(makefile), want) {
		t.Errorf("the Makefile lacks the line %q", want)
	}
}

func TestProgram(t *testing.T) {
	path, err := localtest.Program("cmd/fanfare")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "dead-letters") {
		t.Errorf("fanfare --help: got %v and %s, want a command dead-letters", err, out)
	}
	if _, err := localtest.Program("cmd/nonsense"); err == nil || !strings.Contains(err.Error(), "cmd/nonsense") {
		t.Errorf("unknown program: got %v, want an error that names cmd/nonsense", err)
	}
}
