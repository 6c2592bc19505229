package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/queue"
)

// source is a dead-letter queue and the function that sends its letters back.
type source struct {
	name    string
	letters *queue.DeadLetters
	redrive func(context.Context, queue.Letter) error
}

func (t *target) sources(ctx context.Context) ([]source, error) {
	urls := make(map[string]string)
	var errs []error
	for _, name := range []string{
		"broadcast-dead-letter", "continuation", "continuation-dead-letter", "send", "send-dead-letter",
	} {
		url, err := t.url(ctx, name)
		urls[name] = url
		errs = append(errs, err)
	}
	letters := func(name string) *queue.DeadLetters {
		return &queue.DeadLetters{
			Client: t.sqs, URL: urls[name+"-dead-letter"], FromPublishers: name == "broadcast",
		}
	}
	continuations := &queue.Continuations{Client: t.sqs, URL: urls["continuation"]}
	batches := &queue.Batches{Client: t.sqs, URL: urls["send"]}
	return []source{
		{"broadcast", letters("broadcast"), continuations.Redrive},
		{"continuation", letters("continuation"), continuations.Redrive},
		{"send", letters("send"), batches.Redrive},
	}, errors.Join(errs...)
}

type deadLetters struct{}

// Run lists the dead letters of all queues. They stay in the queues.
func (c *deadLetters) Run(ctx context.Context, t *target) error {
	sources, err := t.sources(ctx)
	if err != nil {
		return err
	}
	total := 0
	for _, s := range sources {
		if err := s.letters.Each(ctx, func(l queue.Letter) (bool, error) {
			total++
			t.printLetter(s.name, l)
			return false, nil
		}); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.out, "%d dead letters\n", total)
	return nil
}

type redrive struct {
	Reason string `help:"Send only letters with this reason back."`
	All    bool   `help:"Send permanent failures back too, except cut ones; they fail again."`
}

// Run sends dead letters back. A letter is deleted only after it is on its queue again.
func (c *redrive) Run(ctx context.Context, t *target) error {
	sources, err := t.sources(ctx)
	if err != nil {
		return err
	}
	begin, sent, left := time.Now(), 0, 0
	for _, s := range sources {
		if err := s.letters.Each(ctx, func(l queue.Letter) (bool, error) {
			if l.SentAt.After(begin) {
				return false, nil // sent back here, and failed again
			}
			if l.Incomplete || (l.Permanent() && !c.All) || (c.Reason != "" && l.Reason != c.Reason) {
				left++
				return false, nil
			}
			if err := s.redrive(ctx, l); err != nil {
				return false, err
			}
			sent++
			t.printLetter(s.name, l)
			return true, nil
		}); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.out, "%d sent back, %d left\n", sent, left)
	return nil
}

// tooManyReceives is the reason of a letter that SQS has moved.
const tooManyReceives = "too many failed receives"

// printLetter prints one line about a letter, without its payload.
func (t *target) printLetter(from string, l queue.Letter) {
	reason, what := l.Reason, fmt.Sprintf("%d bytes", len(l.Body))
	if reason == "" {
		reason = tooManyReceives
	}
	switch {
	case l.Size > len(l.Body) && l.Size > broadcast.MaxQueueBytes-4<<10: // the body and all attributes, see Put
		what = fmt.Sprintf("%d bytes, cut to %d; cannot be sent back", l.Size, len(l.Body))
	case l.Size > 0:
		what += ", without its reserved attributes; cannot be sent back"
	}
	if b, err := broadcast.DecodeBatch(l.Body); err == nil {
		what = fmt.Sprintf("%d deliveries of broadcast %s", b.Len(), b.Messages[0].ID)
		if n := len(b.Messages); n > 1 {
			what += fmt.Sprintf(" and %d more", n-1)
		}
	}
	fmt.Fprintf(t.out, "%-12s %s  %s: %s; %s (%s)\n",
		from, l.SentAt.Format(time.RFC3339), l.Original, what, reason, l.Detail)
}
