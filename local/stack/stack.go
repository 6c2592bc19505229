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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/local/apigateway"
	"fanfare/local/clock"
	"fanfare/local/dynamodb"
	"fanfare/local/eventsource"
	"fanfare/local/lambda"
	"fanfare/local/secrets"
	"fanfare/local/sqs"
	"fanfare/local/template"
	"fanfare/local/xray"
)

// Options say where the stack runs. The zero value takes any free ports and tells nobody what happens.
type Options struct {
	// Port is that of the first WebSocket API; further APIs have the ports after it. 0 takes any that is free.
	Port int
	// AWSPort is that of SQS and DynamoDB; 0 takes any that is free.
	AWSPort int
	// Template are the options of the template's resolution; QueueEndpoint is set here.
	Template template.Options
	// BuildDir is where functions are built; required.
	BuildDir string
	// Clock is the time of AWS's services; nil is the machine's.
	Clock *clock.Clock
	// Log gets what goes wrong within the services; nil discards it.
	Log *slog.Logger
	// Output gets each line that a function writes; nil sends them to Log.
	Output func(function, requestID string, line []byte)
	// Gateway is told of every event at a WebSocket API; nil observes nothing.
	Gateway func(apigateway.Event)
	// Invocation is told of every invocation of a function; it must not wait. nil observes nothing.
	Invocation func(lambda.Report)
	// Faults happen once everything has started; SetFaults changes them.
	Faults Faults
	// Quotas are what the account may do at a time; the zero value leaves that open.
	Quotas Quotas
	// XRay is the loopback address at which functions' segments are collected, such as xray.DefaultAddress; "" collects
	// none, and functions then do not trace.
	XRay string
	// Latency is the network's; the zero value is none.
	Latency Latency
}

// Stack is a running stack.
type Stack struct {
	Resolved *template.Resolved
	// AWSEndpoint is the URL of SQS, DynamoDB and Secrets Manager.
	AWSEndpoint string
	// Endpoints are the http:// URLs of the APIs' stages, in the template's order: clients connect there by ws://.
	Endpoints []string

	// Traces are what functions have sent to the X-Ray daemon; nil without Options.XRay.
	Traces   *xray.Receiver
	hosts    *strings.Replacer
	sqs      *sqs.Server
	dynamodb *dynamodb.Server
	secrets  *secrets.Server
	lambda   *lambda.Service
	aws      *http.Server
	apis     []*apigateway.Server
	stopRuns context.CancelFunc // of the event source mappings
	mappings sync.WaitGroup
	servers  sync.WaitGroup
	failed   chan error

	ready    atomic.Bool // everything has started
	latency  Latency
	faultsMu sync.Mutex // orders changes of faults
	faults   Faults
}

// Start resolves and builds the template at path, and runs it. Everything that is wrong is found before it returns: the
// template, a function that does not build or does not start, a port that is taken. ctx bounds the start only.
func Start(ctx context.Context, path string, o Options) (_ *Stack, err error) {
	s := &Stack{failed: make(chan error, 1), latency: o.Latency}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	awsListener, err := listen(o.AWSPort, "--aws-port")
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
		l, err := listen(port, "--port")
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
		s.Endpoints = append(s.Endpoints, "http://"+l.Addr().String()+"/"+api.Stage.Name)
	}
	folders, err := build(ctx, s.Resolved.Functions, o.BuildDir)
	if err != nil {
		return nil, err
	}

	if o.XRay != "" {
		if s.Traces, err = xray.Listen(xray.Options{Address: o.XRay, Log: o.Log}); err != nil {
			return nil, fmt.Errorf("%w: is a daemon running already?", err)
		}
	}
	ids := newIdentities(s.Resolved)
	if err := s.startData(o, ids, awsListener); err != nil {
		return nil, err
	}
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

// listen listens on loopback only. The flag is named where the port is taken.
func listen(port int, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("%w: is it running already? Choose another port with %s", err, flag)
	}
	return l, nil
}

// startData starts SQS, DynamoDB and Secrets Manager with the stack's queues, tables and secrets.
func (s *Stack) startData(o Options, ids *identities, l net.Listener) error {
	r := s.Resolved
	s.sqs = sqs.New(sqs.Options{
		Region: r.Region, Account: r.Account, Endpoint: s.AWSEndpoint, Clock: o.Clock, Log: o.Log, Authorize: ids.authorize,
	})
	s.dynamodb = dynamodb.New(dynamodb.Options{
		Region: r.Region, Account: r.Account, Clock: o.Clock, Log: o.Log, Authorize: ids.authorize,
	})
	// A queue may name another as its dead-letter queue, which has to exist before it.
	for _, redriving := range []bool{false, true} {
		for _, q := range r.Queues {
			if _, ok := q.Attributes["RedrivePolicy"]; ok != redriving {
				continue
			}
			if _, err := s.sqs.CreateQueue(sqs.QueueConfig{Name: q.Name, Attributes: q.Attributes, Tags: q.Tags}); err != nil {
				return at(q.Source, err)
			}
		}
	}
	for _, t := range r.Tables {
		config, err := table(t)
		if err == nil {
			err = s.dynamodb.CreateTable(config)
		}
		if err != nil {
			return at(t.Source, err)
		}
	}
	var err error
	if s.secrets, err = newSecrets(o, ids, r.Secrets); err != nil {
		return err
	}
	s.aws = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: s.awsHandler()}
	s.run(&s.servers, func() error { return s.aws.Serve(l) })
	return nil
}

func table(t template.Table) (dynamodb.TableConfig, error) {
	if len(t.GlobalIndexes)+len(t.LocalIndexes) > 0 {
		return dynamodb.TableConfig{}, errors.New("secondary indexes are not emulated")
	}
	config := dynamodb.TableConfig{
		Name: t.Name, BillingMode: t.BillingMode, ReadCapacityUnits: int64(t.ReadUnits), WriteCapacityUnits: int64(t.WriteUnits),
		TTLAttribute: t.TTLAttribute, DeletionProtection: t.DeletionProtection, Tags: t.Tags,
		KeySchema: []dynamodb.KeyElement{{AttributeName: t.PartitionKey, KeyType: "HASH"}},
	}
	if t.SortKey != "" {
		config.KeySchema = append(config.KeySchema, dynamodb.KeyElement{AttributeName: t.SortKey, KeyType: "RANGE"})
	}
	for _, name := range slices.Sorted(maps.Keys(t.Attributes)) {
		config.AttributeDefinitions = append(config.AttributeDefinitions, dynamodb.AttributeDefinition{AttributeName: name, AttributeType: t.Attributes[name]})
	}
	return config, nil
}

// startFunctions adds the functions and starts a process of each.
func (s *Stack) startFunctions(ctx context.Context, o Options, folders map[string]string, listeners []net.Listener) error {
	env := map[string]string{"AWS_ENDPOINT_URL": s.AWSEndpoint, "AWS_EC2_METADATA_DISABLED": "true"}
	if len(s.Endpoints) == 1 {
		env["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] = s.Endpoints[0]
	}
	daemon := ""
	if s.Traces != nil {
		daemon = s.Traces.Address()
	}
	var err error
	if s.lambda, err = lambda.New(lambda.Options{
		Region: s.Resolved.Region, Account: s.Resolved.Account, Env: env, XRayDaemonAddress: daemon, Clock: o.Clock, Log: o.Log, Output: o.Output, Report: o.Invocation,
		AccountConcurrency: o.Quotas.Concurrency,
	}); err != nil {
		return err
	}
	s.hosts = s.loopback(listeners)
	for _, f := range s.Resolved.Functions {
		variables := map[string]string{"AWS_LAMBDA_LOG_FORMAT": f.Logging.Format, "AWS_LAMBDA_LOG_LEVEL": f.Logging.ApplicationLevel}
		for name, value := range f.Environment {
			variables[name] = s.Local(value)
		}
		maps.DeleteFunc(variables, func(_, value string) bool { return value == "" })
		reserved := 0
		if f.ReservedConcurrency != nil {
			reserved = cmp.Or(*f.ReservedConcurrency, lambda.NoConcurrency)
		}
		if err := s.lambda.Add(lambda.Function{
			Name: f.Name, ARN: f.ARN, Dir: folders[f.Name], Handler: f.Handler, Env: variables, Timeout: f.Timeout, MemoryMB: f.MemoryMB,
			ReservedConcurrency: reserved, AllowRecursion: f.RecursiveLoop == "Allow",
			AccessKeyID: accessKey(f.Name), SecretAccessKey: "local", SessionToken: "local",
		}); err != nil {
			return at(f.Source, err)
		}
	}
	return s.lambda.WarmUp(ctx)
}

// loopback leads the URLs that AWS gives the APIs to this machine.
func (s *Stack) loopback(listeners []net.Listener) *strings.Replacer {
	var pairs []string
	for i, api := range s.Resolved.APIs {
		host := fmt.Sprintf("%s.execute-api.%s.amazonaws.com", api.ID, s.Resolved.Region)
		address := listeners[i].Addr().String()
		pairs = append(pairs, "https://"+host, "http://"+address, "wss://"+host, "ws://"+address, host, address)
	}
	return strings.NewReplacer(pairs...)
}

// Local returns a text with the URLs that AWS gives the APIs replaced by those here.
func (s *Stack) Local(text string) string { return s.hosts.Replace(text) }

func (s *Stack) startAPIs(o Options, ids *identities, listeners []net.Listener) error {
	arns := make(map[string]string)
	for _, f := range s.Resolved.Functions {
		arns[f.Name] = f.ARN
	}
	for i, api := range s.Resolved.APIs {
		server, err := apigateway.New(gateway(api, arns), s.lambda, apigateway.Options{
			Region: s.Resolved.Region, Account: s.Resolved.Account, Clock: o.Clock, Log: o.Log, Authorize: ids.authorize, Observe: o.Gateway,
			Quotas: apigateway.Quotas{Connections: o.Quotas.Connections, Requests: o.Quotas.Requests}, Faults: s.delayed(apigateway.Faults{}),
		})
		if err != nil {
			return at(api.Source, err)
		}
		s.apis = append(s.apis, server)
		s.run(&s.servers, func() error { return server.Serve(listeners[i]) })
	}
	return nil
}

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
				VisibilityTimeout: timeouts[m.QueueARN], FunctionTimeout: functions[m.FunctionName].Timeout, AccessKeyID: accessKey(m.FunctionName),
			}, s.sqs, s.lambda, eventsource.Options{Clock: o.Clock, Log: o.Log, Authorize: ids.authorize})
			if err != nil {
				return at(m.Source, err)
			}
			return nil
		})
	}
}

// run runs a part of the stack; its error ends Failed.
func (s *Stack) run(group *sync.WaitGroup, part func() error) {
	group.Go(func() {
		if err := part(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			select {
			case s.failed <- err:
			default: // one is enough to end it
			}
		}
	})
}

// Failed tells when a part of the stack ended by itself, and why.
func (s *Stack) Failed() <-chan error { return s.failed }

// Connections returns how many clients are connected.
func (s *Stack) Connections() int {
	n := 0
	for _, api := range s.apis {
		n += api.Connections()
	}
	return n
}

// Stop closes the clients' connections and runs their $disconnect, finishes what the mappings have begun, and ends the
// functions' processes. When ctx ends before, it ends everything at once. Nothing is left running in any case.
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
	s.mappings.Wait() // no invocation is under way, so they end
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
	s.servers.Wait()
	return errors.Join(errs...)
}

// at says where in the template the cause of err stands.
func at(source template.Source, err error) error {
	return fmt.Errorf("%s:%d: %s: %w", source.File, source.Line, source.LogicalID, err)
}
