package sqs

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

type sendResult struct {
	ID                           string `json:"Id,omitempty"` // of a batch entry
	MessageId                    string
	MD5OfMessageBody             string
	MD5OfMessageAttributes       string `json:",omitempty"`
	MD5OfMessageSystemAttributes string `json:",omitempty"`
}

func (o *outgoing) result(entry, id string) sendResult {
	return sendResult{entry, id, o.md5Body, o.md5Attributes, o.md5SystemAttributes}
}

func (c *call) sendMessage() (any, error) {
	out, size, problem := readOutgoing(c.in, c.traceHeader)
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	if limit := q.settings.Load().maxMessageBytes; size > limit {
		return nil, invalidParameter("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.",
			limit)
	}
	if problem != nil {
		return nil, problem
	}
	ids, refusal := q.add(c.s.options.Account, []outgoing{out})
	if refusal != nil {
		return nil, refusal
	}
	return out.result("", ids[0]), nil
}

// batchResult is the answer to a batch. Its status is 200, even if every entry failed.
type batchResult struct {
	Successful []any         `json:",omitempty"`
	Failed     []failedEntry `json:",omitempty"`
}

type failedEntry struct {
	Id          string
	SenderFault bool
	Code        string
	Message     string
}

func (r *batchResult) fail(id string, err *Error) {
	r.Failed = append(r.Failed, failedEntry{Id: id, SenderFault: err.fault() == "Sender", Code: err.Code,
		Message: err.Message})
}

var entryIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// entries returns the entries of a batch and their ids. An invalid batch fails the request.
func (c *call) entries() (ids []string, entries []fields) {
	entries = c.in.objects("Entries")
	if len(entries) == 0 {
		c.in.fail(newError("EmptyBatchRequest", "There should be at least one %sRequestEntry in the request.", c.operation))
		return nil, nil
	}
	if len(entries) > MaxBatchEntries {
		c.in.fail(newError("TooManyEntriesInBatchRequest", "Maximum number of entries per request are %d. You have sent %d.",
			MaxBatchEntries, len(entries)))
	}
	for _, e := range entries {
		id := e.text("Id")
		if !entryIDPattern.MatchString(id) {
			c.in.fail(newError("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and "+
				"underscores. It can be at most 80 letters long."))
		}
		if slices.Contains(ids, id) {
			c.in.fail(newError("BatchEntryIdsNotDistinct", "Id %s repeated.", id))
		}
		ids = append(ids, id)
	}
	return ids, entries
}

func (c *call) sendMessageBatch() (any, error) {
	ids, entries := c.entries()
	outs := make([]outgoing, len(entries))
	sizes := make([]int, len(entries))
	problems := make([]*Error, len(entries))
	total := 0
	for i, e := range entries {
		outs[i], sizes[i], problems[i] = readOutgoing(e, c.traceHeader)
		total += sizes[i]
	}
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	if total > MaxMessageBytes {
		return nil, newError("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.",
			MaxMessageBytes, total)
	}
	faults := c.s.faults.Load()
	var result batchResult
	var good []outgoing
	var goodIDs []string
	limit := q.settings.Load().maxMessageBytes
	for i := range outs {
		if sizes[i] > limit {
			problems[i] = invalidParameter("One or more parameters cannot be validated. Reason: Message must be shorter than "+
				"%d bytes.", limit)
		}
		if problems[i] != nil {
			result.fail(ids[i], problems[i])
			continue
		}
		if hit, _ := faults.decide("EntryRefused", q.name, faults.EntryRefused); hit {
			result.fail(ids[i], injectedError())
			continue
		}
		good, goodIDs = append(good, outs[i]), append(goodIDs, ids[i])
	}
	messageIDs, refusal := q.add(c.s.options.Account, good)
	if refusal != nil {
		return nil, refusal
	}
	for i := range good {
		if hit, _ := faults.decide("EntryMisjudged", q.name, faults.EntryMisjudged); hit {
			result.fail(goodIDs[i], injectedError())
			continue
		}
		result.Successful = append(result.Successful, good[i].result(goodIDs[i], messageIDs[i]))
	}
	return result, nil
}

type receivedMessage struct {
	MessageId              string
	ReceiptHandle          string
	MD5OfBody              string
	Body                   string
	Attributes             map[string]string        `json:",omitempty"`
	MD5OfMessageAttributes string                   `json:",omitempty"`
	MessageAttributes      map[string]wireAttribute `json:",omitempty"`
}

type wireAttribute struct {
	DataType    string
	StringValue string `json:",omitempty"`
	BinaryValue []byte `json:",omitempty"`
}

// systemAttributeNames are the names that a request may ask for. Source: API Reference, ReceiveMessage.
var systemAttributeNames = []string{"All", "SenderId", "SentTimestamp", "ApproximateReceiveCount",
	"ApproximateFirstReceiveTimestamp", "SequenceNumber", "MessageDeduplicationId", "MessageGroupId", "AWSTraceHeader",
	"DeadLetterQueueSourceArn"}

func (c *call) receiveMessage() (any, error) {
	// If both names are given, the new one counts, as recorded against AWS.
	system := c.in.texts("MessageSystemAttributeNames")
	if legacy := c.in.texts("AttributeNames"); len(system) == 0 {
		system = legacy
	}
	wanted := c.in.texts("MessageAttributeNames")
	limit, given := c.in.integer("MaxNumberOfMessages")
	if !given {
		limit = 1
	}
	visibility := c.seconds("VisibilityTimeout", maxVisibilityTimeout)
	waiting := c.seconds("WaitTimeSeconds", 0)
	if c.in.has("ReceiveRequestAttemptId") {
		c.in.fail(invalidValue(c.in.text("ReceiveRequestAttemptId"), "ReceiveRequestAttemptId",
			"The request includes a parameter that is not valid for this queue type."))
	}
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	for _, name := range system {
		if !slices.Contains(systemAttributeNames, name) {
			return nil, newError("InvalidAttributeName", "Unknown Attribute %s.", name)
		}
	}
	wait := q.settings.Load().wait
	if waiting != nil {
		wait = *waiting
	}
	if err := checkReceive(limit, wait); err != nil {
		return nil, err
	}
	taken, err := c.s.receive(c.ctx, q, limit, visibility, wait)
	if err != nil {
		return nil, err
	}
	messages := make([]receivedMessage, len(taken))
	for i, d := range taken {
		messages[i] = d.wire(system, wanted)
	}
	return struct {
		Messages []receivedMessage `json:",omitempty"`
	}{messages}, nil
}

// seconds reads a duration, or nil if it is absent. It must be 0 to greatest; a greatest of 0 is no bound.
func (c *call) seconds(name string, greatest time.Duration) *time.Duration {
	n, ok := c.in.integer(name)
	if !ok {
		return nil
	}
	d := time.Duration(n) * time.Second
	if greatest > 0 && (d < 0 || d > greatest) {
		c.in.fail(invalidValue(n, name, "Must be between 0 and 43200, if provided."))
	}
	return &d
}

// wire returns the delivery with the requested attributes. The digest covers the returned message attributes only, as
// recorded against AWS.
func (d delivery) wire(system, wanted []string) receivedMessage {
	m := receivedMessage{MessageId: d.id, ReceiptHandle: d.handle, MD5OfBody: d.md5Body, Body: d.body}
	if len(system) > 0 {
		m.Attributes = d.system()
		if !slices.Contains(system, "All") {
			for name := range m.Attributes {
				if !slices.Contains(system, name) {
					delete(m.Attributes, name)
				}
			}
		}
	}
	chosen := make(map[string]MessageAttribute)
	for name, a := range d.attributes {
		if !slices.ContainsFunc(wanted, func(pattern string) bool { return selects(pattern, name) }) {
			continue
		}
		if m.MessageAttributes == nil {
			m.MessageAttributes = make(map[string]wireAttribute)
		}
		chosen[name] = a
		m.MessageAttributes[name] = wireAttribute(a)
	}
	if len(chosen) == len(d.attributes) {
		m.MD5OfMessageAttributes = d.md5Attributes
	} else {
		m.MD5OfMessageAttributes = md5OfAttributes(chosen)
	}
	return m
}

// selects reports whether an entry of MessageAttributeNames matches name. It is a name, All, .* or prefix.*
func selects(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, ".*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == "All" || pattern == name
}

func (c *call) deleteMessage() (any, error) {
	handle := c.in.required("ReceiptHandle")
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	if err := q.deleteByHandle(handle); err != nil {
		return nil, err
	}
	return nil, nil
}

func (c *call) deleteMessageBatch() (any, error) {
	return c.batch(func(e fields) func(*queue) *Error {
		handle := e.required("ReceiptHandle")
		return func(q *queue) *Error { return q.deleteByHandle(handle) }
	})
}

func (c *call) changeMessageVisibility() (any, error) {
	change := readVisibility(c.in)
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	if err := change(q); err != nil {
		return nil, err
	}
	return nil, nil
}

func (c *call) changeMessageVisibilityBatch() (any, error) { return c.batch(readVisibility) }

func readVisibility(in fields) func(*queue) *Error {
	handle := in.required("ReceiptHandle")
	seconds, ok := in.integer("VisibilityTimeout")
	if !ok {
		in.fail(missingParameter("VisibilityTimeout"))
	}
	return func(q *queue) *Error { return q.changeVisibility(handle, time.Duration(seconds)*time.Second) }
}

// batch executes, for each entry, the function that read returns for it.
func (c *call) batch(read func(fields) func(*queue) *Error) (any, error) {
	ids, entries := c.entries()
	var actions []func(*queue) *Error
	for _, e := range entries {
		actions = append(actions, read(e))
	}
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	var result batchResult
	for i, act := range actions {
		if err := act(q); err != nil {
			result.fail(ids[i], err)
			continue
		}
		result.Successful = append(result.Successful, map[string]string{"Id": ids[i]})
	}
	return result, nil
}
