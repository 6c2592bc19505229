package emulator

import (
	"net"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"fanfare/local/stack"
	"fanfare/local/template"
)

// BenchmarkConnect opens connections from sixteen callers, each with its $connect: an invocation of the function that is
// deployed, which writes the row. Closing runs $disconnect, which deletes it, on the same processors.
func BenchmarkConnect(b *testing.B) {
	w := start(b, writeTemplate(b, ours(b)), stack.Options{Template: template.Options{Parameters: map[string]string{
		"Access": "open", "LogLevel": "ERROR",
	}}})
	const callers = 16
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
				conn.(*net.TCPConn).SetLinger(0) // leaves no port waiting
				conn.Close()
			}
		})
	}
	connecting.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "connects/s")
}
