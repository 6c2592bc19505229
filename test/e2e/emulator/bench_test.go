package emulator

import (
	"net"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"fanfare/local/stack"
	"fanfare/local/template"
)

// BenchmarkConnect opens connections from sixteen callers and keeps them, each with its $connect: an invocation of the
// function that is deployed, which writes the row. They are closed, with their $disconnect, when the time has been taken.
func BenchmarkConnect(b *testing.B) {
	w := start(b, writeTemplate(b, ours(b)), stack.Options{Template: template.Options{Parameters: map[string]string{
		"Access": "open", "LogLevel": "ERROR",
	}}})
	const callers = 16
	conns := make([]net.Conn, b.N)
	b.ResetTimer()
	var connecting sync.WaitGroup
	for caller := range callers {
		connecting.Go(func() {
			for i := caller; i < b.N; i += callers {
				conn, _, _, err := ws.Dial(b.Context(), w.url(0))
				if err != nil {
					b.Error(err)
					return
				}
				conns[i] = conn
			}
		})
	}
	connecting.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "connects/s")
	for _, conn := range conns {
		if conn != nil {
			conn.(*net.TCPConn).SetLinger(0) // leaves no port waiting
			conn.Close()
		}
	}
}
