package trial

import (
	"strings"
	"testing"
	"time"

	"fanfare/loadtest/engine"
	"fanfare/loadtest/vitals"
)

func validSettings() Settings {
	return Settings{
		URL: "ws://127.0.0.1:9001", Via: engine.Clients, Connections: 100, Ramp: 400, Rate: 1, Duration: time.Minute,
		Deadline: time.Second,
	}
}

func TestSettings_Defaults(t *testing.T) {
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
		s := validSettings()
		c.change(&s)
		if err := s.Validate(); err != nil || s.Publishers != c.publishers || s.Size != 256 || s.Shards < 1 {
			t.Errorf("got %d publishers, %d bytes, %d shards, %v, want %d publishers, 256 bytes, 1 shard or more, nil",
				s.Publishers, s.Size, s.Shards, err, c.publishers)
		}
	}
}

// With a deadline shorter than the quota needs, every run would be late.
func TestSettings_Deadline(t *testing.T) {
	for _, c := range []struct {
		clients     int
		given, want time.Duration
	}{{100, 0, 10 * time.Second}, {5_000, 0, 10 * time.Second}, {105_000, 0, 20 * time.Second},
		{105_000, 3 * time.Second, 3 * time.Second}} {
		s := validSettings()
		s.Connections, s.Deadline, s.PostRate, s.PostBurst = c.clients, c.given, 10_000, 5_000
		if err := s.Validate(); err != nil || s.Deadline != c.want {
			t.Errorf("%d clients, --deadline %v: got %v, %v, want %v, nil", c.clients, c.given, s.Deadline, err, c.want)
		}
	}
}

func TestSettings_Invalid(t *testing.T) {
	for want, change := range map[string]func(*Settings){
		"--connections":        func(s *Settings) { s.Connections = 0 },
		"--ramp":               func(s *Settings) { s.Ramp = 0 },
		"--rate:":              func(s *Settings) { s.Rate = -1 },
		"--duration:":          func(s *Settings) { s.Duration = 0 },
		"at least one message": func(s *Settings) { s.Rate, s.Duration = 0.1, time.Second },
		"messages":             func(s *Settings) { s.Rate, s.Duration = 1e6, time.Hour },
		"--size":               func(s *Settings) { s.Size = 131_073 },
		"--slow":               func(s *Settings) { s.Slow = 100 },
		"--churn":              func(s *Settings) { s.Churn = -1 },
		"--warmup":             func(s *Settings) { s.Warmup = time.Minute },
		"--deadline":           func(s *Settings) { s.Deadline = -1 },
		"--publishers":         func(s *Settings) { s.Publishers = 101 },
		"--queue-url":          func(s *Settings) { s.Via = engine.Queue },
		"at least 2":           func(s *Settings) { s.Via, s.QueueURL, s.Publishers = engine.Both, "http://127.0.0.1/q", 1 },
		"--processes":          func(s *Settings) { s.Processes = 101 },
		"--min-connected":      func(s *Settings) { s.MinConnected = 101 },
		"--url":                func(s *Settings) { s.URL = "https://127.0.0.1" },
		"--others":             func(s *Settings) { s.Others = 1 },
		"others: want":         func(s *Settings) { s.Ledger, s.LedgerEndpoint, s.Others = "t", "http://127.0.0.1:1", -1 },
		"--ledger-wait":        func(s *Settings) { s.LedgerWait = -1 },
		"--ledger-endpoi":      func(s *Settings) { s.Ledger = "t" },
		"--ledger":             func(s *Settings) { s.Expect = []string{"ledger_gone == 0"} },
		"no figure":            func(s *Settings) { s.Expect = []string{"speed > 9"} },
	} {
		s := validSettings()
		change(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

func TestSettings_Plan(t *testing.T) {
	s := validSettings()
	each := int(vitals.RaiseFileLimit()) - spare
	ports := vitals.Ports() * 9 / 10
	if each > maxConnections || ports == 0 {
		t.Skip("the limit of descriptors is too high, or the number of ports is unknown")
	}
	s.Connections = 2*each + 1
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := s.plan()
	if err != nil || p.Processes != 3 {
		t.Errorf("got %d processes, %v, want 3 for %d connections with %d descriptors each", p.Processes, err, s.Connections,
			each)
	}
	if want := (s.Connections + ports - 1) / ports; want > 1 && len(p.Sources) != want {
		t.Errorf("got %d addresses, want %d for %d connections with %d ports each", len(p.Sources), want, s.Connections,
			ports)
	}
	s.Processes = 2
	if _, err := s.plan(); err == nil || !strings.Contains(err.Error(), "want at least 3") {
		t.Errorf("too few processes: got error %v, want one with %q", err, "want at least 3")
	}
	s.Processes, s.URL = 0, "wss://example.com/prod"
	if _, err := s.plan(); s.Connections > ports && (err == nil || !strings.Contains(err.Error(), "--source")) {
		t.Errorf("too few ports: got error %v, want one with %q", err, "--source")
	}
}

func TestTarget_NoSecrets(t *testing.T) {
	if got := target("wss://user:secret@example.com/prod?token=secret#secret"); got != "wss://example.com/prod" {
		t.Errorf("got %q, want %q", got, "wss://example.com/prod")
	}
}
