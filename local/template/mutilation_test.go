package template

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"fanfare/local/template/internal/tree"
)

// TestMutilatedTemplates takes values of the templates of testdata away, one at a time, or puts something of another kind
// in their place: loading must then still give either a result or problems with positions.
func TestMutilatedTemplates(t *testing.T) {
	for _, path := range templates(t) {
		if filepath.Base(path) == "fanfare.yaml" {
			continue // the others have all that it has
		}
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
			mutilate(root, &turn, func() {
				tried++
				if _, err := load(&tree.Report{File: path}, root, options); err != nil {
					refused++
					expectPositions(t, err)
				}
			})
			if tried < 30 || refused < tried/2 {
				t.Errorf("%d mutilated templates were tried and %d refused: the test has lost its grip", tried, refused)
			}
		})
	}
}

// mutilate changes one part of a value after the other, calls try, and changes the part back. The ways of changing take
// turns, and three parts in four are left out: all ways for all parts found nothing more and took twenty times as long.
func mutilate(v *tree.Value, turn *int, try func()) {
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
		mutilate(original, turn, try)
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
			mutilate(f.Value, turn, try)
			continue
		}
		change(f.Value, func(other *tree.Value) { v.Fields[i].Value = other })
	}
}

func expectPositions(t *testing.T, err error) {
	t.Helper()
	var problems tree.Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("loading returned %T: %v", err, err)
	}
	for _, p := range problems {
		if p.Line < 1 || p.Column < 1 || p.Message == "" {
			t.Fatalf("a problem without position: %#v", p)
		}
	}
}
