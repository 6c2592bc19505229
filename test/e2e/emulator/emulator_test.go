// Package emulator tests the local AWS as a whole, with Fanfare's template and with those of other applications: real
// sockets, functions in processes of their own, AWS's SDK.
//
// The stacks run in the test's process (localtest.StartStack) and not as programs: so the race detector and goleak
// watch the whole emulator, the tests read denials and traces that the program does not print, and thirty stacks run
// side by side.
package emulator

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"

	"fanfare/local/stack"
	"fanfare/test/localtest"
	"fanfare/test/wsclient"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := functions(); err == nil {
		os.RemoveAll(dir)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// functions builds the functions of Fanfare's template once, into <dir>/functions/<name>/bootstrap.
var functions = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fanfare-emulator-")
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(filepath.Join(localtest.Root(), "functions"))
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		program, err := localtest.Program("functions/" + entry.Name())
		if err != nil {
			return "", err
		}
		folder := filepath.Join(dir, "functions", entry.Name())
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return "", err
		}
		if err := os.Symlink(program, filepath.Join(folder, "bootstrap")); err != nil {
			return "", err
		}
	}
	return dir, nil
})

// readTemplate reads a template for editing.
func readTemplate(t testing.TB, path string) *yaml.Node {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

// at returns the node under the keys, or nil.
func at(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var found *yaml.Node
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				found = n.Content[i+1]
			}
		}
		n = found
	}
	return n
}

// remove deletes a key of a mapping.
func remove(n *yaml.Node, key string) {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

// fanfareTemplate returns Fanfare's template without build methods: its functions are built already.
func fanfareTemplate(t testing.TB) *yaml.Node {
	t.Helper()
	root := readTemplate(t, localtest.Template())
	resources := at(root, "Resources")
	for i := 1; i < len(resources.Content); i += 2 {
		if at(resources.Content[i], "Metadata", "BuildMethod") != nil {
			remove(resources.Content[i], "Metadata")
		}
	}
	return root
}

// writeTemplate writes Fanfare's template beside the functions, so that its relative paths lead to them.
func writeTemplate(t testing.TB, root *yaml.Node) string {
	t.Helper()
	dir, err := functions()
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(dir, "*.yaml")
	if err == nil {
		_, err = file.Write(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// start runs the template at path until the test ends.
func start(t testing.TB, path string, o stack.Options) *localtest.Stack {
	t.Helper()
	s, err := tryStart(t, path, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tryStart is start for templates that may not start.
func tryStart(t testing.TB, path string, o stack.Options) (*localtest.Stack, error) {
	t.Helper()
	if o.BuildDir == "" {
		o.BuildDir = t.TempDir()
	}
	return localtest.StartStack(t, path, o)
}

// dial connects a client until the test ends.
func dial(ctx context.Context, t testing.TB, url string, o wsclient.Options) (*wsclient.Client, error) {
	c, err := wsclient.Dial(ctx, url, o)
	if err == nil {
		t.Cleanup(c.Abort)
	}
	return c, err
}
