package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/queue"
)

// pair is a queue and what becomes of its dead letters.
type pair struct {
	name    string
	letters *queue.DeadLetters
	redrive func(context.Context, queue.Letter) error
}

func (t *target) pairs(ctx context.Context) ([]pair, error) {
	urls := make(map[string]string)
	var errs []error
	for _, name := range []string{"broadcast", "broadcast-dead-letter", "send", "send-dead-letter"} {
		url, err := t.url(ctx, name)
		urls[name] = url
		errs = append(errs, err)
	}
	return []pair{
		{"broadcast", &queue.DeadLetters{Client: t.sqs, URL: urls["broadcast-dead-letter"]}, (&queue.Broadcasts{Client: t.sqs, URL: urls["broadcast"]}).Redrive},
		{"send", &queue.DeadLetters{Client: t.sqs, URL: urls["send-dead-letter"]}, (&queue.Batches{Client: t.sqs, URL: urls["send"]}).Redrive},
	}, errors.Join(errs...)
}

type deadLetters struct{}

// Run lists the dead letters of both queues and leaves them there.
func (c *deadLetters) Run(ctx context.Context, t *target) error {
	pairs, err := t.pairs(ctx)
	if err != nil {
		return err
	}
	total := 0
	for _, p := range pairs {
		if err := p.letters.Each(ctx, func(l queue.Letter) (bool, error) {
			total++
			t.print(p.name, l)
			return false, nil
		}); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.out, "%d dead letters\n", total)
	return nil
}

type redrive struct {
	Reason string `help:"Only letters with this reason."`
	All    bool   `help:"Also what is malformed or too large, which will come back."`
}

// Run sends dead letters back. A letter is deleted only once it is on its queue again.
func (c *redrive) Run(ctx context.Context, t *target) error {
	pairs, err := t.pairs(ctx)
	if err != nil {
		return err
	}
	sent, left := 0, 0
	for _, p := range pairs {
		if err := p.letters.Each(ctx, func(l queue.Letter) (bool, error) {
			if (l.Permanent() && !c.All) || (c.Reason != "" && l.Reason != c.Reason) {
				left++
				return false, nil
			}
			if err := p.redrive(ctx, l); err != nil {
				return false, err
			}
			sent++
			t.print(p.name, l)
			return true, nil
		}); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.out, "%d sent back, %d left\n", sent, left)
	return nil
}

// print writes a line about a letter; never what is in it.
func (t *target) print(from string, l queue.Letter) {
	reason, what := l.Reason, fmt.Sprintf("%d bytes", len(l.Body))
	if reason == "" {
		reason = "too many failed tries"
	}
	if b, err := broadcast.DecodeBatch(l.Body); err == nil {
		what = fmt.Sprintf("%d deliveries of broadcast %s", b.Len(), b.Messages[0].ID)
		if n := len(b.Messages); n > 1 {
			what += fmt.Sprintf(" and %d more", n-1)
		}
	}
	fmt.Fprintf(t.out, "%-10s %s  %s: %s; %s (%s)\n", from, l.SentAt.Format(time.RFC3339), l.Original, what, reason, l.Detail)
}
