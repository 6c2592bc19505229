package client

import (
	"io"
	"net"
	"testing"
	"testing/synctest"

	"fanfare/loadtest/result"

	"github.com/gobwas/ws"
)

type nopHandler struct{}

func (nopHandler) Opened(*Conn)                            {}
func (nopHandler) Message(*Conn, []byte, bool, int64)      {}
func (nopHandler) Closed(*Conn, uint8, int, string, int64) {}

// Closing during a write sends the whole message and a close frame, unless the peer does not read.
func TestStreams_CloseDuringWrite(t *testing.T) {
	for name, reads := range map[string]bool{"peer reads": true, "peer does not read": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Pool{}
				s := &Shard{pool: p, handler: nopHandler{}}
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
				err = loop.add(c, nil)
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
							t.Errorf("got frame %+v, %v, want opcode %x", h, err, want)
						}
					}
				}
				loop.running.Wait()
			})
		})
	}
}
