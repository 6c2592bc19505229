package wsclient

import (
	"context"
	"testing"

	"fanfare/test/localtest"
)

// The functions of this file fail the test instead of returning an error, after at most localtest.Deadline. Like
// t.Fatal they must be called from the test's goroutine.

// Connect dials, and resets the connection when the test ends.
func Connect(t testing.TB, url string, o Options) (c *Client) {
	t.Helper()
	must(t, func(ctx context.Context) (err error) {
		c, err = Dial(ctx, url, o)
		return err
	})
	t.Cleanup(c.Abort)
	return c
}

// MustSend is Send.
func (c *Client) MustSend(t testing.TB, text string) {
	t.Helper()
	must(t, func(ctx context.Context) error { return c.Send(ctx, text) })
}

// MustNext is Next.
func (c *Client) MustNext(t testing.TB) (frame string) {
	t.Helper()
	must(t, func(ctx context.Context) (err error) {
		frame, err = c.Next(ctx)
		return err
	})
	return frame
}

// MustAwait is Await.
func (c *Client) MustAwait(t testing.TB, payload string) {
	t.Helper()
	must(t, func(ctx context.Context) error { return c.Await(ctx, payload) })
}

// MustAwaitClose is AwaitClose.
func (c *Client) MustAwaitClose(t testing.TB) (code int) {
	t.Helper()
	must(t, func(ctx context.Context) (err error) {
		code, err = c.AwaitClose(ctx)
		return err
	})
	return code
}

// MustReply is Reply.
func (c *Client) MustReply(t testing.TB) (reply Reply) {
	t.Helper()
	must(t, func(ctx context.Context) (err error) {
		reply, err = c.Reply(ctx)
		return err
	})
	return reply
}

// MustPublish is Publish.
func (c *Client) MustPublish(t testing.TB, text string) (reply Reply) {
	t.Helper()
	must(t, func(ctx context.Context) (err error) {
		reply, err = c.Publish(ctx, text)
		return err
	})
	return reply
}

func must(t testing.TB, do func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), localtest.Deadline)
	defer cancel()
	if err := do(ctx); err != nil {
		t.Fatal(err)
	}
}
