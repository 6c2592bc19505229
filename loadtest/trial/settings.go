// Package trial carries out load tests from settings to report: it plans the processes, connects the clients, measures,
// and judges. The commands run, sweep and doctor are made of it.
package trial

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"time"

	"fanfare/loadtest/engine"
	"fanfare/loadtest/payload"
	"fanfare/loadtest/report"
	"fanfare/loadtest/timing"
	"fanfare/loadtest/vitals"
)

// Settings are what a user can choose. Validate tells whether they make sense.
type Settings struct {
	URL         string
	QueueURL    string
	Via         string // engine.Clients, Queue or Both
	Local       bool   // the trial's own system under test
	Header      http.Header
	Connections int
	Ramp        float64 // connects per second
	Slow        int
	SlowRate    int // bytes per second
	Churn       float64
	Publishers  int // 0: enough for two seconds between the messages of each, at most 1,000
	Rate        float64
	Duration    time.Duration
	Size        int
	Body        []byte
	Warmup      time.Duration
	Deadline    time.Duration // 0: patience, and the time that the quota alone costs one message
	Settle      time.Duration
	Ping        time.Duration
	Connect     time.Duration // time-out of one attempt
	Attempts    int
	Fewest      int // connected clients to go on with; 0: all
	Seed        uint64
	Processes   int // 0: as many as the descriptors ask for
	Shards      int // 0: one per processor, at most four
	Sources     []netip.Addr
	Streams     bool
	PostRate    float64
	PostBurst   float64
	Expect      []string
	Note        string

	Ledger         string        // table of the system's own report; empty: it is not read
	LedgerEndpoint string        // empty: AWS's
	LedgerWait     time.Duration // how long to wait until the ledger is settled
	Others         int           // clients besides the run's own that the ledger may count
}

// Limits of what can be asked for.
const (
	maxConnections = 1_000_000
	maxProcesses   = 256
	maxEvents      = 100_000_000
	// patience is the deadline of a message to no more clients than the burst of the quota.
	patience = 10 * time.Second
	// spare is how many descriptors a process needs besides its connections: dialling doubles 128 of them for a moment.
	spare = 400
)

// Validate fills in what was left open and tells what does not make sense.
func (s *Settings) Validate() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
		return fmt.Errorf("--url %q: want ws://host:port/path or wss://host/path", s.URL)
	}
	if s.Publishers == 0 {
		s.Publishers = min(max(int(s.Rate*2), 1), 1000)
		if s.Via == engine.Clients {
			s.Publishers = max(min(s.Publishers, s.Connections-s.Slow), 1)
		}
	}
	if s.Shards == 0 {
		s.Shards = min(runtime.NumCPU(), 4)
	}
	if s.Deadline == 0 {
		// No system can be held to less than its quota allows.
		s.Deadline = patience + report.Floor(s.Connections-s.Slow, s.PostRate, s.PostBurst).Round(time.Second)
	}
	if s.Size == 0 && s.Body == nil {
		s.Size = 256
	}
	for _, bad := range []struct {
		when bool
		say  string
	}{
		{s.Connections < 1 || s.Connections > maxConnections, fmt.Sprintf("--connections: want 1 to %d", maxConnections)},
		{s.Ramp <= 0, "--ramp: want more than 0 connects per second"},
		{s.Rate <= 0, "--rate: want more than 0 messages per second"},
		{s.Duration <= 0, "--duration: want more than 0"},
		{s.Rate*s.Duration.Seconds() < 1, "--rate and --duration: together they make not one message"},
		{s.Rate*s.Duration.Seconds() > maxEvents,
			fmt.Sprintf("--rate and --duration: together they make more than %d messages", maxEvents)},
		{s.Body == nil && (s.Size < payload.MinSize || s.Size > payload.MaxSize),
			fmt.Sprintf("--size: want %d to %d bytes; smaller ones could not carry what recognises them, larger ones API Gateway cannot post", payload.MinSize, payload.MaxSize)},
		{s.Slow < 0 || s.Slow >= s.Connections, "--slow: want fewer than --connections"},
		{s.Churn < 0, "--churn: want 0 or more"},
		{s.Warmup < 0 || s.Warmup >= s.Duration, "--warmup: want less than --duration"},
		{s.Deadline < 0, "--deadline: want 0 or more"},
		{s.Publishers < 0, "--publishers: want 1 or more"},
		{s.Via != engine.Queue && s.Publishers > s.Connections-s.Slow,
			fmt.Sprintf("--publishers: %d clients read as they should, so at most as many can publish", s.Connections-s.Slow)},
		{s.Via != engine.Clients && s.QueueURL == "", "--publish " + s.Via + ": say through which queue with --queue-url"},
		{s.Via == engine.Both && s.Publishers < 2, "--publish both: want at least two --publishers"},
		{s.Processes < 0 || s.Processes > maxProcesses, fmt.Sprintf("--processes: want at most %d", maxProcesses)},
		{s.Processes > s.Connections, "--processes: want no more than --connections"},
		{s.Churn > 0 && s.Via == engine.Clients && s.Publishers >= s.Connections-s.Slow,
			"--churn needs clients that do not publish: lower --publishers"},
		{s.Fewest > s.Connections, "--min-connected: want at most --connections"},
		{s.LedgerWait < 0, "--ledger-wait: want 0 or more"},
		{s.Others < 0, "--others: want 0 or more"},
		{s.Ledger == "" && s.Others > 0, "--others: say which table the ledger is with --ledger"},
		{s.Ledger != "" && s.LedgerEndpoint == "" &&
			loopback(u), "--ledger: say where the system's DynamoDB is with --ledger-endpoint, as http://127.0.0.1:4566"},
	} {
		if bad.when {
			return errors.New(bad.say)
		}
	}
	_, err = report.Expectations(s.Expect, s.Ledger != "")
	return err
}

// loopback tells whether a URL is of this machine: AWS has no ledger of such a system.
func loopback(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// plan shares the work out.
func (s *Settings) plan() (engine.Plan, error) {
	p := engine.Plan{
		URL: s.URL, Header: s.Header, Processes: s.Processes, Connections: s.Connections, Ramp: s.Ramp, Slow: s.Slow,
		SlowRate:   s.SlowRate,
		Publishers: s.Publishers, Via: s.Via, QueueURL: s.QueueURL, Sources: s.Sources, Shards: s.Shards,
		ConnectTimeout: s.Connect,
		Attempts:       max(s.Attempts, 1), Ping: s.Ping, Streams: s.Streams,
	}
	// Two descriptors are left for each connection under way while it is made.
	each := int(min(vitals.Limit(), 1<<31)) - spare
	if each < 1 {
		return p, fmt.Errorf("only %d descriptors may be open: raise the limit with ulimit -n", vitals.Limit())
	}
	least := (s.Connections + each - 1) / each
	if p.Processes == 0 {
		p.Processes = least
	}
	if p.Processes < least {
		return p, fmt.Errorf("--processes %d: %d connections need at least %d, since each may hold %d descriptors",
			p.Processes, s.Connections, least, vitals.Limit())
	}
	if len(p.Sources) == 0 {
		var err error
		if p.Sources, err = sources(s.URL, s.Connections); err != nil {
			return p, err
		}
	}
	// Workers need a moment to start.
	p.Start = timing.Now() + 50_000
	return p, nil
}

// sources returns the local addresses to connect from: one has ports for some 28,000 connections to the same peer, and
// the whole of 127.0.0.0/8 is this machine.
func sources(target string, connections int) ([]netip.Addr, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	ports := vitals.Ports() * 9 / 10
	if ports == 0 || connections <= ports {
		return nil, nil
	}
	if ip, err := netip.ParseAddr(u.Hostname()); !loopback(u) || err == nil && !ip.Is4() || runtime.GOOS != "linux" {
		return nil, fmt.Errorf("%d connections to one address need more local ports than the %d there are: name further local addresses with --source, or widen net.ipv4.ip_local_port_range", connections, vitals.Ports())
	}
	all := make([]netip.Addr, (connections+ports-1)/ports)
	for i := range all {
		all[i] = netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)})
	}
	return all, nil
}

// target is the URL without what may be secret in it.
func target(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
