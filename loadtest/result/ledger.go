package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
)

// Ledger is the system's own report on a run's broadcasts, as the harness last read it.
type Ledger struct {
	Reports []LedgerReport `json:"reports,omitempty"`
	Error   string         `json:"error,omitempty"` // if the ledger could not be read; then there are no reports
}

// LedgerReport is the system's report on one broadcast. Audience is the sum of Delivered, Gone, Failed and Outstanding.
// Parts is 0 for a broadcast that is not in the ledger.
type LedgerReport struct {
	ID          string         `json:"id"`
	Parts       int            `json:"parts"`
	Dispatched  bool           `json:"dispatched"` // the audience is complete
	Audience    int64          `json:"audience"`   // connections addressed
	Delivered   int64          `json:"delivered"`  // posts that were accepted
	Gone        int64          `json:"gone"`       // no longer connected
	Failed      int64          `json:"failed"`     // deliveries that failed
	Outstanding int64          `json:"outstanding"`
	Repeatable  int64          `json:"repeatable,omitempty"` // deliveries that may have been repeated
	Reasons     map[string]int `json:"reasons,omitempty"`    // of Failed
}

// Settled reports whether the audience is complete and every delivery has an outcome.
func (r *LedgerReport) Settled() bool { return r.Dispatched && r.Outstanding == 0 }

// reportsPerBlock keeps blocks far smaller than maxBlock.
const reportsPerBlock = 1000

// AppendLedger adds the system's ledger to a finished result file of one run.
func AppendLedger(file string, l Ledger) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("open result file: %w", err)
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
			return fmt.Errorf("encode ledger: %w", err)
		}
		blocks = appendBlock(blocks, 'L', body)
	}
	if _, err := f.Write(blocks); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

// readLedger adds one block of the ledger to a segment.
func (s *Segment) readLedger(body []byte) error {
	var l Ledger
	if err := json.Unmarshal(body, &l); err != nil {
		return fmt.Errorf("decode ledger: %w", err)
	}
	if s.Ledger == nil {
		s.Ledger = &Ledger{}
	}
	s.Ledger.Reports = append(s.Ledger.Reports, l.Reports...)
	s.Ledger.Error = l.Error
	return nil
}
