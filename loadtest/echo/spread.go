package echo

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
)

// Spread serves l with several processes until ctx ends. command starts each process, which must call Share. A message
// that one of them receives is sent through this process to all of them, in one order.
func Spread(ctx context.Context, l net.Listener, processes int, command []string) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return errors.New("start processes: want a TCP listener")
	}
	file, err := tcp.File()
	if err != nil {
		return fmt.Errorf("start processes: %w", err)
	}
	defer file.Close()
	defer l.Close()
	messages := make(chan []byte, queued)
	var reading, sending sync.WaitGroup
	var pipes []io.WriteCloser
	var workers []*exec.Cmd
	errs := make(chan error, processes)
	for range processes {
		c := exec.Command(command[0], command[1:]...)
		c.Stderr, c.ExtraFiles = os.Stderr, []*os.File{file}
		in, err := c.StdinPipe()
		if err != nil {
			return fmt.Errorf("start processes: %w", err)
		}
		out, err := c.StdoutPipe()
		if err != nil {
			return fmt.Errorf("start processes: %w", err)
		}
		if err := c.Start(); err != nil {
			return fmt.Errorf("start processes: %w", err)
		}
		pipes, workers = append(pipes, in), append(workers, c)
		reading.Go(func() {
			for r := bufio.NewReader(out); ; {
				text, err := receive(r)
				if err != nil {
					errs <- fmt.Errorf("process ended: %w", err)
					return
				}
				messages <- text
			}
		})
	}
	sending.Go(func() {
		for text := range messages {
			for _, p := range pipes {
				_ = send(p, text) // its reader reports a process that has ended
			}
		}
	})
	select {
	case <-ctx.Done():
		err = nil
	case err = <-errs:
	}
	for _, p := range pipes {
		p.Close() // this ends the process
	}
	reading.Wait()
	close(messages)
	sending.Wait()
	for _, c := range workers {
		_ = c.Wait() // the exit status does not matter any more
	}
	return err
}

// Share runs one of the processes of Spread: it accepts clients from the listener in file and exchanges messages over
// in and out, until in ends.
func Share(ctx context.Context, in io.Reader, out io.Writer, file *os.File, o Options) error {
	l, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("use shared listener: %w", err)
	}
	var mu sync.Mutex
	o.Publish = func(text []byte) {
		mu.Lock()
		defer mu.Unlock()
		_ = send(out, text) // if the other process has ended, so has in
	}
	s := New(o)
	go func() {
		defer s.Close()
		for r := bufio.NewReader(in); ; {
			text, err := receive(r)
			if err != nil || !s.Broadcast(text) {
				return
			}
		}
	}()
	return s.Serve(l)
}

// On a pipe a message is its length in four bytes, big endian, and its text.

func send(w io.Writer, text []byte) error {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(text)), uint32(len(text)))
	_, err := w.Write(append(b, text...))
	return err
}

func receive(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMessage {
		return nil, errTooLarge
	}
	text := make([]byte, n)
	_, err := io.ReadFull(r, text)
	return text, err
}
