package payload

import "bytes"

// Kind is the kind of a received text.
type Kind uint8

// The kinds of texts.
const (
	// Sound is a payload of this run with the same bytes as published.
	Sound Kind = iota + 1
	// Foreign is a sound payload of another run, or any text that is not a payload.
	Foreign
	// Corrupt is a damaged payload of this run.
	Corrupt
)

// String returns the name of the kind.
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

// Recognise classifies a received text for the run of that name. For Sound the header is complete; for Corrupt,
// readable reports whether all its fields could be parsed, and it is zero if not; for Foreign it is zero. Recognise
// does not allocate and does not keep text.
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
		// The sum is wrong: the damage may be in the name of the run, too, so the name is not compared.
		h.Run = run
		return h, Corrupt, true
	case bytes.Contains(text, []byte(run)), bytes.HasPrefix(text, []byte(prefix)) && bytes.Contains(text, []byte(sumKey)):
		return Header{}, Corrupt, false
	default:
		return Header{}, Foreign, false
	}
}

// parse reads the header. sum is the index of the digits of the checksum.
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

// Run returns the name of the run of a payload, "" for any other text.
func Run(text []byte) string {
	if len(text) < len(prefix)+RunLength || string(text[:len(prefix)]) != prefix {
		return ""
	}
	return string(text[len(prefix) : len(prefix)+RunLength])
}
