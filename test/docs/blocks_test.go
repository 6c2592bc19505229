package docs

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// block is a fenced block of a page. A comment before it says which test runs it and what that needs besides Go and
// make ("<!-- test: TestX needs: node -->"), or why no test does ("<!-- not run: reason -->").
type block struct {
	page   string
	line   int // of the opening fence, counted from 1
	lang   string
	text   string
	test   string
	needs  string
	reason string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

var (
	testMark   = regexp.MustCompile(`^<!-- test: (Test\w+)(?: needs: (\w+))? -->$`)
	reasonMark = regexp.MustCompile(`^<!-- not run: (.{10,}) -->$`)
	aCommand   = regexp.MustCompile(`(?m)^\s*(\$ |make |go |npx |npm |aws |sam |curl |node |python3? |sh )`)
)

// blocks returns the fenced blocks of a page, and reports marks without a block and indented code, which has no mark.
func blocks(t *testing.T, page string) []block {
	t.Helper()
	var found []block
	var mark block
	inFence, inGenerated, blank := false, false, true
	for i, line := range strings.Split(read(t, page), "\n") {
		switch {
		case inFence && strings.TrimSpace(line) == "```":
			inFence = false
		case inFence:
			last := &found[len(found)-1]
			last.text += line + "\n"
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			mark.page, mark.line, mark.lang = page, i+1, strings.TrimPrefix(strings.TrimSpace(line), "```")
			found, mark, inFence = append(found, mark), block{}, true
		case strings.HasPrefix(line, "<!-- generated"):
			inGenerated = true
		case strings.HasPrefix(line, "<!-- /generated"):
			inGenerated = false
		case mark != block{}:
			t.Errorf("%s:%d: got %q after a mark, want a block", page, i+1, line)
			mark = block{}
		case testMark.MatchString(line):
			parts := testMark.FindStringSubmatch(line)
			mark.test, mark.needs = parts[1], parts[2]
		case reasonMark.MatchString(line):
			mark.reason = reasonMark.FindStringSubmatch(line)[1]
		case strings.HasPrefix(line, "<!-- test") || strings.HasPrefix(line, "<!-- not run"):
			t.Errorf("%s:%d: got mark %q, want <!-- test: TestName --> or <!-- not run: reason -->", page, i+1, line)
		case !inGenerated && blank && strings.HasPrefix(line, "    "):
			t.Errorf("%s:%d: got indented code, want a fenced block", page, i+1)
		}
		blank = strings.TrimSpace(line) == ""
	}
	if inFence {
		t.Errorf("%s: the last block is not closed", page)
	}
	return found
}

// blocksFor returns the blocks of the pages that name this test.
func blocksFor(t *testing.T, test string, from ...string) []block {
	t.Helper()
	var found []block
	for _, page := range from {
		for _, b := range blocks(t, page) {
			if b.test == test {
				found = append(found, b)
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("got no blocks for %s in %v", test, from)
	}
	return found
}

// testNames returns the names of the module's test functions.
var testNames = sync.OnceValues(func() (map[string]bool, error) {
	names := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(\w+ \*testing\.[TF]\)`)
	err := walk(func(path string, text string) {
		if strings.HasSuffix(path, "_test.go") {
			for _, found := range function.FindAllStringSubmatch(text, -1) {
				names[found[1]] = true
			}
		}
	})
	return names, err
})

// walk calls f with the path and text of each Go file of the module.
func walk(f func(path, text string)) error {
	return fs.WalkDir(rootFS, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != "." && (path == "build" || strings.HasPrefix(entry.Name(), ".")) {
			return fs.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(path, ".go") {
			data, err := fs.ReadFile(rootFS, path)
			f(path, string(data))
			return err
		}
		return nil
	})
}

// TestBlocks_Marked requires that each command in the pages is run by a test that exists, or says why not.
func TestBlocks_Marked(t *testing.T) {
	names, err := testNames()
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			output := slices.Contains([]string{"text", "json", "mermaid"}, b.lang)
			switch {
			case b.lang == "":
				t.Errorf("%v: got a block without a language, want sh, text or another", b)
			case b.test != "" && !names[b.test]:
				t.Errorf("%v: got %s, want a test that exists", b, b.test)
			case output && aCommand.MatchString(b.text):
				t.Errorf("%v: got a command in a block of output, want sh", b)
			case !output && b.test == "" && b.reason == "":
				t.Errorf("%v: got a block without a mark, want a test or a reason", b)
			}
		}
	}
}

// TestPages_TestNames checks the names of tests that the pages mention.
func TestPages_TestNames(t *testing.T) {
	names, err := testNames()
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(t) {
		for _, found := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`").FindAllStringSubmatch(read(t, page), -1) {
			if !names[found[1]] && !slices.Contains(examples, found[1]) {
				t.Errorf("%s: got %s, want a test that exists", page, found[1])
			}
		}
	}
}

// examples are names that pages use to show the form of a test's name.
var examples = []string{"TestType_Behaviour", "TestFunction_Case"}

// TestPages_MakeTargets checks the make targets that the pages mention.
func TestPages_MakeTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, page := range pages(t) {
		for _, found := range regexp.MustCompile("`make ([a-z-]+)").FindAllStringSubmatch(read(t, page), -1) {
			if !strings.Contains(makefile, "\n"+found[1]+":") {
				t.Errorf("%s: got make %s, want a target of the Makefile", page, found[1])
			}
		}
	}
}

// TestPages_Links checks the relative links of the pages, and their anchors.
func TestPages_Links(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages(t) {
		text := read(t, page)
		if before, rest, found := strings.Cut(text, "<!-- generated -->"); found {
			_, after, _ := strings.Cut(rest, "<!-- /generated -->")
			text = before + after
		}
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(found[1], "#")
			target := page
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), path))
			}
			if _, err := fs.Stat(rootFS, target); err != nil {
				t.Errorf("%s: got a link to %s, want a file that exists", page, found[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s: got a link to %s, want one of the anchors %v", page, found[1], anchors(read(t, target)))
			}
		}
	}
}

// anchors returns the anchors that GitHub gives the headings of a page.
func anchors(text string) []string {
	var all []string
	for _, found := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		slug := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(found[1]), "")
		all = append(all, strings.ReplaceAll(slug, " ", "-"))
	}
	return all
}

// TestReadme_Layout checks the paths in the README's last table, and that no folder of the root is left out.
func TestReadme_Layout(t *testing.T) {
	_, layout, found := strings.Cut(read(t, "README.md"), "\n## Layout\n")
	if !found {
		t.Fatal("got no section Layout in README.md")
	}
	listed := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*`) \\|").FindAllStringSubmatch(layout, -1) {
		for _, path := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			name := strings.TrimSuffix(path[1], "/")
			if _, err := fs.Stat(rootFS, name); err != nil {
				t.Errorf("got %s, want a path that exists", path[1])
			}
			listed[strings.Split(name, "/")[0]] = true
		}
	}
	entries, err := fs.ReadDir(rootFS, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		ignored := strings.HasPrefix(e.Name(), ".") || e.Name() == "build" || e.Name() == "node_modules"
		if e.IsDir() && !ignored && !listed[e.Name()] {
			t.Errorf("got no row for %s/, want one", e.Name())
		}
	}
}
