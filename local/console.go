package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"fanfare/local/apigateway"
	"fanfare/local/lambda"
	"fanfare/local/stack"
)

// console prints one line for each event, without control characters. It is safe for concurrent use.
type console struct {
	mu     sync.Mutex
	out    io.Writer
	prefix string // of function names; not printed
	quiet  bool

	refusals sync.Map // services and protocols whose refusal has been printed
}

func newConsole(out io.Writer, prefix string, quiet bool) *console {
	return &console{out: &terminal{out: out}, prefix: prefix, quiet: quiet}
}

// banner prints a text, also in quiet mode.
func (c *console) banner(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(c.out, text)
}

// oneLine replaces line breaks by spaces.
var oneLine = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")

// line prints a line about a subject, unless the console is quiet.
func (c *console) line(at time.Time, subject, text string) {
	if c.quiet {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, "%s  %-12s %s\n", at.Format("15:04:05.000"), subject, oneLine.Replace(text))
}

// gateway prints an event at a WebSocket API. It does not print single posts: the functions log their number.
func (c *console) gateway(e apigateway.Event) {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	switch e.Kind {
	case apigateway.Connected:
		c.line(e.Time, "client", fmt.Sprintf("connected %s (%s)", e.Connection, ms(e.Duration)))
	case apigateway.Refused:
		c.line(e.Time, "client", fmt.Sprintf("refused with %d: %s", e.Status, e.Reason))
	case apigateway.Disconnected:
		text := fmt.Sprintf("disconnected %s after %.1f s: %d %s", e.Connection, e.Duration.Seconds(), e.Code, e.Reason)
		if e.Err != nil {
			text += fmt.Sprintf(" ($disconnect: %v)", e.Err)
		}
		c.line(e.Time, "client", text)
	case apigateway.Received:
		if e.Err != nil {
			c.line(e.Time, "client", fmt.Sprintf("%s: route %s failed: %v", e.Connection, e.Route, e.Err))
		}
	case apigateway.Posted:
	}
}

// invocation prints a failed invocation. The functions log the others.
func (c *console) invocation(r lambda.Report) {
	if r.Status != lambda.StatusSuccess {
		c.line(time.Now(), strings.TrimPrefix(r.Function, c.prefix), strings.ReplaceAll(r.String(), "\t", "  "))
	}
}

// refused prints the first request to each service that is not emulated.
func (c *console) refused(r stack.Refused) {
	if _, printed := c.refusals.LoadOrStore([2]string{r.Service, r.Protocol}, true); !printed {
		c.line(time.Now(), "aws", "refused "+r.String())
	}
}

// function prints a line that a function wrote. It prints a JSON log record as text, no metrics, and other lines
// unchanged.
func (c *console) function(function, _ string, line []byte) {
	if c.quiet || len(bytes.TrimSpace(line)) == 0 {
		return
	}
	name := strings.TrimPrefix(function, c.prefix)
	fields, ok := decode(line)
	switch {
	case !ok:
		c.line(time.Now(), name, string(line))
	case !fields.has("_aws"): // CloudWatch's embedded metric format
		c.line(time.Now(), name, fields.String())
	}
}

// field is a field of a JSON object.
type field struct {
	name  string
	value json.RawMessage
}

// fields are the fields of a JSON object in their order.
type fields []field

// decode parses a JSON object. It returns false for other text.
func decode(line []byte) (fields, bool) {
	d := json.NewDecoder(bytes.NewReader(line))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, false
	}
	var all fields
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		f := field{name: fmt.Sprint(name)}
		if err := d.Decode(&f.value); err != nil {
			return nil, false
		}
		all = append(all, f)
	}
	return all, true
}

func (all fields) has(name string) bool {
	for _, f := range all {
		if f.name == name {
			return true
		}
	}
	return false
}

// String returns a log record as text: the level unless it is INFO, the message and the attributes.
func (all fields) String() string {
	var level, message, rest string
	for _, f := range all {
		value := string(f.value)
		var text string
		if json.Unmarshal(f.value, &text) == nil {
			value = text
		}
		switch strings.ToLower(f.name) {
		case "time", "timestamp", "requestid", "record":
		case "level":
			if value != "INFO" {
				level = value + " "
			}
		case "msg", "message":
			message = value
		default:
			if strings.ContainsAny(value, " \n") {
				value = fmt.Sprintf("%q", value)
			}
			rest += " " + f.name + "=" + value
		}
	}
	return level + message + rest
}
