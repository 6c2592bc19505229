package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"fanfare/loadtest/page"
	"fanfare/loadtest/progress"
	"fanfare/loadtest/report"
)

// outputs are the files that a report can be written to, besides the terminal.
type outputs struct {
	HTML  string `help:"Write one self-contained HTML page." placeholder:"FILE"`
	JSON  string `help:"Write the whole report as JSON." placeholder:"FILE"`
	CSV   string `help:"Write one line per message as CSV." placeholder:"FILE"`
	JUnit string `name:"junit" help:"Write the checks as JUnit XML, for CI." placeholder:"FILE"`
}

// files returns the names of the files by flag; a name may be empty.
func (o *outputs) files() map[string]string {
	return map[string]string{"--html": o.HTML, "--json": o.JSON, "--csv": o.CSV, "--junit": o.JUnit}
}

// writable returns an error if a file cannot be written, or if two flags, or a flag and an input, name the same file.
// It changes no file.
func writable(files map[string]string, inputs []string) error {
	named := map[string]string{}
	for _, input := range inputs {
		named[resolved(input)] = "an input"
	}
	for _, flag := range slices.Sorted(maps.Keys(files)) {
		name := files[flag]
		if name == "" {
			continue
		}
		regular, err := openable(name)
		if err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		other := named[resolved(name)]
		if regular && other != "" {
			return fmt.Errorf("%s %s: want another file than that of %s", flag, name, other)
		}
		named[resolved(name)] = flag
	}
	return nil
}

// resolved returns the absolute path of a file without symbolic links in its directory.
func resolved(name string) string {
	path, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	if file, err := filepath.EvalSymlinks(path); err == nil {
		return file
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// openable returns an error if a file cannot be opened for writing. A file that does not exist is created and removed.
// regular reports whether it is a regular file, not a device.
func openable(name string) (regular bool, err error) {
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return true, err
		}
		return true, errors.Join(f.Close(), os.Remove(name))
	}
	if err != nil {
		return true, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return false, nil // to open a pipe would wait for its reader
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return true, err
	}
	return true, f.Close()
}

func (o *outputs) write(r *report.Report) error {
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{o.HTML, func(w io.Writer) error { return page.Write(w, r) }},
		{o.JSON, r.JSON},
		{o.CSV, r.CSV},
		{o.JUnit, r.JUnit},
	} {
		if f.name == "" {
			continue
		}
		if err := writeFile(f.name, f.write); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

type reportCommand struct {
	Files   []string `arg:"" help:"Result files of one run, or of several to merge." type:"existingfile"`
	Expect  []string `help:"Further threshold, for example 'p99 < 600ms'." sep:"none" placeholder:"FIGURE < BOUND"`
	outputs `embed:"" group:"Output"`
	Series  bool `help:"Print the time series as CSV instead of the report: one line per second or longer."`
}

func (*reportCommand) Help() string {
	return `Examples:
  loadtest report run.results
  loadtest report run.results --html report.html --json report.json
  loadtest report run.results --expect 'time_to_last_p99 < 2s'
  loadtest report first.results second.results third.results --html all.html    # repeats, merged`
}

func (c *reportCommand) Run() error {
	if err := writable(c.files(), c.Files); err != nil {
		return &exit{report.ExitUsage, err}
	}
	r, err := report.Load(c.Files, c.Expect)
	if err != nil {
		return &exit{report.ExitUsage, err}
	}
	if c.Series {
		err = r.SeriesCSV(os.Stdout)
	} else {
		err = r.Text(os.Stdout, progress.Colour(os.Stdout))
	}
	if err != nil {
		return err
	}
	if err := c.write(r); err != nil {
		return err
	}
	if r.Verdict != report.Pass {
		return &exit{code: r.Verdict.ExitCode()}
	}
	return nil
}

type figuresCommand struct{}

func (*figuresCommand) Run() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	report.Describe(func(name string, unit report.Unit, what string) { fmt.Fprintf(w, "%s\t%s\t%s\n", name, unit, what) })
	return w.Flush()
}
