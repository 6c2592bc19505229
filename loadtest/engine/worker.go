package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// order is a message from a fleet to a worker. Orders and messages are sent as consecutive JSON objects.
type order struct {
	Do          string       `json:"do"` // plan, open, prepare, measure or interrupt
	Plan        *Plan        `json:"plan,omitempty"`
	Measurement *Measurement `json:"measurement,omitempty"`
}

// message is a message from a worker to its fleet.
type message struct {
	Done   string  `json:"done,omitempty"` // the order that was executed; empty in a periodic status
	Error  string  `json:"error,omitempty"`
	Status *Status `json:"status,omitempty"`
}

// closeTimeout bounds the time in which a worker must end.
const closeTimeout = 10 * time.Second

// worker is a member in another process.
type worker struct {
	process *exec.Cmd
	stdin   io.WriteCloser
	done    chan message // answers to orders
	ended   chan struct{}

	mu     sync.Mutex // guards what follows
	orders *json.Encoder
	status Status
}

// startWorker starts a worker process and sends it the plan.
func startWorker(plan Plan, command []string) (*worker, error) {
	c := exec.Command(command[0], command[1:]...)
	c.Stderr = os.Stderr
	isolate(c)
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	w := &worker{process: c, stdin: stdin, orders: json.NewEncoder(stdin), done: make(chan message, 1),
		ended: make(chan struct{})}
	go w.listen(stdout)
	if err := w.order(context.Background(), order{Do: "plan", Plan: &plan}); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// listen reads the worker's messages until its output ends.
func (w *worker) listen(r io.Reader) {
	defer close(w.ended)
	for in := json.NewDecoder(r); ; {
		var m message
		if in.Decode(&m) != nil {
			return
		}
		if m.Status != nil {
			w.mu.Lock()
			w.status = *m.Status
			w.mu.Unlock()
		}
		if m.Done != "" {
			w.done <- m
		}
	}
}

// order sends an order and waits until it is executed. If ctx ends, order interrupts the worker and waits for its
// answer.
func (w *worker) order(ctx context.Context, o order) error {
	if err := w.send(o); err != nil {
		return err
	}
	interrupted := ctx.Done()
	for {
		select {
		case m := <-w.done:
			if m.Error != "" {
				return errors.New(m.Error)
			}
			return nil
		case <-interrupted:
			interrupted = nil
			if err := w.send(order{Do: "interrupt"}); err != nil {
				return err
			}
		case <-w.ended:
			return errors.New("worker: process has ended; see its output above")
		}
	}
}

func (w *worker) send(o order) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.orders.Encode(o); err != nil {
		return fmt.Errorf("send order to worker: %w", err)
	}
	return nil
}

func (w *worker) Open(ctx context.Context) error { return w.order(ctx, order{Do: "open"}) }

func (w *worker) Prepare(m Measurement) error {
	return w.order(context.Background(), order{Do: "prepare", Measurement: &m})
}

func (w *worker) Measure(ctx context.Context) error { return w.order(ctx, order{Do: "measure"}) }

func (w *worker) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// Close ends the worker, which closes its connections when its input ends.
func (w *worker) Close() {
	w.stdin.Close()
	kill := time.AfterFunc(closeTimeout, func() { _ = w.process.Process.Kill() })
	defer kill.Stop()
	<-w.ended
	_ = w.process.Wait() // the exit status does not matter any more
}

// task is an order and the context that an interrupt cancels. The context exists before the order is executed, as an
// interrupt may follow at once.
type task struct {
	order
	ctx    context.Context
	cancel context.CancelFunc
}

// ServeWorker runs a worker process: it executes the orders that it reads from r and answers on w, until r ends.
func ServeWorker(ctx context.Context, r io.Reader, w io.Writer) error {
	s := &service{out: json.NewEncoder(w)}
	tasks := make(chan task)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		defer close(tasks)
		var last task
		for in := json.NewDecoder(r); ; {
			var o order
			if in.Decode(&o) != nil {
				return
			}
			if o.Do == "interrupt" {
				if last.cancel != nil {
					last.cancel()
				}
				continue
			}
			last.order = o
			last.ctx, last.cancel = context.WithCancel(ctx)
			select {
			case tasks <- last:
			case <-ctx.Done():
				return
			}
		}
	}()
	var reporting sync.WaitGroup
	defer reporting.Wait()
	reporting.Go(func() { s.reportStatus(ctx) })
	defer func() {
		stop()
		if e := s.current(); e != nil {
			e.Close()
		}
	}()
	for e := range tasks {
		m := message{Done: e.Do}
		if err := s.execute(e.ctx, e.order); err != nil {
			m.Error = err.Error()
		}
		e.cancel()
		var err error
		if m.Status, err = s.status(); err == nil {
			err = s.send(m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// service is the state of a worker process.
type service struct {
	mu     sync.Mutex
	out    *json.Encoder
	engine *Engine
}

func (s *service) send(m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.out.Encode(m); err != nil {
		return fmt.Errorf("send answer: %w", err)
	}
	return nil
}

func (s *service) current() *Engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine
}

func (s *service) execute(ctx context.Context, o order) error {
	e := s.current()
	switch {
	case o.Do == "plan" && o.Plan != nil && e == nil:
		e, err := New(ctx, *o.Plan)
		s.mu.Lock()
		s.engine = e
		s.mu.Unlock()
		return err
	case o.Do == "open" && e != nil:
		return e.Open(ctx)
	case o.Do == "prepare" && e != nil && o.Measurement != nil:
		return e.Prepare(*o.Measurement)
	case o.Do == "measure" && e != nil:
		return e.Measure(ctx)
	}
	return fmt.Errorf("worker: cannot execute order %q now", o.Do)
}

// status returns the status of the engine, nil if there is none.
func (s *service) status() (*Status, error) {
	e := s.current()
	if e == nil {
		return nil, nil
	}
	status := e.Status()
	var err error
	status.Latency, err = status.Live.Encode()
	return &status, err
}

// reportStatus sends the status at each interval, until ctx ends.
func (s *service) reportStatus(ctx context.Context) {
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		status, err := s.status()
		if err == nil && status != nil {
			err = s.send(message{Status: status})
		}
		if err != nil {
			return // the fleet has ended
		}
	}
}
