package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
)

// Ledger is the system's own report on a run's broadcasts, as it stood when the harness stopped asking.
type Ledger struct {
	Reports []LedgerReport `json:"reports,omitempty"`
	Error   string         `json:"error,omitempty"` // why the ledger could not be read; there are no reports then
}

// LedgerReport is what the system says became of one broadcast: Audience is the sum of Delivered, Gone, Failed and
// Outstanding. One without Parts is of a broadcast that the ledger does not know.
type LedgerReport struct {
	ID          string         `json:"id"`
	Parts       int            `json:"parts"`
	Dispatched  bool           `json:"dispatched"` // nobody will be added to the audience
	Audience    int64          `json:"audience"`   // connections it was addressed to
	Delivered   int64          `json:"delivered"`  // posted to, and the post was taken
	Gone        int64          `json:"gone"`       // no longer connected
	Failed      int64          `json:"failed"`     // given up
	Outstanding int64          `json:"outstanding"`
	Repeatable  int64          `json:"repeatable,omitempty"` // deliveries that may have been made again
	Reasons     map[string]int `json:"reasons,omitempty"`    // of Failed
}

// Settled tells whether the system is done with the broadcast: nothing more will become of it.
func (r *LedgerReport) Settled() bool { return r.Dispatched && r.Outstanding == 0 }

// reportsPerBlock keeps a block far below maxBlock.
const reportsPerBlock = 1000

// AppendLedger adds what the ledger says to a finished result file of one run.
func AppendLedger(file string, l Ledger) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("result file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var blocks []byte
	parts := slices.Collect(slices.Chunk(l.Reports, reportsPerBlock))
	if len(parts) == 0 {
		parts = [][]LedgerReport{nil}
	}
	for _, reports := range parts {
		body, err := json.Marshal(Ledger{Reports: reports, Error: l.Error})
		if err != nil {
			return fmt.Errorf("write results: %w", err)
		}
		blocks = appendBlock(blocks, 'L', body)
	}
	if _, err := f.Write(blocks); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// readLedger adds what one block says to a segment.
func (s *Segment) readLedger(body []byte) error {
	var l Ledger
	if err := json.Unmarshal(body, &l); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if s.Ledger == nil {
		s.Ledger = &Ledger{}
	}
	s.Ledger.Reports = append(s.Ledger.Reports, l.Reports...)
	s.Ledger.Error = l.Error
	return nil
}
