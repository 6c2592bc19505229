package xray

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const head = `{"format": "json", "version": 1}` + "\n"

// document is a subsegment as aws-xray-sdk-go sends it from a function.
const document = `{"trace_id":"1-5759e988-bd862e3fe1be46a994272793","id":"53995c3f42cd8ad8",` +
	`"parent_id":"c8e6a1bcb9f4e0a1","type":"subsegment","name":"SQS","start_time":1461096053.37518,` +
	`"end_time":1461096053.5,"namespace":"aws","aws":{"operation":"SendMessage"},"subsegments":[` +
	`{"id":"1f9f2b9f4e0a1c8e","name":"marshal","start_time":1461096053.37518,"end_time":1461096053.4}]}`

func TestParse(t *testing.T) {
	s, err := Parse([]byte(head + document))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "SQS" || s.AWS["operation"] != "SendMessage" ||
		s.Duration().Round(time.Millisecond) != 125*time.Millisecond || string(s.Document) != document {
		t.Errorf("got %+v, want the document", s)
	}
	var names []string
	s.Walk(func(s Segment) { names = append(names, s.Name) })
	if fmt.Sprint(names) != "[SQS marshal]" {
		t.Errorf("got %v, want [SQS marshal]", names)
	}
}

// Source: xray-api-segmentdocuments.html, "Segment fields".
func TestParse_Invalid(t *testing.T) {
	for _, test := range []struct{ datagram, want string }{
		{document, "header"},
		{`{"format":"json","version":2}` + "\n" + document, "header"},
		{head, "not a segment"},
		{head + "[]", "not a segment"},
		{head + strings.Replace(document, "1-5759e988-", "1-5759-", 1), "trace_id"},
		{head + strings.Replace(document, "53995c3f42cd8ad8", "5399", 1), "id"},
		{head + strings.Replace(document, `"parent_id":"c8e6a1bcb9f4e0a1",`, "", 1), "parent_id"},
		{head + strings.Replace(document, `"name":"SQS"`, `"name":""`, 1), "name"},
		{head + strings.Replace(document, `"start_time":1461096053.37518,"end_time":1461096053.5`, `"end_time":1`, 1),
			"start_time"},
		{head + strings.Replace(document, `"type":"subsegment"`, `"type":"segments"`, 1), "type"},
		{head + document + strings.Repeat(" ", MaxDocument), "more than 65536"},
	} {
		if _, err := Parse([]byte(test.datagram)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.80q: got %v, want %q", test.datagram, err, test.want)
		}
	}
}

func TestReceiver_Segments(t *testing.T) {
	observed := make(chan Segment, 100)
	r, err := Listen(Options{Kept: 10, Observe: func(s Segment) { observed <- s }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	conn, err := net.Dial("udp", r.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(datagram string) {
		t.Helper()
		if _, err := conn.Write([]byte(datagram)); err != nil {
			t.Fatal(err)
		}
	}
	send("nonsense")
	for i := range 12 {
		send(head + strings.Replace(document, "53995c3f42cd8ad8", fmt.Sprintf("%016x", i), 1))
		if s := <-observed; s.ID != fmt.Sprintf("%016x", i) {
			t.Fatalf("document %d: got %+v", i, s)
		}
	}
	if r.Refused() != 1 {
		t.Errorf("got %d refused, want 1", r.Refused())
	}
	all := r.Segments("1-5759e988-bd862e3fe1be46a994272793")
	if len(all) > 10 || len(all) < 8 || all[len(all)-1].ID != fmt.Sprintf("%016x", 11) {
		t.Errorf("got %d documents, the last %+v, want 8 to 10 and the last one", len(all), all[len(all)-1])
	}
	if len(r.Segments("1-00000000-000000000000000000000000")) != 0 {
		t.Error("got segments of another trace, want none")
	}
}

func TestListen_Loopback(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":2000", "nonsense"} {
		if r, err := Listen(Options{Address: address}); err == nil {
			r.Close()
			t.Errorf("%s: got no error", address)
		}
	}
}

func FuzzParse(f *testing.F) {
	seeds := []string{head + document, head, document, head + "{}", ""}
	if _, err := Parse([]byte(seeds[0])); err != nil {
		f.Fatalf("got %v, want a valid seed", err)
	}
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		s, err := Parse(datagram)
		if err == nil && (s.TraceID == "" || s.ID == "" || s.Document == nil) {
			t.Errorf("%q: got %+v, want all fields", datagram, s)
		}
	})
}
