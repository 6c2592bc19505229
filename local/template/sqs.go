package template

import (
	"regexp"
	"strings"
	"time"

	"fanfare/local/iam"
	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

func sqsTypes() map[string]*emulatedType {
	properties := tree.Schema{"QueueName": tree.Accepted, "Tags": tree.Accepted, "Arn": tree.Returned,
		"QueueUrl": tree.Returned}
	for name := range queueAttributes {
		properties[name] = tree.Accepted
	}
	return map[string]*emulatedType{
		"AWS::SQS::Queue": {Type: cfn.Type{
			Schema: properties, NameProperty: "QueueName", NamePattern: queueName, NameLimit: 80, Suffix: fifoSuffix,
			Ref: "{queues}/{account}/{name}",
			Attributes: map[string]string{
				"Arn": "arn:aws:sqs:{region}:{account}:{name}", "QueueName": "{name}", "QueueUrl": "{queues}/{account}/{name}",
			},
		}, read: (*builder).readQueue,
		},
		"AWS::SQS::QueuePolicy": {Type: cfn.Type{
			Schema:   tree.Schema{"PolicyDocument": tree.Accepted, "Queues": tree.Accepted, "Id": tree.Returned},
			Required: []string{"PolicyDocument", "Queues"},
			Ref:      "{stack}-{id}", Attributes: map[string]string{"Id": "{stack}-{id}"},
		}, read: (*builder).readQueuePolicy,
		},
	}
}

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$|^[A-Za-z0-9_-]{1,75}\.fifo$`)

// queueAttributes are the properties of a queue that are SQS attributes of the same name. true marks those that are
// objects in a template and JSON in SQS.
var queueAttributes = map[string]bool{
	"ContentBasedDeduplication": false, "DeduplicationScope": false, "DelaySeconds": false, "FifoQueue": false,
	"FifoThroughputLimit":          false,
	"KmsDataKeyReusePeriodSeconds": false, "KmsMasterKeyId": false, "MaximumMessageSize": false,
	"MessageRetentionPeriod":        false,
	"ReceiveMessageWaitTimeSeconds": false, "RedriveAllowPolicy": true, "RedrivePolicy": true,
	"SqsManagedSseEnabled": false,
	"VisibilityTimeout":    false,
}

// numericAttributes are the attributes that are integers.
var numericAttributes = []string{
	"DelaySeconds", "KmsDataKeyReusePeriodSeconds", "MaximumMessageSize", "MessageRetentionPeriod",
	"ReceiveMessageWaitTimeSeconds",
	"VisibilityTimeout",
}

// defaultVisibility is SQS's default visibility timeout, in seconds; see CreateQueue.
const defaultVisibility = 30

// isFIFO reports whether a queue is a FIFO queue, whose name must end in .fifo.
func isFIFO(e *cfn.Evaluator, r *cfn.Resource) bool {
	v := r.Properties.Get("FifoQueue")
	if v == nil {
		return false
	}
	resolved := e.Resolve(v, tree.At(r.ID, "Properties.FifoQueue"))
	return resolved != nil && resolved.Kind == tree.Text && strings.EqualFold(resolved.Text, "true")
}

// fifoSuffix returns the end of a queue's generated name.
func fifoSuffix(e *cfn.Evaluator, r *cfn.Resource) string {
	if isFIFO(e, r) {
		return ".fifo"
	}
	return ""
}

func (b *builder) readQueue(r *cfn.Resource, p tree.Reader) {
	q := Queue{
		Source: b.source(r.ID, r.Position), Name: b.Name(r), ARN: b.ARN(r), URL: b.Reference(r),
		Attributes: map[string]string{}, Tags: p.Tags(),
	}
	for name, isMap := range queueAttributes {
		v := p.Value(name)
		switch {
		case v == nil || v.Kind == tree.Invalid:
		case isMap && v.Kind == tree.Object:
			q.Attributes[name] = v.JSON()
		case isMap:
			p.Problem(name, "must be a map")
		default:
			q.Attributes[name] = p.Text(name)
		}
	}
	for _, name := range numericAttributes {
		p.Int(name, 0)
	}
	p.Bool("FifoQueue", false)
	if isFIFO(b.Evaluator, r) != strings.HasSuffix(q.Name, ".fifo") {
		p.Problem("QueueName", "the name of a FIFO queue, and of no other queue, must end in .fifo")
	}
	q.VisibilityTimeout = time.Duration(p.Int("VisibilityTimeout", defaultVisibility)) * time.Second
	b.queues = append(b.queues, pending[Queue]{q, p})
}

// queuePolicy is a policy and the URLs of its queues.
type queuePolicy struct {
	urls     []string
	document iam.Document
	json     string
}

func (b *builder) readQueuePolicy(_ *cfn.Resource, p tree.Reader) {
	policy := queuePolicy{urls: p.Texts("Queues"), document: document(p, "PolicyDocument", iam.Resource)}
	if v := p.Value("PolicyDocument"); v != nil {
		policy.json = v.JSON()
	}
	b.queuePolicies = append(b.queuePolicies, pending[queuePolicy]{policy, p})
}

// attachQueuePolicies sets the policies of the queues.
func (b *builder) attachQueuePolicies() {
	for _, policy := range b.queuePolicies {
		for _, url := range policy.model.urls {
			queue := b.queueWhere(func(q *Queue) bool { return q.URL == url })
			if queue == nil {
				policy.at.Problem("Queues", "%s is not the URL of a queue of the template", url)
				continue
			}
			if queue.Policy != nil {
				policy.at.Problem("Queues", "the queue %s has another policy, which this one would overwrite", queue.Name)
			}
			queue.Policy = []iam.Document{policy.model.document}
			queue.Attributes["Policy"] = policy.model.json
		}
	}
}

// queueWhere returns the first queue for which is returns true, or nil.
func (b *builder) queueWhere(is func(*Queue) bool) *Queue {
	for i := range b.queues {
		if q := &b.queues[i].model; is(q) {
			return q
		}
	}
	return nil
}
