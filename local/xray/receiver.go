// Package xray collects what functions tell the X-Ray daemon: segments and subsegments, sent by UDP to the address in
// AWS_XRAY_DAEMON_ADDRESS.
//
// Faithful: the datagram format, the fields of segment documents, what is refused. Missing: X-Ray itself (service graph,
// sampling rules, which the daemon serves by TCP), and the segments that AWS's services write of their own accord: Lambda's
// AWS::Lambda and AWS::Lambda::Function, so that the subsegments of functions here have parents that nobody has seen.
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

// DefaultAddress is the daemon's.
const DefaultAddress = "127.0.0.1:2000"

// MaxDocument is the greatest size of a segment document, in bytes.
// Source: xray-api-segmentdocuments.html, "A segment document can be up to 64 kB in size".
const MaxDocument = 64 << 10

// DefaultKept is how many documents a receiver keeps by default; the oldest go first.
const DefaultKept = 10_000

// Segment is a segment or subsegment document, as far as it is read here.
type Segment struct {
	ID       string `json:"id"`
	TraceID  string `json:"trace_id"`
	ParentID string `json:"parent_id"`
	// Type is "subsegment" for one that is sent by itself, and empty else.
	Type string `json:"type"`
	Name string `json:"name"`
	// Namespace is "aws" for calls of AWS, "remote" for others.
	Namespace string `json:"namespace"`
	// Start and End are seconds since 1970; End is 0 while it is in progress.
	Start float64 `json:"start_time"`
	End   float64 `json:"end_time"`
	// Error, Fault and Throttle say how it failed.
	Error    bool `json:"error"`
	Fault    bool `json:"fault"`
	Throttle bool `json:"throttle"`
	// Annotations are indexed; AWS tells of a call of AWS: operation, region, request_id, queue_url, ...
	Annotations map[string]any `json:"annotations"`
	AWS         map[string]any `json:"aws"`
	// Subsegments are those within it, which have no trace id of their own.
	Subsegments []Segment `json:"subsegments"`
	// Document is the whole, as it was sent; nil for those within another.
	Document json.RawMessage `json:"-"`
}

// Duration is how long it took; 0 while it is in progress.
func (s Segment) Duration() time.Duration {
	if s.End == 0 {
		return 0
	}
	return time.Duration((s.End - s.Start) * float64(time.Second))
}

// Options of a receiver. The zero value listens on any free port.
type Options struct {
	// Address is a loopback address with a port; "" is any free port of 127.0.0.1.
	Address string
	// Kept is how many documents are kept; 0 counts as DefaultKept.
	Kept int
	// Log gets what is no segment; nil discards it.
	Log *slog.Logger
	// Observe is told of each document; it delays the next one. nil observes nothing.
	Observe func(Segment)
}

// Receiver collects segments. It is safe for concurrent use.
type Receiver struct {
	o     Options
	conn  net.PacketConn
	ended sync.WaitGroup

	mu      sync.Mutex
	kept    []Segment
	refused int
}

// Listen starts a receiver. Close ends it.
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
	// A burst waits in the socket's buffer; the system may grant less.
	_ = conn.SetReadBuffer(4 << 20)
	r := &Receiver{o: o, conn: conn}
	r.ended.Go(r.read)
	return r, nil
}

// Address is where it listens, as AWS_XRAY_DAEMON_ADDRESS is written.
func (r *Receiver) Address() string { return r.conn.LocalAddr().String() }

// Close ends the receiver. What it has collected stays.
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
			r.o.Log.Error("x-ray: cannot receive", "error", err)
			continue
		}
		s, err := Parse(bytes.Clone(buffer[:n]))
		if err != nil {
			r.mu.Lock()
			r.refused++
			r.mu.Unlock()
			r.o.Log.Warn("x-ray: refused", "error", err)
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

// Segments returns the documents of a trace in the order of their arrival; "" means all that are kept.
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

// Refused returns how many datagrams were no segment.
func (r *Receiver) Refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

var (
	traceIDs   = regexp.MustCompile(`^1-[0-9a-f]{8}-[0-9a-f]{24}$`)
	segmentIDs = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// Parse reads a datagram: a header line, then a document. It returns what X-Ray would refuse as an error.
func Parse(datagram []byte) (Segment, error) {
	head, document, found := bytes.Cut(datagram, []byte("\n"))
	var header struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(head, &header); err != nil || !found || header.Format != "json" || header.Version != 1 {
		return Segment{}, fmt.Errorf(`the datagram begins with %.60q, not with {"format": "json", "version": 1} and a line feed`, head)
	}
	if len(document) > MaxDocument {
		return Segment{}, fmt.Errorf("a document of %d bytes: more than %d", len(document), MaxDocument)
	}
	var s Segment
	if err := json.Unmarshal(document, &s); err != nil {
		return Segment{}, fmt.Errorf("the document is not a segment: %w", err)
	}
	s.Document = document
	for _, rule := range []struct {
		broken bool
		says   string
	}{
		{!traceIDs.MatchString(s.TraceID), fmt.Sprintf("trace_id %q", s.TraceID)},
		{!segmentIDs.MatchString(s.ID), fmt.Sprintf("id %q", s.ID)},
		{s.Name == "" || len(s.Name) > 200, fmt.Sprintf("name %q", s.Name)},
		{s.Start <= 0, fmt.Sprintf("start_time %v", s.Start)},
		{s.Type != "" && s.Type != "subsegment", fmt.Sprintf("type %q", s.Type)},
		{s.Type == "subsegment" && !segmentIDs.MatchString(s.ParentID), fmt.Sprintf("parent_id %q of a subsegment", s.ParentID)},
	} {
		if rule.broken {
			return Segment{}, fmt.Errorf("the document is not a segment: %s", rule.says)
		}
	}
	return s, nil
}

// Walk calls visit with the segment and everything within it, outermost first.
func (s Segment) Walk(visit func(Segment)) {
	visit(s)
	for _, inner := range s.Subsegments {
		inner.Walk(visit)
	}
}
