package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"fanfare/local/apigateway"
	"fanfare/local/clock"
	"fanfare/local/dynamodb"
	"fanfare/local/eventsource"
	"fanfare/local/lambda"
	"fanfare/local/loopback"
	"fanfare/local/secrets"
	"fanfare/local/sqs"
	"fanfare/local/template"
	"fanfare/local/xray"
)

// Options configure a stack. BuildDir is required; all else may be zero.
type Options struct {
	// Port is the port of the first WebSocket API. Further APIs have the ports after it. 0 selects free ports.
	Port int
	// AWSPort is the port of SQS, DynamoDB and Secrets Manager. 0 selects a free port.
	AWSPort int
	// Template are the options of package template. Start sets QueueEndpoint.
	Template template.Options
	// BuildDir is the folder in which functions are built. Several processes may share it.
	BuildDir string
	// Clock is the clock of AWS's services. nil is the machine's clock.
	Clock *clock.Clock
	// Log receives the logs of the services. nil discards them.
	Log *slog.Logger
	// Output receives each line that a function writes. nil sends the lines to Log.
	Output func(function, requestID string, line []byte)
	// Gateway is called for every event at a WebSocket API. It may be nil.
	Gateway func(apigateway.Event)
	// Invocation is called after every invocation of a function. It must not block. It may be nil.
	Invocation func(lambda.Report)
	// Refused is called for every request to a service that is not emulated. It may be nil.
	Refused func(Refused)
	// Faults are the injected faults. They begin when everything has started. SetFaults changes them.
	Faults Faults
	// Quotas are the limits of the account. The zero value has none, except for Lambda's default concurrency.
	Quotas Quotas
	// XRay is the loopback address on which the X-Ray segments of functions are received, such as xray.DefaultAddress. ""
	// receives none, and functions do not trace.
	XRay string
	// Latency is the latency of the network. The zero value is none.
	Latency Latency
}

// Stack is a running stack. Its methods are safe for concurrent use.
type Stack struct {
	// Resolved is the resolved template. It must not be changed.
	Resolved *template.Resolved
	// AWSEndpoint is the URL of SQS, DynamoDB and Secrets Manager.
	AWSEndpoint string
	// Endpoints are the http:// URLs of the stages of the APIs, in the order of the template. Clients connect to the same
	// URLs with ws://.
	Endpoints []string
	// Traces is the receiver of X-Ray segments. It is nil without Options.XRay.
	Traces *xray.Receiver

	hosts    *strings.Replacer
	allowed  loopback.Hosts      // what the Host header of a request may be
	tls      *loopback.Authority // of the certificates of the APIs
	sqs      *sqs.Server
	dynamodb *dynamodb.Server
	secrets  *secrets.Server
	lambda   *lambda.Service
	aws      *http.Server
	apis     []*apigateway.Server
	stopRuns context.CancelFunc // stops the event source mappings
	mappings sync.WaitGroup
	servers  sync.WaitGroup
	failed   chan error

	refused  func(Refused)
	ready    atomic.Bool // everything has started
	latency  Latency
	faultsMu sync.Mutex // orders changes of faults
	faults   Faults
}

// Start resolves the template at path, builds its functions and runs its stack. It returns an error if the template has
// problems, if a function does not build or does not start, or if a port is in use. ctx bounds only the start.
func Start(ctx context.Context, path string, o Options) (_ *Stack, err error) {
	s := &Stack{failed: make(chan error, 1), latency: o.Latency, refused: o.Refused}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	awsListener, err := listen(o.AWSPort, "--aws-port", o.Log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			awsListener.Close()
			stopping, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			err = errors.Join(err, s.Stop(stopping))
		}
	}()
	s.AWSEndpoint = "http://" + awsListener.Addr().String()
	o.Template.QueueEndpoint = s.AWSEndpoint
	if s.Resolved, err = template.LoadFile(path, o.Template); err != nil {
		return nil, err
	}
	var listeners []net.Listener
	defer func() {
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
		}
	}()
	for i, api := range s.Resolved.APIs {
		port := o.Port
		if port > 0 {
			port += i
		}
		l, err := listen(port, "--port", o.Log)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
		s.Endpoints = append(s.Endpoints, "http://"+l.Addr().String()+"/"+api.Stage.Name)
	}
	for _, api := range s.Resolved.APIs {
		s.allowed.Names = append(s.allowed.Names, apiHost(api, s.Resolved.Region))
	}
	ids := newIdentities(s.Resolved)
	if err := s.createData(o, ids); err != nil {
		return nil, err
	}
	folders, err := build(ctx, s.Resolved.Functions, o.BuildDir)
	if err != nil {
		return nil, err
	}

	if len(s.Resolved.APIs) > 0 {
		if err := os.MkdirAll(o.BuildDir, 0o755); err != nil {
			return nil, fmt.Errorf("create the build folder: %w", err)
		}
		// Functions run in other folders.
		dir, err := filepath.Abs(o.BuildDir)
		if err != nil {
			return nil, err
		}
		if s.tls, err = loopback.NewAuthority(dir, s.allowed); err != nil {
			return nil, err
		}
	}
	if o.XRay != "" {
		if s.Traces, err = xray.Listen(xray.Options{Address: o.XRay, Log: o.Log}); err != nil {
			return nil, fmt.Errorf("%w (is another X-Ray daemon running?)", err)
		}
	}
	s.serveAWS(o, awsListener)
	if err := s.startFunctions(ctx, o, folders, listeners); err != nil {
		return nil, err
	}
	if err := s.startAPIs(o, ids, listeners); err != nil {
		return nil, err
	}
	if err := s.SetFaults(o.Faults); err != nil {
		return nil, err
	}
	s.startMappings(o, ids)
	s.ready.Store(true)
	return s, nil
}

// listen listens on loopback. The error names the flag that selects another port.
func listen(port int, flag string, log *slog.Logger) (net.Listener, error) {
	var last atomic.Int64 // when the limit was logged, in Unix seconds
	l, err := loopback.Listen(port, func(cause error) {
		if now := time.Now().Unix(); last.Swap(now) != now {
			log.Error("connections refused at the limit of open files", "flag", flag, "error", cause)
		}
	})
	switch {
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w (is it running already? %s selects another port)", err, flag)
	}
	return l, nil
}

// createData creates SQS, DynamoDB and Secrets Manager with the stack's queues, tables and secrets. It checks the APIs,
// too, and returns the errors of all resources, so that a template shows all of its faults in one run.
func (s *Stack) createData(o Options, ids *identities) error {
	r := s.Resolved
	var errs []error
	s.sqs = sqs.New(sqs.Options{
		Region: r.Region, Account: r.Account, Endpoint: s.AWSEndpoint, Clock: o.Clock, Log: o.Log, Authorize: ids.authorize,
	})
	s.dynamodb = dynamodb.New(dynamodb.Options{
		Region: r.Region, Account: r.Account, Clock: o.Clock, Log: o.Log, Authorize: ids.authorize,
	})
	// A dead-letter queue must exist before the queue that names it.
	for _, redriving := range []bool{false, true} {
		for _, q := range r.Queues {
			if _, ok := q.Attributes["RedrivePolicy"]; ok != redriving {
				continue
			}
			if _, err := s.sqs.CreateQueue(sqs.QueueConfig{Name: q.Name, Attributes: q.Attributes}); err != nil {
				errs = append(errs, at(q.Source, err))
			}
		}
	}
	for _, t := range r.Tables {
		indexes := slices.Concat(t.GlobalIndexes, t.LocalIndexes)
		for _, index := range indexes {
			source := t.Source
			source.Line = index.Line
			errs = append(errs, at(source, fmt.Errorf("index %s: secondary indexes are not emulated", index.Name)))
		}
		if len(indexes) > 0 {
			continue
		}
		if err := s.dynamodb.CreateTable(table(t)); err != nil {
			errs = append(errs, at(t.Source, err))
		}
	}
	for _, api := range r.APIs {
		errs = append(errs, checkAPI(api)...)
	}
	var err error
	s.secrets, err = newSecrets(o, ids, r.Secrets)
	return errors.Join(append(errs, err)...)
}

// checkAPI returns the faults of an API, those of a route with the line of the route.
func checkAPI(api template.WebSocketAPI) []error {
	errs := gateway(api, nil).Check()
	for i, err := range errs {
		source := api.Source
		if fault, ok := errors.AsType[*apigateway.RouteError](err); ok {
			if n := slices.IndexFunc(api.Routes, func(r template.Route) bool { return r.Key == fault.Key }); n >= 0 {
				source = api.Routes[n].Source
			}
		}
		errs[i] = at(source, err)
	}
	return errs
}

// bodyTimeout limits the time for reading a request. It is longer than every long poll, which it would end.
const bodyTimeout = time.Minute

// idleTimeout limits the idle time of a connection of the AWS port.
const idleTimeout = 10 * time.Minute

// serveAWS serves SQS, DynamoDB, Secrets Manager and the control of the stack.
func (s *Stack) serveAWS(o Options, l net.Listener) {
	s.aws = &http.Server{
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout,
		Handler:  s.guard(s.awsHandler()),
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	s.run(&s.servers, func() error { return s.aws.Serve(l) })
}

// table returns a template's table for package dynamodb.
func table(t template.Table) dynamodb.TableConfig {
	config := dynamodb.TableConfig{
		Name: t.Name, BillingMode: t.BillingMode,
		ReadCapacityUnits: int64(t.ReadUnits), WriteCapacityUnits: int64(t.WriteUnits),
		TTLAttribute: t.TTLAttribute, DeletionProtection: t.DeletionProtection,
		KeySchema: []dynamodb.KeyElement{{AttributeName: t.PartitionKey, KeyType: "HASH"}},
	}
	if t.SortKey != "" {
		config.KeySchema = append(config.KeySchema, dynamodb.KeyElement{AttributeName: t.SortKey, KeyType: "RANGE"})
	}
	for _, name := range slices.Sorted(maps.Keys(t.Attributes)) {
		config.AttributeDefinitions = append(config.AttributeDefinitions,
			dynamodb.AttributeDefinition{AttributeName: name, AttributeType: t.Attributes[name]})
	}
	return config
}

// startFunctions adds the functions and starts a process of each.
func (s *Stack) startFunctions(ctx context.Context, o Options, folders map[string]string,
	listeners []net.Listener) error {
	env := map[string]string{"AWS_ENDPOINT_URL": s.AWSEndpoint, "AWS_EC2_METADATA_DISABLED": "true"}
	if s.tls != nil {
		maps.Copy(env, s.tls.Environment())
	}
	if len(s.Endpoints) == 1 {
		env["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] = s.Endpoints[0]
	}
	daemon := ""
	if s.Traces != nil {
		daemon = s.Traces.Address()
	}
	var err error
	if s.lambda, err = lambda.New(lambda.Options{
		Region: s.Resolved.Region, Account: s.Resolved.Account, Env: env, XRayDaemonAddress: daemon, Clock: o.Clock,
		Log: o.Log, Output: o.Output, Report: o.Invocation,
		AccountConcurrency: o.Quotas.Concurrency,
	}); err != nil {
		return err
	}
	s.hosts = s.loopback(listeners)
	var errs []error
	for _, f := range s.Resolved.Functions {
		variables := map[string]string{"AWS_LAMBDA_LOG_FORMAT": f.Logging.Format,
			"AWS_LAMBDA_LOG_LEVEL": f.Logging.ApplicationLevel}
		for name, value := range f.Environment {
			variables[name] = s.Local(value)
		}
		maps.DeleteFunc(variables, func(_, value string) bool { return value == "" })
		reserved := 0
		if f.ReservedConcurrency != nil {
			reserved = cmp.Or(*f.ReservedConcurrency, lambda.NoConcurrency)
		}
		if err := s.lambda.Add(lambda.Function{
			Name: f.Name, ARN: f.ARN, Dir: folders[f.Name], Handler: f.Handler, Env: variables, Timeout: f.Timeout,
			MemoryMB:            f.MemoryMB,
			ReservedConcurrency: reserved, AllowRecursion: f.RecursiveLoop == "Allow",
			AccessKeyID: accessKey(f.Name), SecretAccessKey: "local", SessionToken: "local",
		}); err != nil {
			errs = append(errs, at(f.Source, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.lambda.WarmUp(ctx)
}

// loopback returns a replacer of the URLs of the APIs on AWS by those on this machine.
func (s *Stack) loopback(listeners []net.Listener) *strings.Replacer {
	var pairs []string
	for i, api := range s.Resolved.APIs {
		host := apiHost(api, s.Resolved.Region)
		address := listeners[i].Addr().String()
		pairs = append(pairs, "https://"+host, "http://"+address, "wss://"+host, "ws://"+address, host, address)
	}
	return strings.NewReplacer(pairs...)
}

// apiHost returns the host name of an API on AWS.
func apiHost(api template.WebSocketAPI, region string) string {
	return fmt.Sprintf("%s.execute-api.%s.amazonaws.com", api.ID, region)
}

// Local returns a text with the URLs of the APIs on AWS replaced by those on this machine.
func (s *Stack) Local(text string) string { return s.hosts.Replace(text) }

// startAPIs starts the WebSocket APIs.
func (s *Stack) startAPIs(o Options, ids *identities, listeners []net.Listener) error {
	arns := make(map[string]string)
	for _, f := range s.Resolved.Functions {
		arns[f.Name] = f.ARN
	}
	for i, api := range s.Resolved.APIs {
		server, err := apigateway.New(gateway(api, arns), s.lambda, apigateway.Options{
			Region: s.Resolved.Region, Account: s.Resolved.Account, Clock: o.Clock, Log: o.Log, Authorize: ids.authorize,
			Observe: o.Gateway, AllowHost: s.allowed.Allow, TLS: s.tls.Config,
			Quotas: apigateway.Quotas{Connections: o.Quotas.Connections, Requests: o.Quotas.Requests},
			Faults: s.withLatency(apigateway.Faults{}),
		})
		if err != nil {
			return at(api.Source, err)
		}
		s.apis = append(s.apis, server)
		s.run(&s.servers, func() error { return server.Serve(listeners[i]) })
	}
	return nil
}

// startMappings starts the event source mappings.
func (s *Stack) startMappings(o Options, ids *identities) {
	ctx, stop := context.WithCancel(context.Background())
	s.stopRuns = stop
	timeouts := make(map[string]time.Duration)
	for _, q := range s.Resolved.Queues {
		timeouts[q.ARN] = q.VisibilityTimeout
	}
	functions := make(map[string]template.Function)
	for _, f := range s.Resolved.Functions {
		functions[f.Name] = f
	}
	for _, m := range s.Resolved.Mappings {
		s.run(&s.mappings, func() error {
			err := eventsource.Run(ctx, eventsource.Mapping{
				UUID: m.UUID, QueueARN: m.QueueARN, FunctionName: m.FunctionName, BatchSize: m.BatchSize, Window: m.Window,
				MaximumConcurrency: m.MaximumConcurrency, ReportBatchItemFailures: m.ReportBatchItemFailures, Disabled: !m.Enabled,
				VisibilityTimeout: timeouts[m.QueueARN], FunctionTimeout: functions[m.FunctionName].Timeout,
				AccessKeyID: accessKey(m.FunctionName),
			}, s.sqs, s.lambda, eventsource.Options{Clock: o.Clock, Log: o.Log, Authorize: ids.authorize})
			if err != nil {
				return at(m.Source, err)
			}
			return nil
		})
	}
}

// run runs a part of the stack in its own goroutine and sends its error to Failed.
func (s *Stack) run(group *sync.WaitGroup, part func() error) {
	group.Go(func() {
		if err := part(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			select {
			case s.failed <- err:
			default: // only the first error is reported
			}
		}
	})
}

// Failed returns a channel that receives the first error of a part of the stack that ended without Stop.
func (s *Stack) Failed() <-chan error { return s.failed }

// Connections returns the number of connected clients.
func (s *Stack) Connections() int {
	n := 0
	for _, api := range s.apis {
		n += api.Connections()
	}
	return n
}

// Stop closes the connections and runs $disconnect for each, waits for the running invocations, and ends the processes
// of the functions. When ctx ends first, Stop ends everything at once. After Stop nothing of the stack runs.
func (s *Stack) Stop(ctx context.Context) error {
	var errs []error
	for _, api := range s.apis {
		errs = append(errs, api.Shutdown(ctx))
	}
	if s.stopRuns != nil {
		s.stopRuns()
	}
	if s.lambda != nil {
		errs = append(errs, s.lambda.Shutdown(ctx))
	}
	s.mappings.Wait() // they end, because no invocation runs
	if s.sqs != nil {
		s.sqs.Close()
	}
	if s.aws != nil {
		if err := s.aws.Shutdown(ctx); err != nil {
			errs = append(errs, err, s.aws.Close())
		}
	}
	if s.dynamodb != nil {
		s.dynamodb.Close()
	}
	if s.Traces != nil {
		errs = append(errs, s.Traces.Close())
	}
	if s.tls != nil {
		errs = append(errs, s.tls.Close())
	}
	s.servers.Wait()
	return errors.Join(errs...)
}

// at adds the place of a resource in the template to an error.
func at(source template.Source, err error) error {
	return fmt.Errorf("%s:%d: %s: %w", source.File, source.Line, source.LogicalID, err)
}
