package sqs

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings holds the attributes of a queue, as text in raw and parsed in the other fields. It is immutable.
type settings struct {
	visibility, delay, retention, wait time.Duration
	maxMessageBytes                    int
	redrive                            *redrivePolicy
	redriveAllow                       *redriveAllowPolicy
	raw                                map[string]string
}

type redrivePolicy struct {
	deadLetterARN   string
	maxReceiveCount int
}

type redriveAllowPolicy struct {
	RedrivePermission string   `json:"redrivePermission"`
	SourceQueueArns   []string `json:"sourceQueueArns"`
}

func (p *redriveAllowPolicy) allows(sourceARN string) bool {
	switch {
	case p == nil || p.RedrivePermission == "allowAll":
		return true
	case p.RedrivePermission == "byQueue":
		return slices.Contains(p.SourceQueueArns, sourceARN)
	}
	return false
}

// integerAttributes holds the bounds and the initial values of the integer attributes.
// Source: API Reference, CreateQueue.
var integerAttributes = map[string]struct{ least, greatest, initial int }{
	"DelaySeconds":                  {0, 900, 0},
	"MaximumMessageSize":            {1024, MaxMessageBytes, MaxMessageBytes},
	"MessageRetentionPeriod":        {60, 1_209_600, 345_600},
	"ReceiveMessageWaitTimeSeconds": {0, 20, 0},
	"VisibilityTimeout":             {0, 43_200, 30},
}

// kmsReuse holds the bounds of KmsDataKeyReusePeriodSeconds, which a queue has only together with KmsMasterKeyId.
var kmsReuse = struct{ least, greatest, initial int }{60, 86_400, 300}

// fifoAttributes and computedAttributes cannot be set on a standard queue.
var (
	fifoAttributes     = []string{"FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"}
	computedAttributes = []string{"QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", "ApproximateNumberOfMessages",
		"ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"}
	freeAttributes = []string{"Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "SqsManagedSseEnabled",
		"KmsDataKeyReusePeriodSeconds"}
)

// knownAttribute reports whether GetQueueAttributes accepts the name.
func knownAttribute(name string) bool {
	_, integer := integerAttributes[name]
	return integer || name == "All" || slices.Contains(freeAttributes, name) || slices.Contains(computedAttributes,
		name) ||
		slices.Contains(fifoAttributes, name)
}

func initialSettings() *settings {
	raw := map[string]string{"SqsManagedSseEnabled": "true"}
	for name, bounds := range integerAttributes {
		raw[name] = strconv.Itoa(bounds.initial)
	}
	s := &settings{raw: raw}
	s.interpret()
	return s
}

// interpret sets the parsed fields from raw, whose integers are valid.
func (s *settings) interpret() {
	number := func(name string) int { n, _ := strconv.Atoi(s.raw[name]); return n }
	seconds := func(name string) time.Duration { return time.Duration(number(name)) * time.Second }
	s.visibility = seconds("VisibilityTimeout")
	s.delay = seconds("DelaySeconds")
	s.retention = seconds("MessageRetentionPeriod")
	s.wait = seconds("ReceiveMessageWaitTimeSeconds")
	s.maxMessageBytes = number("MaximumMessageSize")
}

// with returns the settings after changes, or the error of an invalid change. self is the ARN of the queue. allows
// returns the redrive allow policy of a dead-letter queue, and reports whether the queue exists.
func (s *settings) with(changes map[string]string, self string,
	allows func(deadLetterARN string) (policy *redriveAllowPolicy, ok bool)) (*settings, *Error) {
	next := *s
	next.raw = maps.Clone(s.raw)
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		if err := next.set(name, changes[name]); err != nil {
			return nil, err
		}
	}
	if changes["KmsMasterKeyId"] != "" && changes["SqsManagedSseEnabled"] == "true" ||
		s.raw["KmsMasterKeyId"] != "" && next.raw["KmsMasterKeyId"] != "" && changes["SqsManagedSseEnabled"] == "true" {
		return nil, newError("InvalidAttributeName", "You can use one type of server-side encryption (SSE) at one time. You "+
			"can either enable KMS SSE or SQS SSE.")
	}
	if changes["KmsMasterKeyId"] != "" {
		next.raw["SqsManagedSseEnabled"] = "false"
		if next.raw["KmsDataKeyReusePeriodSeconds"] == "" {
			next.raw["KmsDataKeyReusePeriodSeconds"] = strconv.Itoa(kmsReuse.initial)
		}
	}
	if policy := changes["RedrivePolicy"]; policy != "" {
		deadLetters, ok := allows(next.redrive.deadLetterARN)
		if !ok {
			return nil, invalidValue(policy, "RedrivePolicy", "Dead letter target does not exist.")
		}
		if !deadLetters.allows(self) {
			return nil, invalidValue(policy, "RedrivePolicy", "The redrive allow policy of the dead letter target does not "+
				"permit this source queue.")
		}
	}
	next.interpret()
	return &next, nil
}

// set sets one attribute.
func (s *settings) set(name, text string) *Error {
	bad := newError("InvalidAttributeValue", "Invalid value for the parameter %s.", name)
	if bounds, ok := integerAttributes[name]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < bounds.least || n > bounds.greatest {
			return bad
		}
		s.raw[name] = strconv.Itoa(n)
		return nil
	}
	switch name {
	case "Policy":
		if text != "" && !json.Valid([]byte(text)) {
			return bad
		}
	case "RedrivePolicy":
		policy, err := parseRedrivePolicy(text)
		if err != nil {
			return err
		}
		s.redrive = policy
	case "RedriveAllowPolicy":
		policy, err := parseRedriveAllowPolicy(text)
		if err != nil {
			return err
		}
		s.redriveAllow = policy
	case "KmsMasterKeyId":
	case "KmsDataKeyReusePeriodSeconds":
		n, err := strconv.Atoi(text)
		if err != nil || n < kmsReuse.least || n > kmsReuse.greatest {
			return bad
		}
	case "SqsManagedSseEnabled":
		if text = strings.ToLower(text); text != "true" && text != "false" {
			return bad
		}
	case "DeduplicationScope", "FifoThroughputLimit": // AWS has a message of its own for these two
		return newError("InvalidAttributeName", "You can specify the %s only when FifoQueue is set to true.", name)
	default:
		return newError("InvalidAttributeName", "Unknown Attribute %s.", name)
	}
	if text == "" { // an empty text removes the attribute
		delete(s.raw, name)
		if name == "KmsMasterKeyId" {
			delete(s.raw, "KmsDataKeyReusePeriodSeconds")
		}
		return nil
	}
	s.raw[name] = compactJSON(text)
	return nil
}

// compactJSON removes the white space of a JSON document, as SQS does. Other text stays as it is.
func compactJSON(text string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return text
	}
	return b.String()
}

var queueARNPattern = regexp.MustCompile(`^arn:[a-z0-9-]+:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}(\.fifo)?$`)

// parseRedrivePolicy parses a RedrivePolicy; "" is none. maxReceiveCount is 1 to 1,000, as a number or a string.
// Source: API Reference, SetQueueAttributes; the messages are from recordings of AWS.
func parseRedrivePolicy(text string) (*redrivePolicy, *Error) {
	if text == "" {
		return nil, nil
	}
	var policy struct {
		DeadLetterTargetArn string          `json:"deadLetterTargetArn"`
		MaxReceiveCount     json.RawMessage `json:"maxReceiveCount"`
	}
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return nil, invalidValue(text, "RedrivePolicy", "Redrive policy is not a valid JSON map.")
	}
	if policy.DeadLetterTargetArn == "" {
		return nil, invalidValue(text, "RedrivePolicy", "Redrive policy does not contain mandatory attribute: "+
			"deadLetterTargetArn.")
	}
	if len(policy.MaxReceiveCount) == 0 {
		return nil, invalidValue(text, "RedrivePolicy", "Redrive policy does not contain mandatory attribute: "+
			"maxReceiveCount.")
	}
	if !queueARNPattern.MatchString(policy.DeadLetterTargetArn) {
		return nil, invalidValue(text, "RedrivePolicy", "Invalid value for deadLetterTargetArn.")
	}
	digits := strings.Trim(string(policy.MaxReceiveCount), `"`)
	count, err := strconv.Atoi(digits)
	if err != nil || count < 1 || count > 1000 {
		return nil, invalidValue(text, "RedrivePolicy",
			"Invalid value for maxReceiveCount: "+digits+", valid values are from 1 to 1000 both inclusive.")
	}
	return &redrivePolicy{deadLetterARN: policy.DeadLetterTargetArn, maxReceiveCount: count}, nil
}

// maxSourceQueues is the largest number of queues in a byQueue policy. Source: API Reference, SetQueueAttributes.
const maxSourceQueues = 10

func parseRedriveAllowPolicy(text string) (*redriveAllowPolicy, *Error) {
	if text == "" {
		return nil, nil
	}
	policy := new(redriveAllowPolicy)
	if err := json.Unmarshal([]byte(text), policy); err != nil {
		return nil, invalidValue(text, "RedriveAllowPolicy", "Redrive allow policy is not a valid JSON map.")
	}
	known := []string{"allowAll", "denyAll", "byQueue"}
	switch named := len(policy.SourceQueueArns); {
	case !slices.Contains(known, policy.RedrivePermission):
		return nil, invalidValue(text, "RedriveAllowPolicy", "redrivePermission must be one of allowAll, denyAll, byQueue.")
	case policy.RedrivePermission == "byQueue" && (named == 0 || named > maxSourceQueues):
		return nil, invalidValue(text, "RedriveAllowPolicy", "sourceQueueArns must name 1 to 10 queues when "+
			"redrivePermission is byQueue.")
	case policy.RedrivePermission != "byQueue" && named > 0:
		return nil, invalidValue(text, "RedriveAllowPolicy", "sourceQueueArns can be given only when redrivePermission is "+
			"byQueue.")
	}
	return policy, nil
}
