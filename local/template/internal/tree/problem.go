package tree

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is a part of a template that cannot be read, that AWS would refuse, or that is not emulated.
type Problem struct {
	// File is the name of the template as passed to Load.
	File string
	// Line and Column count from 1 and are never 0.
	Line, Column int
	// Resource is the logical id of the resource. In other sections it is the section and the entry, like
	// "Parameters.Stage". It is empty for a problem of the whole file.
	Resource string
	// Property is the path of the value inside the resource, like "Properties.Environment.Variables.TABLE". It is empty
	// for a problem of the whole resource.
	Property string
	// Message describes the problem.
	Message string
}

// Error returns "file:line:column: resource: property: message".
func (p Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	for _, part := range []string{p.Resource, p.Property} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems are all problems of a template. It is an error.
type Problems []Problem

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems, for errors.As.
func (p Problems) Unwrap() []error {
	all := make([]error, len(p))
	for i, problem := range p {
		all[i] = problem
	}
	return all
}

// Sorted sorts the problems by position and removes duplicates, which arise when a wrong value is used twice.
func (p Problems) Sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Message, b.Message),
			strings.Compare(a.Resource, b.Resource), strings.Compare(a.Property, b.Property))
	})
	return slices.CompactFunc(p, func(a, b Problem) bool {
		return a.Line == b.Line && a.Column == b.Column && a.Message == b.Message
	})
}

// Place is the place of a value: its resource and the path of the property inside. It becomes part of each problem.
type Place struct {
	Resource, Property string
}

// At returns the place of a value.
func At(resource, property string) Place { return Place{resource, property} }

// Field returns the place of a field of an object.
func (p Place) Field(key string) Place {
	if p.Property != "" {
		key = p.Property + "." + key
	}
	p.Property = key
	return p
}

// Item returns the place of an item of a list.
func (p Place) Item(i int) Place {
	p.Property += "[" + strconv.Itoa(i) + "]"
	return p
}

// Report collects the problems and warnings of one template. It is not safe for concurrent use.
type Report struct {
	File     string // the name of the template
	Problems Problems
	Warnings Problems
}

// Problem adds a problem of a value. The format is that of fmt.Sprintf.
func (r *Report) Problem(v *Value, at Place, format string, args ...any) {
	r.Problems = append(r.Problems, r.newProblem(v, at, format, args...))
}

// Warn adds a warning: AWS accepts the value at deployment, and it fails at run time.
func (r *Report) Warn(v *Value, at Place, format string, args ...any) {
	r.Warnings = append(r.Warnings, r.newProblem(v, at, format, args...))
}

func (r *Report) newProblem(v *Value, at Place, format string, args ...any) Problem {
	return Problem{
		File: r.File, Line: v.Line, Column: v.Column, Resource: at.Resource, Property: at.Property,
		Message: fmt.Sprintf(format, args...),
	}
}
