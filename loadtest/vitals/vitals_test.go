package vitals_test

import (
	"runtime"
	"testing"
	"time"

	"fanfare/loadtest/vitals"
)

// spin keeps a processor busy for d.
func spin(d time.Duration) {
	for until := vitals.CPU() + d; vitals.CPU() < until; {
	}
}

func TestWatch_Usage(t *testing.T) {
	w := vitals.NewWatch()
	spin(60 * time.Millisecond)
	s := w.Sample()
	if s.CPU <= 0 {
		t.Errorf("got %v cores used by a busy process, want more than 0", s.CPU)
	}
	u := w.Usage()
	if u.CPU < 60*time.Millisecond || u.Wall <= 0 {
		t.Errorf("got CPU time %v in %v, want at least 60ms", u.CPU, u.Wall)
	}
	if u.Limit < 64 {
		t.Errorf("got limit of %d descriptors, want at least 64", u.Limit)
	}
	if runtime.GOOS == "linux" {
		if s.RSS < 1<<20 || u.RSS < s.RSS || u.Descriptors < 3 || vitals.Ports() < 1000 || s.Machine <= 0 || s.Machine > 1 {
			t.Errorf("got sample %+v, usage %+v, %d ports, want plausible values", s, u, vitals.Ports())
		}
	}
}

func TestHost(t *testing.T) {
	if m := vitals.Host(); m.Cores != runtime.NumCPU() || m.OS == "" || m.Name != vitals.Host().Name {
		t.Errorf("got %+v, want %d cores and the same name twice", m, runtime.NumCPU())
	}
}
