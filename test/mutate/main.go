// Mutate measures the tests: it plants faults into the code, one at a time, and lists those that no test finds.
//
//	go run ./test/mutate [-n 300] [-seed 1] [folder...]
//
// The folders are pkg, functions and publish unless given. Of all faults in them, the seed chooses n that compile. Each
// is planted into a copy of the module, and tests run there until one fails: those of the package, a hundred seeds of
// the simulation if it uses the package, and for functions/ and pkg/function test/layout and end-to-end tests.
//
// The faults are: negated conditions, moved boundaries, exchanged arithmetic operators, a nil error returned instead of
// an error, removed statements, constants off by one, and exchanged booleans.
//
// A fault that changes no behaviour is listed in equivalent.txt, by its fingerprint and with the reason, and is left
// aside. The fingerprint does not depend on the position in the file, but changes with the statement.
//
// The exit status is 0 if tests find every fault, 1 if some survive, 2 after an error.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed equivalent.txt
var equivalentText string

// allFolders are the folders with the code that runs on AWS.
var allFolders = []string{"pkg", "functions", "publish"}

func main() {
	number := flag.Int("n", 300, "number of faults to plant")
	seed := flag.Uint64("seed", 1, "chooses the faults")
	workers := flag.Int("workers", runtime.NumCPU(), "number of faults that are tested at once")
	limit := flag.Duration("limit", time.Hour, "time after which no further fault is planted")
	timeout := flag.Duration("timeout", 30*time.Second,
		"time limit of one test command, or five times its time without a fault if that is longer")
	only := flag.String("only", "", "plants only the fault with this fingerprint")
	flag.Parse()
	folders := flag.Args()
	if len(folders) == 0 {
		folders = allFolders
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	survived, err := run(ctx, os.Stdout, settings{
		root: ".", folders: folders, number: *number, seed: *seed, workers: *workers, limit: *limit, timeout: *timeout,
		only: *only, equivalent: equivalentText,
	})
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	case survived > 0:
		os.Exit(1)
	}
}

// settings are the parameters of a run.
type settings struct {
	root            string // folder of the module
	folders         []string
	number, workers int
	seed            uint64
	limit, timeout  time.Duration
	only            string // fingerprint of the only fault to plant; "" is no limit
	equivalent      string // text of equivalent.txt
}

// run plants the faults, prints the survivors and the sums to out, and returns the number of survivors.
func run(ctx context.Context, out io.Writer, s settings) (survived int, err error) {
	all, sources, err := readMutants(s.root, s.folders)
	if err != nil {
		return 0, err
	}
	equivalent, err := readEquivalent(s.equivalent)
	if err != nil {
		return 0, err
	}
	shuffle(all, s.seed)
	chosen := slices.DeleteFunc(slices.Clone(all), func(m mutant) bool {
		_, leave := equivalent[m.id]
		return leave || s.only != "" && m.id != s.only
	})
	suites, err := readSuites(ctx, s.root, s.timeout)
	if err != nil {
		return 0, err
	}

	t := &tally{out: out, sources: sources, left: chosen, number: s.number, end: time.Now().Add(s.limit)}
	if err := t.plant(ctx, s, suites); err != nil {
		return 0, err
	}
	found := t.counts[killed] + t.counts[timedOut]
	fmt.Fprintf(out, "# tests found %d of %d faults (%.1f %%), %d of them by a timeout; %d did not compile\n",
		found, t.planted, 100*float64(found)/float64(max(1, t.planted)), t.counts[timedOut], t.counts[invalid])
	if t.planted < s.number && len(t.left) > 0 {
		fmt.Fprintf(out, "# the time was up before %d faults were planted\n", s.number)
	}
	for id := range equivalent {
		if !slices.ContainsFunc(all, func(m mutant) bool { return m.id == id }) && s.complete() {
			fmt.Fprintf(out, "# equivalent.txt: no fault has the fingerprint %s\n", id)
		}
	}
	return t.counts[lived], nil
}

// complete reports whether the run is about all faults.
func (s settings) complete() bool { return s.only == "" && slices.Equal(s.folders, allFolders) }

// tally hands out the mutants and counts the results. It is safe for concurrent use.
type tally struct {
	out     io.Writer
	sources map[string][]byte
	number  int
	end     time.Time

	mu      sync.Mutex
	left    []mutant // not yet planted
	planted int      // without those that did not compile
	counts  [4]int   // by result
}

// plant plants the mutants into copies of the module, after it has run the tests without a fault.
func (t *tally) plant(ctx context.Context, s settings, suites suites) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := make([]*worker, s.workers)
	for i := range workers {
		w, err := newWorker(ctx, s.root, suites)
		if err != nil {
			return err
		}
		defer w.remove()
		workers[i] = w
	}
	if err := workers[0].check(ctx, t.left[:min(len(t.left), t.number)]); err != nil {
		return err
	}
	errs := make([]error, len(workers))
	var group sync.WaitGroup
	for i, w := range workers {
		group.Go(func() {
			for m, ok := t.next(); ok; m, ok = t.next() {
				r, err := w.test(ctx, m, m.apply(t.sources[m.file]))
				if err != nil {
					errs[i] = fmt.Errorf("test the fault %s: %w", m.id, err)
					cancel()
					return
				}
				t.count(m, r)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// next returns the next mutant to plant, or false.
func (t *tally) next() (mutant, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.left) == 0 || t.planted >= t.number || time.Now().After(t.end) {
		return mutant{}, false
	}
	m := t.left[0]
	t.left = t.left[1:]
	t.planted++
	return m, true
}

// count counts a result and prints a survivor.
func (t *tally) count(m mutant, r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[r]++
	switch r {
	case invalid:
		t.planted-- // another one takes its place
	case lived:
		fmt.Fprintln(t.out, m.describe(t.sources[m.file]))
	}
	if n := t.counts[killed] + t.counts[timedOut] + t.counts[lived]; n%25 == 0 && r != invalid {
		fmt.Fprintf(t.out, "# %d tested, %d survived\n", n, t.counts[lived])
	}
}

// readMutants returns the mutants of the folders' Go files, without tests, and the files' texts.
func readMutants(root string, folders []string) (all []mutant, sources map[string][]byte, err error) {
	sources = make(map[string][]byte)
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			name = filepath.ToSlash(name)
			found, err := mutantsOf(name, source)
			sources[name] = source
			all = append(all, found...)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return all, sources, nil
}

// shuffle sorts the mutants by a hash of seed and fingerprint, so that a changed file does not change the choice among
// the others.
func shuffle(all []mutant, seed uint64) {
	keys := make(map[string][sha256.Size]byte)
	for _, m := range all {
		keys[m.id] = sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, seed), m.id...))
	}
	slices.SortStableFunc(all, func(a, b mutant) int {
		x, y := keys[a.id], keys[b.id]
		return bytes.Compare(x[:], y[:])
	})
}

// readEquivalent reads lines of a fingerprint and a reason. Empty lines and those that begin with # are skipped.
func readEquivalent(text string) (reasons map[string]string, err error) {
	reasons = make(map[string]string)
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		id, reason, _ := strings.Cut(line, " ")
		if len(id) != 10 || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("equivalent.txt: %q is not a fingerprint and a reason", line)
		}
		reasons[id] = strings.TrimSpace(reason)
	}
	return reasons, lines.Err()
}
