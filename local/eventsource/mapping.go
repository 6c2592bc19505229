package eventsource

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of a mapping.
// Sources: the API model of Lambda's CreateEventSourceMapping, and
// docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html.
const (
	DefaultBatchSize = 10
	MaxBatchSize     = 10_000
	MaxWindow        = 300 * time.Second

	MinMaximumConcurrency = 2
	MaxMaximumConcurrency = 1000

	// maxConcurrency is the limit of a mapping without MaximumConcurrency.
	maxConcurrency = 1250
	// firstConcurrency is the concurrency of a new or idle mapping.
	firstConcurrency = 5
	// rampPause is the time between two growth steps, for 300 a minute.
	rampPause = time.Minute / 300

	// receiveLimit is the maximum number of messages of one ReceiveMessage or DeleteMessageBatch.
	receiveLimit = 10
	// longPoll is the maximum wait of ReceiveMessage.
	longPoll = 20 * time.Second

	// maxPayload is the exclusive upper limit of an event's size.
	// Source: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, batching.
	maxPayload = 6 << 20

	// defaultVisibility is SQS's default visibility timeout.
	defaultVisibility = 30 * time.Second
)

// Mapping is the configuration of an event source mapping. Its durations are in the time of Options.Clock.
type Mapping struct {
	// UUID identifies the mapping in logs and errors; it may be "".
	UUID string
	// QueueARN and FunctionName are the source and the target.
	QueueARN, FunctionName string
	// BatchSize is the maximum number of messages per invocation, 1 to MaxBatchSize; 0 means 10. Over 10 requires a
	// Window.
	BatchSize int
	// Window is the maximum time from a batch's first message to its invocation: 0, or 1 s to MaxWindow.
	Window time.Duration
	// MaximumConcurrency limits concurrent invocations, 2 to 1,000; 0 means Lambda's own limit of 1,250.
	MaximumConcurrency int
	// ReportBatchItemFailures is FunctionResponseTypes: [ReportBatchItemFailures]. The response lists the messages to
	// keep, {"batchItemFailures": [{"itemIdentifier": "<message id>"}]}, and the others are deleted. All are deleted
	// if the list is empty, null or absent, or the response is empty or null. All are kept if the response is not JSON
	// of that form, or an itemIdentifier is missing, empty, or not in the batch. Without this option every response
	// deletes the whole batch.
	ReportBatchItemFailures bool
	// Disabled is Enabled: false. The mapping then receives nothing.
	Disabled bool
	// VisibilityTimeout is the queue's. A throttled batch is abandoned after it. 0 means 30 s.
	VisibilityTimeout time.Duration
	// FunctionTimeout is the function's. It must not exceed VisibilityTimeout; 0 skips this check.
	FunctionTimeout time.Duration
	// AccessKeyID is the access key of the function's execution role, for Options.Authorize.
	AccessKeyID string
	// FilterCriteria and ProvisionedPollerConfig are those of the template. They must be empty.
	FilterCriteria, ProvisionedPollerConfig map[string]any
}

// complete sets the defaults. It returns an error for settings that AWS or this package refuses.
func (m Mapping) complete() (Mapping, error) {
	m.BatchSize = cmp.Or(m.BatchSize, DefaultBatchSize)
	m.VisibilityTimeout = cmp.Or(m.VisibilityTimeout, defaultVisibility)
	service := strings.Split(m.QueueARN, ":")
	for _, rule := range []struct {
		broken bool
		reason string
	}{
		{m.FunctionName == "", "FunctionName is missing"},
		{len(service) != 6 || service[2] != "sqs",
			fmt.Sprintf("source %q is not the ARN of an SQS queue: others are not emulated", m.QueueARN)},
		{strings.HasSuffix(m.QueueARN, ".fifo"), "FIFO queues are not emulated"},
		{len(m.FilterCriteria) > 0, "FilterCriteria is not emulated"},
		{len(m.ProvisionedPollerConfig) > 0, "ProvisionedPollerConfig is not emulated"},
		{m.BatchSize < 1 || m.BatchSize > MaxBatchSize,
			fmt.Sprintf("BatchSize %d: want 1 to %d", m.BatchSize, MaxBatchSize)},
		{m.Window < 0 || m.Window > MaxWindow,
			fmt.Sprintf("MaximumBatchingWindowInSeconds %v: want 0 to %v", m.Window, MaxWindow)},
		{m.BatchSize > receiveLimit && m.Window < time.Second,
			"Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"},
		{m.MaximumConcurrency != 0 &&
			(m.MaximumConcurrency < MinMaximumConcurrency || m.MaximumConcurrency > MaxMaximumConcurrency),
			fmt.Sprintf("MaximumConcurrency %d: want %d to %d",
				m.MaximumConcurrency, MinMaximumConcurrency, MaxMaximumConcurrency)},
		{m.VisibilityTimeout < m.FunctionTimeout, fmt.Sprintf("InvalidParameterValueException: Queue visibility "+
			"timeout: %.0f seconds is less than Function timeout: %.0f seconds",
			m.VisibilityTimeout.Seconds(), m.FunctionTimeout.Seconds())},
	} {
		if rule.broken {
			return m, m.wrap(errors.New(rule.reason))
		}
	}
	return m, nil
}

func (m Mapping) wrap(err error) error {
	return fmt.Errorf("event source mapping %s of function %s: %w", m.UUID, m.FunctionName, err)
}

// ceiling returns the maximum number of concurrent invocations.
func (m Mapping) ceiling() int { return cmp.Or(m.MaximumConcurrency, maxConcurrency) }

// region returns the queue's Region.
func (m Mapping) region() string { return strings.Split(m.QueueARN, ":")[3] }
