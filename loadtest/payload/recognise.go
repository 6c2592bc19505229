package payload

import "bytes"

// Kind is what a received text turns out to be.
type Kind uint8

const (
	// Sound is a payload of this run, every byte as published.
	Sound Kind = iota + 1
	// Foreign is a sound payload of another run, or a text that no load test made.
	Foreign
	// Corrupt is a payload of this run that was changed on its way.
	Corrupt
)

func (k Kind) String() string {
	switch k {
	case Sound:
		return "sound"
	case Foreign:
		return "foreign"
	case Corrupt:
		return "corrupt"
	}
	return "unknown"
}

// Recognise tells what text is to the run of that name. The header is complete if Sound; if Corrupt it is what could
// still be read, and readable tells whether that was all of it; a Foreign one is empty. The header's Run is run itself
// and text is not kept, so a call allocates nothing.
func Recognise(text []byte, run string) (h Header, kind Kind, readable bool) {
	h, sum, ok := parse(text)
	switch {
	case ok && sumMatches(text, sum):
		if string(text[len(prefix):len(prefix)+RunLength]) != run {
			return Header{}, Foreign, false
		}
		h.Run = run
		return h, Sound, true
	case ok:
		// Well formed with a wrong sum: the damage may be in the run's name too, so the name does not count.
		h.Run = run
		return h, Corrupt, true
	case bytes.Contains(text, []byte(run)), bytes.HasPrefix(text, []byte(prefix)) && bytes.Contains(text, []byte(sumKey)):
		return Header{}, Corrupt, false
	default:
		return Header{}, Foreign, false
	}
}

// parse reads the fixed layout and returns where the digits of the sum begin.
func parse(text []byte) (h Header, sum int, ok bool) {
	rest := text
	if len(rest) < len(prefix)+RunLength || string(rest[:len(prefix)]) != prefix {
		return h, 0, false
	}
	rest = rest[len(prefix)+RunLength:]
	var pub, seq, at int64
	for _, field := range [...]struct {
		key   string
		value *int64
		max   int64
	}{{pubKey, &pub, 1<<32 - 1}, {seqKey, &seq, 1<<32 - 1}, {atKey, &at, 1<<62 - 1}} {
		if len(rest) < len(field.key) || string(rest[:len(field.key)]) != field.key {
			return h, 0, false
		}
		rest = rest[len(field.key):]
		n := 0
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' && n < 19 {
			*field.value = *field.value*10 + int64(rest[n]-'0')
			n++
		}
		if n == 0 || *field.value > field.max || *field.value < 0 {
			return h, 0, false
		}
		rest = rest[n:]
	}
	if len(rest) < len(sumKey)+sumLength || string(rest[:len(sumKey)]) != sumKey {
		return h, 0, false
	}
	return Header{Publisher: uint32(pub), Sequence: uint32(seq), At: at}, len(text) - len(rest) + len(sumKey), true
}

func sumMatches(text []byte, sum int) bool {
	var digits [sumLength]byte
	putHex(digits[:], checksum(text, sum))
	return string(digits[:]) == string(text[sum:sum+sumLength])
}

// Run returns the run that a text names where a payload does, "" if it does not.
func Run(text []byte) string {
	if len(text) < len(prefix)+RunLength || string(text[:len(prefix)]) != prefix {
		return ""
	}
	return string(text[len(prefix) : len(prefix)+RunLength])
}
