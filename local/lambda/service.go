package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/local/awsapi"
	"fanfare/local/clock"
)

// MaxEventBytes is the size an event must be below.
// Source: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, invocation payload, synchronous.
const MaxEventBytes = 6 << 20

const (
	// defaultIdleLifetime is how long a process waits for its next invocation. AWS names no number; minutes are usual.
	defaultIdleLifetime = 10 * time.Minute
	// defaultStarts is how many processes of one function start at the same time.
	defaultStarts = 8
)

// Options of a service. The zero value is usable.
type Options struct {
	// Region and Account are told to functions and name their ARNs; "" counts as us-east-1 and 000000000000.
	Region, Account string
	// AccountConcurrency is the number of invocations of all functions at a time; 0 counts as
	// DefaultAccountConcurrency. As on AWS, reservations must leave 100 of it unreserved.
	AccountConcurrency int
	// StartConcurrency is how many processes of one function may be starting at a time; 0 counts as 8.
	StartConcurrency int
	// IdleLifetime is how long an idle process is kept, by Clock; 0 counts as ten minutes.
	IdleLifetime time.Duration
	// Env is added to every function's environment, below the function's own variables and without counting to their
	// size: where the rest of the local AWS is (AWS_ENDPOINT_URL).
	Env map[string]string
	// XRayDaemonAddress is told to functions as AWS_XRAY_DAEMON_ADDRESS if it is not "". Traces made here are sampled then.
	XRayDaemonAddress string
	// Clock times the life of idle processes; nil is real time.
	Clock *clock.Clock
	// Log gets what happens to processes; nil discards it.
	Log *slog.Logger
	// Output gets every line that a function writes to its standard output or error, with the id of the invocation it
	// was written in ("" during init and between invocations). Lines over 256 KiB are split. It is called
	// from several goroutines, for one process in order; until it returns, that process's output waits. The line is
	// lent for the call. If nil, lines go to Log.
	Output func(function, requestID string, line []byte)
	// Report gets a report of every invocation, before its caller gets the answer; nil drops them. It is called from
	// several goroutines and must not wait.
	Report func(Report)
	// Faults are the faults to begin with; see SetFaults.
	Faults Faults
}

// Service runs functions. It is safe for concurrent use.
type Service struct {
	o         Options
	log       *slog.Logger
	address   string // of the Runtime API
	server    *http.Server
	starter   *starter
	functions sync.Map // name → *function
	processes sync.Map // secret → *process
	faults    atomic.Pointer[Faults]

	addMu      sync.Mutex // orders Add
	reserved   int        // concurrency reserved so far
	unreserved limit      // what the other functions share

	inFlight atomic.Int64 // invocations begun and not complete
	closing  atomic.Bool
	drained  chan struct{}      // told when inFlight reaches 0 while closing
	living   context.Context    // ends when the last process must go
	end      context.CancelFunc // of living
	running  sync.WaitGroup     // goroutines of the service
}

// New starts a service without functions. It listens on a free loopback port for the Runtime API.
func New(o Options) (*Service, error) {
	o.Region = cmp.Or(o.Region, awsapi.DefaultRegion)
	o.Account = cmp.Or(o.Account, awsapi.DefaultAccount)
	o.AccountConcurrency = cmp.Or(o.AccountConcurrency, DefaultAccountConcurrency)
	o.StartConcurrency = cmp.Or(o.StartConcurrency, defaultStarts)
	o.IdleLifetime = cmp.Or(o.IdleLifetime, defaultIdleLifetime)
	if o.AccountConcurrency < 0 || o.StartConcurrency < 0 || o.IdleLifetime < 0 {
		return nil, errors.New("lambda options: a number is negative")
	}
	if err := o.Faults.check(); err != nil {
		return nil, err
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Output == nil {
		o.Output = func(function, requestID string, line []byte) {
			o.Log.Info("function output", "function", function, "request_id", requestID, "line", string(line))
		}
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the Runtime API: %w", err)
	}
	s := &Service{
		o:       o,
		log:     o.Log,
		address: listener.Addr().String(),
		starter: newStarter(),
		drained: make(chan struct{}, 1),
	}
	s.faults.Store(&o.Faults)
	s.unreserved.max.Store(int64(o.AccountConcurrency))
	s.living, s.end = context.WithCancel(context.Background())
	s.server = &http.Server{
		Handler:           newRouter(s.process),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	s.running.Go(func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the Runtime API has ended", "error", err)
		}
	})
	s.running.Go(s.reap)
	return s, nil
}

// Add makes a function known. It starts nothing (see WarmUp). It returns what AWS would refuse: a reserved or oversized
// environment, a setting out of bounds, a reservation that leaves too little to others, a name that is taken.
func (s *Service) Add(fn Function) error {
	fn, err := fn.complete(s.o.Region, s.o.Account)
	if err != nil {
		return err
	}
	s.addMu.Lock()
	defer s.addMu.Unlock()
	if _, taken := s.functions.Load(fn.Name); taken {
		return fmt.Errorf("function %s: ResourceConflictException: Function already exist: %s", fn.Name, fn.ARN)
	}
	f := newFunction(s, fn)
	if n := fn.ReservedConcurrency; n > 0 {
		left := s.o.AccountConcurrency - s.reserved - n
		if left < minUnreserved {
			return fmt.Errorf("function %s: InvalidParameterValueException: Specified ReservedConcurrentExecutions "+
				"for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d]",
				fn.Name, minUnreserved)
		}
		s.reserved += n
		s.unreserved.max.Store(int64(left))
	}
	s.functions.Store(fn.Name, f)
	return nil
}

// WarmUp starts one process of every function that has none, so that first messages are quick and a function that does
// not start is known at once. It returns the *StartErrors of all functions, joined, or ctx's error.
func (s *Service) WarmUp(ctx context.Context) error {
	var (
		mu    sync.Mutex
		fails []error
		wait  sync.WaitGroup
	)
	s.functions.Range(func(_, value any) bool {
		wait.Go(func() {
			if err := value.(*function).warmUp(ctx); err != nil {
				mu.Lock()
				fails = append(fails, err)
				mu.Unlock()
			}
		})
		return true
	})
	wait.Wait()
	return errors.Join(fails...)
}

// Invoke runs a function with an event, as the request-response invocation of AWS does, and returns its response.
//
// event is JSON below MaxEventBytes; it is not parsed. trace is the tracing header of the request, "" to begin a trace.
// Errors: *FunctionError if the function failed; the errors named Err... if it was not run; ctx's error if ctx ends
// first, which does not stop the function: it runs on, occupies its concurrency, and what it answers is lost.
func (s *Service) Invoke(ctx context.Context, functionName string, event []byte, trace string) ([]byte, error) {
	value, ok := s.functions.Load(functionName)
	if !ok {
		return nil, fmt.Errorf("invoke %s: %w", functionName, ErrNotFound)
	}
	f := value.(*function)
	if len(event) >= MaxEventBytes {
		return nil, fmt.Errorf("invoke %s with %d bytes: %w", f.Name, len(event), ErrEventTooLarge)
	}
	trace, turns := traceHeader(trace, f.ARN, s.o.XRayDaemonAddress != "")
	if turns >= maxLineage && !f.AllowRecursion {
		return nil, fmt.Errorf("invoke %s: %w", f.Name, ErrRecursiveLoop)
	}
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("invoke %s: %w", f.Name, err)
	}
	fault := s.draw(f)
	if fault.kind == faultThrottle || !f.limit.acquire() {
		s.leave()
		return nil, fmt.Errorf("invoke %s: %w", f.Name, ErrThrottled)
	}
	if fault.kind == faultErrorBefore {
		f.limit.release()
		s.leave()
		return nil, fmt.Errorf("invoke %s: %w", f.Name, ErrService)
	}
	inv := newInvocation(f, event, trace, fault)
	if err := f.run(ctx, inv); err != nil {
		return nil, err
	}
	select {
	case <-inv.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("invoke %s: %w", f.Name, ctx.Err())
	}
	if inv.err != nil {
		return nil, inv.err
	}
	if fault.kind == faultErrorAfter {
		return nil, fmt.Errorf("invoke %s: %w", f.Name, ErrService)
	}
	return inv.response, nil
}

// enter counts an invocation as in flight, unless the service is ending.
func (s *Service) enter() error {
	s.inFlight.Add(1)
	if s.closing.Load() {
		s.leave()
		return ErrShutDown
	}
	return nil
}

func (s *Service) leave() {
	if s.inFlight.Add(-1) == 0 && s.closing.Load() {
		select {
		case s.drained <- struct{}{}:
		default: // told already
		}
	}
}

// process returns the one that knows the secret, or nil.
func (s *Service) process(secret string) *process {
	if value, ok := s.processes.Load(secret); ok {
		return value.(*process)
	}
	return nil
}

// reap ends processes that have been idle for too long.
func (s *Service) reap() {
	for s.o.Clock.Sleep(s.living, s.o.IdleLifetime/4) == nil {
		before := s.o.Clock.Now().Add(-s.o.IdleLifetime)
		s.functions.Range(func(_, value any) bool {
			value.(*function).reap(before)
			return true
		})
	}
}

// Shutdown ends the service: new invocations fail with ErrShutDown, those in flight are finished until ctx ends, then
// every process is ended (see the package comment for SIGTERM) and waited for. No process is left when it returns. It
// returns ctx's error if invocations had to be cut short; their callers get the exit of the process. Call it once.
func (s *Service) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	var err error
	for s.inFlight.Load() > 0 && err == nil {
		select {
		case <-s.drained:
		case <-ctx.Done():
			err = fmt.Errorf("shut down with %d invocations in flight: %w", s.inFlight.Load(), ctx.Err())
		}
	}
	s.end()
	var wait sync.WaitGroup
	s.functions.Range(func(_, value any) bool {
		wait.Go(value.(*function).stop)
		return true
	})
	wait.Wait()
	s.closeRuntimeAPI()
	s.running.Wait()
	s.starter.stop()
	return err
}

// closeRuntimeAPI ends the listener and its connections, whose other ends are gone with the processes.
func (s *Service) closeRuntimeAPI() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.log.Warn("connections to the Runtime API are left, and are closed", "error", err)
		_ = s.server.Close() // Shutdown has closed the listener; connections close without error
	}
}

// limit bounds how many may hold it at a time. It never makes anyone wait.
type limit struct{ max, used atomic.Int64 }

func (l *limit) acquire() bool {
	for {
		used := l.used.Load()
		if used >= l.max.Load() {
			return false
		}
		if l.used.CompareAndSwap(used, used+1) {
			return true
		}
	}
}

func (l *limit) release() { l.used.Add(-1) }
