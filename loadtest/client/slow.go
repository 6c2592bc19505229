package client

import (
	"context"
	"time"
)

// slowReader is a transport that can read a few bytes of one connection.
type slowReader interface{ readSlow(c *Conn, n int) }

// readSlowly reads the slow clients at their rate, ten times a second, until ctx ends. Transports with a goroutine per
// connection do this themselves.
func (p *Pool) readSlowly(ctx context.Context) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, s := range p.shards {
			t, ok := s.loop.(slowReader)
			if !ok {
				return
			}
			for _, c := range s.list() {
				if c.Slow {
					t.readSlow(c, max(p.options.SlowRate/10, 1))
				}
			}
		}
	}
}
