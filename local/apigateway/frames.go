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

// Limits on frames and messages from clients, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	maxFrame   = 32 << 10
	maxMessage = 128 << 10
)

// readBuffer is the size of a connection's read buffer, in bytes. A connection without data to read has no buffer.
const readBuffer = 4 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// violation is a client error that closes the connection. Binary frames are one:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-binary-media-types.html
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

// errClosed ends the reading of a connection after the closing handshake.
var errClosed = errors.New("closing handshake complete")

// readMessages reads messages from the client until it returns errClosed, a *violation, or a read error. early is data
// that the client has sent before the answer to its handshake.
func (c *connection) readMessages(early []byte) error {
	var partial partialMessage
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

// sendClose sends the closing frame, if err requires one, and waits until it is written. err is the error of
// readMessages.
func (c *connection) sendClose(err error) {
	violated, ok := errors.AsType[*violation](err)
	switch {
	case ok:
		c.close(uint16(violated.code), violated.reason)
	case !errors.Is(err, errClosed):
		return // the connection is broken
	}
	// Wait for the frame: closing while the client still sends would reset the connection and could lose the
	// closing frame (RFC 6455, section 7.1.1).
	c.awaitFlush()
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // fails only on a broken connection
	}
	if violated != nil {
		_, _ = io.Copy(io.Discard, c) // ends with the client's close or at closeBy
	}
}

// awaitData waits until there is data to read.
func (c *connection) awaitData() error {
	if c.raw == nil {
		return nil // Read waits instead
	}
	for {
		if err := c.raw.Read(readable); !errors.Is(err, os.ErrDeadlineExceeded) || !c.extend() {
			return err
		}
	}
}

// readable reports whether a socket has data, an end of file or an error to return.
func readable(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	return err != syscall.EAGAIN
}

// partialMessage is the part of a fragmented message that has been read.
type partialMessage struct {
	state   ws.State // ws.StateFragmented or 0
	message []byte
}

// readAvailable reads one frame, and then all frames that have arrived already. It reads the data in early first.
func (c *connection) readAvailable(early []byte, partial *partialMessage) error {
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

func (c *connection) readFrame(r *bufio.Reader, head []byte, partial *partialMessage) error {
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
	*partial = partialMessage{}
	if !utf8.Valid(message) {
		return notUTF8
	}
	c.receive(message)
	return nil
}

// appendPayload reads a frame's payload and appends it to message.
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

// readControl answers a ping, and echoes a closing frame, for which it returns errClosed.
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
		c.beginClose(statusNone, noStatus, ws.CompiledClose)
		return errClosed
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) == 1 || code > ws.StatusRangePrivate.Max || ws.CheckCloseFrameData(code, reason) != nil {
		return protocolError
	}
	echo := ws.NewCloseFrame(ws.NewCloseFrameBody(code, ""))
	c.beginClose(uint16(code), reason, ws.MustCompileFrame(echo))
	return errClosed
}

// frames is an encoded message.
type frames struct {
	bytes  []byte
	pooled *bytes.Buffer
}

var framePool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// compileMessage encodes a text message in frames of at most maxFrame bytes. AWS's limit applies to posted data too.
func compileMessage(payload []byte) frames {
	buffer := framePool.Get().(*bytes.Buffer)
	buffer.Reset()
	opcode := ws.OpText
	for {
		part := payload[:min(len(payload), maxFrame)]
		payload = payload[len(part):]
		// A bytes.Buffer returns no errors.
		_ = ws.WriteHeader(buffer, ws.Header{Fin: len(payload) == 0, OpCode: opcode, Length: int64(len(part))})
		buffer.Write(part)
		if len(payload) == 0 {
			return frames{bytes: buffer.Bytes(), pooled: buffer}
		}
		opcode = ws.OpContinuation
	}
}

func (f frames) release() { framePool.Put(f.pooled) }
