package apigateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fanfare/local/apigateway"
)

// BenchmarkPost posts 256 bytes over 64 persistent connections, with a minimal HTTP client, to clients that discard
// their messages. Gateway and clients share the machine.
func BenchmarkPost(b *testing.B) {
	g := start(b, newAPI(), apigateway.Options{}, nil)
	const clients, callers = 256, 64
	var ids []string
	for range clients {
		c := g.dial(b, "", nil)
		go io.Copy(io.Discard, c.conn)
	}
	g.mu.Lock()
	for _, event := range g.events["connect"] {
		ids = append(ids, contextOf(b, event).ConnectionID)
	}
	g.mu.Unlock()
	body := string(text(256))
	b.ResetTimer()
	before := cpu(b)
	var posting sync.WaitGroup
	for caller := range callers {
		posting.Go(func() {
			conn, err := net.Dial("tcp", g.address)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			for i := caller; i < b.N; i += callers {
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\nX-Amz-Date: x\r\n"+
					"Content-Length: %d\r\n\r\n%s",
					connectionPath(ids[i%clients]), signed, len(body), body)
				response, err := http.ReadResponse(r, nil)
				if err != nil || response.StatusCode != 200 {
					b.Errorf("post: got %v, %v, want 200", response, err)
					return
				}
			}
		})
	}
	posting.Wait()
	reportCPU(b, before)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
}

// BenchmarkConnect opens connections, including $connect, from eight callers.
func BenchmarkConnect(b *testing.B) {
	g := start(b, newAPI(), apigateway.Options{}, nil)
	before := cpu(b)
	var connecting sync.WaitGroup
	for caller := range 8 {
		connecting.Go(func() {
			for i := caller; i < b.N; i += 8 {
				c := g.dial(b, "", nil)
				c.conn.(*net.TCPConn).SetLinger(0) // leaves no port in TIME_WAIT
				c.conn.Close()
			}
		})
	}
	connecting.Wait()
	reportCPU(b, before)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "connects/s")
}

// BenchmarkMessage sends messages from one client and reads the replies.
func BenchmarkMessage(b *testing.B) {
	yes := returns(`{"statusCode":200,"body":"yes"}`)
	g := start(b, newAPI(), apigateway.Options{}, map[string]handler{"default": yes})
	c := g.dial(b, "", nil)
	c.conn.SetDeadline(time.Time{})
	before := cpu(b)
	go func() {
		for range b.N {
			c.send(`{"action":"x","data":"0123456789"}`)
		}
	}()
	for range b.N {
		c.want("yes")
	}
	reportCPU(b, before)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// cpu returns the processor time of this process, which contains both clients and gateway.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func reportCPU(b *testing.B, before time.Duration) {
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkIdle reports the memory per idle connection in the gateway's process. The clients run in another process.
// The environment variable IDLE sets their number; the usual limit of file descriptors allows 19,000.
func BenchmarkIdle(b *testing.B) {
	if address := os.Getenv("IDLE_CLIENTS_OF"); address != "" {
		holdClients(b, address)
		return
	}
	n, err := strconv.Atoi(os.Getenv("IDLE"))
	if err != nil {
		n = 2000
	}
	quiet := invoker(func() ([]byte, error) { return []byte(ok), nil })
	server, err := apigateway.New(newAPI(), quiet, apigateway.Options{})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go server.Serve(l)
	before := resident(b)
	clients := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkIdle$", "-test.benchtime=1x")
	clients.Env = append(os.Environ(), "IDLE_CLIENTS_OF="+l.Addr().String(), "IDLE="+strconv.Itoa(n))
	clients.Stderr = os.Stderr
	leave, err := clients.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := clients.Start(); err != nil {
		b.Fatal(err)
	}
	for server.Connections() < n {
		runtime.Gosched()
	}
	after := resident(b)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(after-before)/float64(n), "resident-B/conn")
	b.ReportMetric(float64(m.StackInuse)/float64(n), "stack-B/conn")
	b.ReportMetric(float64(m.HeapAlloc)/float64(n), "heap-B/conn")
	leave.Close()
	clients.Wait()
	if err := server.Shutdown(context.Background()); err != nil {
		b.Error(err)
	}
}

type invoker func() ([]byte, error)

func (f invoker) Invoke(context.Context, string, []byte, string) ([]byte, error) { return f() }

// holdClients opens connections and keeps them until standard input ends.
func holdClients(b *testing.B, address string) {
	n, err := strconv.Atoi(os.Getenv("IDLE"))
	if err != nil {
		b.Fatal(err)
	}
	var conns []net.Conn
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		header := http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64)"}}
		io.WriteString(conn, upgradeRequest("localhost", "/prod", header))
		if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil {
			b.Fatal(err)
		}
		conns = append(conns, conn)
	}
	io.Copy(io.Discard, os.Stdin)
	for _, conn := range conns {
		conn.Close()
	}
}

// resident returns the resident memory of this process, in bytes, after unused memory was returned to the system.
func resident(b *testing.B) int {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("resident memory is read from /proc: ", err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kilobytes, err := strconv.Atoi(fields[1])
			if err != nil {
				b.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
