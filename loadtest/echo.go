package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"fanfare/loadtest/echo"
	"fanfare/loadtest/report"
	"fanfare/loadtest/vitals"
)

type echoCommand struct {
	Addr      string `help:"${addr}" default:"127.0.0.1:9001"`
	Silent    bool   `help:"Do not acknowledge messages."`
	Processes int    `help:"${echoprocesses}" default:"1"`
	Share     bool   `hidden:"" help:"Run as one of several processes (echo starts them)."`
}

func (*echoCommand) Help() string {
	return `The bare server only broadcasts: it stores nothing and retries nothing, so no WebSocket system can be much
faster. Results against it show the limit of the harness on this machine.

Example with 30,000 clients, the server and the harness in two processes each:
  loadtest echo --processes 2 &
  loadtest run --url ws://127.0.0.1:9001 -c 30000 --processes 2 --ramp 3000 -r 0.5 -d 20s`
}

func (c *echoCommand) Run(ctx context.Context) error {
	vitals.RaiseFileLimit()
	if c.Share {
		return echo.Share(ctx, os.Stdin, os.Stdout, os.NewFile(3, "listener"), echo.Options{Silent: c.Silent})
	}
	host, _, err := net.SplitHostPort(c.Addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return &exit{report.ExitUsage, fmt.Errorf("--addr %q: want a loopback address such as 127.0.0.1:9001", c.Addr)}
	}
	if c.Processes < 1 {
		return usage("--processes: want 1 or more")
	}
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return &exit{report.ExitUsage, err}
	}
	fmt.Printf("Bare broadcast server  ws://%s\n", l.Addr())
	if c.Processes > 1 {
		self, err := os.Executable()
		if err != nil {
			return errors.Join(err, l.Close())
		}
		args := []string{self, "echo", "--share"}
		if c.Silent {
			args = append(args, "--silent")
		}
		return echo.Spread(ctx, l, c.Processes, args)
	}
	s := echo.New(echo.Options{Silent: c.Silent})
	context.AfterFunc(ctx, s.Close)
	return s.Serve(l)
}
