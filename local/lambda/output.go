package lambda

import (
	"bytes"
	"os"
	"sync"
	"syscall"
)

const (
	// maxLine is the maximum length of an emitted line; longer ones are split.
	// Source: docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html, event size.
	maxLine = 256 << 10
	// maxTail limits the output that a StartError contains.
	maxTail = 4 << 10
)

// output reads what one process writes to its standard output and error. Both share a pipe, which keeps their order. It
// emits each line with the id of the invocation during which it was written.
//
// A goroutine reads from the pipe. At the end of an invocation the process has written all of its output, but the
// goroutine may not have read it yet. drain then reads the rest, so that no line gets the id of the next invocation.
type output struct {
	pipe *os.File
	raw  syscall.RawConn
	emit func(requestID string, line []byte) // must not keep line

	mu        sync.Mutex
	requestID string
	line      []byte // an incomplete line
	tail      []byte // last lines during init; nil afterwards
	inInit    bool
	buffer    [16 << 10]byte
	closed    bool
}

func newOutput(pipe *os.File, emit func(string, []byte)) (*output, error) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &output{pipe: pipe, raw: raw, emit: emit, inInit: true}, nil
}

// run reads until one end of the pipe is closed.
func (o *output) run() {
	// The callback returns false to be called again when there is more to read, true to end. Read itself fails only
	// when the pipe is closed.
	_ = o.raw.Read(func(fd uintptr) bool { return o.read(fd) })
}

// read emits all that can be read without waiting. It reports whether the end was reached.
func (o *output) read(fd uintptr) (end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed {
		n, err := syscall.Read(int(fd), o.buffer[:])
		switch {
		case n > 0:
			o.split(o.buffer[:n])
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		default: // n == 0: no writer is left
			return true
		}
	}
	return true
}

func (o *output) split(data []byte) {
	for len(data) > 0 {
		part, rest, ended := bytes.Cut(data, []byte{'\n'})
		if room := maxLine - len(o.line); len(part) > room {
			part, rest, ended = data[:room], data[room:], true
		}
		if len(o.line) == 0 && ended {
			o.send(part) // the common case copies nothing
		} else {
			o.line = append(o.line, part...)
			if ended {
				o.flush()
			}
		}
		data = rest
	}
}

func (o *output) flush() {
	line := o.line
	o.line = o.line[:0]
	o.send(line)
	if cap(o.line) > 64<<10 {
		o.line = nil
	}
}

func (o *output) send(line []byte) {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if o.inInit {
		o.tail = append(append(o.tail, line...), '\n')
		if over := len(o.tail) - maxTail; over > 0 {
			o.tail = append(o.tail[:0], o.tail[over:]...)
		}
	}
	o.emit(o.requestID, line)
}

// begin ends the init phase and assigns later lines to an invocation.
func (o *output) begin(requestID string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requestID, o.inInit, o.tail = requestID, false, nil
}

// drain emits everything written so far, including an incomplete line. Later lines belong to no invocation.
func (o *output) drain() {
	_ = o.raw.Control(func(fd uintptr) { o.read(fd) }) // fails only when the pipe is closed: nothing to drain
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.line) > 0 {
		o.flush()
	}
	o.requestID = ""
}

// close drains and closes the pipe. It does not wait for other writers that still have it open.
func (o *output) close() {
	o.drain()
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	_ = o.pipe.Close() // closing the read end loses nothing
}
