// Package vitals watches the harness itself: what it costs and how late it is. A load test whose generator was the
// bottleneck measures the generator; only these figures can tell.
package vitals

import (
	"runtime"
	"time"
)

// Machine says where a process ran.
type Machine struct {
	Name  string `json:"name,omitempty"` // a digest of the host's name: tells machines apart without naming them
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Cores int    `json:"cores"`
	Go    string `json:"go"`
}

// Sample is one look at a process, about once a second.
type Sample struct {
	At          int64         `json:"at"`                // microseconds since the Unix epoch
	CPU         float64       `json:"cpu"`               // cores used by this process since the sample before
	Machine     float64       `json:"machine,omitempty"` // share of all cores in use, 0 to 1; 0 where it cannot be told
	RSS         int64         `json:"rss,omitempty"`     // resident bytes; 0 where it cannot be told
	Open        int           `json:"open"`              // connections
	ScheduleLag time.Duration `json:"scheduleLag"`       // the worst since the sample before
	ReadLag     time.Duration `json:"readLag"`           // the worst since the sample before
	Goroutines  int           `json:"goroutines"`
}

// Usage is a process's account of a whole measurement.
type Usage struct {
	CPU         time.Duration `json:"cpu"`  // user and system
	Wall        time.Duration `json:"wall"` // from the first event to the end of the wait for the last delivery
	RSS         int64         `json:"rss"`  // largest seen, bytes
	Pause       time.Duration `json:"pause"`
	Descriptors int           `json:"descriptors"` // open at the end
	Limit       uint64        `json:"limit"`       // of descriptors
	// Lags as HdrHistograms in the V2 compressed encoding, in microseconds.
	ScheduleLag []byte `json:"scheduleLag,omitempty"`
	ReadLag     []byte `json:"readLag,omitempty"`
}

// Here describes the machine that this process runs on.
func Here() Machine {
	return Machine{Name: hostDigest(), OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(),
		Go: runtime.Version()}
}
