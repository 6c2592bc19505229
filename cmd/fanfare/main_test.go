package main

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestReport_MuteEndpoint checks that the report ends at an endpoint that accepts connections and never answers.
func TestReport_MuteEndpoint(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := command{Prefix: "websocket", Local: true, Endpoint: "http://" + l.Addr().String(), Timeout: minTimeout}
	target, err := c.target(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	target.out = io.Discard
	ended := make(chan error, 1)
	go func() { ended <- (&report{ID: "id"}).Run(t.Context(), target) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("got nil, want an error")
		}
	case <-time.After(time.Minute):
		t.Error("got no end within a minute, want an error after three timeouts")
	}
}

func TestCommand_Timeout(t *testing.T) {
	for _, timeout := range []time.Duration{0, -time.Second, time.Second} {
		if _, err := (command{Timeout: timeout}).target(t.Context()); err == nil {
			t.Errorf("%v: got nil, want an error", timeout)
		}
	}
}
