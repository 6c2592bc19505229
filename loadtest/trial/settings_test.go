package trial

import (
	"strings"
	"testing"
	"time"

	"fanfare/loadtest/engine"
	"fanfare/loadtest/vitals"
)

func good() Settings {
	return Settings{
		URL: "ws://127.0.0.1:9001", Via: engine.Clients, Connections: 100, Ramp: 400, Rate: 1, Duration: time.Minute,
		Deadline: time.Second,
	}
}

func TestWhatIsLeftOpenIsFilledIn(t *testing.T) {
	for _, c := range []struct {
		change     func(*Settings)
		publishers int
	}{
		{func(*Settings) {}, 2},
		{func(s *Settings) { s.Rate = 0.1 }, 1},
		{func(s *Settings) { s.Rate = 30 }, 60},
		{func(s *Settings) { s.Rate = 80 }, 100},
		{func(s *Settings) { s.Rate, s.Slow = 80, 20 }, 80},
		{func(s *Settings) { s.Rate, s.Via, s.QueueURL = 5000, engine.Queue, "http://127.0.0.1/q" }, 1000},
	} {
		s := good()
		c.change(&s)
		if err := s.Validate(); err != nil || s.Publishers != c.publishers || s.Size != 256 || s.Shards < 1 {
			t.Errorf("%d publishers, %d bytes, %d shards, %v; want %d publishers", s.Publishers, s.Size, s.Shards, err,
				c.publishers)
		}
	}
}

// A deadline that no system could keep would make every run fail for being late.
func TestTheDeadlineLeavesTheQuotaItsTime(t *testing.T) {
	for _, c := range []struct {
		clients     int
		given, want time.Duration
	}{{100, 0, 10 * time.Second}, {5_000, 0, 10 * time.Second}, {105_000, 0, 20 * time.Second},
		{105_000, 3 * time.Second, 3 * time.Second}} {
		s := good()
		s.Connections, s.Deadline, s.PostRate, s.PostBurst = c.clients, c.given, 10_000, 5_000
		if err := s.Validate(); err != nil || s.Deadline != c.want {
			t.Errorf("%d clients, --deadline %v: %v, %v; want %v", c.clients, c.given, s.Deadline, err, c.want)
		}
	}
}

func TestNonsenseIsRefusedByName(t *testing.T) {
	for want, change := range map[string]func(*Settings){
		"--connections":   func(s *Settings) { s.Connections = 0 },
		"--ramp":          func(s *Settings) { s.Ramp = 0 },
		"--rate:":         func(s *Settings) { s.Rate = -1 },
		"--duration:":     func(s *Settings) { s.Duration = 0 },
		"not one message": func(s *Settings) { s.Rate, s.Duration = 0.1, time.Second },
		"more than":       func(s *Settings) { s.Rate, s.Duration = 1e6, time.Hour },
		"--size":          func(s *Settings) { s.Size = 131_073 },
		"--slow":          func(s *Settings) { s.Slow = 100 },
		"--churn":         func(s *Settings) { s.Churn = -1 },
		"--warmup":        func(s *Settings) { s.Warmup = time.Minute },
		"--deadline":      func(s *Settings) { s.Deadline = -1 },
		"--publishers":    func(s *Settings) { s.Publishers = 101 },
		"--queue-url":     func(s *Settings) { s.Via = engine.Queue },
		"at least two":    func(s *Settings) { s.Via, s.QueueURL, s.Publishers = engine.Both, "http://127.0.0.1/q", 1 },
		"--processes":     func(s *Settings) { s.Processes = 101 },
		"--min-connected": func(s *Settings) { s.Fewest = 101 },
		"--url":           func(s *Settings) { s.URL = "https://127.0.0.1" },
		"--others":        func(s *Settings) { s.Others = 1 },
		"others: want":    func(s *Settings) { s.Ledger, s.LedgerEndpoint, s.Others = "t", "http://127.0.0.1:1", -1 },
		"--ledger-wait":   func(s *Settings) { s.LedgerWait = -1 },
		"--ledger-endpoi": func(s *Settings) { s.Ledger = "t" },
		"with --ledger":   func(s *Settings) { s.Expect = []string{"ledger_gone == 0"} },
		"no metric":       func(s *Settings) { s.Expect = []string{"speed > 9"} },
	} {
		s := good()
		change(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something with %q", err, want)
		}
	}
}

func TestClientsAreSpreadOverProcessesAndAddresses(t *testing.T) {
	s := good()
	each := int(vitals.Limit()) - spare
	ports := vitals.Ports() * 9 / 10
	if each > maxConnections || ports == 0 {
		t.Skip("this machine has descriptors for everybody, or tells nothing of its ports")
	}
	s.Connections = 2*each + 1
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := s.plan()
	if err != nil || p.Processes != 3 {
		t.Errorf("%d processes for %d connections with %d descriptors each, %v", p.Processes, s.Connections, each, err)
	}
	if want := (s.Connections + ports - 1) / ports; want > 1 && len(p.Sources) != want {
		t.Errorf("%d addresses for %d connections with %d ports each, want %d", len(p.Sources), s.Connections, ports, want)
	}
	s.Processes = 2
	if _, err := s.plan(); err == nil || !strings.Contains(err.Error(), "need at least 3") {
		t.Errorf("too few processes: %v", err)
	}
	s.Processes, s.URL = 0, "wss://example.com/prod"
	if _, err := s.plan(); s.Connections > ports && (err == nil || !strings.Contains(err.Error(), "--source")) {
		t.Errorf("more connections than ports to a foreign host: %v", err)
	}
}

func TestTheTargetIsWrittenWithoutSecrets(t *testing.T) {
	if got := target("wss://user:secret@example.com/prod?token=secret#secret"); got != "wss://example.com/prod" {
		t.Error(got)
	}
}
