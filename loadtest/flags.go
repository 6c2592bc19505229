package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"fanfare/loadtest/aws"
	"fanfare/loadtest/engine"
	"fanfare/loadtest/report"
	"fanfare/loadtest/system"
	"fanfare/loadtest/trial"
	"fanfare/loadtest/vitals"
)

// load has the flags that describe the load; run and sweep share them.
type load struct {
	systemFlags  `embed:"" group:"System"`
	clientFlags  `embed:"" group:"Clients"`
	messageFlags `embed:"" group:"Messages"`
	harnessFlags `embed:"" group:"Harness"`

	Quiet bool `help:"Print no progress." short:"q" group:"Output"`
}

type systemFlags struct {
	URL         string   `help:"${url}" placeholder:"ws://…"`
	QueueURL    string   `help:"${queue}" placeholder:"https://sqs…"`
	Token       string   `help:"${token}" env:"LOADTEST_TOKEN"`
	TokenSource string   `help:"${tokensource}" enum:"protocol,header,query" default:"protocol"`
	Subprotocol []string `help:"${subprotocol}" placeholder:"NAME"`
	Header      []string `help:"${header}" placeholder:"NAME: VALUE" sep:"none"`
}

type clientFlags struct {
	Connections    int           `help:"Number of clients." default:"100" short:"c"`
	Ramp           float64       `help:"${ramp}" default:"400"`
	Churn          share         `help:"${churn}" default:"0"`
	Slow           int           `help:"${slow}" default:"0"`
	SlowRate       int           `help:"${slowrate}" default:"0"`
	Ping           time.Duration `help:"${ping}" default:"5m"`
	ConnectTimeout time.Duration `help:"${connecttimeout}" default:"10s"`
	MinConnected   int           `help:"${minconnected}"`
}

type messageFlags struct {
	Publish     string        `help:"${publish}" enum:",clients,queue,both" default:""`
	Publishers  int           `help:"${publishers}"`
	Size        int           `help:"Size of a message in bytes." default:"256"`
	PayloadFile string        `help:"${payloadfile}" type:"existingfile"`
	Deadline    time.Duration `help:"${deadline}"`
	Settle      time.Duration `help:"${settle}" default:"1s"`
	Seed        uint64        `help:"Seed of the random numbers; equal seeds choose equally." default:"1"`
}

type harnessFlags struct {
	Processes int          `help:"${processes}"`
	Readers   int          `help:"Readers per process. Default: one per processor, at most four."`
	Source    []netip.Addr `help:"${source}"`
	Streams   bool         `help:"${streams}"`
	Priority  bool         `help:"${priority}"`
	PostRate  float64      `help:"${postrate}" default:"10000"`
	PostBurst float64      `help:"${postburst}" default:"5000"`
}

// share is a part of a whole, written as 10% or 0.1.
type share float64

func (s *share) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(v >= 0) || math.IsInf(v, 0) {
		return fmt.Errorf("%q is not a share: want a form like 10%% or 0.1", text)
	}
	if percent {
		v /= 100
	}
	*s = share(v)
	return nil
}

// settings returns the settings that the flags ask for.
func (l *load) settings() (trial.Settings, error) {
	s := trial.Settings{
		URL: l.URL, QueueURL: l.QueueURL, Header: http.Header{},
		Connections: l.Connections, Ramp: l.Ramp, Churn: float64(l.Churn), Slow: l.Slow, SlowRate: l.SlowRate,
		Ping: l.Ping, Connect: l.ConnectTimeout, Attempts: 3, MinConnected: l.MinConnected,
		Via: l.Publish, Publishers: l.Publishers, Size: l.Size, Deadline: l.Deadline, Settle: l.Settle, Seed: l.Seed,
		Processes: l.Processes, Shards: l.Readers, Sources: l.Source, Streams: l.Streams,
		PostRate: l.PostRate, PostBurst: l.PostBurst,
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
	s.Token, s.TokenSource, s.Protocols = token, l.TokenSource, l.Subprotocol
	if l.PayloadFile != "" {
		b, err := os.ReadFile(l.PayloadFile)
		if err != nil {
			return s, fmt.Errorf("--payload-file: %w", err)
		}
		s.Body = b
	}
	return s, nil
}

// target starts the local system if --url is not set, and puts its addresses into s. stop ends that system.
func (l *load) target(ctx context.Context, s *trial.Settings) (stop func() error, err error) {
	if s.URL != "" {
		return func() error { return nil }, nil
	}
	root, err := system.Root()
	if err != nil {
		return nil, &exit{report.ExitUsage, err}
	}
	if !l.Quiet {
		fmt.Fprintf(os.Stderr, "Starting the local system, as --url is not set: %s\n", strings.Join(system.Command, " "))
	}
	local, err := system.Start(ctx, root, system.Command)
	if err != nil {
		return nil, &exit{report.ExitUnconnected, err}
	}
	s.URL, s.Local = local.URL, true
	if s.QueueURL == "" {
		s.QueueURL = local.QueueURL
	}
	if s.LedgerEndpoint == "" {
		s.LedgerEndpoint = aws.Endpoint(local.QueueURL)
	}
	if !l.Quiet {
		fmt.Fprintf(os.Stderr, "The local system listens on %s\n", s.URL)
	}
	return local.Stop, nil
}

// raisePriority does what --priority asks for. It is called after the start of a local system, which would inherit it.
func (l *load) raisePriority() error {
	if !l.Priority {
		return nil
	}
	if err := vitals.RaisePriority(); err != nil {
		return usage("--priority: %w", err)
	}
	return nil
}

// workerArgs returns the command that starts this program as a worker.
func workerArgs() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the path of this program: %w", err)
	}
	return []string{self, "worker"}, nil
}
