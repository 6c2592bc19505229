package stack

import (
	"context"
	"errors"
	"fmt"
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

// build builds every function as "sam build" does, but for this machine, into a folder of its own below dir, and returns
// the folders by function name. A function without a build method whose code folder holds a bootstrap is taken as it is.
// Several processes may share dir: one builds after the other, and what is up to date stays as it is.
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
			if info, err := os.Stat(filepath.Join(f.Folder, "bootstrap")); err == nil && info.Mode().IsRegular() {
				folders[f.Name] = f.Folder
				continue
			}
		}
		wanted = append(wanted, f)
	}
	if len(wanted) == 0 {
		return folders, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("build the functions: %w", err)
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for another build in %s: %w", dir, err)
	}
	defer lock.Close()
	return folders, buildAll(ctx, wanted, dir)
}

// buildAll builds the Go functions of one module with one command, which takes a fifth of the time of a command for each.
// If it fails, and for everything else, each is built by itself: so all that is wrong is told at once, and of which.
func buildAll(ctx context.Context, functions []template.Function, dir string) error {
	modules := make(map[string][]template.Function)
	var alone []template.Function
	for _, f := range functions {
		var err error
		if f.Folder, err = filepath.Abs(f.Folder); err != nil {
			return err
		}
		if root := moduleOf(f.Folder); root != "" && f.BuildMethod == "go1.x" && len(f.BuildProperties) == 0 {
			modules[root] = append(modules[root], f)
		} else {
			alone = append(alone, f)
		}
	}
	for root, members := range modules {
		if err := buildTogether(ctx, root, members, dir); err != nil {
			alone = append(alone, members...)
		}
	}
	failed := make([]error, len(alone))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range alone {
		group.Go(func() error {
			failed[i] = buildOne(ctx, f, filepath.Join(dir, f.LogicalID))
			return nil // the others go on
		})
	}
	group.Wait()
	return errors.Join(failed...)
}

// moduleOf returns the root of the Go module that a folder is in, or nothing.
func moduleOf(folder string) string {
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

// buildTogether builds functions of the module at root. The go command names programs after their folders, so these have to
// differ; each function's bootstrap is a link to its program.
func buildTogether(ctx context.Context, root string, functions []template.Function, dir string) error {
	programs := filepath.Join(dir, "programs")
	if err := os.MkdirAll(programs, 0o755); err != nil {
		return err
	}
	args := []string{"build", "-o", programs + string(filepath.Separator)}
	names := make(map[string]string) // folder by program
	for _, f := range functions {
		relative, err := filepath.Rel(root, f.Folder)
		if err != nil {
			return err
		}
		name := filepath.Base(f.Folder)
		switch names[name] {
		case f.Folder:
			continue // two functions with the same code
		case "":
			names[name] = f.Folder
		default:
			return fmt.Errorf("%s and %s make programs of one name", names[name], f.Folder)
		}
		args = append(args, "."+string(filepath.Separator)+relative)
	}
	if out, err := goCommand(ctx, root, args).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	for _, f := range functions {
		if _, err := os.Stat(filepath.Join(programs, filepath.Base(f.Folder))); err != nil {
			return fmt.Errorf("%s is no program: %w", f.Folder, err)
		}
		bootstrap := filepath.Join(dir, f.LogicalID, "bootstrap")
		if err := os.MkdirAll(filepath.Dir(bootstrap), 0o755); err != nil {
			return err
		}
		target := filepath.Join("..", "programs", filepath.Base(f.Folder))
		if there, err := os.Readlink(bootstrap); err == nil && there == target {
			continue
		}
		if err := os.RemoveAll(bootstrap); err != nil {
			return err
		}
		if err := os.Symlink(target, bootstrap); err != nil {
			return err
		}
	}
	return nil
}

func buildOne(ctx context.Context, f template.Function, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("build %s: %w", f.LogicalID, err)
	}
	var cmd *exec.Cmd
	switch f.BuildMethod {
	case "go1.x":
		bootstrap := filepath.Join(folder, "bootstrap")
		if info, err := os.Lstat(bootstrap); err == nil && info.Mode()&os.ModeSymlink != 0 {
			os.Remove(bootstrap) // or the program behind it would be written over
		}
		args := []string{"build", "-o", bootstrap}
		if f.BuildProperties["TrimGoPath"] == "true" {
			args = append(args, "-trimpath")
		}
		cmd = goCommand(ctx, f.Folder, append(args, "."))
	case "makefile", "":
		cmd = exec.CommandContext(ctx, "make", "build-"+f.LogicalID, "ARTIFACTS_DIR="+folder)
		cmd.Dir, cmd.Env = f.Folder, forThisMachine()
	default:
		return fmt.Errorf("%s:%d: %s: BuildMethod %s is not emulated: go1.x, makefile, or a finished bootstrap without one are",
			f.File, f.Line, f.LogicalID, f.BuildMethod)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s:%d: %s does not build (%s in %s): %w\n%s",
			f.File, f.Line, f.LogicalID, strings.Join(cmd.Args, " "), f.Folder, err, out)
	}
	return nil
}

func goCommand(ctx context.Context, dir string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, forThisMachine()
	return cmd
}

func forThisMachine() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}
