package lambda

import (
	"bytes"
	"os"
	"sync"
	"syscall"
)

const (
	// maxLine is the longest line handed on; longer ones are split.
	// Source: the event size of CloudWatch Logs, docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html.
	maxLine = 256 << 10
	// maxTail is how much of the last output is kept to explain a failed start.
	maxTail = 4 << 10
)

// output reads what one process writes to its standard output and error, which share a pipe so that their order is
// kept, and hands it on line by line with the id of the invocation during which it was written.
//
// A goroutine reads whatever arrives. When an invocation ends the process has already written all of it, but the
// goroutine may be behind; drain then reads the rest at once, so that no line gets the next invocation's id.
type output struct {
	pipe *os.File
	raw  syscall.RawConn
	emit func(requestID string, line []byte) // the line is only lent

	mu        sync.Mutex
	requestID string
	line      []byte // read, but not ended
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

// run reads until the pipe is closed at either end.
func (o *output) run() {
	// The callback says false to be called again when there is more to read, true to end.
	_ = o.raw.Read(func(fd uintptr) bool { return o.read(fd) }) // fails only when the pipe is closed, which is its end
}

// read hands on all that can be read without waiting and reports whether the end was reached.
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
		default: // n == 0: nobody can write any more
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
			o.send(part) // the usual case copies nothing
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

// begin gives what follows to an invocation, and ends the init phase.
func (o *output) begin(requestID string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requestID, o.inInit, o.tail = requestID, false, nil
}

// drain hands on what has been written so far, an unfinished line included; what follows belongs to no invocation.
func (o *output) drain() {
	_ = o.raw.Control(func(fd uintptr) { o.read(fd) }) // fails only when the pipe is closed: nothing to drain
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.line) > 0 {
		o.flush()
	}
	o.requestID = ""
}

// close drains and ends. It does not wait for others who still hold the pipe open.
func (o *output) close() {
	o.drain()
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	_ = o.pipe.Close() // a pipe's reading end has nothing to lose
}
