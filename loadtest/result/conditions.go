package result

import (
	"time"

	"fanfare/loadtest/vitals"
)

// Version is the version of the file format; a reader refuses any other.
const Version = 1

// Conditions is what a segment says before its first record: enough to judge the records without knowing the command.
type Conditions struct {
	Version   int    `json:"version"`
	Run       string `json:"run"`
	Process   int    `json:"process"`   // from 0
	Processes int    `json:"processes"` // in the whole run

	Target      string   `json:"target"`          // URL without query
	Queue       string   `json:"queue,omitempty"` // queue URL
	Local       bool     `json:"local,omitempty"` // the run started the system itself
	Headers     []string `json:"headers,omitempty"`
	Ledger      string   `json:"ledger,omitempty"` // table that the system's own report is read from; empty: none
	Others      int      `json:"others,omitempty"` // clients besides the run's own that the ledger may count
	Connections int      `json:"connections"`      // in the whole run
	Ramp        float64  `json:"ramp"`             // connects per second
	Slow        int      `json:"slow,omitempty"`
	SlowRate    int      `json:"slowRate,omitempty"` // bytes per second; 0 reads nothing
	Churn       float64  `json:"churn,omitempty"`    // share per minute

	Publishers int           `json:"publishers"`
	Via        string        `json:"via"` // clients, queue or both
	Rate       float64       `json:"rate"`
	Count      int           `json:"count"` // events in the schedule
	Size       int           `json:"size"`  // bytes; 0 with a body of the user's own
	Start      int64         `json:"start"` // microseconds since the Unix epoch, of event 0
	Warmup     time.Duration `json:"warmup,omitempty"`
	Deadline   time.Duration `json:"deadline"`
	Ping       time.Duration `json:"ping,omitempty"`
	Seed       uint64        `json:"seed"`
	PostRate   float64       `json:"postRate"`  // quota: posts per second
	PostBurst  float64       `json:"postBurst"` // quota: burst

	Expect []string       `json:"expect,omitempty"` // thresholds of the run
	Note   string         `json:"note,omitempty"`   // the user's own
	Host   vitals.Machine `json:"host"`
}

// End is what a segment says after its last record.
type End struct {
	At          int64         `json:"at"`
	Interrupted bool          `json:"interrupted,omitempty"` // stopped by the user before its time
	Frames      int64         `json:"frames"`                // data frames received
	Records     int64         `json:"records"`               // deliveries and odd arrivals written; equals Frames less answers and pongs
	Answers     int64         `json:"answers"`               // answers and pongs received
	Unsent      int64         `json:"unsent,omitempty"`      // bytes still in the harness at the end: the system did not read
	Clock       time.Duration `json:"clock,omitempty"`       // how far the wall clock was moved during the run
	Usage       vitals.Usage  `json:"usage"`
}
