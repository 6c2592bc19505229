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

// The words that pass between a fleet and a worker, one JSON object after another each way.
type order struct {
	Do          string       `json:"do"` // plan, open, prepare, measure or interrupt
	Plan        *Plan        `json:"plan,omitempty"`
	Measurement *Measurement `json:"measurement,omitempty"`
}

type message struct {
	Done   string  `json:"done,omitempty"` // the order that was carried out; empty if this is only a status
	Error  string  `json:"error,omitempty"`
	Status *Status `json:"status,omitempty"`
}

// patience is how long a worker may take to end once it was told to.
const patience = 10 * time.Second

// worker is a member in a process of its own.
type worker struct {
	process *exec.Cmd
	stdin   io.WriteCloser
	done    chan message // answers to orders
	gone    chan struct{}

	mu     sync.Mutex // guards what follows
	orders *json.Encoder
	status Status
}

func hire(plan Plan, command []string) (*worker, error) {
	c := exec.Command(command[0], command[1:]...)
	c.Stderr = os.Stderr
	isolate(c)
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	w := &worker{process: c, stdin: stdin, orders: json.NewEncoder(stdin), done: make(chan message, 1),
		gone: make(chan struct{})}
	go w.listen(stdout)
	if err := w.order(context.Background(), order{Do: "plan", Plan: &plan}); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// listen ends when the worker's output does.
func (w *worker) listen(r io.Reader) {
	defer close(w.gone)
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

// order gives an order and waits until it is carried out. An ended ctx interrupts it; what has been done until then is
// still waited for.
func (w *worker) order(ctx context.Context, o order) error {
	if err := w.say(o); err != nil {
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
			if err := w.say(order{Do: "interrupt"}); err != nil {
				return err
			}
		case <-w.gone:
			return errors.New("worker: its process has ended; see above for why")
		}
	}
}

func (w *worker) say(o order) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.orders.Encode(o); err != nil {
		return fmt.Errorf("worker: %w", err)
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

// Close ends the worker: it closes its connections when its input ends.
func (w *worker) Close() {
	w.stdin.Close()
	kill := time.AfterFunc(patience, func() { w.process.Process.Kill() })
	defer kill.Stop()
	<-w.gone
	_ = w.process.Wait() // how it ended no longer matters
}

// errand is an order with what an interrupt ends, which is there before the order is taken up: an interrupt may be on
// its heels.
type errand struct {
	order
	ctx    context.Context
	cancel context.CancelFunc
}

// ServeWorker is a worker's life: it carries out the orders that it reads from r and answers on w, until r ends.
func ServeWorker(ctx context.Context, r io.Reader, w io.Writer) error {
	s := &service{out: json.NewEncoder(w)}
	errands := make(chan errand)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		defer close(errands)
		var last errand
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
			case errands <- last:
			case <-ctx.Done():
				return
			}
		}
	}()
	var telling sync.WaitGroup
	defer telling.Wait()
	telling.Go(func() { s.tell(ctx) })
	defer func() {
		stop()
		if e := s.current(); e != nil {
			e.Close()
		}
	}()
	for e := range errands {
		m := message{Done: e.Do}
		if err := s.carryOut(e.ctx, e.order); err != nil {
			m.Error = err.Error()
		}
		e.cancel()
		var err error
		if m.Status, err = s.status(); err == nil {
			err = s.say(m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type service struct {
	mu     sync.Mutex
	out    *json.Encoder
	engine *Engine
}

func (s *service) say(m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.out.Encode(m); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

func (s *service) current() *Engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine
}

func (s *service) carryOut(ctx context.Context, o order) error {
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
	return fmt.Errorf("worker: cannot %q now", o.Do)
}

// status is how the engine is doing, nil if there is none.
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

// tell says how the engine is doing, again and again.
func (s *service) tell(ctx context.Context) {
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
			err = s.say(message{Status: status})
		}
		if err != nil {
			return // nobody listens any more
		}
	}
}
