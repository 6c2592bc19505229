package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"fanfare/loadtest/aws"
	"fanfare/loadtest/engine"
	"fanfare/loadtest/system"
	"fanfare/loadtest/trial"
	"fanfare/loadtest/vitals"
)

// load holds the flags that say what load to make; run and sweep share them.
type load struct {
	URL            string        `help:"WebSocket URL of the system. Without it, the repository's local system is started for the run." placeholder:"ws://…" group:"System"`
	QueueURL       string        `help:"URL of the SQS queue to publish through." placeholder:"https://sqs…" group:"System"`
	Token          string        `help:"Sent as 'Authorization: Bearer …' with each connect; @FILE reads it from a file." env:"LOADTEST_TOKEN" group:"System"`
	Header         []string      `help:"Header of each connect, as 'Name: value'. May be repeated." placeholder:"NAME: VALUE" sep:"none" group:"System"`
	Connections    int           `help:"Clients to connect." default:"100" short:"c" group:"Clients"`
	Ramp           float64       `help:"Connects per second. API Gateway allows 500 per account." default:"400" group:"Clients"`
	Churn          share         `help:"Share of the clients that reconnect per minute, as 10%." default:"0" group:"Clients"`
	Slow           int           `help:"So many of the clients do not read as they should; they are accounted for apart." default:"0" group:"Clients"`
	SlowRate       int           `help:"What a slow client reads, in bytes per second; 0 is nothing." default:"0" group:"Clients"`
	Ping           time.Duration `help:"Interval of each client's keep-alive ({\"action\":\"ping\"}); 0 sends none. API Gateway closes after 10 minutes of silence." default:"5m" group:"Clients"`
	ConnectTimeout time.Duration `help:"Time for one attempt to connect." default:"10s" group:"Clients"`
	MinConnected   int           `help:"Go on when at least so many clients are connected. Default: all." group:"Clients"`
	Publish        string        `help:"Who publishes: clients, queue or both. Default: the queue if only --queue-url is named for it, else clients." enum:",clients,queue,both" default:"" group:"Messages"`
	Publishers     int           `help:"How many take turns to publish. Default: so many that each has two seconds between its messages." group:"Messages"`
	Size           int           `help:"Size of a message in bytes." default:"256" group:"Messages"`
	PayloadFile    string        `help:"Content of the messages instead of padding: JSON as it stands, other text as a JSON string." type:"existingfile" group:"Messages"`
	Deadline       time.Duration `help:"A delivery after this is late. The end of a run waits as long for what is missing or unanswered, and on while anything still arrives, at most ten times as long. Default: 10s, and as long as the posts of one message take at --post-rate beyond the burst." group:"Messages"`
	Settle         time.Duration `help:"How long to watch for duplicates once everything has arrived." default:"1s" group:"Messages"`
	Seed           uint64        `help:"Seed of everything that is drawn by lot." default:"1" group:"Messages"`
	Processes      int           `help:"Processes to spread over. Default: as many as the descriptor limit asks for." group:"Harness"`
	Readers        int           `help:"Readers per process. Default: ${processors}." group:"Harness"`
	Source         []netip.Addr  `help:"Local address to connect from. May be repeated; clients take turns." group:"Harness"`
	Streams        bool          `help:"Read with a goroutine per connection even where epoll could serve (always so with wss://)." group:"Harness"`
	Priority       bool          `help:"Raise the harness's own priority above the system's, where that is allowed (root on Linux)." group:"Harness"`
	PostRate       float64       `help:"Posts per second that the system may make, for the quota floor." default:"10000" group:"Harness"`
	PostBurst      float64       `help:"Burst of that quota." default:"5000" group:"Harness"`
	Quiet          bool          `help:"Show nothing while running." short:"q" group:"Output"`
}

// share is a share of a whole, given as 10% or 0.1.
type share float64

func (s *share) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no share: write 10%% or 0.1", text)
	}
	if percent {
		v /= 100
	}
	*s = share(v)
	return nil
}

// settings turns the flags into settings of a trial.
func (l *load) settings() (trial.Settings, error) {
	s := trial.Settings{
		URL: l.URL, QueueURL: l.QueueURL, Via: l.Publish, Connections: l.Connections, Ramp: l.Ramp, Slow: l.Slow,
		SlowRate: l.SlowRate,
		Churn:    float64(l.Churn), Publishers: l.Publishers, Size: l.Size, Deadline: l.Deadline, Settle: l.Settle,
		Ping:    l.Ping,
		Connect: l.ConnectTimeout, Attempts: 3, Fewest: l.MinConnected, Seed: l.Seed, Processes: l.Processes,
		Shards:  l.Readers,
		Sources: l.Source, Streams: l.Streams, PostRate: l.PostRate, PostBurst: l.PostBurst, Header: http.Header{},
	}
	if s.Via == "" {
		s.Via = engine.Clients
		if l.QueueURL != "" {
			s.Via = engine.Queue
		}
	}
	for _, h := range l.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return s, errors.New("--header: want 'Name: value'")
		}
		s.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	token := l.Token
	if name, ok := strings.CutPrefix(token, "@"); ok {
		b, err := os.ReadFile(name)
		if err != nil {
			return s, fmt.Errorf("--token: %w", err)
		}
		token = strings.TrimSpace(string(b))
	}
	if token != "" {
		s.Header.Set("Authorization", "Bearer "+token)
	}
	if l.PayloadFile != "" {
		b, err := os.ReadFile(l.PayloadFile)
		if err != nil {
			return s, fmt.Errorf("--payload-file: %w", err)
		}
		s.Body = b
	}
	return s, nil
}

// target makes sure that there is a system: the one of --url, or a local one, which stop then ends.
func (l *load) target(ctx context.Context, s *trial.Settings) (stop func() error, err error) {
	if s.URL != "" {
		return func() error { return nil }, nil
	}
	root, err := system.Root()
	if err != nil {
		return nil, &exit{2, err}
	}
	if !l.Quiet {
		fmt.Fprintf(os.Stderr, "No --url: starting the local system for this run (%s)\n", strings.Join(system.Command, " "))
	}
	local, err := system.Start(ctx, root, system.Command)
	if err != nil {
		return nil, &exit{4, err}
	}
	s.URL, s.Local = local.URL, true
	if s.QueueURL == "" {
		s.QueueURL = local.QueueURL
	}
	if s.LedgerEndpoint == "" {
		s.LedgerEndpoint = aws.Endpoint(local.QueueURL)
	}
	if !l.Quiet {
		fmt.Fprintf(os.Stderr, "The local system is at %s\n", s.URL)
	}
	return local.Stop, nil
}

// hurry raises the priority if that is wanted. It comes after the start of a local system, which would inherit it.
func (l *load) hurry() error {
	if !l.Priority {
		return nil
	}
	if err := vitals.Hurry(); err != nil {
		return usage("--priority: %w", err)
	}
	return nil
}

// workerArgs starts this program again as a worker.
func workerArgs() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{self, "worker"}, nil
}
