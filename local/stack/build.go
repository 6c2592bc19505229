package stack

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gofrs/flock" // a lock between processes, on every system
	"golang.org/x/sync/errgroup"

	"fanfare/local/template"
)

// bootstrap is the name of a function's executable.
const bootstrap = "bootstrap"

// build builds every function as "sam build" does, but for this machine. It returns the folder of each function by
// name: dir/<logical id>, or the code folder of a function without a build method whose code folder has a bootstrap.
//
// Several processes may share dir. A lock orders their builds. Each build writes to a temporary folder in dir and
// renames the finished files, so that a bootstrap never disappears while another process starts it. A file that is up
// to date is not replaced.
func build(ctx context.Context, functions []template.Function, dir string) (map[string]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	folders := make(map[string]string)
	var wanted []template.Function
	for _, f := range functions {
		folders[f.Name] = filepath.Join(dir, f.LogicalID)
		if f.BuildMethod == "" {
			if info, err := os.Stat(filepath.Join(f.Folder, bootstrap)); err == nil && info.Mode().IsRegular() {
				folders[f.Name] = f.Folder
				continue
			}
		}
		if f.Folder, err = filepath.Abs(f.Folder); err != nil {
			return nil, err
		}
		wanted = append(wanted, f)
	}
	if len(wanted) == 0 {
		return folders, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("build functions: %w", err)
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for another build in %s: %w", dir, err)
	}
	defer func() { _ = lock.Close() }()
	b := builder{dir: dir}
	if b.temporary, err = temporaryFolder(dir); err != nil {
		return nil, fmt.Errorf("build functions: %w", err)
	}
	defer func() { _ = os.RemoveAll(b.temporary) }()
	return folders, b.buildAll(ctx, wanted)
}

// temporaryFolder creates a folder in dir and removes those of builds that were killed. The caller holds the lock.
func temporaryFolder(dir string) (string, error) {
	const prefix = ".build-"
	old, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	if err != nil {
		return "", err
	}
	for _, folder := range old {
		if err := os.RemoveAll(folder); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(dir, prefix)
}

// isRegular reports whether a path is a regular file, and not a link.
func isRegular(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// builder is one build.
type builder struct {
	dir       string // of all builds
	temporary string // of this build, in dir
}

// buildAll builds the Go functions of a module with one command, which takes a fifth of the time of one command for
// each. It builds all other functions one by one, and those of a module that does not build, so that the error names
// every function that does not build.
func (b builder) buildAll(ctx context.Context, functions []template.Function) error {
	modules := make(map[string][]template.Function)
	var single []template.Function
	for _, f := range functions {
		if root := moduleRoot(f.Folder); root != "" && f.BuildMethod == "go1.x" && len(f.BuildProperties) == 0 {
			modules[root] = append(modules[root], f)
		} else {
			single = append(single, f)
		}
	}
	for root, members := range modules {
		if err := b.buildModule(ctx, root, members); err != nil {
			single = append(single, members...)
		}
	}
	failed := make([]error, len(single))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range single {
		group.Go(func() error {
			failed[i] = b.buildOne(ctx, f)
			return nil // the other functions are built nevertheless
		})
	}
	_ = group.Wait()
	return errors.Join(failed...)
}

// moduleRoot returns the root of the Go module of a folder, or "".
func moduleRoot(folder string) string {
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return ""
		}
		folder = parent
	}
}

// buildModule builds functions of the module at root. The go command names programs after their folders, so folders of
// the same name are an error.
func (b builder) buildModule(ctx context.Context, root string, functions []template.Function) error {
	programs, err := os.MkdirTemp(b.temporary, "programs-")
	if err != nil {
		return err
	}
	args := []string{"build", "-o", programs + string(filepath.Separator)}
	folders := make(map[string]string) // by the name of the program
	for _, f := range functions {
		relative, err := filepath.Rel(root, f.Folder)
		if err != nil {
			return err
		}
		name := filepath.Base(f.Folder)
		switch folders[name] {
		case f.Folder:
			continue // two functions with the same code
		case "":
			folders[name] = f.Folder
		default:
			return fmt.Errorf("%s and %s have programs of the same name", folders[name], f.Folder)
		}
		if err := b.copyPresent(f, filepath.Join(programs, name)); err != nil {
			return err
		}
		args = append(args, "."+string(filepath.Separator)+relative)
	}
	if out, err := goCommand(ctx, root, args).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	for _, f := range functions {
		if err := b.install(f, filepath.Join(programs, filepath.Base(f.Folder)), bootstrap); err != nil {
			return err
		}
	}
	return nil
}

// buildOne builds one function.
func (b builder) buildOne(ctx context.Context, f template.Function) error {
	failed := func(err error) error {
		return fmt.Errorf("%s:%d: %s does not build: %w", f.File, f.Line, f.LogicalID, err)
	}
	folder, err := os.MkdirTemp(b.temporary, f.LogicalID+"-")
	if err != nil {
		return failed(err)
	}
	var cmd *exec.Cmd
	switch f.BuildMethod {
	case "go1.x":
		program := filepath.Join(folder, bootstrap)
		if err := b.copyPresent(f, program); err != nil {
			return failed(err)
		}
		args := []string{"build", "-o", program}
		if f.BuildProperties["TrimGoPath"] == "true" {
			args = append(args, "-trimpath")
		}
		cmd = goCommand(ctx, f.Folder, append(args, "."))
	case "makefile", "":
		cmd = exec.CommandContext(ctx, "make", "build-"+f.LogicalID, "ARTIFACTS_DIR="+folder)
		cmd.Dir, cmd.Env = f.Folder, hostEnvironment()
	default:
		return failed(fmt.Errorf("BuildMethod %s is not emulated, only go1.x and makefile are", f.BuildMethod))
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return failed(fmt.Errorf("%s in %s: %w\n%s", strings.Join(cmd.Args, " "), f.Folder, err, out))
	}
	// The bootstrap comes last, because Lambda starts new processes when it changes.
	var files []string
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if relative, _ := filepath.Rel(folder, path); err == nil && !entry.IsDir() && relative != bootstrap {
			files = append(files, relative)
		}
		return err
	})
	if err != nil {
		return failed(err)
	}
	for _, file := range append(files, bootstrap) {
		if err := b.install(f, filepath.Join(folder, file), file); err != nil {
			return failed(err)
		}
	}
	return nil
}

// copyPresent copies the present bootstrap of a function to path. The go command leaves the copy as it is if it is up
// to date.
func (b builder) copyPresent(f template.Function, path string) error {
	present := filepath.Join(b.dir, f.LogicalID, bootstrap)
	if !isRegular(present) {
		return nil
	}
	return copyFile(present, path)
}

// install puts a built file into the folder of a function, under a name that may contain folders. The rename replaces a
// file of that name in one step. A file with the same content stays, because Lambda starts new processes when the
// bootstrap changes.
func (b builder) install(f template.Function, built, name string) error {
	target := filepath.Join(b.dir, f.LogicalID, name)
	if info, err := os.Stat(built); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("the build has no file %s", name)
	}
	if same, err := sameContent(built, target); same || err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	// A copy, because another function may have the same program.
	folder, err := os.MkdirTemp(b.temporary, "install-")
	if err != nil {
		return err
	}
	fresh := filepath.Join(folder, filepath.Base(name))
	if err := copyFile(built, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, target)
}

// sameContent reports whether two files have the same content. The second one may be missing.
func sameContent(path, other string) (bool, error) {
	if !isRegular(other) {
		return false, nil
	}
	a, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := os.Open(other)
	if err != nil {
		return false, err
	}
	defer b.Close()
	var blockA, blockB [64 << 10]byte
	for {
		n, errA := io.ReadFull(a, blockA[:])
		m, errB := io.ReadFull(b, blockB[:])
		if !bytes.Equal(blockA[:n], blockB[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			end := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
			if end(errA) && end(errB) {
				return true, nil
			}
			return false, cmp.Or(errA, errB)
		}
	}
}

// copyFile copies a file with its permissions. The destination must not exist.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func goCommand(ctx context.Context, dir string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, hostEnvironment()
	return cmd
}

// hostEnvironment returns the environment of a build for this machine.
func hostEnvironment() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}
