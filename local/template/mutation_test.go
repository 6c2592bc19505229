package template

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"fanfare/local/template/internal/tree"
)

// TestLoad_MutatedTemplates removes values of the templates in testdata, one at a time, or replaces them by values of
// another kind. Loading must return a result or problems with positions.
func TestLoad_MutatedTemplates(t *testing.T) {
	for _, path := range templates(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r := &tree.Report{File: path}
			root := tree.Parse(r, data)
			if len(r.Problems) > 0 {
				t.Fatal(r.Problems)
			}
			options, err := Options{}.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			tried, refused, turn := 0, 0, 0
			mutate(root, &turn, func() {
				tried++
				if _, err := load(&tree.Report{File: path}, root, options); err != nil {
					refused++
					expectPositions(t, err)
				}
			})
			if tried < 30 || refused < tried/2 {
				t.Errorf("got %d templates of which %d were refused, want at least 30 and half of them", tried, refused)
			}
		})
	}
}

// mutate changes one part of a value after the other, calls try, and restores the part. The kinds of changes alternate,
// and three parts of four are left out: all changes of all parts took twenty times as long and found nothing more.
func mutate(v *tree.Value, turn *int, try func()) {
	change := func(original *tree.Value, put func(*tree.Value)) {
		*turn++
		switch *turn % 4 {
		case 0:
			put(original.NewText("x"))
		case 1:
			put(original.NewList())
		case 2:
			put(original.NewObject())
		case 3:
			put(original.NewInvalid())
		}
		if *turn/4%4 == 0 {
			try()
		}
		put(original)
		mutate(original, turn, try)
	}
	for i := range v.Items {
		change(v.Items[i], func(other *tree.Value) { v.Items[i] = other })
	}
	for i, f := range v.Fields {
		if *turn++; *turn%5 == 0 {
			fields := v.Fields
			v.Fields = slices.Delete(slices.Clone(fields), i, i+1)
			try()
			v.Fields = fields
			mutate(f.Value, turn, try)
			continue
		}
		change(f.Value, func(other *tree.Value) { v.Fields[i].Value = other })
	}
}

func expectPositions(t *testing.T, err error) {
	t.Helper()
	var problems tree.Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("got %T: %v, want Problems", err, err)
	}
	for _, p := range problems {
		if p.Line < 1 || p.Column < 1 || p.Message == "" {
			t.Fatalf("got a problem without position: %#v", p)
		}
	}
}
