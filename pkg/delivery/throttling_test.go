package delivery_test

import (
	"fmt"
	"slices"
	"testing"

	"fanfare/pkg/broadcast"
)

// API Gateway answers 429 both when the rate is exceeded and when a client's buffer is full. Every batch is sent until
// it has no leftovers, by one process.
func TestSender_Throttled(t *testing.T) {
	each := func(answer error, ids ...string) map[string][]error {
		answers := make(map[string][]error)
		for _, id := range ids {
			answers[id] = []error{answer}
		}
		return answers
	}
	others := func(n int) []string { return connections(n + 500)[500:] }
	for _, test := range []struct {
		name        string
		before      []string           // connections of an earlier batch, all of which receive it
		left        []string           // connections of an earlier batch at its second attempt
		batch       broadcast.Batch    // of one message if it has none
		answers     map[string][]error // by connection and post; the last one is repeated, nil is success
		failed      map[string][]string
		deadLetters []string
	}{
		{
			name:    "the leftovers are stalled clients, and one whose post exceeded the rate",
			batch:   broadcast.Batch{Connections: append(connections(9), "s1", "s2", "s3", "unlucky")},
			answers: map[string][]error{"s1": {throttled}, "s2": {throttled}, "s3": {throttled}, "unlucky": {throttled, nil}},
			failed:  map[string][]string{broadcast.ReasonBufferFull: {"s1", "s2", "s3"}},
		},
		{
			name:        "the last attempt for a stalled client fails in another way",
			batch:       broadcast.Batch{Connections: append(connections(9), "s1", "s2")},
			answers:     map[string][]error{"s1": {throttled, throttled, server}, "s2": {throttled, server, server, server}},
			failed:      map[string][]string{broadcast.ReasonBufferFull: {"s1"}, broadcast.ReasonServer: {"s2"}},
			deadLetters: []string{"s2"}, // one 429 counts less than two 5xx
		},
		{
			name:        "a client that takes one message at each attempt is not stalled",
			batch:       broadcast.Batch{Messages: messages("k", "l", "m", "n"), Connections: append(connections(9), "slow")},
			answers:     map[string][]error{"slow": {nil, throttled, nil, throttled, nil, throttled}},
			failed:      map[string][]string{broadcast.ReasonThrottled: {"slow"}},
			deadLetters: []string{"slow"},
		},
		{
			name:    "a stalled client fails in another way first, then is alone in its batch",
			batch:   broadcast.Batch{Connections: append(connections(9), "s1")},
			answers: map[string][]error{"s1": {server, throttled}},
			failed:  map[string][]string{broadcast.ReasonBufferFull: {"s1"}},
		},
		{
			name:    "a batch of stalled clients only, after posts to others succeeded",
			before:  others(3),
			batch:   broadcast.Batch{Connections: []string{"s1", "s2"}},
			answers: each(throttled, "s1", "s2"),
			failed:  map[string][]string{broadcast.ReasonBufferFull: {"s1", "s2"}},
		},
		{
			name: "a new process, leftovers of an earlier one: most are refused again",
			batch: broadcast.Batch{
				ID: "b~0", Attempt: 1, Full: 1, Reason: broadcast.ReasonBufferFull, Connections: []string{"s1", "s2", "healthy"},
			},
			answers: each(throttled, "s1", "s2"),
			failed:  map[string][]string{broadcast.ReasonBufferFull: {"s1", "s2"}},
		},
		{
			name:    "a new process, leftovers of another failure: a stalled client",
			batch:   broadcast.Batch{ID: "b~0", Attempt: 1, Reason: broadcast.ReasonServer, Connections: []string{"s1"}},
			answers: each(throttled, "s1"),
			failed:  map[string][]string{broadcast.ReasonBufferFull: {"s1"}},
		},
		{
			name: "a new process, after failed leftovers of others, which are not in the sample",
			left: []string{"s2", "s3"},
			batch: broadcast.Batch{
				ID: "b~0", Attempt: 1, Full: 1, Reason: broadcast.ReasonBufferFull, Connections: []string{"s1"},
			},
			answers: each(throttled, "s1", "s2", "s3"),
			failed:  map[string][]string{broadcast.ReasonBufferFull: {"s1"}},
		},
		{
			name: "a new process, leftovers of an exceeded rate",
			batch: broadcast.Batch{
				ID: "b~0", Attempt: 1, Reason: broadcast.ReasonThrottled, Connections: []string{"a", "b"},
			},
			answers:     each(throttled, "a", "b"),
			failed:      map[string][]string{broadcast.ReasonThrottled: {"a", "b"}},
			deadLetters: []string{"a", "b"},
		},
		{
			name:        "the rate is exceeded for all",
			batch:       broadcast.Batch{Connections: connections(4)},
			answers:     each(throttled, connections(4)...),
			failed:      map[string][]string{broadcast.ReasonThrottled: connections(4)},
			deadLetters: connections(4),
		},
		{
			name:        "the rate is exceeded for all from now on",
			before:      others(300),
			batch:       broadcast.Batch{Connections: connections(200)},
			answers:     each(throttled, connections(200)...),
			failed:      map[string][]string{broadcast.ReasonThrottled: connections(200)},
			deadLetters: connections(200),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			if test.before != nil {
				b := broadcast.Batch{ID: "before", Messages: messages("before"), Connections: test.before}
				if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
					t.Fatal(err)
				}
			}
			for id, answers := range test.answers {
				w.clients.answers[id] = func(post int) error { return answers[min(post, len(answers))-1] }
			}
			if test.left != nil {
				b := broadcast.Batch{
					ID: "left~0", Attempt: 1, Reason: broadcast.ReasonServer, Messages: messages("left"), Connections: test.left,
				}
				if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
					t.Fatal(err)
				}
			}
			if test.batch.Messages == nil {
				test.batch.Messages = messages("m")
			}
			if test.batch.ID == "" {
				test.batch.ID = "b"
			}
			failed := make(map[string][]string)
			for sent := []broadcast.Batch{test.batch}; len(sent) > 0; sent = sent[1:] {
				b, retried := sent[0], len(w.sinks.retried)
				if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
					t.Fatal(err)
				}
				sent = append(sent, w.sinks.retried[retried:]...)
				if b.Attempt == 2 {
					for reason := range w.ledger.outcomes[b.Messages[len(b.Messages)-1].ID+"/"+b.ID].Failed {
						failed[reason] = append(failed[reason], b.Connections...)
					}
				}
			}
			w.checkSums(t)
			var deadLetters []string
			for _, b := range w.sinks.deadLetters {
				deadLetters = append(deadLetters, b.Connections...)
				if b.Full != 0 {
					t.Errorf("dead letter %s: got %d full buffers, want 0", b.ID, b.Full)
				}
			}
			for _, ids := range failed {
				slices.Sort(ids)
			}
			slices.Sort(deadLetters)
			if fmt.Sprint(failed) != fmt.Sprint(test.failed) {
				t.Errorf("got failed %v, want %v", failed, test.failed)
			}
			if !slices.Equal(deadLetters, test.deadLetters) {
				t.Errorf("got dead letters %v, want %v", deadLetters, test.deadLetters)
			}
		})
	}
}
