package apigateway

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Limits on what goes over a connection, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	maxFrame   = 32 << 10
	maxMessage = 128 << 10
)

// readBuffer is the size of the buffer that a connection has while there is something to read, in bytes. While it
// waits it has none.
const readBuffer = 4 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

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

// errGoodbye ends the reading of a connection after the closing handshake.
var errGoodbye = errors.New("the closing handshake is over")

// readMessages takes messages from the client until it returns errGoodbye, a *violation, or the error that reading
// failed with. early is what the client sent before it was let in.
func (c *connection) readMessages(early []byte) error {
	var partial assembly
	if len(early) > 0 {
		if err := c.readAvailable(early, &partial); err != nil {
			return err
		}
	}
	for {
		if err := c.awaitData(); err != nil {
			return err
		}
		if err := c.readAvailable(nil, &partial); err != nil {
			return err
		}
	}
}

// farewell says the last words of a connection whose reading ended with err.
func (c *connection) farewell(err error) {
	var violated *violation
	switch {
	case errors.As(err, &violated):
		c.close(uint16(violated.code), violated.reason)
	case err != errGoodbye:
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

// awaitData waits until there is something to read.
func (c *connection) awaitData() error {
	if c.raw == nil {
		return nil // then reading waits
	}
	for {
		if err := c.raw.Read(readable); !errors.Is(err, os.ErrDeadlineExceeded) || !c.extend() {
			return err
		}
	}
}

// readable tells whether a socket has data, or an end or an error to report.
func readable(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	return err != syscall.EAGAIN
}

// assembly is a message of which some frames have been read.
type assembly struct {
	state   ws.State // ws.StateFragmented or nothing
	message []byte
}

// readAvailable reads a frame, and more while they have arrived already. What is in early comes first.
func (c *connection) readAvailable(early []byte, partial *assembly) error {
	r := readers.Get().(*bufio.Reader)
	defer func() {
		r.Reset(nil)
		readers.Put(r)
	}()
	rest := bytes.NewReader(early)
	r.Reset(io.MultiReader(rest, c))
	var head [ws.MaxHeaderSize]byte
	for {
		if err := c.readFrame(r, head[:0], partial); err != nil {
			return err
		}
		if r.Buffered() == 0 && rest.Len() == 0 {
			return nil
		}
	}
}

func (c *connection) readFrame(r *bufio.Reader, head []byte, partial *assembly) error {
	header, err := ws.ReadHeaderBuffer(r, head)
	if errors.Is(err, ws.ErrHeaderLengthMSB) || errors.Is(err, ws.ErrHeaderLengthUnexpected) {
		return protocolError
	}
	if err != nil {
		return err
	}
	if ws.CheckHeader(header, partial.state.Set(ws.StateServerSide)) != nil {
		return protocolError
	}
	if header.OpCode.IsControl() {
		return c.readControl(r, header)
	}
	switch {
	case header.OpCode == ws.OpBinary:
		return binaryFrame
	case header.Length > maxFrame || int64(len(partial.message))+header.Length > maxMessage:
		return tooBig
	}
	if partial.message, err = appendPayload(partial.message, r, header); err != nil {
		return err
	}
	if !header.Fin {
		partial.state = ws.StateFragmented
		return nil
	}
	message := partial.message
	*partial = assembly{}
	if !utf8.Valid(message) {
		return notUTF8
	}
	c.receive(message)
	return nil
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

// readControl answers a ping, and a closing frame with its echo, after which it returns errGoodbye.
func (c *connection) readControl(r io.Reader, header ws.Header) error {
	payload, err := appendPayload(nil, r, header)
	if err != nil {
		return err
	}
	switch header.OpCode {
	case ws.OpPing:
		c.control(ws.MustCompileFrame(ws.NewPongFrame(payload)))
		return nil
	case ws.OpPong:
		return nil
	}
	if len(payload) == 0 {
		c.settle(statusNone, noStatus, ws.CompiledClose)
		return errGoodbye
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) == 1 || code > ws.StatusRangePrivate.Max || ws.CheckCloseFrameData(code, reason) != nil {
		return protocolError
	}
	echo := ws.NewCloseFrame(ws.NewCloseFrameBody(code, ""))
	c.settle(uint16(code), reason, ws.MustCompileFrame(echo))
	return errGoodbye
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
