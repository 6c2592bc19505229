package emulator

import (
	"net"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"fanfare/local/stack"
	"fanfare/local/template"
)

// BenchmarkConnect opens connections from sixteen callers and keeps them. Each connection invokes the deployed
// function of $connect, which writes the row. The benchmark closes them, with their $disconnect, outside the measured
// time. Its client is gobwas, which costs less of the machine than wsclient.
func BenchmarkConnect(b *testing.B) {
	s := start(b, writeTemplate(b, fanfareTemplate(b)), stack.Options{Template: template.Options{
		Parameters: map[string]string{"Access": "open", "LogLevel": "ERROR"},
	}})
	const callers = 16
	conns := make([]net.Conn, b.N)
	b.ResetTimer()
	var connecting sync.WaitGroup
	for caller := range callers {
		connecting.Go(func() {
			for i := caller; i < b.N; i += callers {
				conn, _, _, err := ws.Dial(b.Context(), s.WebSocket)
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
			conn.(*net.TCPConn).SetLinger(0) // leaves no port in TIME_WAIT
			conn.Close()
		}
	}
}
