package apigateway

import "time"

// Without luck: a client that a busy machine holds up is not cut off. Tests in which it says nothing set the grace.
func init() { closeGrace = time.Minute }

// SetCloseGrace changes the grace and returns what restores it, once no server runs.
func SetCloseGrace(grace time.Duration) (restore func()) {
	before := closeGrace
	closeGrace = grace
	return func() { closeGrace = before }
}
