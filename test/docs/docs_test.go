// Package docs tests the pages for people: that their commands run as printed and that what they list is in the code.
// It also tests the Makefile and the check of words.
package docs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the root of the repository, seen from this package.
const root = "../../"

var rootFS = os.DirFS(root)

// read returns a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(root + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// pages returns the paths of the Markdown files whose commands are tested, relative to the root.
func pages(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/README.md", ".github/*.md"} {
		found, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			paths = append(paths, strings.TrimPrefix(filepath.ToSlash(path), root))
		}
	}
	slices.Sort(paths)
	if !slices.Contains(paths, "README.md") {
		t.Fatalf("got pages %v, want README.md among them", paths)
	}
	return paths
}
