package template

import (
	"regexp"
	"strings"
	"time"

	"fanfare/local/iam"
)

func sqsTypes() map[string]*emulatedType {
	properties := schema{"QueueName": known, "Tags": known, "Arn": returned, "QueueUrl": returned}
	for name := range queueAttributes {
		properties[name] = known
	}
	return map[string]*emulatedType{
		"AWS::SQS::Queue": {resourceType: resourceType{
			schema: properties, nameProperty: "QueueName", namePattern: queueName, nameLimit: 80, suffix: fifoSuffix,
			ref: "{queues}/{account}/{name}",
			attributes: map[string]string{
				"Arn": "arn:aws:sqs:{region}:{account}:{name}", "QueueName": "{name}", "QueueUrl": "{queues}/{account}/{name}",
			},
		}, read: (*builder).readQueue,
		},
		"AWS::SQS::QueuePolicy": {resourceType: resourceType{
			schema: schema{"PolicyDocument": known, "Queues": known, "Id": returned}, required: []string{"PolicyDocument", "Queues"},
			ref: "{stack}-{id}", attributes: map[string]string{"Id": "{stack}-{id}"},
		}, read: (*builder).readQueuePolicy,
		},
	}
}

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$|^[A-Za-z0-9_-]{1,75}\.fifo$`)

// queueAttributes are the properties of a queue that are attributes of SQS by the same name; true marks those that are
// maps here and JSON there.
var queueAttributes = map[string]bool{
	"ContentBasedDeduplication": false, "DeduplicationScope": false, "DelaySeconds": false, "FifoQueue": false,
	"FifoThroughputLimit":          false,
	"KmsDataKeyReusePeriodSeconds": false, "KmsMasterKeyId": false, "MaximumMessageSize": false, "MessageRetentionPeriod": false,
	"ReceiveMessageWaitTimeSeconds": false, "RedriveAllowPolicy": true, "RedrivePolicy": true, "SqsManagedSseEnabled": false,
	"VisibilityTimeout": false,
}

// numericAttributes must be integers.
var numericAttributes = []string{
	"DelaySeconds", "KmsDataKeyReusePeriodSeconds", "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds",
	"VisibilityTimeout",
}

// defaultVisibility is SQS's, in seconds; see CreateQueue.
const defaultVisibility = 30

// isFIFO reports whether a queue is a FIFO queue, whose name must end in .fifo.
func isFIFO(e *evaluator, r *resource) bool {
	v := r.properties.get("FifoQueue")
	if v == nil {
		return false
	}
	resolved := e.resolve(v, where{r.id, "Properties.FifoQueue"})
	return resolved != nil && resolved.kind == text && strings.EqualFold(resolved.text, "true")
}

// fifoSuffix returns the end of a queue's generated name.
func fifoSuffix(e *evaluator, r *resource) string {
	if isFIFO(e, r) {
		return ".fifo"
	}
	return ""
}

func (b *builder) readQueue(r *resource, p properties) {
	q := Queue{
		Source: b.source(r.id, r.position), Name: b.name(r), ARN: b.arn(r), URL: b.reference(r),
		Attributes: map[string]string{}, Tags: p.tags("Tags"),
	}
	for name, isMap := range queueAttributes {
		v := p.value(name)
		switch {
		case v == nil || v.kind == invalid:
		case isMap && v.kind == object:
			q.Attributes[name] = v.json()
		case isMap:
			p.problem(name, "must be a map")
		default:
			q.Attributes[name] = p.text(name)
		}
	}
	for _, name := range numericAttributes {
		p.number(name, 0)
	}
	p.boolean("FifoQueue", false)
	if isFIFO(b.evaluator, r) != strings.HasSuffix(q.Name, ".fifo") {
		p.problem("QueueName", "the names of FIFO queues, and no others, end in .fifo")
	}
	q.VisibilityTimeout = time.Duration(p.number("VisibilityTimeout", defaultVisibility)) * time.Second
	b.queues = append(b.queues, pending[Queue]{q, p})
}

// queuePolicy is a policy of queues.
type queuePolicy struct {
	urls     []string
	document iam.Document
	json     string
}

func (b *builder) readQueuePolicy(_ *resource, p properties) {
	policy := queuePolicy{urls: p.texts("Queues"), document: document(p, "PolicyDocument", iam.Resource)}
	if v := p.value("PolicyDocument"); v != nil {
		policy.json = v.json()
	}
	b.queuePolicies = append(b.queuePolicies, pending[queuePolicy]{policy, p})
}

// attachQueuePolicies gives every queue its policy, once all are read.
func (b *builder) attachQueuePolicies() {
	for _, policy := range b.queuePolicies {
		for _, url := range policy.model.urls {
			queue := b.queueWhere(func(q *Queue) bool { return q.URL == url })
			if queue == nil {
				policy.at.problem("Queues", "%s is not the URL of a queue of the template", url)
				continue
			}
			if queue.Policy != nil {
				policy.at.problem("Queues", "the queue %s has a policy already, which this one would overwrite", queue.Name)
			}
			queue.Policy = []iam.Document{policy.model.document}
			queue.Attributes["Policy"] = policy.model.json
		}
	}
}

// queueWhere returns the first queue that is asked for, or nil.
func (b *builder) queueWhere(is func(*Queue) bool) *Queue {
	for i := range b.queues {
		if q := &b.queues[i].model; is(q) {
			return q
		}
	}
	return nil
}
