// Package vitals measures the harness itself: the resources that it uses and how late it is. If the load generator is
// the bottleneck, a load test measures the generator; these figures show it.
package vitals

import (
	"runtime"
	"time"
)

// Machine describes the machine that a process ran on.
type Machine struct {
	Name  string `json:"name,omitempty"` // digest of the host name: distinguishes machines without their names
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Cores int    `json:"cores"`
	Go    string `json:"go"`
}

// Sample has the figures of a process over about one second.
type Sample struct {
	At          int64         `json:"at"`                // microseconds since the Unix epoch
	CPU         float64       `json:"cpu"`               // cores used by this process since the last sample
	Machine     float64       `json:"machine,omitempty"` // share of all cores in use, 0 to 1; 0 if unknown
	RSS         int64         `json:"rss,omitempty"`     // resident bytes; 0 if unknown
	Open        int           `json:"open"`              // connections
	ScheduleLag time.Duration `json:"scheduleLag"`       // largest since the last sample
	ReadLag     time.Duration `json:"readLag"`           // largest since the last sample
	Goroutines  int           `json:"goroutines"`
}

// Usage has the figures of a process over a whole measurement.
type Usage struct {
	CPU         time.Duration `json:"cpu"`         // user and system
	Wall        time.Duration `json:"wall"`        // from the first event to the end of the wait for the last delivery
	RSS         int64         `json:"rss"`         // largest seen, bytes
	Pause       time.Duration `json:"pause"`       // of garbage collections
	Descriptors int           `json:"descriptors"` // open at the end
	Limit       uint64        `json:"limit"`       // of descriptors
	// The lags are HdrHistograms in the compressed V2 encoding, in microseconds.
	ScheduleLag []byte `json:"scheduleLag,omitempty"`
	ReadLag     []byte `json:"readLag,omitempty"`
}

// Host returns the machine that this process runs on.
func Host() Machine {
	return Machine{Name: hostDigest(), OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(),
		Go: runtime.Version()}
}
