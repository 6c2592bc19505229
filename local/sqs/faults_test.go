package sqs

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFaults_Duplicates(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		s.SetFaults(Faults{DuplicateAfterDelete: 1})
		mustSend(t, s, "q", "x")
		first := mustReceive(t, s, arn, 10, 0)
		if err := s.Delete(arn, first[0].ReceiptHandle); err != nil {
			t.Fatal(err)
		}
		second := mustReceive(t, s, arn, 10, 0)
		if len(second) != 1 || second[0].ID != first[0].ID || second[0].Attributes["ApproximateReceiveCount"] != "2" {
			t.Fatalf("receive after the deletion: got %v, want the message again", second)
		}
		if err := s.Delete(arn, second[0].ReceiptHandle); err != nil {
			t.Fatal(err)
		}
		if n := s.queue("q").messageCounts(); n != [3]int{} {
			t.Errorf("messages left: got %v, want none", n)
		}

		s.SetFaults(Faults{DuplicateInFlight: 1})
		mustSend(t, s, "q", "y")
		one, two := mustReceive(t, s, arn, 10, 0), mustReceive(t, s, arn, 10, 0)
		if len(one) != 1 || len(two) != 1 || one[0].ID != two[0].ID || one[0].ReceiptHandle == two[0].ReceiptHandle {
			t.Fatalf("got %v and %v, want one message twice", one, two)
		}
		if err := s.Delete(arn, one[0].ReceiptHandle, two[0].ReceiptHandle); err != nil {
			t.Fatal(err)
		}
		if n := s.queue("q").messageCounts(); n != [3]int{} {
			t.Errorf("messages left: got %v, want none", n)
		}
		if got := s.Injected(); !maps.Equal(got, map[string]uint64{"DuplicateInFlight": 1}) {
			t.Errorf("injected: got %v", got)
		}
	})
}

// A message that is received twice within its visibility timeout is one message: the handle of either receive deletes
// it, also before the second receive.
func TestFaults_DuplicateInFlight(t *testing.T) {
	for _, test := range []struct {
		name     string
		receives int
		delete   int // by the handle of this receive, from 0
		left     [3]int
	}{
		{"first handle", 2, 0, [3]int{}},
		{"second handle", 2, 1, [3]int{}},
		{"before the second receive", 1, 0, [3]int{}},
		{"handle of the first visibility timeout", 3, 0, [3]int{inFlight: 1}},
		{"handle of the last receive", 3, 2, [3]int{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *Server, arn string) {
				s.SetFaults(Faults{DuplicateInFlight: 1})
				mustSend(t, s, "q", "x")
				var handles []string
				for i := range test.receives {
					if i == 2 { // the third receive follows the end of the visibility timeout
						time.Sleep(30 * time.Second)
					}
					got := mustReceive(t, s, arn, 10, 0)
					if len(got) != 1 || got[0].Attributes["ApproximateReceiveCount"] != fmt.Sprint(i+1) {
						t.Fatalf("receive %d: got %v, want the message, received %d times", i+1, got, i+1)
					}
					handles = append(handles, got[0].ReceiptHandle)
				}
				if got := mustReceive(t, s, arn, 10, 0); test.receives > 1 && len(got) > 0 {
					t.Errorf("one receive more: got %v, want none", got)
				}
				if err := s.Delete(arn, handles[test.delete]); err != nil {
					t.Fatal(err)
				}
				if got := s.queue("q").messageCounts(); got != test.left {
					t.Errorf("messages left: got %v, want %v", got, test.left)
				}
				if err := checkQueue(s.queue("q")); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestFaults_ReorderAndDelay(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		s.SetFaults(Faults{Seed: 1, Reorder: 1})
		var sent, got []string
		for i := range 50 {
			sent = append(sent, fmt.Sprint(i))
		}
		mustSend(t, s, "q", sent...)
		for len(got) < len(sent) {
			for _, m := range mustReceive(t, s, arn, 10, 0) {
				got = append(got, m.Body)
			}
		}
		if slices.Equal(got, sent) {
			t.Error("got the order of sending, want another")
		}
		slices.Sort(got)
		slices.Sort(sent)
		if !slices.Equal(got, sent) {
			t.Errorf("reordered messages: got %v, want %v", got, sent)
		}

		s.SetFaults(Faults{Delay: 1, DelayBy: time.Minute})
		mustSend(t, s, "q", "late")
		due := s.queue("q").byDue.messages
		if i := slices.IndexFunc(due, func(m *message) bool { return m.state == delayed }); i < 0 ||
			time.Until(due[i].due) > time.Minute {
			t.Error("got no delayed message, want a delay of up to a minute")
		}
	})
}

func TestFaults_Entries(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	mustCreate(t, s, "q")
	const batch = `{"QueueUrl":"http://x/000000000000/q","Entries":[{"Id":"1","MessageBody":"1"},{"Id":"2",` +
		`"MessageBody":"2"}]}`
	for kind, c := range map[string]struct {
		faults Faults
		stored int
	}{"EntryRefused": {Faults{EntryRefused: 1}, 0}, "EntryMisjudged": {Faults{EntryMisjudged: 1}, 2}} {
		for _, q := range s.all() {
			q.purged = time.Time{}
			if err := q.purge(); err != nil {
				t.Fatal(err)
			}
		}
		s.SetFaults(c.faults)
		result := do(t, s, "SendMessageBatch", batch)
		failed := result["Failed"].([]any)
		if len(failed) != 2 || result["Successful"] != nil {
			t.Fatalf("got %v, want two failed entries", result)
		}
		if f := failed[0].(map[string]any); f["Code"] != "InternalError" || f["SenderFault"] != false {
			t.Errorf("failed entry: got %v", f)
		}
		if n := s.queue("q").messageCounts()[visible]; n != c.stored {
			t.Errorf("%+v: got %d stored, want %d", c.faults, n, c.stored)
		}
		if got := s.Injected(); !maps.Equal(got, map[string]uint64{kind: 2}) {
			t.Errorf("%s: injected: got %v, want 2", kind, got)
		}
	}
}

func TestFaults_Requests(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		const send = `{"QueueUrl":"http://x/000000000000/q","MessageBody":"x"}`
		stored := func() int { return s.queue("q").messageCounts()[visible] }

		s.SetFaults(Faults{Throttle: 1})
		if e := refusal(t, s, "SendMessage", send); e.Code != "RequestThrottled" || e.Status != http.StatusBadRequest ||
			stored() != 0 {
			t.Errorf("throttled: got %+v, %d stored", e, stored())
		}
		s.SetFaults(Faults{ServerError: 1})
		if e := refusal(t, s, "SendMessage", send); e.Status != http.StatusInternalServerError || stored() != 0 {
			t.Errorf("failed before execution: got %+v, %d stored", e, stored())
		}
		if _, err := s.Receive(t.Context(), arn, 1, 0); err == nil {
			t.Error("Receive: got nil, want an error")
		}
		if err := s.Delete(arn); err == nil {
			t.Error("Delete: got nil, want an error")
		}
		s.SetFaults(Faults{ServerErrorDone: 1})
		if e := refusal(t, s, "SendMessage", send); e.Status != http.StatusInternalServerError || stored() != 1 {
			t.Errorf("failed after execution: got %+v, %d stored", e, stored())
		}
		if _, err := s.Receive(t.Context(), arn, 1, 0); err == nil || s.queue("q").messageCounts()[inFlight] != 1 {
			t.Errorf("Receive failed after execution: got %v, counts %v", err, s.queue("q").messageCounts())
		}
		s.SetFaults(Faults{ServerError: 1, Operations: []string{"DeleteMessage"}})
		do(t, s, "SendMessage", send)
		s.SetFaults(Faults{ServerError: 1, Queues: []string{"other"}})
		do(t, s, "SendMessage", send)

		s.SetFaults(Faults{Latency: 1, LatencyBy: time.Second})
		start := time.Now()
		do(t, s, "SendMessage", send)
		if late := time.Since(start); late <= 0 || late > time.Second {
			t.Errorf("latency: got %v, want up to 1s", late)
		}
		s.SetFaults(Faults{Latency: 1, LatencyBy: time.Hour})
		failed := make(chan error)
		go func() { failed <- s.Delete(arn) }()
		synctest.Wait()
		s.Close()
		if err := <-failed; !errors.Is(err, errClosed) {
			t.Errorf("request during Close: got %v, want errClosed", err)
		}
	})
}

// Equal seeds and equal requests give equal faults. Another seed gives others. The rates are met.
func TestFaults_Repeatable(t *testing.T) {
	run := func(seed uint64) []string {
		s := New(Options{Faults: Faults{Seed: seed, EntryRefused: 0.3, Throttle: 0.2}})
		defer s.Close()
		mustCreate(t, s, "q")
		var outcomes []string
		for i := range 1000 {
			w := answer(s, request("SendMessageBatch", fmt.Sprintf(`{"QueueUrl":"http://x/000000000000/q",`+
				`"Entries":[{"Id":"%d","MessageBody":"x"}]}`, i)))
			switch {
			case w.Code != http.StatusOK:
				outcomes = append(outcomes, "throttled")
			case strings.Contains(w.Body.String(), "Failed"):
				outcomes = append(outcomes, "refused")
			default:
				outcomes = append(outcomes, "stored")
			}
		}
		return outcomes
	}
	one, again, other := run(1), run(1), run(2)
	if !reflect.DeepEqual(one, again) {
		t.Error("same seed: got other outcomes")
	}
	if reflect.DeepEqual(one, other) {
		t.Error("other seed: got the same outcomes")
	}
	counts := map[string]int{}
	for _, event := range one {
		counts[event]++
	}
	// The averages are 200 throttled and 240 refused. The bounds are more than 5 standard deviations away.
	if n := counts["throttled"]; n < 130 || n > 270 {
		t.Errorf("got %d of 1000 throttled, want about 200", n)
	}
	if n := counts["refused"]; n < 170 || n > 310 {
		t.Errorf("got %d of about 800 refused, want about 240", n)
	}
}
