package result

import (
	"time"

	"fanfare/loadtest/vitals"
)

// Version is the version of the file format. Readers return an error for other versions.
const Version = 1

// Conditions describes the run, at the beginning of a segment. The records can be interpreted with it.
type Conditions struct {
	Version   int    `json:"version"`
	Run       string `json:"run"`
	Process   int    `json:"process"`   // from 0
	Processes int    `json:"processes"` // in the whole run

	Target       string   `json:"target"`          // URL without query
	Queue        string   `json:"queue,omitempty"` // queue URL
	Local        bool     `json:"local,omitempty"` // the run started the system itself
	Headers      []string `json:"headers,omitempty"`
	Ledger       string   `json:"ledger,omitempty"`       // table of the system's own report; empty: not read
	Others       int      `json:"others,omitempty"`       // other clients, which the ledger may count
	Connections  int      `json:"connections"`            // in the whole run
	MinConnected int      `json:"minConnected,omitempty"` // clients that suffice; 0: all
	Ramp         float64  `json:"ramp"`                   // connects per second
	Slow         int      `json:"slow,omitempty"`         // slow clients
	SlowRate     int      `json:"slowRate,omitempty"`     // bytes per second; 0 reads nothing
	Churn        float64  `json:"churn,omitempty"`        // share of the clients that reconnect per minute

	Publishers int           `json:"publishers"`
	Via        string        `json:"via"` // clients, queue or both
	Rate       float64       `json:"rate"`
	Count      int           `json:"count"` // messages in the schedule
	Size       int           `json:"size"`  // bytes; 0: content of the user
	Start      int64         `json:"start"` // intended time of message 0, microseconds since the Unix epoch
	Warmup     time.Duration `json:"warmup,omitempty"`
	Deadline   time.Duration `json:"deadline"`
	Ping       time.Duration `json:"ping,omitempty"`
	Seed       uint64        `json:"seed"`
	PostRate   float64       `json:"postRate"`  // quota: posts per second
	PostBurst  float64       `json:"postBurst"` // quota: burst

	Expect []string       `json:"expect,omitempty"` // thresholds of the run
	Note   string         `json:"note,omitempty"`   // a remark of the user
	Host   vitals.Machine `json:"host"`
}

// End has the totals of a process, at the end of a segment.
type End struct {
	At          int64         `json:"at"`
	Interrupted bool          `json:"interrupted,omitempty"` // stopped early by the user
	Frames      int64         `json:"frames"`                // data frames received
	Records     int64         `json:"records"`               // deliveries and odd frames written; must be Frames - Answers
	Answers     int64         `json:"answers"`               // answers and pongs received
	Unsent      int64         `json:"unsent,omitempty"`      // bytes that the system did not read
	Clock       time.Duration `json:"clock,omitempty"`       // by which the wall clock was set during the run
	Usage       vitals.Usage  `json:"usage"`
}

// Required returns the number of clients that must be connected.
func (c *Conditions) Required() int {
	if c.MinConnected > 0 {
		return c.MinConnected
	}
	return c.Connections
}
