package wsclient

import (
	"testing"

	"fanfare/test/localtest"
)

// The functions of this file fail the test instead of returning an error. They wait for at most localtest.Deadline.

// Connect dials, and closes the connection when the test ends.
func Connect(t testing.TB, url string, o Options) *Client {
	t.Helper()
	c, err := Dial(localtest.Context(t), url, o)
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(c.Abort)
	return c
}

// MustSend is Send.
func (c *Client) MustSend(t testing.TB, text string) {
	t.Helper()
	if err := c.Send(localtest.Context(t), text); err != nil {
		t.Fatal(err)
	}
}

// MustNext is Next.
func (c *Client) MustNext(t testing.TB) string {
	t.Helper()
	frame, err := c.Next(localtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// MustAwait is Await.
func (c *Client) MustAwait(t testing.TB, payload string) {
	t.Helper()
	if err := c.Await(localtest.Context(t), payload); err != nil {
		t.Fatal(err)
	}
}

// MustAwaitClose is AwaitClose.
func (c *Client) MustAwaitClose(t testing.TB) int {
	t.Helper()
	code, err := c.AwaitClose(localtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// MustReply is Reply.
func (c *Client) MustReply(t testing.TB) Reply {
	t.Helper()
	reply, err := c.Reply(localtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// MustPublish is Publish.
func (c *Client) MustPublish(t testing.TB, text string) Reply {
	t.Helper()
	reply, err := c.Publish(localtest.Context(t), text)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}
