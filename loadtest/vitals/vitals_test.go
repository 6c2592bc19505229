package vitals_test

import (
	"runtime"
	"testing"
	"time"

	"fanfare/loadtest/vitals"
)

// spin uses a processor until the process has used d of it.
func spin(d time.Duration) {
	for until := vitals.CPU() + d; vitals.CPU() < until; {
	}
}

func TestUsageCountsWhatIsUsed(t *testing.T) {
	w := vitals.NewWatch()
	spin(60 * time.Millisecond)
	s := w.Sample()
	if s.CPU <= 0 {
		t.Errorf("a busy process used %v cores", s.CPU)
	}
	u := w.Usage()
	if u.CPU < 60*time.Millisecond || u.Wall <= 0 {
		t.Errorf("used %v in %v, want at least 60ms", u.CPU, u.Wall)
	}
	if u.Limit < 64 {
		t.Errorf("limit of %d descriptors", u.Limit)
	}
	if runtime.GOOS == "linux" {
		if s.RSS < 1<<20 || u.RSS < s.RSS || u.Descriptors < 3 || vitals.Ports() < 1000 || s.Machine <= 0 || s.Machine > 1 {
			t.Errorf("sample %+v, usage %+v, %d ports", s, u, vitals.Ports())
		}
	}
}

func TestHere(t *testing.T) {
	if m := vitals.Here(); m.Cores != runtime.NumCPU() || m.OS == "" || m.Name != vitals.Here().Name {
		t.Errorf("%+v", m)
	}
}
