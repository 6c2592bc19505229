package lambda

import "time"

// Without luck, however slow the machine: an answer never comes before its report, and no init phase is too long. Tests of
// these times set them.
func init() { responseGrace, initLimit = time.Hour, time.Hour }

// SetResponseGrace changes the grace and returns what restores it.
func SetResponseGrace(grace time.Duration) (restore func()) {
	before := responseGrace
	responseGrace = grace
	return func() { responseGrace = before }
}

// SetInitLimit changes the limit of the init phase and returns what restores it.
func SetInitLimit(limit time.Duration) (restore func()) {
	before := initLimit
	initLimit = limit
	return func() { initLimit = before }
}

// SetTermGrace changes the time between SIGTERM and SIGKILL and returns what restores it.
func SetTermGrace(grace time.Duration) (restore func()) {
	before := termGrace
	termGrace = grace
	return func() { termGrace = before }
}
