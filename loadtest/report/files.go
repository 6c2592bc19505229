package report

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"fanfare/loadtest/account"
)

// JSON writes the whole report. Times of broadcasts are in nanoseconds, figures in seconds.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

func micros(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }

// CSV writes one line per message, in the order of publishing. Times are in microseconds.
func (r *Report) CSV(w io.Writer) error {
	rows := [][]string{{"message", "publisher", "sequence", "id", "way", "warmup", "intended_us", "sent_us",
		"acknowledged_us", "owed", "delivered", "missing", "duplicates", "first_us", "median_us", "p99_us", "last_us",
		"received", "ledger_audience", "ledger_delivered", "ledger_gone", "ledger_failed", "ledger_outstanding",
		"ledger_repeatable", "ledger_agrees"}}
	for _, b := range r.Broadcasts {
		way, ack := "client", ""
		if b.ByQueue {
			way = "queue"
		}
		if b.Acknowledged != 0 {
			ack = strconv.FormatInt(b.Acknowledged-b.Intended, 10)
		}
		row := []string{strconv.Itoa(b.Number), strconv.Itoa(int(b.Publisher)), strconv.Itoa(int(b.Sequence)), b.ID, way,
			strconv.FormatBool(b.Warm), strconv.FormatInt(b.Intended, 10), strconv.FormatInt(b.Sent-b.Intended, 10), ack,
			strconv.FormatInt(b.Owed, 10), strconv.FormatInt(b.Delivered, 10), strconv.FormatInt(b.Missing, 10),
			strconv.FormatInt(b.Duplicates, 10), micros(b.First), micros(b.Median), micros(b.P99), micros(b.Last)}
		rows = append(rows, append(row, ledgerColumns(b.Ledger)...))
	}
	return writeCSV(w, rows)
}

// ledgerColumns returns the columns of the system's ledger; they are empty without a comparison.
func ledgerColumns(t *account.Comparison) []string {
	if t == nil {
		return make([]string, 8)
	}
	var row []string
	for _, n := range []int64{t.Received, t.Audience, t.Delivered, t.Gone, t.Failed, t.Outstanding, t.Repeatable} {
		row = append(row, strconv.FormatInt(n, 10))
	}
	return append(row, strconv.FormatBool(t.Agree))
}

// SeriesCSV writes one line per period of the time series. Rates are per second, times in microseconds.
func (r *Report) SeriesCSV(w io.Writer) error {
	rows := [][]string{{"offset_s", "published", "acknowledged", "delivered", "p50_us", "p99_us", "max_us",
		"harness_cores", "machine", "schedule_lag_us", "read_lag_us", "open"}}
	for _, p := range r.Series {
		decimal := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
		whole := func(v int64) string { return strconv.FormatInt(v, 10) }
		rows = append(rows, []string{decimal(p.Offset), decimal(p.Published), decimal(p.Acknowledged), decimal(p.Delivered),
			whole(p.P50), whole(p.P99), whole(p.Max), strconv.FormatFloat(p.CPU, 'f', 3, 64),
			strconv.FormatFloat(p.Machine, 'f', 3, 64), whole(p.ScheduleLag), whole(p.ReadLag), strconv.Itoa(p.Open)})
	}
	return writeCSV(w, rows)
}

// number matches the cells that spreadsheets read as numbers.
var number = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// escape puts an apostrophe before a cell that a spreadsheet would execute as a formula. Source: OWASP, "CSV
// Injection".
func escape(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) && !number.MatchString(cell) {
		return "'" + cell
	}
	return cell
}

// writeCSV writes the rows and escapes their cells.
func writeCSV(w io.Writer, rows [][]string) error {
	for _, row := range rows {
		for i := range row {
			row[i] = escape(row[i])
		}
	}
	if err := csv.NewWriter(w).WriteAll(rows); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// The JUnit XML format, as CI systems read it.
type (
	suite struct {
		XMLName  xml.Name `xml:"testsuite"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Time     string   `xml:"time,attr"`
		Stamp    string   `xml:"timestamp,attr"`
		Cases    []testCase
		Output   string `xml:"system-out"`
	}
	testCase struct {
		XMLName xml.Name `xml:"testcase"`
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Failure *problem `xml:"failure,omitempty"`
		Error   *problem `xml:"error,omitempty"`
	}
	problem struct {
		Message string `xml:"message,attr"`
	}
)

// JUnit writes a test case for each check, and a test case with an error for each doubt that makes the run invalid.
func (r *Report) JUnit(w io.Writer) error {
	s := suite{Name: "loadtest", Stamp: time.UnixMicro(r.Conditions.Start).UTC().Format("2006-01-02T15:04:05"),
		Output: r.Describe()}
	s.Time = strconv.FormatFloat(r.Account.Series.Width.Seconds()*float64(len(r.Series)), 'f', 3, 64)
	for _, c := range r.Checks {
		t := testCase{Class: "loadtest.expectations", Name: c.Expectation}
		if !c.Holds {
			t.Failure = &problem{"got " + c.Value}
			s.Failures++
		}
		s.Cases = append(s.Cases, t)
	}
	for _, d := range r.Doubts {
		if d.Invalid {
			s.Cases = append(s.Cases, testCase{Class: "loadtest.harness", Name: "the run is valid", Error: &problem{d.Text}})
			s.Errors++
		}
	}
	s.Tests = len(s.Cases)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(s); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}
