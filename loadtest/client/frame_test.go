package client

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

// log records the events of an assembler.
type log struct{ lines []string }

func (l *log) data(binary bool, text []byte) {
	l.lines = append(l.lines, fmt.Sprintf("data %v %d %x", binary, len(text), text))
}

func (l *log) control(opcode ws.OpCode, body []byte) {
	l.lines = append(l.lines, fmt.Sprintf("control %v %x", opcode, body))
}

func compile(f ws.Frame) []byte { return ws.MustCompileFrame(f) }

// The messages do not depend on the division of the stream into reads. An independent library makes the frames.
func TestAssembler_Pieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want log
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		body := func() []byte {
			b := make([]byte, rapid.SampledFrom([]int{0, 1, 5, 125, 126, 127, 300, 65535, 65536, 70_000}).Draw(t, "length"))
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			return b
		}
		for range rapid.IntRange(1, 6).Draw(t, "messages") {
			op := rapid.SampledFrom([]ws.OpCode{ws.OpText, ws.OpBinary, ws.OpPing, ws.OpPong}).Draw(t, "opcode")
			b := body()
			if op.IsControl() {
				b = b[:min(len(b), 125)]
				want.control(op, b)
				stream = append(stream, compile(ws.NewFrame(op, true, b))...)
				continue
			}
			kind, whole := op, b
			for range rapid.IntRange(0, 2).Draw(t, "fragments before the last") {
				stream = append(stream, compile(ws.NewFrame(op, false, b))...)
				op = ws.OpContinuation
				// A control frame may come between fragments.
				stream = append(stream, compile(ws.NewPingFrame([]byte("mid")))...)
				want.control(ws.OpPing, []byte("mid"))
				b = body()
				whole = append(slices.Clone(whole), b...)
			}
			stream = append(stream, compile(ws.NewFrame(op, true, b))...)
			want.data(kind == ws.OpBinary, whole)
		}
		var got log
		var a assembler
		for rest := stream; len(rest) > 0; {
			n := min(rapid.SampledFrom([]int{1, 2, 3, 7, 100, 4096, 65536, 1 << 20}).Draw(t, "piece"), len(rest))
			if err := a.take(rest[:n:n], &got); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !slices.Equal(got.lines, want.lines) {
			t.Fatalf("got other events: %d, want %d", len(got.lines), len(want.lines))
		}
		if a.pending != nil || a.message != nil {
			t.Fatal("got buffers without an incomplete frame")
		}
	})
}

func TestAssembler_FragmentKind(t *testing.T) {
	var got log
	var a assembler
	for _, f := range []ws.Frame{
		ws.NewFrame(ws.OpBinary, false, []byte("a")), ws.NewFrame(ws.OpContinuation, true, []byte("b")),
		ws.NewFrame(ws.OpText, false, []byte("c")), ws.NewFrame(ws.OpContinuation, true, []byte("d")),
	} {
		if err := a.take(compile(f), &got); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"data true 2 6162", "data false 2 6364"}; !slices.Equal(got.lines, want) {
		t.Errorf("got %q, want %q", got.lines, want)
	}
}

func TestAssembler_ProtocolViolations(t *testing.T) {
	huge := []byte{0x81, 127, 0, 0, 0, 0, 0, 0x20, 0, 0}
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"reserved bit":            {[]byte{0xc1, 0}, errReserved},
		"masked":                  {compile(ws.MaskFrame(ws.NewTextFrame([]byte("x")))), errMasked},
		"unknown opcode":          {[]byte{0x83, 0}, errOpcode},
		"fragmented ping":         {[]byte{0x09, 0}, errControl},
		"long ping":               {[]byte{0x89, 126, 0, 200}, errControl},
		"continuation of nothing": {compile(ws.NewFrame(ws.OpContinuation, true, nil)), errSequence},
		"text amid fragments": {append(compile(ws.NewFrame(ws.OpText, false, nil)), compile(ws.NewTextFrame(nil))...),
			errSequence},
		"over the limit":          {huge, errTooLarge},
		"length with the top bit": {[]byte{0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}, errLength},
		"close of one byte":       {[]byte{0x88, 1, 3}, errCloseFrame},
		"fragments over the limit": {append(compile(ws.NewFrame(ws.OpText, false, make([]byte, MaxMessage))),
			compile(ws.NewFrame(ws.OpContinuation, true, []byte("x")))...), errTooLarge},
		"incomplete": {[]byte{0x81, 126, 0}, nil},
	} {
		var a assembler
		if err := a.take(c.stream, &log{}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func FuzzAssembler(f *testing.F) {
	seeds := [][]byte{
		compile(ws.NewTextFrame([]byte("hello"))), compile(ws.NewFrame(ws.OpText, false, []byte("he"))),
		compile(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "bye"))), compile(ws.NewTextFrame(make([]byte, 70_000))),
		{0x81, 127},
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s, 1)
		f.Add(s, 1000)
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		if piece <= 0 {
			piece = 1
		}
		// The stream in one piece and in several must have the same events and error.
		var whole, pieces log
		var a, b assembler
		errWhole := a.take(bytes.Clone(stream), &whole)
		var errPieces error
		for rest := bytes.Clone(stream); len(rest) > 0 && errPieces == nil; {
			n := min(piece, len(rest))
			errPieces = b.take(rest[:n:n], &pieces)
			rest = rest[n:]
		}
		if !errors.Is(errWhole, errPieces) || !slices.Equal(whole.lines, pieces.lines) {
			t.Errorf("got %v %q in one piece,\n%v %q in several", errWhole, whole.lines, errPieces, pieces.lines)
		}
	})
}

func BenchmarkAssembler(b *testing.B) {
	frame := compile(ws.NewTextFrame(make([]byte, 256)))
	var a assembler
	var s sink
	b.ReportAllocs()
	for b.Loop() {
		if err := a.take(frame, &s); err != nil {
			b.Fatal(err)
		}
	}
}

type sink struct{ n int }

func (s *sink) data(bool, []byte)         { s.n++ }
func (s *sink) control(ws.OpCode, []byte) {}
