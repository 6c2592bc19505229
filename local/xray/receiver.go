// Package xray receives X-Ray segments and subsegments of functions, as the X-Ray daemon does: by UDP at the address in
// AWS_XRAY_DAEMON_ADDRESS.
//
// As on AWS: the format of datagrams, the fields of segment documents, and which documents are refused. Not emulated:
// the service graph, the sampling rules, which the daemon serves by TCP, and the segments of AWS's services. Lambda's
// segments AWS::Lambda and AWS::Lambda::Function are missing, so the parents of functions' subsegments are not
// received.
//
// Sources: docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html (daemon protocol) and
// xray-api-segmentdocuments.html (fields).
package xray

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"sync"
	"time"
)

// DefaultAddress is the default address of the X-Ray daemon.
const DefaultAddress = "127.0.0.1:2000"

// MaxDocument is the largest segment document, in bytes.
// Source: xray-api-segmentdocuments.html, "A segment document can be up to 64 kB in size".
const MaxDocument = 64 << 10

// DefaultKept is the default number of documents that a receiver keeps.
const DefaultKept = 10_000

// Segment is a segment or subsegment. It has the fields that are used here.
type Segment struct {
	ID       string `json:"id"`
	TraceID  string `json:"trace_id"`
	ParentID string `json:"parent_id"`
	// Type is "subsegment" for a subsegment that was sent separately. Otherwise it is empty.
	Type string `json:"type"`
	Name string `json:"name"`
	// Namespace is "aws" for calls of AWS and "remote" for other calls.
	Namespace string `json:"namespace"`
	// Start and End are in seconds since 1970. End is 0 for a segment in progress.
	Start float64 `json:"start_time"`
	End   float64 `json:"end_time"`
	// Error, Fault and Throttle mark a client error, a server error and a throttled call.
	Error    bool `json:"error"`
	Fault    bool `json:"fault"`
	Throttle bool `json:"throttle"`
	// Annotations are indexed by X-Ray. AWS describes a call of AWS: operation, region, request_id, queue_url and so on.
	Annotations map[string]any `json:"annotations"`
	AWS         map[string]any `json:"aws"`
	// Subsegments are the embedded subsegments. They have no trace id.
	Subsegments []Segment `json:"subsegments"`
	// Document is the document as it was sent. It is nil for an embedded subsegment.
	Document json.RawMessage `json:"-"`
}

// Duration returns the duration of the segment, 0 for a segment in progress.
func (s Segment) Duration() time.Duration {
	if s.End == 0 {
		return 0
	}
	return time.Duration((s.End - s.Start) * float64(time.Second))
}

// Options configure a receiver. The zero value listens on a free port.
type Options struct {
	// Address is a loopback address with a port. "" is a free port of 127.0.0.1.
	Address string
	// Kept is the number of documents to keep; 0 means DefaultKept. When it is exceeded, the oldest ones are dropped.
	Kept int
	// Log receives the refused datagrams. nil discards them.
	Log *slog.Logger
	// Observe is called for each document before the next one is read. It may be nil.
	Observe func(Segment)
}

// Receiver receives segments. It is safe for concurrent use.
type Receiver struct {
	o     Options
	conn  net.PacketConn
	ended sync.WaitGroup

	mu      sync.Mutex
	kept    []Segment
	refused int
}

// Listen starts a receiver. Close stops it.
func Listen(o Options) (*Receiver, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	if o.Kept == 0 {
		o.Kept = DefaultKept
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	address, err := net.ResolveUDPAddr("udp4", o.Address)
	if err != nil {
		return nil, fmt.Errorf("x-ray: %w", err)
	}
	if !address.IP.IsLoopback() {
		return nil, fmt.Errorf("x-ray: %s is not a loopback address", o.Address)
	}
	conn, err := net.ListenUDP("udp4", address)
	if err != nil {
		return nil, fmt.Errorf("x-ray: %w", err)
	}
	// A burst waits in the buffer of the socket. The system may grant a smaller one.
	_ = conn.SetReadBuffer(4 << 20)
	r := &Receiver{o: o, conn: conn}
	r.ended.Go(r.read)
	return r, nil
}

// Address returns the address of the receiver, in the format of AWS_XRAY_DAEMON_ADDRESS.
func (r *Receiver) Address() string { return r.conn.LocalAddr().String() }

// Close stops the receiver. The received documents remain available.
func (r *Receiver) Close() error {
	err := r.conn.Close()
	r.ended.Wait()
	return err
}

func (r *Receiver) read() {
	buffer := make([]byte, MaxDocument+1<<10)
	for {
		n, _, err := r.conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			r.o.Log.Error("x-ray: receive failed", "error", err)
			continue
		}
		s, err := Parse(bytes.Clone(buffer[:n]))
		if err != nil {
			r.mu.Lock()
			r.refused++
			r.mu.Unlock()
			r.o.Log.Warn("x-ray: datagram refused", "error", err)
			continue
		}
		r.mu.Lock()
		if len(r.kept) == r.o.Kept {
			r.kept = slices.Delete(r.kept, 0, 1+r.o.Kept/10)
		}
		r.kept = append(r.kept, s)
		r.mu.Unlock()
		if r.o.Observe != nil {
			r.o.Observe(s)
		}
	}
}

// Segments returns the documents of a trace in the order of arrival. "" is all traces.
func (r *Receiver) Segments(traceID string) []Segment {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Segment
	for _, s := range r.kept {
		if traceID == "" || s.TraceID == traceID {
			found = append(found, s)
		}
	}
	return found
}

// Refused returns the number of refused datagrams.
func (r *Receiver) Refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

var (
	traceIDs   = regexp.MustCompile(`^1-[0-9a-f]{8}-[0-9a-f]{24}$`)
	segmentIDs = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// Parse parses a datagram: a header line and a document. A datagram that X-Ray refuses is an error.
func Parse(datagram []byte) (Segment, error) {
	head, document, found := bytes.Cut(datagram, []byte("\n"))
	var header struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(head, &header); err != nil || !found || header.Format != "json" || header.Version != 1 {
		return Segment{}, fmt.Errorf(`datagram: got header %.60q, want {"format": "json", "version": 1} and a line feed`,
			head)
	}
	if len(document) > MaxDocument {
		return Segment{}, fmt.Errorf("document: %d bytes, more than %d", len(document), MaxDocument)
	}
	var s Segment
	if err := json.Unmarshal(document, &s); err != nil {
		return Segment{}, fmt.Errorf("document: not a segment: %w", err)
	}
	s.Document = document
	for _, rule := range []struct {
		broken bool
		reason string
	}{
		{!traceIDs.MatchString(s.TraceID), fmt.Sprintf("trace_id %q", s.TraceID)},
		{!segmentIDs.MatchString(s.ID), fmt.Sprintf("id %q", s.ID)},
		{s.Name == "" || len(s.Name) > 200, fmt.Sprintf("name %q", s.Name)},
		{s.Start <= 0, fmt.Sprintf("start_time %v", s.Start)},
		{s.Type != "" && s.Type != "subsegment", fmt.Sprintf("type %q", s.Type)},
		{s.Type == "subsegment" && !segmentIDs.MatchString(s.ParentID),
			fmt.Sprintf("parent_id %q of a subsegment", s.ParentID)},
	} {
		if rule.broken {
			return Segment{}, fmt.Errorf("document: not a segment: %s", rule.reason)
		}
	}
	return s, nil
}

// Walk calls visit for the segment and all embedded subsegments, outermost first.
func (s Segment) Walk(visit func(Segment)) {
	visit(s)
	for _, inner := range s.Subsegments {
		inner.Walk(visit)
	}
}
