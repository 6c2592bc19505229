// Package binaries builds the programs that tests start, as the Makefile does: what is tested is what is run and deployed.
// All test packages share one folder, build/test, so that nothing is linked twice. It is safe for concurrent use, by several
// processes as well.
package binaries

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// Flags are the Makefile's. Tests put them into GOFLAGS when the local AWS builds functions for them.
const Flags = "-trimpath -tags=lambda.norpc -ldflags=-s"

var (
	mu    sync.Mutex
	built = make(map[string]error) // by program
)

// Root is the folder of the repository: the nearest above the test's own that has a go.mod.
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
	panic("the tests do not run in the repository")
})

// Functions is the folder for the bootstraps that the local AWS builds: its --build-dir.
func Functions() string { return filepath.Join(Root(), "build", "test", "functions") }

// Environment is that of a process which may build functions.
func Environment() []string { return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+Flags) }

// Path builds a program of the repository, like "local" or "cmd/fanfare", at the first call in a process, and returns its
// path.
func Path(program string) (string, error) {
	mu.Lock()
	defer mu.Unlock()
	path := filepath.Join(Root(), "build", "test", filepath.Base(program))
	err, done := built[program]
	if !done {
		err = build("./"+program, path)
		built[program] = err
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
	defer lock.Close()
	cmd := exec.Command("go", "build", "-o", path, pkg)
	cmd.Dir, cmd.Env = Root(), Environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}
