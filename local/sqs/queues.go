package sqs

import (
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recreateCooldown is the time in which the name of a deleted queue cannot be used again. Source: API Reference,
// CreateQueue.
const recreateCooldown = 60 * time.Second

var queueNamePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

func (s *Server) create(c QueueConfig) (*queue, *Error) {
	if strings.EqualFold(c.Attributes["FifoQueue"], "true") {
		return nil, newError("UnsupportedOperation", "FIFO queues are not emulated: %s.", c.Name)
	}
	if !queueNamePattern.MatchString(c.Name) {
		return nil, invalidParameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	if q := s.queue(c.Name); q != nil {
		return q, q.settings.Load().differs(c.Attributes, q.arn)
	}
	now := s.options.Clock.Now()
	if at, ok := s.removed[c.Name]; ok && now.Sub(at) < recreateCooldown {
		return nil, newError("QueueDeletedRecently", "You must wait 60 seconds after deleting a queue before you can create "+
			"another with the same name.")
	}
	delete(s.removed, c.Name)
	arn := s.arn(c.Name)
	set, err := initialSettings().with(c.Attributes, arn, s.redriveAllowPolicy)
	if err != nil {
		return nil, err
	}
	q := newQueue(c.Name, arn, s.options.Clock, &s.faults, set)
	s.queues.Store(c.Name, q)
	return q, nil
}

// redriveAllowPolicy returns the policy of the queue with that ARN, or nil, and reports whether the queue exists.
func (s *Server) redriveAllowPolicy(arn string) (*redriveAllowPolicy, bool) {
	q := s.queueByARN(arn)
	if q == nil {
		return nil, false
	}
	return q.settings.Load().redriveAllow, true
}

// differs compares the given attributes with those of an existing queue. Attributes that are not given are not
// compared.
func (s *settings) differs(given map[string]string, arn string) *Error {
	known := func(string) (*redriveAllowPolicy, bool) { return nil, true }
	next, err := s.with(given, arn, known)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		same := s.raw[name] == next.raw[name]
		if name == "RedrivePolicy" && s.redrive != nil && next.redrive != nil {
			same = *s.redrive == *next.redrive // compare the meaning, not the JSON text
		}
		if !same {
			return newError("QueueNameExists", "A queue already exists with the same name and a different value for "+
				"attribute %s", name)
		}
	}
	return nil
}

func (c *call) createQueue() (any, error) {
	name := c.in.required("QueueName")
	config := QueueConfig{Name: name, Attributes: c.in.strings("Attributes")}
	if c.in.has("tags") {
		c.in.fail(newError("UnsupportedOperation", "Tags are not emulated."))
	}
	if err := c.ready(c.s.arn(name)); err != nil {
		return nil, err
	}
	q, err := c.s.create(config)
	if err != nil {
		return nil, err
	}
	return map[string]string{"QueueUrl": c.url(q)}, nil
}

func (c *call) getQueueURL() (any, error) {
	name := c.in.required("QueueName")
	owner := c.in.text("QueueOwnerAWSAccountId")
	if err := c.ready(c.s.arn(name)); err != nil {
		return nil, err
	}
	q := c.s.queue(name)
	if q == nil || owner != "" && owner != c.s.options.Account {
		return nil, nonExistentQueue()
	}
	return map[string]string{"QueueUrl": c.url(q)}, nil
}

func (c *call) listQueues() (any, error) {
	prefix := c.in.text("QueueNamePrefix")
	page := c.page()
	if err := c.ready("*"); err != nil {
		return nil, err
	}
	var names []*queue
	for _, q := range c.s.all() {
		if strings.HasPrefix(q.name, prefix) {
			names = append(names, q)
		}
	}
	urls, token := page.of(c, names)
	return struct {
		QueueUrls []string `json:",omitempty"`
		NextToken string   `json:",omitempty"`
	}{urls, token}, nil
}

func (c *call) listDeadLetterSourceQueues() (any, error) {
	page := c.page()
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	urls, token := page.of(c, c.s.sourcesOf(q.arn))
	if urls == nil {
		urls = []string{}
	}
	return struct {
		QueueUrls []string `json:"queueUrls"` // as in the API model
		NextToken string   `json:",omitempty"`
	}{urls, token}, nil
}

// sourcesOf returns the queues whose dead-letter queue has that ARN.
func (s *Server) sourcesOf(deadLetterARN string) []*queue {
	var sources []*queue
	for _, q := range s.all() {
		if r := q.settings.Load().redrive; r != nil && r.deadLetterARN == deadLetterARN {
			sources = append(sources, q)
		}
	}
	return sources
}

// maxListed is the largest page of queues. Source: API Reference, ListQueues.
const maxListed = 1000

// page is the requested part of a list: up to size queues, with names greater than after.
type page struct {
	size  int
	after string
	whole bool // no size is given; then the answer has no token
}

func (c *call) page() page {
	p := page{size: maxListed, whole: true}
	if n, ok := c.in.integer("MaxResults"); ok {
		if n < 1 || n > maxListed {
			c.in.fail(invalidValue(n, "MaxResults", "MaxResults must be an integer between 1 and 1000."))
		}
		p.size, p.whole = n, false
	}
	if token := c.in.text("NextToken"); token != "" {
		after, err := base64.StdEncoding.DecodeString(token)
		if err != nil {
			c.in.fail(invalidParameter("Invalid or expired next token."))
		}
		p.after = string(after)
	}
	return p
}

// of returns the URLs of a page of queues, which must be sorted by name, and the token of the next page.
func (p page) of(c *call, queues []*queue) (urls []string, token string) {
	start, found := slices.BinarySearchFunc(queues, p.after, func(q *queue,
		name string) int {
		return strings.Compare(q.name, name)
	})
	if found {
		start++
	}
	queues = queues[start:]
	if len(queues) > p.size {
		queues = queues[:p.size]
		if !p.whole {
			token = base64.StdEncoding.EncodeToString([]byte(queues[p.size-1].name))
		}
	}
	for _, q := range queues {
		urls = append(urls, c.url(q))
	}
	return urls, token
}

func (c *call) deleteQueue() (any, error) {
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	c.s.naming.Lock()
	defer c.s.naming.Unlock()
	if c.s.queues.CompareAndDelete(q.name, q) {
		c.s.removed[q.name] = c.s.options.Clock.Now()
		q.close()
	}
	return nil, nil
}

func (c *call) purgeQueue() (any, error) {
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	if err := q.purge(); err != nil {
		return nil, err
	}
	return nil, nil
}

func (c *call) getQueueAttributes() (any, error) {
	names := c.in.texts("AttributeNames")
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	every := slices.Contains(names, "All")
	have := q.attributes()
	chosen := make(map[string]string)
	for _, name := range names {
		if !knownAttribute(name) {
			return nil, newError("InvalidAttributeName", "Unknown Attribute %s.", name)
		}
	}
	for name, text := range have {
		if every || slices.Contains(names, name) {
			chosen[name] = text
		}
	}
	return struct {
		Attributes map[string]string `json:",omitempty"`
	}{chosen}, nil
}

// attributes returns all attributes of the queue. It takes the lock.
func (q *queue) attributes() map[string]string {
	all := maps.Clone(q.settings.Load().raw)
	numbers := q.messageCounts()
	q.mu.Lock()
	modified := q.modified
	q.mu.Unlock()
	all["QueueArn"] = q.arn
	all["CreatedTimestamp"] = strconv.FormatInt(q.created.Unix(), 10)
	all["LastModifiedTimestamp"] = strconv.FormatInt(modified.Unix(), 10)
	all["ApproximateNumberOfMessages"] = strconv.Itoa(numbers[visible])
	all["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(numbers[inFlight])
	all["ApproximateNumberOfMessagesDelayed"] = strconv.Itoa(numbers[delayed])
	return all
}

func (c *call) setQueueAttributes() (any, error) {
	changes := c.in.strings("Attributes")
	if changes == nil {
		c.in.fail(missingParameter("Attributes"))
	}
	q, err := c.queue()
	if err != nil {
		return nil, err
	}
	c.s.naming.Lock() // one change of settings at a time
	defer c.s.naming.Unlock()
	next, refusal := q.settings.Load().with(changes, q.arn, c.s.redriveAllowPolicy)
	if refusal != nil {
		return nil, refusal
	}
	q.settings.Store(next)
	q.mu.Lock()
	q.modified = q.clock.Now()
	q.mu.Unlock()
	return nil, nil
}
