package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/delivery"
)

// printer prints posts. Connection c= is gone, and d= answers with an error of the server.
type printer struct{}

func (printer) Post(_ context.Context, connectionID string, payload []byte) error {
	switch connectionID {
	case "c=":
		return broadcast.Gone(errors.New("410"))
	case "d=":
		return broadcast.Retry(broadcast.ReasonServer, errors.New("500"))
	}
	fmt.Printf("post %s to %s\n", payload, connectionID)
	return nil
}

func (printer) Disconnect(context.Context, string) error { return nil }

func (printer) Claim(context.Context, broadcast.Claim) (broadcast.ClaimResult, error) {
	return broadcast.ClaimResult{Status: broadcast.Claimed}, nil
}

func (printer) Settle(_ context.Context, batchID, _ string, outcomes []broadcast.Outcome, _ string) error {
	o := outcomes[0]
	fmt.Printf("settle %s: %d delivered, %d gone, %d left\n", batchID, o.Delivered, o.Gone, o.Left)
	return nil
}

func (printer) Retry(_ context.Context, b broadcast.Batch, _ time.Duration) error {
	fmt.Printf("retry %s for %v: %s\n", b.ID, b.Connections, b.Reason)
	return nil
}

func (printer) Put(context.Context, broadcast.Record, error) error { return nil }

func (printer) PutBatch(context.Context, broadcast.Batch, error) error { return nil }

func (printer) MarkGone(_ context.Context, connectionID string, at time.Time) (time.Time, error) {
	fmt.Println("mark", connectionID)
	return at, nil
}

func (printer) ClearGone(context.Context, string, time.Time) error { return nil }

func (printer) RemoveGone(context.Context, string, time.Time) (bool, error) { return false, nil }

func (printer) Remove(context.Context, string) error { return nil }

// A sender posts a batch, notes the connections that API Gateway did not know, records the outcome, and only then
// requeues the leftovers: one that failed, and one that will confirm that a connection is gone.
func ExampleSender_Send() {
	var p printer
	s := delivery.Sender{
		Poster: p, Ledger: p, Queue: p, DeadLetters: p, Registry: p,
		Pace: rate.NewLimiter(500, 10), Workers: 1, MaxAttempts: 8, Reserve: 8 * time.Second,
	}
	batch := broadcast.Batch{
		ID: "0/1.0.0", Messages: []broadcast.Message{{ID: "m", Payload: []byte("hello"), Exclude: []string{"b="}}},
		Connections: []string{"a=", "b=", "c=", "d="},
	}
	body, err := batch.Encode()
	if err != nil {
		panic(err)
	}
	result, err := s.Send(context.Background(), broadcast.Record{ID: "record", Body: body, Invocation: "invocation"})
	fmt.Printf("%d gone, %d requeued, %v\n", result.Gone, result.Requeued, err)
	// Output:
	// post hello to a=
	// mark c=
	// settle 0/1.0.0: 1 delivered, 0 gone, 2 left
	// retry 0/1.0.0~0 for [c=]: gone
	// retry 0/1.0.0~1 for [d=]: server_error
	// 0 gone, 2 requeued, <nil>
}
