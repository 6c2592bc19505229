package lambda

import "time"

// Without luck: an answer never comes before its report, however slow the machine. A test of the grace sets it.
func init() { responseGrace = time.Hour }

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
