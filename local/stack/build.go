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

	"golang.org/x/sync/errgroup"

	"fanfare/local/template"
)

// build builds every function as "sam build" does, but for this machine, into a folder of its own below dir, and returns
// the folders by function name. A function without a build method whose code folder holds a bootstrap is taken as it is.
func build(ctx context.Context, functions []template.Function, dir string) (map[string]string, error) {
	folders := make(map[string]string)
	failed := make([]error, len(functions))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range functions {
		folder, err := filepath.Abs(filepath.Join(dir, f.LogicalID))
		if err != nil {
			return nil, err
		}
		if f.BuildMethod == "" {
			if info, err := os.Stat(filepath.Join(f.Folder, "bootstrap")); err == nil && info.Mode().IsRegular() {
				folders[f.Name] = f.Folder
				continue
			}
		}
		folders[f.Name] = folder
		group.Go(func() error {
			failed[i] = buildOne(ctx, f, folder)
			return nil // the others go on, so that all that is wrong is told at once
		})
	}
	group.Wait()
	return folders, errors.Join(failed...)
}

func buildOne(ctx context.Context, f template.Function, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("build %s: %w", f.LogicalID, err)
	}
	var cmd *exec.Cmd
	switch f.BuildMethod {
	case "go1.x":
		args := []string{"build", "-o", filepath.Join(folder, "bootstrap")}
		if f.BuildProperties["TrimGoPath"] == "true" {
			args = append(args, "-trimpath")
		}
		cmd = exec.CommandContext(ctx, "go", append(args, ".")...)
	case "makefile", "":
		cmd = exec.CommandContext(ctx, "make", "build-"+f.LogicalID, "ARTIFACTS_DIR="+folder)
	default:
		return fmt.Errorf("%s:%d: %s: BuildMethod %s is not emulated: go1.x, makefile, or a finished bootstrap without one are",
			f.File, f.Line, f.LogicalID, f.BuildMethod)
	}
	cmd.Dir = f.Folder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s:%d: %s does not build (%s in %s): %w\n%s",
			f.File, f.Line, f.LogicalID, strings.Join(cmd.Args, " "), f.Folder, err, out)
	}
	return nil
}
