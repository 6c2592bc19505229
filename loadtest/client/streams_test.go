package client

import (
	"io"
	"net"
	"testing"
	"testing/synctest"

	"fanfare/loadtest/result"

	"github.com/gobwas/ws"
)

type deaf struct{}

func (deaf) Opened(*Conn)                            {}
func (deaf) Message(*Conn, []byte, bool, int64)      {}
func (deaf) Closed(*Conn, uint8, int, string, int64) {}

// Whoever closes while the writer is at it cuts nothing off, and says goodbye; a peer that takes nothing is left.
func TestStreams_CloseDuringWrite(t *testing.T) {
	for name, reads := range map[string]bool{"a peer that reads": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Pool{}
				s := &Shard{pool: p, handler: deaf{}}
				loop, err := newStreams(s)
				if err != nil {
					t.Fatal(err)
				}
				defer loop.free()
				s.loop = loop
				near, far := net.Pipe()
				defer far.Close()
				c := &Conn{shard: s, stream: near}
				s.mu.Lock()
				s.place(c)
				err = loop.adopt(c, nil)
				s.mu.Unlock()
				if err != nil {
					t.Fatal(err)
				}
				if err := c.WriteText([]byte("hello")); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // the writer waits for the peer
				p.Drop(c, result.Ended, "")
				if reads {
					for _, want := range []ws.OpCode{ws.OpText, ws.OpClose} {
						h, err := ws.ReadHeader(far)
						if err == nil {
							_, err = io.CopyN(io.Discard, far, h.Length)
						}
						if err != nil || h.OpCode != want {
							t.Errorf("the peer heard %+v, %v; want %x", h, err, want)
						}
					}
				}
				loop.running.Wait()
			})
		})
	}
}
