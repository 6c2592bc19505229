package eventsource

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of a mapping.
// Source: the API model of Lambda's CreateEventSourceMapping, and docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html.
const (
	DefaultBatchSize = 10
	MaxBatchSize     = 10_000
	MaxWindow        = 300 * time.Second

	MinMaximumConcurrency = 2
	MaxMaximumConcurrency = 1000

	// maxConcurrency is that of a mapping without MaximumConcurrency.
	maxConcurrency = 1250
	// firstConcurrency is what a mapping begins with and falls back to.
	firstConcurrency = 5
	// rampPause is the time between two steps up: 300 a minute.
	rampPause = time.Minute / 300

	// receiveLimit is the most messages that one ReceiveMessage returns, and DeleteMessageBatch deletes.
	receiveLimit = 10
	// longPoll is the longest wait of ReceiveMessage.
	longPoll = 20 * time.Second

	// maxPayload is the largest event. Source: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, batching.
	maxPayload = 6 << 20

	// defaultVisibility is SQS's.
	defaultVisibility = 30 * time.Second
)

// Mapping is one event source mapping. Durations are by Options.Clock.
type Mapping struct {
	// UUID names the mapping in logs and errors; "" is fine.
	UUID string
	// QueueARN and FunctionName are what it connects.
	QueueARN, FunctionName string
	// BatchSize is the most messages of one invocation, 1 to MaxBatchSize; 0 counts as 10. Over 10 needs a Window.
	BatchSize int
	// Window is how long a batch may wait to be filled, from its first message: 0, or 1 s to MaxWindow.
	Window time.Duration
	// MaximumConcurrency is the most invocations at a time, 2 to 1,000; 0 leaves it at Lambda's own 1,250.
	MaximumConcurrency int
	// ReportBatchItemFailures is FunctionResponseTypes: [ReportBatchItemFailures]: the response names the messages to
	// keep, {"batchItemFailures": [{"itemIdentifier": "<message id>"}]}, and the others are deleted.
	// All are deleted if the list is empty, null or absent, or the response empty or null. All are kept if the response
	// is not JSON of that form, or an itemIdentifier is missing, empty, or not of the batch.
	// Without it every response deletes the whole batch.
	ReportBatchItemFailures bool
	// Disabled is Enabled: false: nothing is received.
	Disabled bool
	// VisibilityTimeout is the queue's: a throttled batch is given up when it has passed. 0 counts as 30 s.
	VisibilityTimeout time.Duration
	// FunctionTimeout is the function's, which must not be longer than VisibilityTimeout; 0 leaves that unchecked.
	FunctionTimeout time.Duration
	// AccessKeyID is that of the function's execution role, for Options.Authorize.
	AccessKeyID string
	// FilterCriteria and ProvisionedPollerConfig, as in the template, are refused if there is anything in them.
	FilterCriteria, ProvisionedPollerConfig map[string]any
}

// complete fills in the defaults, and reports what AWS or this package refuses.
func (m Mapping) complete() (Mapping, error) {
	m.BatchSize = cmp.Or(m.BatchSize, DefaultBatchSize)
	m.VisibilityTimeout = cmp.Or(m.VisibilityTimeout, defaultVisibility)
	service := strings.Split(m.QueueARN, ":")
	for _, rule := range []struct {
		broken bool
		says   string
	}{
		{m.FunctionName == "", "no FunctionName"},
		{len(service) != 6 || service[2] != "sqs", fmt.Sprintf("source %q is not the ARN of an SQS queue: others are not emulated", m.QueueARN)},
		{strings.HasSuffix(m.QueueARN, ".fifo"), "FIFO queues are not emulated"},
		{len(m.FilterCriteria) > 0, "FilterCriteria is not emulated"},
		{len(m.ProvisionedPollerConfig) > 0, "ProvisionedPollerConfig is not emulated"},
		{m.BatchSize < 1 || m.BatchSize > MaxBatchSize, fmt.Sprintf("BatchSize %d: want 1 to %d", m.BatchSize, MaxBatchSize)},
		{m.Window < 0 || m.Window > MaxWindow, fmt.Sprintf("MaximumBatchingWindowInSeconds %v: want 0 to %v", m.Window, MaxWindow)},
		{m.BatchSize > receiveLimit && m.Window < time.Second,
			"Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"},
		{m.MaximumConcurrency != 0 && (m.MaximumConcurrency < MinMaximumConcurrency || m.MaximumConcurrency > MaxMaximumConcurrency),
			fmt.Sprintf("MaximumConcurrency %d: want %d to %d", m.MaximumConcurrency, MinMaximumConcurrency, MaxMaximumConcurrency)},
		{m.VisibilityTimeout < m.FunctionTimeout, fmt.Sprintf("InvalidParameterValueException: Queue visibility timeout: %.0f seconds is less "+
			"than Function timeout: %.0f seconds", m.VisibilityTimeout.Seconds(), m.FunctionTimeout.Seconds())},
	} {
		if rule.broken {
			return m, m.wrap(errors.New(rule.says))
		}
	}
	return m, nil
}

func (m Mapping) wrap(err error) error {
	return fmt.Errorf("event source mapping %s of function %s: %w", m.UUID, m.FunctionName, err)
}

// ceiling is the most invocations at a time.
func (m Mapping) ceiling() int { return cmp.Or(m.MaximumConcurrency, maxConcurrency) }

// region is the queue's.
func (m Mapping) region() string { return strings.Split(m.QueueARN, ":")[3] }
