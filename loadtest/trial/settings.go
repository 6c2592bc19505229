// Package trial runs load tests, from settings to report: it plans the processes, connects the clients, measures, and
// loads the report. It also searches for the capacity. The commands run, sweep and doctor use it.
package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"time"

	"fanfare/loadtest/aws"
	"fanfare/loadtest/engine"
	"fanfare/loadtest/payload"
	"fanfare/loadtest/report"
	"fanfare/loadtest/timing"
	"fanfare/loadtest/vitals"
)

// Settings are a user's choices. Validate checks them and sets defaults.
type Settings struct {
	URL          string
	QueueURL     string
	Via          string // who publishes: engine.Clients, Queue or Both
	Local        bool   // the system under test was started for this run
	Header       http.Header
	Token        string   // empty: none
	TokenSource  string   // where to send the token: ByProtocol, ByHeader or ByQuery
	Protocols    []string // further sub-protocols to offer
	Connections  int
	Ramp         float64 // connects per second
	Slow         int     // clients that read slowly
	SlowRate     int     // bytes per second; 0 reads nothing
	Churn        float64 // share of the clients that reconnect per minute
	Publishers   int     // 0: enough for two seconds between the messages of each, at most 1,000
	Rate         float64 // messages per second
	Duration     time.Duration
	Size         int           // bytes; 0: 256, if there is no Body
	Body         []byte        // content of the messages instead of padding
	Warmup       time.Duration // at the beginning of Duration: counted, but not timed
	Deadline     time.Duration // 0: baseDeadline plus the time that the posts of one message take at the quota
	Settle       time.Duration // how long to watch for duplicates
	Ping         time.Duration // interval of keep-alive messages; 0: none
	Connect      time.Duration // time limit of one attempt
	Attempts     int           // to connect each client; 0: 1
	MinConnected int           // clients that suffice to start; 0: all
	Seed         uint64
	Processes    int          // 0: as many as the limit of file descriptors requires
	Shards       int          // readers per process; 0: one per processor, at most four
	Sources      []netip.Addr // local addresses to connect from
	Streams      bool         // a goroutine per connection instead of epoll
	PostRate     float64      // the system's quota, posts per second
	PostBurst    float64      // burst of that quota, posts
	Expect       []string
	Note         string

	Ledger         string        // table of the system's own report; empty: not read
	LedgerEndpoint string        // empty: AWS
	LedgerWait     time.Duration // how long to wait until the ledger is settled
	Others         int           // other clients, which the ledger may count
}

// Limits of the settings.
const (
	maxConnections = 1_000_000
	maxProcesses   = 256
	maxEvents      = 100_000_000
	// baseDeadline is the deadline of a message to at most as many clients as the quota's burst.
	baseDeadline = 10 * time.Second
	// spare is the number of descriptors that a process needs besides its connections. Each of the 128 concurrent connects
	// takes two for a moment.
	spare = 400
)

// Validate sets defaults and returns an error for the first setting that is not valid.
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
		// A deadline that the quota alone exceeds would make every run fail.
		s.Deadline = baseDeadline + report.Floor(s.Connections-s.Slow, s.PostRate, s.PostBurst).Round(time.Second)
	}
	if s.Size == 0 && s.Body == nil {
		s.Size = 256
	}
	for _, bad := range []struct {
		when bool
		say  string
	}{
		{s.Connections < 1 || s.Connections > maxConnections, fmt.Sprintf("--connections: want 1 to %d", maxConnections)},
		{!(s.Ramp > 0), "--ramp: want more than 0 connects per second"},
		{!(s.Rate > 0), "--rate: want more than 0 messages per second"},
		{s.Duration <= 0, "--duration: want more than 0"},
		{s.Rate*s.Duration.Seconds() < 1, "--rate and --duration: want at least one message"},
		{s.Rate*s.Duration.Seconds() > maxEvents,
			fmt.Sprintf("--rate and --duration: want at most %d messages", maxEvents)},
		{s.Body == nil && (s.Size < payload.MinSize || s.Size > payload.MaxSize),
			fmt.Sprintf("--size: want %d to %d bytes, which the header needs and API Gateway can post",
				payload.MinSize, payload.MaxSize)},
		{s.Slow < 0 || s.Slow >= s.Connections, "--slow: want fewer than --connections"},
		{!(s.Churn >= 0), "--churn: want 0 or more"},
		{s.Warmup < 0 || s.Warmup >= s.Duration, "--warmup: want less than --duration"},
		{s.SlowRate < 0, "--slow-rate: want 0 or more"},
		{s.Settle < 0, "--settle: want 0 or more"},
		{s.Ping < 0, "--ping: want 0 or more"},
		{s.Connect < 0, "--connect-timeout: want more than 0"},
		{s.Shards < 0, "--readers: want 1 or more"},
		{!(s.PostRate >= 0), "--post-rate: want 0 or more"},
		{!(s.PostBurst >= 0), "--post-burst: want 0 or more"},
		{s.MinConnected < 0, "--min-connected: want 0 or more"},
		{s.Deadline < 0, "--deadline: want 0 or more"},
		{s.Publishers < 0, "--publishers: want 1 or more"},
		{s.Via != engine.Queue && s.Publishers > s.Connections-s.Slow,
			fmt.Sprintf("--publishers: want at most %d, the number of clients that are not slow", s.Connections-s.Slow)},
		{s.Via != engine.Clients && s.QueueURL == "", "--publish " + s.Via + ": want a --queue-url"},
		{s.Via == engine.Both && s.Publishers < 2, "--publish both: want at least 2 --publishers"},
		{s.Processes < 0 || s.Processes > maxProcesses, fmt.Sprintf("--processes: want at most %d", maxProcesses)},
		{s.Processes > s.Connections, "--processes: want no more than --connections"},
		{s.Churn > 0 && s.Via == engine.Clients && s.Publishers >= s.Connections-s.Slow,
			"--churn: want clients that do not publish; lower --publishers"},
		{s.MinConnected > s.Connections, "--min-connected: want at most --connections"},
		{s.LedgerWait < 0, "--ledger-wait: want 0 or more"},
		{s.Others < 0, "--others: want 0 or more"},
		{s.Ledger == "" && s.Others > 0, "--others: want a table of --ledger"},
		{s.Ledger != "" && s.LedgerEndpoint == "" && loopback(u),
			"--ledger: want the endpoint of the system's DynamoDB in --ledger-endpoint, for example http://127.0.0.1:4566"},
	} {
		if bad.when {
			return errors.New(bad.say)
		}
	}
	if err := s.checkHandshake(); err != nil {
		return err
	}
	if s.QueueURL != "" {
		if err := aws.CheckQueueURL(s.QueueURL); err != nil {
			return fmt.Errorf("--queue-url: %w", err)
		}
	}
	if s.Body != nil {
		if _, err := payload.NewBodyMaker("00000000", s.Body); err != nil {
			return fmt.Errorf("--payload-file: %w", err)
		}
	}
	_, err = report.Expectations(s.Expect, s.Ledger != "")
	return err
}

// Check returns an error if the settings are not valid, if this machine has not the descriptors, ports or addresses for
// them, or if the configuration of AWS is incomplete. It connects to nothing.
func (s Settings) Check(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if _, err := s.plan(); err != nil {
		return err
	}
	for _, a := range s.Sources {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", netip.AddrPortFrom(a, 0).String())
		if err != nil {
			return fmt.Errorf("--source %v: %w", a, err)
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("--source %v: %w", a, err)
		}
	}
	if s.Via != engine.Clients {
		if _, err := aws.OpenQueue(ctx, s.QueueURL, 1); err != nil {
			return fmt.Errorf("--queue-url: %w", err)
		}
	}
	if s.Ledger != "" {
		region := cmp.Or(aws.Region(s.QueueURL), aws.Region(s.URL))
		if _, err := aws.OpenLedger(ctx, s.Ledger, s.LedgerEndpoint, region); err != nil {
			return fmt.Errorf("--ledger-endpoint: %w", err)
		}
	}
	return nil
}

// loopback reports whether a URL names this machine. AWS has no ledger of such a system.
func loopback(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// plan divides the work among processes and local addresses.
func (s *Settings) plan() (engine.Plan, error) {
	p := engine.Plan{
		URL: s.url(), Header: s.header(), Protocols: s.protocols(), Processes: s.Processes,
		Connections: s.Connections, Ramp: s.Ramp, Slow: s.Slow,
		SlowRate:   s.SlowRate,
		Publishers: s.Publishers, Via: s.Via, QueueURL: s.QueueURL, Sources: s.Sources, Shards: s.Shards,
		ConnectTimeout: s.Connect,
		Attempts:       max(s.Attempts, 1), Ping: s.Ping, Streams: s.Streams,
	}
	// A connect takes a second descriptor while it is under way; spare includes them.
	each := int(min(vitals.RaiseFileLimit(), 1<<31)) - spare
	if each < 1 {
		return p, fmt.Errorf("%d file descriptors are not enough: raise the limit with ulimit -n", vitals.RaiseFileLimit())
	}
	least := (s.Connections + each - 1) / each
	if p.Processes == 0 {
		p.Processes = least
	}
	if p.Processes < least {
		return p, fmt.Errorf("--processes %d: want at least %d for %d connections with %d file descriptors each",
			p.Processes, least, s.Connections, vitals.RaiseFileLimit())
	}
	if len(p.Sources) == 0 {
		var err error
		if p.Sources, err = sources(s.URL, s.Connections); err != nil {
			return p, err
		}
	}
	// Worker processes need a moment to start.
	p.Start = timing.Now() + 50_000
	return p, nil
}

// sources returns the local addresses to connect from, nil if the default is enough. One address has ports for about
// 28,000 connections to the same peer; on Linux every address in 127.0.0.0/8 is this machine.
func sources(target string, connections int) ([]netip.Addr, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("parse target URL: %w", err)
	}
	ports := vitals.Ports() * 9 / 10
	if ports == 0 || connections <= ports {
		return nil, nil
	}
	if ip, err := netip.ParseAddr(u.Hostname()); !loopback(u) || err == nil && !ip.Is4() || runtime.GOOS != "linux" {
		return nil, fmt.Errorf("%d connections need more than the %d local ports of one address: name further addresses "+
			"with --source, or widen net.ipv4.ip_local_port_range", connections, vitals.Ports())
	}
	all := make([]netip.Addr, (connections+ports-1)/ports)
	for i := range all {
		all[i] = netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)})
	}
	return all, nil
}

// target returns the URL without its user, query and fragment, which may be secret.
func target(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
