package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"fanfare/pkg/ledger"
)

// Prices in dollars, list prices of us-east-1 in November 2026; other Regions differ a little.
// Sources: the pricing pages of API Gateway, SQS, DynamoDB and Lambda.
const (
	pricePost     = 1.00 / 1e6   // a WebSocket message of up to 32 KB
	priceSQS      = 0.40 / 1e6   // a request of up to 64 KB
	priceWrite    = 0.625 / 1e6  // a DynamoDB write request unit
	priceRequest  = 0.20 / 1e6   // a Lambda invocation
	priceGBSecond = 0.0000133334 // arm64
	senderGB      = 512.0 / 1024 // the sender's memory
	secondPerPost = 1.0 / 500    // time of a sender per post at its default pace
	batchRequests = 3            // sent, received, deleted
	batchWrites   = 1 + 2        // claimed; settled in a transaction, which costs twice
)

type report struct {
	ID   string `arg:"" help:"Id of the broadcast: from the acknowledgement, the attribute broadcastId, or the MessageId."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// letterTime bounds the search of the dead-letter queues.
const letterTime = 20 * time.Second

// deadLetter is a dead letter of a broadcast, in a report as JSON.
type deadLetter struct {
	Queue  string    `json:"queue"` // broadcast, continuation or send
	Reason string    `json:"reason"`
	Detail string    `json:"detail"`
	SentAt time.Time `json:"sentAt"`
}

// Run prints the report. If deliveries are missing, or the ledger does not have the broadcast, it also searches the
// dead-letter queues.
func (c *report) Run(ctx context.Context, t *target) error {
	if c.ID == "" {
		return errors.New("the id of the broadcast is missing")
	}
	r, err := (&ledger.Table{Client: t.dynamodb, Name: t.prefix + "_broadcasts"}).Report(ctx, c.ID)
	if err != nil {
		return err
	}
	var letters []deadLetter
	if !r.Dispatched || r.Outstanding > 0 || r.AllFailed() > 0 {
		if letters, err = t.lettersOf(ctx, c.ID); err != nil {
			fmt.Fprintln(os.Stderr, "fanfare: the search of the dead-letter queues is not complete:", err)
		}
	}
	if r.Unknown() && len(letters) == 0 {
		return fmt.Errorf("the ledger has nothing of broadcast %q, and no dead-letter queue holds it: it is not dispatched "+
			"yet, it is more than a day old, or the id belongs to another stack", c.ID)
	}
	if c.JSON {
		out := json.NewEncoder(t.out)
		out.SetIndent("", "  ")
		return out.Encode(struct {
			ledger.Report
			DeadLetters []deadLetter `json:"deadLetters,omitempty"`
		}{r, letters})
	}
	t.print(r, letters)
	return nil
}

// lettersOf returns the dead letters of a broadcast. It searches all dead-letter queues at once, for at most
// letterTime.
func (t *target) lettersOf(ctx context.Context, id string) ([]deadLetter, error) {
	sources, err := t.sources(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, letterTime)
	defer cancel()
	found := make([][]deadLetter, len(sources))
	errs := make([]error, len(sources))
	var group sync.WaitGroup
	for i, s := range sources {
		group.Go(func() {
			letters, err := s.letters.Find(ctx, id)
			errs[i] = err
			for _, l := range letters {
				reason := cmp.Or(l.Reason, tooManyReceives)
				found[i] = append(found[i], deadLetter{Queue: s.name, Reason: reason, Detail: l.Detail, SentAt: l.SentAt})
			}
		})
	}
	group.Wait()
	return slices.Concat(found...), errors.Join(errs...)
}

// print prints a report. If the ledger does not have the broadcast, it prints the dead letters only.
func (t *target) print(r ledger.Report, letters []deadLetter) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t.out, "%-14s%s\n", name, fmt.Sprintf(format, args...))
	}
	line("broadcast", "%s", r.BroadcastID)
	if r.Unknown() {
		line("dispatched", "no")
	}
	for _, l := range letters {
		line("dead letter", "%s of the %s queue: %s (%s)", l.SentAt.Format(time.RFC3339), l.Queue, l.Reason, l.Detail)
	}
	if r.Unknown() {
		return
	}
	progress := "not to everyone yet"
	if r.Dispatched {
		progress = "to everyone"
	}
	line("dispatched", "%s, %s", r.PlannedAt.Format(time.RFC3339Nano), progress)
	line("audience", "%d", r.Audience)
	line("delivered", "%d", r.Delivered)
	line("gone", "%d", r.Gone)
	line("failed", "%d", r.AllFailed())
	for _, reason := range slices.Sorted(maps.Keys(r.Failed)) {
		line("", "%d %s", r.Failed[reason], reason)
	}
	line("outstanding", "%d", r.Outstanding)
	line("repeated", "at most %d", r.AllRepeatable())
	for _, cause := range slices.Sorted(maps.Keys(r.Repeatable)) {
		line("", "%d %s", r.Repeatable[cause], cause)
	}
	line("posts", "%d, of which %d were retries", r.Posts, r.Retries)
	if !r.First.IsZero() {
		line("first", "%s", r.First.Format(time.RFC3339Nano))
		line("last", "%s, %v later", r.Last.Format(time.RFC3339Nano), r.Last.Sub(r.First))
	}
	line("cost", "about $%.6f (posts of up to 32 KB; list prices of us-east-1, November 2026)", cost(r))
}

// cost estimates the price of the broadcast on AWS in dollars: the posts, which are nearly all of it, and the batches.
func cost(r ledger.Report) float64 {
	posts, batches := float64(r.Posts), float64(r.Batches)
	return posts*(pricePost+priceGBSecond*senderGB*secondPerPost) +
		batches*(batchRequests*priceSQS+batchWrites*priceWrite+priceRequest) +
		float64(r.Plans)*2*priceWrite + batchRequests*priceSQS + priceRequest
}
