package client

import (
	"context"
	"time"
)

// trickler is a transport that can read a little of one connection.
type trickler interface{ trickle(c *Conn, n int) }

// readSlowly reads the slow clients at their rate, ten times a second. Transports with a goroutine per connection do it
// themselves.
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
			t, ok := s.loop.(trickler)
			if !ok {
				return
			}
			for _, c := range s.list() {
				if c.Slow {
					t.trickle(c, max(p.options.SlowRate/10, 1))
				}
			}
		}
	}
}
