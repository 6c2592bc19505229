package sqs

import "slices"

// Operations returns the names of the operations that are emulated, sorted.
func Operations() []string {
	var names []string
	for name, op := range operations {
		if op.run != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
