package payload_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"fanfare/loadtest/payload"
)

const run = "1f9c0a7e"

func maker(t testing.TB, size int) *payload.Maker {
	t.Helper()
	m, err := payload.NewMaker(run, size)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMaker_SizeAndJSON(t *testing.T) {
	for _, size := range []int{payload.MinSize, payload.MinSize + 1, 256, 1000, payload.MaxSize} {
		m := maker(t, size)
		for _, h := range []payload.Header{
			{Run: run, Publisher: 0, Sequence: 0, At: 1764000000123456},
			{Run: run, Publisher: 1<<32 - 1, Sequence: 1<<32 - 1, At: 1764000000123456},
		} {
			text := m.Append(nil, h.Publisher, h.Sequence, h.At)
			if len(text) != size {
				t.Fatalf("size %d: got %d bytes", size, len(text))
			}
			var v struct {
				Run      string
				Pub, Seq uint32
				At       int64
			}
			if err := json.Unmarshal(text, &v); err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			if v.Run != run || v.Pub != h.Publisher || v.Seq != h.Sequence || v.At != h.At {
				t.Errorf("got JSON %+v, want %+v", v, h)
			}
			got, kind, readable := payload.Recognise(text, run)
			if got != h || kind != payload.Sound || !readable {
				t.Errorf("got %+v %v, want %+v sound", got, kind, h)
			}
		}
	}
}

func TestNewMaker_Invalid(t *testing.T) {
	for _, size := range []int{-1, 0, payload.MinSize - 1, payload.MaxSize + 1} {
		if _, err := payload.NewMaker(run, size); err == nil {
			t.Errorf("size %d: got no error, want one", size)
		}
	}
	for _, name := range []string{"", "short", "far too long", "quote\"me", "space me"} {
		if _, err := payload.NewMaker(name, 256); err == nil {
			t.Errorf("run %q: got no error, want one", name)
		}
	}
}

func TestNewBodyMaker(t *testing.T) {
	for name, content := range map[string]string{
		"json":    ` {"price": 1.5, "text": "ü"} `,
		"plain":   "hello \"world\"\n",
		"largest": strings.Repeat("x", payload.MaxSize-payload.MinSize-2),
	} {
		m, err := payload.NewBodyMaker(run, []byte(content))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := m.Append(nil, 1<<32-1, 1<<32-1, 1764000000123456)
		if !json.Valid(text) || len(text) > payload.MaxSize {
			t.Errorf("%s: got an invalid payload of %d bytes", name, len(text))
		}
		if _, kind, _ := payload.Recognise(text, run); kind != payload.Sound {
			t.Errorf("%s: got %v, want sound", name, kind)
		}
	}
	for name, content := range map[string]string{"not UTF-8": "\xff\xfe",
		"too large": strings.Repeat("x", payload.MaxSize)} {
		if _, err := payload.NewBodyMaker(run, []byte(content)); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

// CRC-32C detects every changed bit; none of the texts may count as sound or foreign.
func TestRecognise_FlippedBits(t *testing.T) {
	text := maker(t, 200).Append(nil, 3, 17, 1764000000123456)
	for i := range text {
		for bit := range 8 {
			changed := bytes.Clone(text)
			changed[i] ^= 1 << bit
			if _, kind, _ := payload.Recognise(changed, run); kind != payload.Corrupt {
				t.Fatalf("bit %d of byte %d (%q) flipped: got %v, want corrupt", bit, i, text[i], kind)
			}
		}
	}
}

func TestRecognise(t *testing.T) {
	text := maker(t, 200).Append(nil, 3, 17, 1764000000123456)
	other, err := payload.NewMaker("otherrun", 200)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		want payload.Kind
	}{
		"sound":             {text, payload.Sound},
		"cut short":         {text[:150], payload.Corrupt},
		"one byte more":     {append(bytes.Clone(text), ' '), payload.Corrupt},
		"twice":             {append(bytes.Clone(text), text...), payload.Corrupt},
		"of another run":    {other.Append(nil, 3, 17, 1764000000123456), payload.Foreign},
		"other JSON":        {[]byte(`{"run":"marathon","km":42}`), payload.Foreign},
		"plain text":        {[]byte("hello"), payload.Foreign},
		"empty":             {nil, payload.Foreign},
		"keys in new order": {[]byte(`{"pub":3,"run":"` + run + `"}`), payload.Corrupt},
	} {
		if _, kind, _ := payload.Recognise(c.text, run); kind != c.want {
			t.Errorf("%s: got %v, want %v", name, kind, c.want)
		}
	}
	h, kind, readable := payload.Recognise(append(bytes.Clone(text), ' '), run)
	if kind != payload.Corrupt || !readable || h.Publisher != 3 || h.Sequence != 17 {
		t.Errorf("got %+v %v %v, want a corrupt payload with a readable header", h, kind, readable)
	}
}

func TestRecognise_Allocations(t *testing.T) {
	text := maker(t, 256).Append(nil, 3, 17, 1764000000123456)
	if n := testing.AllocsPerRun(100, func() { payload.Recognise(text, run) }); n != 0 {
		t.Errorf("got %v allocations per call, want 0", n)
	}
}

func FuzzRecognise(f *testing.F) {
	m := maker(f, 160)
	seeds := [][]byte{m.Append(nil, 0, 0, 1764000000123456), m.Append(nil, 9, 12345, 1), []byte(`{"run":"`), nil}
	for _, s := range seeds {
		f.Add(s)
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		h, kind, readable := payload.Recognise(text, run)
		if kind == payload.Sound {
			if h.Run != run || !readable {
				t.Errorf("got sound with %+v, readable %v", h, readable)
			}
			return
		}
		if kind == payload.Foreign && (h != payload.Header{} || readable) {
			t.Errorf("got foreign with header %+v, want a zero header", h)
		}
	})
}

func BenchmarkRecognise(b *testing.B) {
	text := maker(b, 256).Append(nil, 3, 17, 1764000000123456)
	b.ReportAllocs()
	for b.Loop() {
		payload.Recognise(text, run)
	}
}
