package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMake_Help requires a line of help of at most 120 columns for each target.
func TestMake_Help(t *testing.T) {
	cmd := exec.Command("make", "--no-print-directory", "help")
	cmd.Dir, cmd.Env = root, outsideMake()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		if len(line) > 120 {
			t.Errorf("got %d columns, want at most 120: %s", len(line), line)
		}
	}
	_, phony, _ := strings.Cut(read(t, "Makefile"), ".PHONY: ")
	phony, _, _ = strings.Cut(strings.ReplaceAll(phony, "\\\n", ""), "\n")
	for target := range strings.FieldsSeq(phony) {
		if !strings.Contains(string(out), "  make "+target+" ") {
			t.Errorf("got no help for make %s", target)
		}
	}
}

// TestMake_HostileValues passes values that would create a file if make or the shell evaluated them.
func TestMake_HostileValues(t *testing.T) {
	dir := t.TempDir()
	// The commands that the recipes run print their arguments, one per line.
	for _, name := range []string{"go", "sam", "local"} {
		script := "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	trap := filepath.Join(dir, "evaluated")
	hostile := []string{
		"$(shell touch " + trap + ")", "$$(touch " + trap + ")", "$(touch " + trap + ")", "`touch " + trap + "`",
		"x; touch " + trap, "'; touch " + trap + "; '", "\"; touch " + trap + "; \"", "x & touch " + trap, "--help",
	}
	for target, variables := range map[string][]string{
		"report": {"ID", "ARGS"}, "dead-letters": {"ARGS"}, "redrive": {"ARGS"}, "deploy": {"STACK"}, "chaos": {"RUN"},
		"mutate": {"ARGS"}, "run": {"ACCESS"},
	} {
		for _, variable := range variables {
			for _, value := range hostile {
				for _, fromEnvironment := range []bool{false, true} {
					cmd := exec.Command("make", "--no-print-directory", "-C", root, target)
					cmd.Env = append(outsideMake(), "PATH="+dir+":"+os.Getenv("PATH"))
					if fromEnvironment {
						cmd.Env = append(cmd.Env, variable+"="+value)
					} else {
						cmd.Args = append(cmd.Args, variable+"="+value)
					}
					out, err := cmd.CombinedOutput()
					if _, statErr := os.Stat(trap); statErr == nil {
						t.Errorf("make %s %s=%s: got the value evaluated, want it passed on", target, variable, value)
						os.Remove(trap)
					}
					if variable == "ACCESS" {
						continue // refused
					}
					if err != nil {
						t.Errorf("make %s %s=%s: %v\n%s", target, variable, value, err, out)
					}
					if variable != "ARGS" && !strings.Contains("\n"+string(out), "\n"+value+"\n") {
						t.Errorf("make %s %s=%s: got arguments\n%s, want the value as one of them", target, variable, value, out)
					}
				}
			}
		}
	}
}

// TestMake_NoEvaluation requires that recipes take the settings from the environment only.
func TestMake_NoEvaluation(t *testing.T) {
	expanded := regexp.MustCompile(`^\t.*\$[({](ACCESS|STACK|ARGS|ID|RUN|FUZZTIME)[)}]`)
	for i, line := range strings.Split(read(t, "Makefile"), "\n") {
		if expanded.MatchString(line) {
			t.Errorf("Makefile:%d: got %q, want the variable quoted and from the environment", i+1, line)
		}
	}
}

// outsideMake returns the environment without what "make test" adds for makes below it.
func outsideMake() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "MAKE") || strings.HasPrefix(variable, "MFLAGS")
	})
}
