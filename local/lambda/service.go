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

// MaxEventBytes is the exclusive upper limit of an event's size.
// Source: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, invocation payload, synchronous.
const MaxEventBytes = 6 << 20

const (
	// defaultIdleLifetime is the default of Options.IdleLifetime. AWS publishes no number; minutes are usual.
	defaultIdleLifetime = 10 * time.Minute
	// defaultStarts is the default of Options.StartConcurrency.
	defaultStarts = 8
)

// Options of a service. The zero value is valid.
type Options struct {
	// Region and Account are used in ARNs and passed to functions; "" means us-east-1 and 000000000000.
	Region, Account string
	// AccountConcurrency limits the concurrent invocations of all functions; 0 means DefaultAccountConcurrency. As on
	// AWS, reservations must leave 100 of it unreserved.
	AccountConcurrency int
	// StartConcurrency limits how many processes of one function start at the same time; 0 means 8.
	StartConcurrency int
	// IdleLifetime is the time after which an idle process is ended, by Clock; 0 means ten minutes.
	IdleLifetime time.Duration
	// Env is added to every function's environment, for example AWS_ENDPOINT_URL. The function's own variables
	// override it. It does not count towards MaxEnvBytes.
	Env map[string]string
	// XRayDaemonAddress is passed to functions as AWS_XRAY_DAEMON_ADDRESS. If it is not "", new traces are sampled.
	XRayDaemonAddress string
	// Clock measures the lifetime of idle processes; nil means real time.
	Clock *clock.Clock
	// Log receives events of processes; nil discards them.
	Log *slog.Logger
	// Output receives every line that a function writes to standard output or error, with the id of the invocation
	// that was running ("" during init and between invocations). Lines over 256 KiB are split. It is called
	// concurrently, but in order for one process, whose output waits until it returns. It must not keep line. nil
	// writes lines to Log.
	Output func(function, requestID string, line []byte)
	// Report receives a report of every invocation before its caller receives the response; nil drops them. It is
	// called concurrently and must not block.
	Report func(Report)
	// Faults are the initial faults; SetFaults changes them.
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

	addMu      sync.Mutex // serializes Add
	reserved   int        // concurrency reserved so far
	unreserved limit      // shared by functions without a reservation

	inFlight     atomic.Int64 // invocations that have begun and are not complete
	closing      atomic.Bool
	drained      chan struct{}      // receives when inFlight reaches 0 while closing
	alive        context.Context    // ends when all processes must end
	endProcesses context.CancelFunc // ends alive
	running      sync.WaitGroup     // goroutines of the service
}

// New starts a service without functions. It listens on a free loopback port for the Runtime API.
func New(o Options) (*Service, error) {
	o.Region = cmp.Or(o.Region, awsapi.DefaultRegion)
	o.Account = cmp.Or(o.Account, awsapi.DefaultAccount)
	o.AccountConcurrency = cmp.Or(o.AccountConcurrency, DefaultAccountConcurrency)
	o.StartConcurrency = cmp.Or(o.StartConcurrency, defaultStarts)
	o.IdleLifetime = cmp.Or(o.IdleLifetime, defaultIdleLifetime)
	if o.AccountConcurrency < 0 || o.StartConcurrency < 0 || o.IdleLifetime < 0 {
		return nil, fmt.Errorf("lambda options: AccountConcurrency %d, StartConcurrency %d or IdleLifetime %v is negative",
			o.AccountConcurrency, o.StartConcurrency, o.IdleLifetime)
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
	s.alive, s.endProcesses = context.WithCancel(context.Background())
	s.server = &http.Server{
		Handler:           newRouter(s.process),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	s.running.Go(func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("Runtime API ended", "error", err)
		}
	})
	s.running.Go(s.reap)
	return s, nil
}

// Add declares a function without starting a process. It returns an error for what AWS refuses: a reserved or oversized
// environment, a setting out of range, a reservation that leaves too little for others, a name that is in use.
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

// WarmUp starts one process of every function that has none. First invocations are then fast, and functions that cannot
// start are known at once. It returns the joined *StartErrors of all functions, or ctx's error.
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

// Invoke invokes a function synchronously (RequestResponse on AWS) and returns its response.
//
// event is JSON of less than MaxEventBytes; it is not parsed. trace is the tracing header of the request, "" for a new
// trace. The error is a *FunctionError if the function failed, or one of the errors Err... if it did not run, or ctx's
// error. The end of ctx does not stop the function: it keeps its concurrency until it finishes, and its response is
// lost.
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
	if err := s.beginInvocation(); err != nil {
		return nil, fmt.Errorf("invoke %s: %w", f.Name, err)
	}
	fault := s.drawFault(f)
	if fault.kind == faultThrottle || !f.limit.acquire() {
		s.endInvocation()
		return nil, fmt.Errorf("invoke %s: %w", f.Name, ErrThrottled)
	}
	if fault.kind == faultErrorBefore {
		f.limit.release()
		s.endInvocation()
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

// beginInvocation counts an invocation as in flight. It fails if the service is shutting down.
func (s *Service) beginInvocation() error {
	s.inFlight.Add(1)
	if s.closing.Load() {
		s.endInvocation()
		return ErrShutDown
	}
	return nil
}

func (s *Service) endInvocation() {
	if s.inFlight.Add(-1) == 0 && s.closing.Load() {
		select {
		case s.drained <- struct{}{}:
		default: // it has a value already
		}
	}
}

// process returns the process with a secret, or nil.
func (s *Service) process(secret string) *process {
	if value, ok := s.processes.Load(secret); ok {
		return value.(*process)
	}
	return nil
}

// reap ends processes that have been idle for IdleLifetime.
func (s *Service) reap() {
	for s.o.Clock.Sleep(s.alive, s.o.IdleLifetime/4) == nil {
		before := s.o.Clock.Now().Add(-s.o.IdleLifetime)
		s.functions.Range(func(_, value any) bool {
			value.(*function).reap(before)
			return true
		})
	}
}

// Shutdown ends the service. New invocations fail with ErrShutDown. It waits for running ones until ctx ends, and then
// ends every process (with SIGTERM first as the package comment says) and waits for it. If it cuts invocations short,
// their callers receive the exit of the process, and it returns ctx's error. Call it once.
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
	s.endProcesses()
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

// closeRuntimeAPI closes the listener and its connections. The processes at their other ends have ended.
func (s *Service) closeRuntimeAPI() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.log.Warn("closing remaining Runtime API connections", "error", err)
		_ = s.server.Close() // Shutdown has closed the listener; connections close without error
	}
}

// limit is a semaphore that never blocks.
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
