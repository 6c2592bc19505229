package function

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Environment reads a function's settings from environment variables and remembers what was wrong with them, so that all
// of it can be told at once: whoever deploys should not learn of five mistakes in five deployments. Its zero value reads
// the process's environment.
type Environment struct {
	// Get returns a variable's value, "" if it is not set; nil means os.Getenv.
	Get func(name string) string

	missing []string
	wrong   []error
}

// String returns a variable that has to be set.
func (r *Environment) String(name string) string {
	get := r.Get
	if get == nil {
		get = os.Getenv
	}
	value := get(name)
	if value == "" {
		r.missing = append(r.missing, name)
	}
	return value
}

// Int returns a variable that has to be a whole number from least to most.
func (r *Environment) Int(name string, least, most int) int {
	value := r.String(name)
	if value == "" {
		return least
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		r.wrong = append(r.wrong, fmt.Errorf("%s is %q: it has to be a whole number from %d to %d", name, value, least, most))
		return least
	}
	return n
}

// OneOf returns a variable that has to be one of the values.
func (r *Environment) OneOf(name string, values ...string) string {
	value := r.String(name)
	for _, allowed := range values {
		if value == "" || value == allowed {
			return value
		}
	}
	r.wrong = append(r.wrong, fmt.Errorf("%s is %q: it has to be one of %s", name, value, strings.Join(values, ", ")))
	return value
}

// Err returns everything that was missing or wrong, or nil.
func (r *Environment) Err() error {
	var missing error
	if len(r.missing) > 0 {
		missing = fmt.Errorf("missing environment variables: %s (the template sets them)", strings.Join(r.missing, ", "))
	}
	return errors.Join(append([]error{missing}, r.wrong...)...)
}
