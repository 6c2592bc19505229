package apigateway_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"fanfare/local/apigateway"
)

const kib = 1 << 10

func text(n int) []byte { return bytes.Repeat([]byte("x"), n) }

// part returns a fragment of a text message.
func part(first, last bool, payload []byte) ws.Frame {
	opcode := ws.OpContinuation
	if first {
		opcode = ws.OpText
	}
	return ws.NewFrame(opcode, last, payload)
}

func TestFrames_ValidMessages(t *testing.T) {
	euro := []byte("€")
	for _, test := range []struct {
		name   string
		frames []ws.Frame
		want   []byte
	}{
		{"empty message", []ws.Frame{ws.NewTextFrame(nil)}, nil},
		{"a frame of 32 KiB", []ws.Frame{ws.NewTextFrame(text(32 * kib))}, text(32 * kib)},
		{"a message of 128 KiB", []ws.Frame{
			part(true, false, text(32*kib)), part(false, false, text(32*kib)),
			part(false, false, text(32*kib)), part(false, true, text(32*kib)),
		}, text(128 * kib)},
		{"a character across two frames", []ws.Frame{part(true, false, euro[:1]), part(false, true, euro[1:])}, euro},
		{"an empty first fragment", []ws.Frame{part(true, false, nil), part(false, true, text(1))}, text(1)},
		{"a ping between fragments", []ws.Frame{
			part(true, false, text(1)), ws.NewPingFrame([]byte("hi")), part(false, true, text(1)),
		}, text(2)},
		{"an unsolicited pong", []ws.Frame{ws.NewPongFrame(nil), ws.NewTextFrame(text(1))}, text(1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, newAPI(), apigateway.Options{}, nil)
			c := g.dial(t, "", nil)
			pinged := false
			for _, f := range test.frames {
				c.frame(f)
				pinged = pinged || f.Header.OpCode == ws.OpPing
			}
			if pinged {
				if f := c.next(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "hi" {
					t.Errorf("ping: got %v %q, want a pong with %q", f.Header, f.Payload, "hi")
				}
			}
			if got := bodyOf(g.await(t, "default", 1)[0]); got != string(test.want) {
				t.Errorf("message: got %d bytes, want %d", len(got), len(test.want))
			}
		})
	}
}

// masked encodes a frame with any header, also an invalid one.
func masked(header ws.Header, payload []byte) []byte {
	header.Masked, header.Length = true, int64(len(payload))
	var out bytes.Buffer
	ws.WriteHeader(&out, header) // the mask is zero
	out.Write(payload)
	return out.Bytes()
}

func TestFrames_Violations(t *testing.T) {
	var unmasked bytes.Buffer
	ws.WriteFrame(&unmasked, ws.NewTextFrame([]byte("x")))
	endless := binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 1<<63)
	of := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	frame := func(opcode ws.OpCode, fin bool, payload []byte) []byte {
		return masked(ws.Header{OpCode: opcode, Fin: fin}, payload)
	}
	for _, test := range []struct {
		name   string
		bytes  []byte
		code   ws.StatusCode
		reason string
	}{
		{"a frame over 32 KiB", frame(ws.OpText, true, text(32*kib+1)), 1009, "Message too big"},
		{"a message over 128 KiB", of(frame(ws.OpText, false, text(32*kib)),
			frame(ws.OpContinuation, false, text(32*kib)), frame(ws.OpContinuation, false, text(32*kib)),
			frame(ws.OpContinuation, false, text(32*kib)), frame(ws.OpContinuation, true, text(1))),
			1009, "Message too big"},
		{"a length of 2^40 bytes", append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 1<<40), 0, 0, 0, 0),
			1009, "Message too big"},
		{"a length of 64 bits", append(endless, 0, 0, 0, 0), 1002, "Protocol error"},
		{"a binary frame", frame(ws.OpBinary, true, text(1)), 1003, "Binary frames are not supported"},
		{"a large binary frame", frame(ws.OpBinary, true, text(64*kib)), 1003, "Binary frames are not supported"},
		{"text that is not UTF-8", frame(ws.OpText, true, []byte("a\xff")), 1007, "Invalid UTF-8"},
		{"half a character",
			of(frame(ws.OpText, false, []byte("\xe2")), frame(ws.OpContinuation, true, []byte("a"))),
			1007, "Invalid UTF-8"},
		{"a frame without a mask", unmasked.Bytes(), 1002, "Protocol error"},
		{"a reserved opcode", frame(3, true, nil), 1002, "Protocol error"},
		{"a reserved bit", masked(ws.Header{OpCode: ws.OpText, Fin: true, Rsv: 4}, text(1)), 1002, "Protocol error"},
		{"a continuation without a first frame", frame(ws.OpContinuation, true, text(1)), 1002, "Protocol error"},
		{"a message within a message", of(frame(ws.OpText, false, text(1)), frame(ws.OpText, true, text(1))),
			1002, "Protocol error"},
		{"a fragmented ping", frame(ws.OpPing, false, nil), 1002, "Protocol error"},
		{"a ping of 126 bytes", frame(ws.OpPing, true, text(126)), 1002, "Protocol error"},
		{"close with half a code", frame(ws.OpClose, true, []byte{3}), 1002, "Protocol error"},
		{"close with reserved code 1006", frame(ws.OpClose, true, ws.NewCloseFrameBody(1006, "")), 1002, "Protocol error"},
		{"close with code 999", frame(ws.OpClose, true, ws.NewCloseFrameBody(999, "")), 1002, "Protocol error"},
		{"close with code 5000", frame(ws.OpClose, true, ws.NewCloseFrameBody(5000, "")), 1002, "Protocol error"},
		{"close with a reason that is not UTF-8", frame(ws.OpClose, true, ws.NewCloseFrameBody(1000, "\xff")),
			1002, "Protocol error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, newAPI(), apigateway.Options{}, nil)
			c := g.open(t)
			c.write(string(test.bytes))
			c.wantClose(test.code, test.reason)
			g.wantDisconnect(t, c.id, int(test.code), test.reason)
			if n := g.calls("default"); n != 0 {
				t.Errorf("messages: got %d, want 0", n)
			}
		})
	}
}

// The closing frame reaches a client that is still sending.
func TestFrames_ViolationWhileSending(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	c.frame(ws.NewBinaryFrame(nil))
	more := masked(ws.Header{OpCode: ws.OpText, Fin: true}, text(32*kib))
	for range 40 {
		if _, err := c.conn.Write(more); err != nil {
			t.Fatalf("write after the violation: got error %v, want none", err)
		}
	}
	c.wantClose(1003, "Binary frames are not supported")
}

// A posted message arrives as one text message, in frames within the limit.
func TestFrames_PostedMessage(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	for _, size := range []int{0, 1, 125, 126, 32 * kib, 32*kib + 1, 65 * kib, 128 * kib} {
		body := strings.Repeat("a€", size/4) + strings.Repeat("b", size%4)
		if response, _ := g.call(t, "POST", connectionPath(c.id), body, nil); response.StatusCode != 200 {
			t.Fatalf("post of %d bytes: got %s, want 200", size, response.Status)
		}
		var got []byte
		for first := true; ; first = false {
			f := c.next()
			if (f.Header.OpCode == ws.OpText) != first || f.Header.Length > 32*kib {
				t.Fatalf("frame: got %v, want text first, then continuations of at most 32 KiB", f.Header)
			}
			got = append(got, f.Payload...)
			if f.Header.Fin {
				break
			}
		}
		if string(got) != body {
			t.Errorf("message of %d bytes: got %d bytes or other content", size, len(got))
		}
	}
}
