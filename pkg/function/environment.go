package function

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Environment reads a function's settings from environment variables. It collects all mistakes, so that one deployment
// shows all of them. The zero value reads the process's environment.
type Environment struct {
	// Get returns a variable's value, or "" if it is not set; nil means os.Getenv.
	Get func(name string) string

	missing []string
	wrong   []error
}

// String returns a variable. It is a mistake if it is not set, or begins or ends with a space: such a value equals none
// that comes from elsewhere.
func (r *Environment) String(name string) string {
	get := r.Get
	if get == nil {
		get = os.Getenv
	}
	value := get(name)
	switch {
	case value == "":
		r.missing = append(r.missing, name)
	case strings.TrimSpace(value) != value:
		r.wrong = append(r.wrong, fmt.Errorf("%s is %q, with spaces at its ends", name, value))
	}
	return value
}

// Int returns a whole number. It is a mistake if it is not set, not a number or outside of the bounds; the result is
// then least.
func (r *Environment) Int(name string, least, most int) int {
	value := r.String(name)
	if value == "" {
		return least
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		r.wrong = append(r.wrong, fmt.Errorf("%s is %q, not a whole number from %d to %d", name, value, least, most))
		return least
	}
	return n
}

// OneOf returns a variable. It is a mistake if it is not set or not one of the values.
func (r *Environment) OneOf(name string, values ...string) string {
	value := r.String(name)
	if value != "" && !slices.Contains(values, value) {
		r.wrong = append(r.wrong, fmt.Errorf("%s is %q, not one of %s", name, value, strings.Join(values, ", ")))
	}
	return value
}

// Err returns an error with all mistakes, or nil if there are none.
func (r *Environment) Err() error {
	var missing error
	if len(r.missing) > 0 {
		missing = fmt.Errorf("missing environment variables: %s", strings.Join(r.missing, ", "))
	}
	return errors.Join(append([]error{missing}, r.wrong...)...)
}
