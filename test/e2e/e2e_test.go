// Package e2e tests the whole system as its users have it: the function binaries that are deployed, behind AWS's
// services as local/ emulates them, with real sockets and the AWS SDK.
package e2e

import (
	"slices"
	"testing"

	"fanfare/test/localtest"
	"fanfare/test/wsclient"
)

// start runs the local AWS with Fanfare's stack and further arguments until the test ends.
func start(t *testing.T, args ...string) *localtest.Process {
	t.Helper()
	return localtest.Start(t, localtest.Options{Args: args})
}

// connect opens a connection until the test ends.
func connect(t *testing.T, p *localtest.Process) *wsclient.Client {
	t.Helper()
	return wsclient.Connect(t, p.WebSocket, wsclient.Options{})
}

// publish sends text and returns the broadcast's id. It fails the test without an acknowledgement.
func publish(t *testing.T, c *wsclient.Client, text string) string {
	t.Helper()
	reply := c.MustPublish(t, text)
	if reply.Type != "ack" || reply.ID == "" {
		t.Fatalf("publish %.40q: got %+v, want an ack with an id", text, reply)
	}
	return reply.ID
}

// broadcasts returns the frames that c has received, without replies.
func broadcasts(c *wsclient.Client) []string {
	return slices.DeleteFunc(c.Frames(), func(frame string) bool {
		_, ok := wsclient.ParseReply(frame)
		return ok
	})
}
