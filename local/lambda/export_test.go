package lambda

import "time"

// The defaults of tests do not depend on the machine's speed: a response waits for its report, and init does not time
// out. Tests of these times set them.
func init() { responseGrace, initLimit = time.Hour, time.Hour }

// SetResponseGrace sets responseGrace and returns a function that restores it.
func SetResponseGrace(grace time.Duration) (restore func()) {
	before := responseGrace
	responseGrace = grace
	return func() { responseGrace = before }
}

// SetInitLimit sets initLimit and returns a function that restores it.
func SetInitLimit(limit time.Duration) (restore func()) {
	before := initLimit
	initLimit = limit
	return func() { initLimit = before }
}

// SetTermGrace sets termGrace and returns a function that restores it.
func SetTermGrace(grace time.Duration) (restore func()) {
	before := termGrace
	termGrace = grace
	return func() { termGrace = before }
}
