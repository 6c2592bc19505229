package template

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing in a template that cannot be read, is wrong on AWS, or is not emulated.
type Problem struct {
	// File is the template's name as given to Load.
	File string
	// Line and Column count from 1 and are never 0.
	Line, Column int
	// Resource is the logical id that the problem belongs to; in other sections it is the section and the entry, like
	// "Parameters.Stage". Empty when the file as a whole is meant.
	Resource string
	// Property is the path of the value inside the resource, like "Properties.Environment.Variables.TABLE"; empty when
	// the resource as a whole is meant.
	Property string
	// Message says what is wrong.
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

// Problems is the error of Load: everything wrong with a template, in the order of its lines.
type Problems []Problem

// Error returns one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As reach each Problem.
func (p Problems) Unwrap() []error {
	all := make([]error, len(p))
	for i, problem := range p {
		all[i] = problem
	}
	return all
}

// sorted returns the problems in the order of the file, each once: a value that is used twice is wrong once.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Message, b.Message),
			strings.Compare(a.Resource, b.Resource), strings.Compare(a.Property, b.Property))
	})
	return slices.CompactFunc(p, func(a, b Problem) bool {
		return a.Line == b.Line && a.Column == b.Column && a.Message == b.Message
	})
}

// where is the place in the template that a value belongs to, for the problems found there.
type where struct {
	resource, property string
}

// field returns the place of a map's entry.
func (w where) field(key string) where {
	if w.property != "" {
		key = w.property + "." + key
	}
	w.property = key
	return w
}

// item returns the place of a list's entry.
func (w where) item(i int) where {
	w.property += "[" + strconv.Itoa(i) + "]"
	return w
}

// report collects the problems and warnings of one template.
type report struct {
	file     string // the template's name
	problems Problems
	warnings Problems
}

// problem reports that the value is wrong.
func (r *report) problem(v *value, at where, format string, args ...any) {
	r.problems = append(r.problems, r.newProblem(v, at, format, args...))
}

// warn reports that the value will fail at run time.
func (r *report) warn(v *value, at where, format string, args ...any) {
	r.warnings = append(r.warnings, r.newProblem(v, at, format, args...))
}

func (r *report) newProblem(v *value, at where, format string, args ...any) Problem {
	return Problem{
		File: r.file, Line: v.line, Column: v.column, Resource: at.resource, Property: at.property,
		Message: fmt.Sprintf(format, args...),
	}
}
