package trial

import (
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"fanfare/loadtest/engine"
)

func TestSettings_TokenSource(t *testing.T) {
	for name, c := range map[string]struct {
		source, url, header string
		protocols           []string
	}{
		"default":  {"", "ws://127.0.0.1:9001?a=b", "", []string{"fanfare.bearer", "a.b-c_d", "chat"}},
		"protocol": {ByProtocol, "ws://127.0.0.1:9001?a=b", "", []string{"fanfare.bearer", "a.b-c_d", "chat"}},
		"header":   {ByHeader, "ws://127.0.0.1:9001?a=b", "Bearer a.b-c_d", []string{"chat"}},
		"query":    {ByQuery, "ws://127.0.0.1:9001?a=b&access_token=a.b-c_d", "", []string{"chat"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := validSettings()
			s.URL, s.Token, s.TokenSource, s.Protocols = "ws://127.0.0.1:9001?a=b", "a.b-c_d", c.source, []string{"chat"}
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
			p, err := s.plan()
			if got := http.Header(p.Header).Get("Authorization"); err != nil || p.URL != c.url || got != c.header ||
				!slices.Equal(p.Protocols, c.protocols) {
				t.Errorf("got %s, header %q, protocols %q, %v, want %s, %q, %q", p.URL, got, p.Protocols, err, c.url,
					c.header, c.protocols)
			}
		})
	}
}

// Each fault is found before anything is started.
func TestSettings_CheckFaults(t *testing.T) {
	header := func(name, value string) func(*Settings) {
		return func(s *Settings) { s.Header = http.Header{name: {value}} }
	}
	for name, c := range map[string]struct {
		change func(*Settings)
		want   string
	}{
		"token source":       {func(s *Settings) { s.TokenSource = "cookie" }, "--token-source"},
		"token in protocol":  {func(s *Settings) { s.Token = "two words" }, "--token"},
		"token in query":     {func(s *Settings) { s.Token, s.TokenSource = "a&b=c d", ByQuery }, "--token"},
		"token in header":    {func(s *Settings) { s.Token, s.TokenSource = "a\r\nX: b", ByHeader }, "--token"},
		"subprotocol":        {func(s *Settings) { s.Protocols = []string{"a,b"} }, "--subprotocol"},
		"subprotocol, twice": {func(s *Settings) { s.Protocols = []string{"a", "a"} }, "--subprotocol"},
		"protocol header":    {header("Sec-WebSocket-Protocol", "chat"), "--subprotocol"},
		"handshake header":   {header("Upgrade", "h2c"), "--header Upgrade"},
		"handshake key":      {header("sec-websocket-key", "x"), "--header sec-websocket-key: want no header"},
		"two authorizations": {func(s *Settings) {
			s.Token, s.TokenSource, s.Header = "t", ByHeader, http.Header{"Authorization": {"Basic x"}}
		}, "--header Authorization"},
		"host header":           {header("Host", "example.com"), "--header Host"},
		"header value":          {header("X-Key", "a\nb"), "--header"},
		"header name":           {header("X Key", "a"), "--header"},
		"queue URL":             {func(s *Settings) { s.Via, s.QueueURL = engine.Queue, "127.0.0.1/q" }, "--queue-url"},
		"queue URL without use": {func(s *Settings) { s.QueueURL = "http://127.0.0.1" }, "--queue-url"},
		"ledger endpoint":       {func(s *Settings) { s.Ledger, s.LedgerEndpoint = "t", "127.0.0.1:1" }, "--ledger-endpoint"},
		"payload":               {func(s *Settings) { s.Body = make([]byte, 1<<20) }, "--payload-file"},
		"source": {func(s *Settings) { s.Sources = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1})} },
			"--source"},
		"processes":       {func(s *Settings) { s.Connections, s.Processes = maxConnections, 1 }, "--processes"},
		"ping":            {func(s *Settings) { s.Ping = -1 }, "--ping"},
		"settle":          {func(s *Settings) { s.Settle = -1 }, "--settle"},
		"slow rate":       {func(s *Settings) { s.SlowRate = -1 }, "--slow-rate"},
		"readers":         {func(s *Settings) { s.Shards = -1 }, "--readers"},
		"connect timeout": {func(s *Settings) { s.Connect = -1 }, "--connect-timeout"},
		"min connected":   {func(s *Settings) { s.MinConnected = -1 }, "--min-connected"},
		"post rate":       {func(s *Settings) { s.PostRate = -1 }, "--post-rate"},
		"post burst":      {func(s *Settings) { s.PostBurst = -1 }, "--post-burst"},
	} {
		t.Run(name, func(t *testing.T) {
			s := validSettings()
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.change(&s)
			if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// The configuration of AWS is read before the run.
func TestSettings_CheckProfile(t *testing.T) {
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("AWS_PROFILE", "missing")
	s := validSettings()
	s.Via, s.QueueURL = engine.Queue, "https://sqs.eu-west-1.amazonaws.com/123456789012/queue"
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "--queue-url: ") {
		t.Errorf("got error %v, want one with --queue-url", err)
	}
}
