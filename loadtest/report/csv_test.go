package report_test

import (
	"bytes"
	"encoding/csv"
	"testing"

	"fanfare/test/fakeresult"
)

// A spreadsheet must not execute an id that the system chose.
func TestReport_CSVFormulas(t *testing.T) {
	r := load(t, nil, fakeresult.Run{})
	for id, want := range map[string]string{
		"=1+1": "'=1+1", "+cmd|' /C calc'!A0": "'+cmd|' /C calc'!A0", "-2+3": "'-2+3", "@SUM(A1)": "'@SUM(A1)",
		"\t=1": "'\t=1", "\r=1": "'\r=1", "-Inf": "'-Inf",
		"-12": "-12", "+1.5e-3": "+1.5e-3", "plain": "plain", "a=b": "a=b", "": "",
	} {
		r.Broadcasts[0].ID = id
		var b bytes.Buffer
		if err := r.CSV(&b); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if got := rows[1][3]; got != want {
			t.Errorf("%q: got cell %q, want %q", id, got, want)
		}
	}
}
