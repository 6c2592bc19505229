package client

import (
	"encoding/binary"
	"errors"

	"github.com/gobwas/ws"
)

// MaxMessage is the size in bytes of the largest message that a client accepts: eight times the limit of API Gateway.
const MaxMessage = 1 << 20

// Violations of RFC 6455 by the peer. The connection is then closed, as section 7.1.7 requires.
var (
	errReserved   = errors.New("reserved bits without an extension")
	errOpcode     = errors.New("unknown opcode")
	errMasked     = errors.New("masked frame from a server")
	errControl    = errors.New("control frame fragmented or over 125 bytes")
	errSequence   = errors.New("continuation frame out of place")
	errTooLarge   = errors.New("message over the client's limit")
	errLength     = errors.New("invalid frame length")
	errCloseFrame = errors.New("close frame of one byte")
)

// header is the header of a frame.
type header struct {
	fin    bool
	opcode ws.OpCode
	size   int // of the header; 0 if it is not complete yet
	length int // of the payload
}

// parse reads the header of a frame in place, without copying or allocating: it is on the hot path of the harness.
func parse(b []byte) (header, error) {
	if len(b) < 2 {
		return header{}, nil
	}
	h := header{fin: b[0]&0x80 != 0, opcode: ws.OpCode(b[0] & 0x0f), size: 2, length: int(b[1] & 0x7f)}
	if b[0]&0x70 != 0 {
		return h, errReserved
	}
	if b[1]&0x80 != 0 {
		return h, errMasked
	}
	switch h.opcode {
	case ws.OpContinuation, ws.OpText, ws.OpBinary:
	case ws.OpClose, ws.OpPing, ws.OpPong:
		if !h.fin || h.length > 125 {
			return h, errControl
		}
	default:
		return h, errOpcode
	}
	switch h.length {
	case 126:
		if len(b) < 4 {
			return header{}, nil
		}
		h.size, h.length = 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if len(b) < 10 {
			return header{}, nil
		}
		n := binary.BigEndian.Uint64(b[2:])
		if n>>63 != 0 {
			return h, errLength
		}
		if n > MaxMessage {
			return h, errTooLarge
		}
		h.size, h.length = 10, int(n)
	}
	return h, nil
}

// assembler assembles the messages of one connection from the received bytes. Its zero value is ready.
type assembler struct {
	pending []byte    // an incomplete frame
	message []byte    // the fragments of an incomplete message
	kind    ws.OpCode // of the incomplete message; 0 without one
}

// events receives the messages and control frames of an assembler. The slices are valid during the call only.
type events interface {
	data(binary bool, text []byte)
	control(opcode ws.OpCode, body []byte)
}

// take processes received bytes. After an error the connection must be closed.
func (a *assembler) take(b []byte, e events) error {
	joined := len(a.pending) > 0
	if joined {
		a.pending = append(a.pending, b...)
		b = a.pending
	}
	for len(b) > 0 {
		h, err := parse(b)
		if err != nil {
			return err
		}
		if h.size == 0 || len(b) < h.size+h.length {
			break
		}
		if err := a.frame(h, b[h.size:h.size+h.length], e); err != nil {
			return err
		}
		b = b[h.size+h.length:]
	}
	switch {
	case len(b) == 0:
		a.pending = nil
	case joined:
		a.pending = a.pending[:copy(a.pending, b)]
	default:
		a.pending = append([]byte(nil), b...)
	}
	return nil
}

// frame processes one frame.
func (a *assembler) frame(h header, body []byte, e events) error {
	switch h.opcode {
	case ws.OpText, ws.OpBinary:
		if a.kind != 0 {
			return errSequence
		}
		if h.fin {
			e.data(h.opcode == ws.OpBinary, body)
			return nil
		}
		a.kind, a.message = h.opcode, append([]byte(nil), body...)
	case ws.OpContinuation:
		if a.kind == 0 {
			return errSequence
		}
		if len(a.message)+len(body) > MaxMessage {
			return errTooLarge
		}
		a.message = append(a.message, body...)
		if h.fin {
			e.data(a.kind == ws.OpBinary, a.message)
			a.kind, a.message = 0, nil
		}
	case ws.OpClose:
		if len(body) == 1 {
			return errCloseFrame
		}
		e.control(h.opcode, body)
	default:
		e.control(h.opcode, body)
	}
	return nil
}
