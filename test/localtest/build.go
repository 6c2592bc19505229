package localtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// Flags are the GOFLAGS of the Makefile, so that tests run the binaries that are deployed.
const Flags = "-trimpath -tags=lambda.norpc -ldflags=-s"

var (
	buildMu sync.Mutex
	built   = make(map[string]error) // by program
)

// Root is the folder of the repository: the nearest above the test's own with a go.mod. It panics if there is none.
var Root = sync.OnceValue(func() string {
	folder, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(folder, "go.mod")); missing == nil {
			return folder
		}
		if folder == filepath.Dir(folder) {
			break
		}
		folder = filepath.Dir(folder)
	}
	panic("localtest: the working directory is not in the repository")
})

// Template is the path of Fanfare's template.
func Template() string { return filepath.Join(Root(), "template.yaml") }

// BuildDir is the folder into which the local AWS builds the functions. All test packages share it, so that each
// function is linked once.
func BuildDir() string { return filepath.Join(Root(), "build", "test", "functions") }

// Environment is the environment of a process that builds functions.
func Environment() []string { return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+Flags) }

// Program builds a program of the repository, such as "local" or "cmd/fanfare", and returns its path. It builds once
// in a process. It is safe for concurrent use, also by several processes.
func Program(name string) (string, error) {
	buildMu.Lock()
	defer buildMu.Unlock()
	path := filepath.Join(Root(), "build", "test", filepath.Base(name))
	err, done := built[name]
	if !done {
		err = build("./"+name, path)
		built[name] = err
	}
	return path, err
}

func build(pkg, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(filepath.Dir(path), ".lock"))
	if err := lock.Lock(); err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // ends with the process at the latest
	cmd := exec.Command("go", "build", "-o", path, pkg)
	cmd.Dir, cmd.Env = Root(), Environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}
