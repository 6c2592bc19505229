package apigateway

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Limits on what goes over a connection, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	maxFrame   = 32 << 10
	maxMessage = 128 << 10
)

// readBuffer is what a connection that waits for its client costs; greater frames are read past it.
const readBuffer = 256

// violation is what a client did to be disconnected for. Binary frames: developerguide/websocket-api-develop-binary-media-types.html
type violation struct {
	code   ws.StatusCode
	reason string
}

func (v *violation) Error() string { return v.reason }

var (
	binaryFrame   = &violation{ws.StatusUnsupportedData, "Binary frames are not supported"}
	tooBig        = &violation{ws.StatusMessageTooBig, "Message too big"}
	notUTF8       = &violation{ws.StatusInvalidFramePayloadData, "Invalid UTF-8"}
	protocolError = &violation{ws.StatusProtocolError, "Protocol error"}
)

// read takes messages from the client until the connection is over. It returns when the client has said goodbye, is
// lost, or has been disconnected.
func (c *connection) read(early []byte) {
	source := io.Reader(c)
	if len(early) > 0 {
		source = io.MultiReader(bytes.NewReader(early), c)
	}
	buffered := bufio.NewReaderSize(source, readBuffer)
	err := c.readFrames(buffered)
	var violated *violation
	switch {
	case errors.As(err, &violated):
		c.close(uint16(violated.code), violated.reason)
	case err != nil:
		return // lost
	}
	// All is said; let it arrive. Closing while the client still sends would reset the connection and might cost it
	// the closing frame (RFC 6455, section 7.1.1).
	c.awaitFlush()
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		tcp.CloseWrite()
	}
	if violated != nil {
		io.Copy(io.Discard, c)
	}
}

// readFrames returns nil after the closing handshake, a *violation, or the error that reading failed with.
func (c *connection) readFrames(r *bufio.Reader) error {
	state := ws.StateServerSide
	head := make([]byte, 0, ws.MaxHeaderSize)
	var message []byte
	for {
		header, err := ws.ReadHeaderBuffer(r, head)
		if errors.Is(err, ws.ErrHeaderLengthMSB) || errors.Is(err, ws.ErrHeaderLengthUnexpected) {
			return protocolError
		}
		if err != nil {
			return err
		}
		if ws.CheckHeader(header, state) != nil {
			return protocolError
		}
		if header.OpCode.IsControl() {
			over, err := c.readControl(r, header)
			if over || err != nil {
				return err
			}
			continue
		}
		switch {
		case header.OpCode == ws.OpBinary:
			return binaryFrame
		case header.Length > maxFrame || int64(len(message))+header.Length > maxMessage:
			return tooBig
		}
		if message, err = appendPayload(message, r, header); err != nil {
			return err
		}
		if !header.Fin {
			state = state.Set(ws.StateFragmented)
			continue
		}
		state = state.Clear(ws.StateFragmented)
		if !utf8.Valid(message) {
			return notUTF8
		}
		c.receive(message)
		message = nil
	}
}

// appendPayload reads a frame's payload.
func appendPayload(message []byte, r io.Reader, header ws.Header) ([]byte, error) {
	at := len(message)
	if message == nil {
		message = make([]byte, header.Length)
	} else {
		message = append(message, make([]byte, header.Length)...)
	}
	if _, err := io.ReadFull(r, message[at:]); err != nil {
		return nil, err
	}
	ws.Cipher(message[at:], header.Mask, 0)
	return message, nil
}

// readControl answers a ping, and a closing frame with its echo, after which the connection is over.
func (c *connection) readControl(r io.Reader, header ws.Header) (over bool, err error) {
	payload, err := appendPayload(nil, r, header)
	if err != nil {
		return false, err
	}
	switch header.OpCode {
	case ws.OpPing:
		c.control(ws.MustCompileFrame(ws.NewPongFrame(payload)))
		return false, nil
	case ws.OpPong:
		return false, nil
	}
	if len(payload) == 0 {
		c.settle(statusNone, noStatus, ws.CompiledClose)
		return true, nil
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) == 1 || ws.CheckCloseFrameData(code, reason) != nil {
		return false, protocolError
	}
	echo := ws.NewCloseFrame(ws.NewCloseFrameBody(code, ""))
	c.settle(uint16(code), reason, ws.MustCompileFrame(echo))
	return true, nil
}

// frames are a message made ready for the wire.
type frames struct {
	bytes  []byte
	pooled *bytes.Buffer
}

var framePool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// compileMessage makes a text message, in frames of at most maxFrame: the limit holds for posted data too, and
// clients that accept whole messages do not notice.
func compileMessage(payload []byte) frames {
	buffer := framePool.Get().(*bytes.Buffer)
	buffer.Reset()
	opcode := ws.OpText
	for {
		part := payload[:min(len(payload), maxFrame)]
		payload = payload[len(part):]
		ws.WriteHeader(buffer, ws.Header{Fin: len(payload) == 0, OpCode: opcode, Length: int64(len(part))})
		buffer.Write(part)
		if len(payload) == 0 {
			return frames{bytes: buffer.Bytes(), pooled: buffer}
		}
		opcode = ws.OpContinuation
	}
}

func (f frames) release() { framePool.Put(f.pooled) }
