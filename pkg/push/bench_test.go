package push_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-xray-sdk-go/v2/instrumentation/awsv2"
	"github.com/aws/aws-xray-sdk-go/v2/xray"
	"github.com/aws/aws-xray-sdk-go/v2/xraylog"

	"fanfare/pkg/push"
	"fanfare/test/cpu"
)

// The benchmarks measure the CPU of a post in the client's process, with the garbage collector set as in the template.
// The server is a child process. The wall time (ns/op) says little on a machine with other work.
//
// For benchstat, with the CPU of each way of posting as cpu-ns/op:
//
//	go test ./pkg/push -run '^$' -bench Post -benchtime 50000x -count 6
//
// The ratios to an unsigned net/http POST and to the SDK's default client, from one run of about 70 seconds:
//
//	go test ./pkg/push -run '^$' -bench Ratio -benchtime 1x -v
const (
	benchWorkers = 64 // as in functions/sender
	benchPayload = 256
	serverSwitch = "FANFARE_PUSH_BENCH_SERVER"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverSwitch) != "" {
		serveBenchmark()
		return
	}
	os.Exit(m.Run())
}

// serveBenchmark answers posts until its standard input ends. It prints the URLs of its two servers, and the
// certificate of the second.
func serveBenchmark() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header()["X-Amzn-Requestid"] = []string{"2f4a6c1e-0d3b-4f5a-9c1e-5a7b9d1f3e5c"}
		w.Header()["Content-Length"] = []string{"0"}
	})
	plain := httptest.NewServer(handler)
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	fmt.Println(plain.URL)
	fmt.Println(secure.URL)
	pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	fmt.Println()
	io.Copy(io.Discard, os.Stdin)
}

// benchServer is the child process.
type benchServer struct {
	plain, secure string
	roots         *x509.CertPool
}

func startBenchServer(b *testing.B) benchServer {
	b.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), serverSwitch+"=1", "GOGC=400")
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		command.Wait()
	})
	lines := bufio.NewScanner(out)
	var printed []string
	for lines.Scan() && lines.Text() != "" {
		printed = append(printed, lines.Text())
	}
	if len(printed) < 3 {
		b.Fatalf("got %q from the server, want two URLs and a certificate", printed)
	}
	s := benchServer{plain: printed[0], secure: printed[1], roots: x509.NewCertPool()}
	if !s.roots.AppendCertsFromPEM([]byte(strings.Join(printed[2:], "\n"))) {
		b.Fatal("the server printed no certificate")
	}
	return s
}

// config returns a configuration with credentials of the size that Lambda has.
func (s benchServer) config() aws.Config {
	return aws.Config{
		Region: "us-east-1",
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(
			"ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", strings.Repeat("IQoJb3JpZ2luX2Vj", 50))),
	}
}

// A post posts to one connection.
type post func(ctx context.Context, connection string, payload []byte) error

// variant is a way of posting.
type variant struct {
	name string
	make func(b *testing.B, s benchServer) post
}

var variants = []variant{
	{"fast", func(b *testing.B, s benchServer) post { return benchClient(b, s, s.plain, "fast").Post }},
	{"fast-net-http", func(b *testing.B, s benchServer) post {
		c := benchClient(b, s, s.plain, "fast")
		c.SetHTTPClient(&http.Client{Transport: http1(s)})
		return c.Post
	}},
	{"sdk", func(b *testing.B, s benchServer) post { return benchClient(b, s, s.plain, "sdk").Post }},
	{"sdk-default", func(b *testing.B, s benchServer) post { return s.sdkDefault(s.config()) }},
	{"unsigned-net-http", func(b *testing.B, s benchServer) post { return s.unsigned(s.plain, http1(s)) }},
	{"tls/fast", func(b *testing.B, s benchServer) post { return benchClient(b, s, s.secure, "fast").Post }},
	{"tls/fast-net-http2", func(b *testing.B, s benchServer) post {
		c := benchClient(b, s, s.secure, "fast")
		c.SetHTTPClient(&http.Client{Transport: http2(s)})
		return c.Post
	}},
	{"tls/unsigned-net-http", func(b *testing.B, s benchServer) post { return s.unsigned(s.secure, http1(s)) }},
	{"tls/unsigned-net-http2", func(b *testing.B, s benchServer) post { return s.unsigned(s.secure, http2(s)) }},
	{"sdk-default-xray", func(b *testing.B, s benchServer) post {
		xray.SetLogger(xraylog.NullLogger)
		cfg := s.config()
		awsv2.AWSV2Instrumentor(&cfg.APIOptions)
		traced := s.sdkDefault(cfg)
		return func(ctx context.Context, connection string, payload []byte) error {
			ctx, segment := xray.BeginSegment(ctx, "bench")
			defer segment.Close(nil)
			return traced(ctx, connection, payload)
		}
	}},
}

func benchClient(b *testing.B, s benchServer, url string, mode string) *push.Client {
	b.Setenv("POST_CLIENT", mode)
	push.SetTLSConfig(&tls.Config{RootCAs: s.roots})
	c, err := push.New(s.config(), url+"/prod", benchWorkers)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// sdkDefault posts with the SDK's client as it comes.
func (s benchServer) sdkDefault(cfg aws.Config) post {
	endpoint := s.plain + "/prod"
	cfg.BaseEndpoint = &endpoint
	api := apigatewaymanagementapi.NewFromConfig(cfg)
	return func(ctx context.Context, connection string, payload []byte) error {
		input := &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &connection, Data: payload}
		_, err := api.PostToConnection(ctx, input)
		return err
	}
}

// unsigned posts with net/http alone: the floor.
func (s benchServer) unsigned(url string, transport *http.Transport) post {
	c := &http.Client{Transport: transport}
	return func(ctx context.Context, connection string, payload []byte) error {
		target := url + "/prod/@connections/" + connection
		r, err := http.NewRequestWithContext(ctx, "POST", target, bytes.NewReader(payload))
		if err != nil {
			return err
		}
		response, err := c.Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", response.Status)
		}
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
}

func http1(s benchServer) *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: benchWorkers, MaxConnsPerHost: benchWorkers,
		TLSClientConfig: &tls.Config{RootCAs: s.roots},
	}
}

func http2(s benchServer) *http.Transport {
	t := http1(s)
	t.ForceAttemptHTTP2, t.MaxConnsPerHost = true, 0
	return t
}

// collect sets the garbage collector as the template sets it for the sender, until the benchmark ends.
func collect(b *testing.B) {
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(384<<20)
	b.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
}

// run makes n posts from 64 goroutines and returns the CPU time of this process.
func run(b *testing.B, p post, n int) time.Duration {
	b.Helper()
	payload := bytes.Repeat([]byte("x"), benchPayload)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	start := cpu.Used(b)
	for range benchWorkers {
		group.Go(func() {
			for next.Add(1) <= int64(n) {
				if err := p(ctx, "L0SM9cOFvHcCIhw=", payload); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	return cpu.Used(b) - start
}

// BenchmarkPost reports the client's CPU per post of each way of posting, as cpu-ns/op.
func BenchmarkPost(b *testing.B) {
	s := startBenchServer(b)
	collect(b)
	run(b, variants[0].make(b, s), 35_000) // fills the heap once with memory that all variants reuse
	for _, v := range variants {
		b.Run(v.name, func(b *testing.B) {
			p := v.make(b, s)
			run(b, p, 4*benchWorkers) // opens the connections
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			b.ReportMetric(float64(run(b, p, b.N))/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkRatio measures all variants in turns, so that a change of the machine's load affects them alike, and
// reports the CPU of a post relative to an unsigned net/http POST (x-floor) and to the SDK's default client (x-sdk).
func BenchmarkRatio(b *testing.B) {
	const rounds, posts = 5, 20_000
	s := startBenchServer(b)
	collect(b)
	total := make(map[string]time.Duration)
	for range b.N {
		clients := make(map[string]post)
		for _, v := range variants {
			clients[v.name] = v.make(b, s)
			run(b, clients[v.name], 4*benchWorkers)
		}
		// The round before the first one, and the first posts of it, fill the heap with memory that the others reuse.
		for round := range rounds + 1 {
			for i := range variants {
				v := variants[(i+round)%len(variants)]
				runtime.GC()
				if used := run(b, clients[v.name], posts); round > 0 {
					total[v.name] += used
				}
			}
		}
	}
	n := time.Duration(b.N * rounds * posts)
	floor, sdk := float64(total["unsigned-net-http"]), float64(total["sdk-default"])
	for _, v := range variants {
		t := float64(total[v.name])
		b.Logf("%-24s %7.1f µs  %5.2f x unsigned net/http  %5.2f x SDK default", v.name,
			float64(total[v.name]/n)/1e3, t/floor, t/sdk)
	}
	fast := float64(total["fast"])
	b.ReportMetric(fast/float64(n), "cpu-ns/post")
	b.ReportMetric(fast/floor, "x-floor")
	b.ReportMetric(fast/sdk, "x-sdk")
}
