package main

import (
	"context"
	"fmt"
	"time"

	"fanfare/loadtest/doctor"
	"fanfare/loadtest/report"
)

type doctorCommand struct {
	URL string `help:"Relay to this server instead of a bare one; it must acknowledge and keep the order." placeholder:"ws://host:port"`
}

func (*doctorCommand) Help() string {
	return `Runs small load tests through a relay that commits one fault each: it drops, doubles, swaps, corrupts or misdelivers one
delivery, loses a message, hangs up, stalls for two seconds. Each must be found and named, and nothing else; the stall must
show the latency curve that arithmetic predicts. At last one of the harness's own processes is stopped for a second, which
must make the run invalid. Takes about fifteen seconds. Exit code 0 if all was found, 1 if not.`
}

func (c *doctorCommand) Run(ctx context.Context) error {
	command, err := workerArgs()
	if err != nil {
		return err
	}
	began := time.Now()
	healthy, err := doctor.Examine(ctx, doctor.Options{URL: c.URL, Command: command, Tell: func(o doctor.Outcome) {
		if o.Err != nil {
			fmt.Printf("NOT FOUND  %-52s %v\n", o.Name, o.Err)
			return
		}
		fmt.Printf("found      %-52s %s\n", o.Name, o.Found)
	}})
	if err != nil {
		return &exit{report.ExitUsage, err}
	}
	if !healthy {
		fmt.Println("The harness would miss these. Do not trust its reports.")
		return &exit{code: report.ExitFail}
	}
	fmt.Printf("The harness is healthy: every fault was found, and nothing else (%.0f s).\n", time.Since(began).Seconds())
	return nil
}
