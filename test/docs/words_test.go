package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlainWords_Violations plants a violation of each rule in a repository of its own.
func TestPlainWords_Violations(t *testing.T) {
	// The words are in two parts so that the check does not find them in this file.
	word, sentence := "who"+"ever", "// Fate "+"is what becomes of a failure."
	article, long := "func TestThe"+"Door(t *testing.T) {}\n", "func TestOne"+"TwoThreeFourFive(t *testing.T) {}\n"
	for name, c := range map[string]struct{ file, text, want string }{
		"clean":            {"a.go", "package a\n\n// A counts reads.\nvar A int\n", ""},
		"columns":          {"a.go", "package a\n\n// " + strings.Repeat("x", 118) + "\n", "more than 120 columns:\na.go:3:"},
		"wide characters":  {"a.go", "package a\n\n// " + strings.Repeat("─", 117) + "\n", ""},
		"markdown columns": {"a.md", strings.Repeat("x", 121) + "\n", "more than 120 columns:\na.md:1:"},
		"markdown table":   {"a.md", "| " + strings.Repeat("x", 121) + "\n", ""},
		"generated":        {"a.md", "<!-- generated -->\n" + strings.Repeat("x", 121) + "\n<!-- /generated -->\n", ""},
		"word":             {"a.go", "package a\n\n// For " + word + " reads.\n", "banned words:\na.go:3:"},
		"word in Markdown": {"a.md", "For " + strings.ToUpper(word) + ".\n", "banned words:\na.md:1:"},
		"comment":          {"a.go", "package a\n\n" + sentence + "\n", "a comment must say"},
		"test name":        {"a_test.go", "package a\n\n" + article, "test names must be"},
		"long test name":   {"a_test.go", "package a\n\n" + long, "test names must be"},
		"good test name":   {"a_test.go", "package a\n\nfunc TestReader_EmptyPage(t *testing.T) {}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for path, text := range map[string]string{".ci/plain-words.sh": read(t, ".ci/plain-words.sh"), c.file: c.text} {
				path = filepath.Join(dir, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := exec.Command("git", "init", "--quiet", dir).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			cmd := exec.Command("bash", ".ci/plain-words.sh")
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if c.want == "" {
				if err != nil || len(out) > 0 {
					t.Errorf("got %v and %q, want no finding", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("got %v and %q, want an error and %q", err, out, c.want)
			}
		})
	}
}
