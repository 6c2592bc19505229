package binaries_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fanfare/test/e2e/binaries"
)

func TestTheFlagsAreTheMakefiles(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(binaries.Root(), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "export GOFLAGS := " + binaries.Flags + "\n"; !strings.Contains(string(makefile), want) {
		t.Errorf("the Makefile has no line %q", want)
	}
}

func TestPath(t *testing.T) {
	path, err := binaries.Path("cmd/fanfare")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, "--help").CombinedOutput(); err != nil || !strings.Contains(string(out), "dead-letters") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := binaries.Path("cmd/nonsense"); err == nil || !strings.Contains(err.Error(), "cmd/nonsense") {
		t.Errorf("a program that is not there: %v", err)
	}
}
