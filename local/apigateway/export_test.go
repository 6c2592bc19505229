package apigateway

import "time"

// A client on a busy machine is not cut off in tests. Tests of the grace set it.
func init() { closeGrace = time.Minute }

// SetCloseGrace sets closeGrace and returns a function that restores it. No server may be running.
func SetCloseGrace(grace time.Duration) (restore func()) {
	before := closeGrace
	closeGrace = grace
	return func() { closeGrace = before }
}
