package main

import (
	"context"
	"fmt"
	"time"

	"fanfare/loadtest/doctor"
	"fanfare/loadtest/report"
)

type doctorCommand struct {
	URL string `help:"${doctorurl}" placeholder:"ws://host:port"`
}

func (*doctorCommand) Help() string {
	return `Runs small load tests through a relay that injects one fault into each: it drops, duplicates, swaps, corrupts
or misdelivers one delivery, loses a message, closes a connection, or stalls for two seconds. The report must name each
fault, and nothing else; the stall must show the latencies that arithmetic predicts. The last test stops one of the
harness's own processes for a second, which must make the run invalid. Takes 10 to 11 seconds. Exit code 0 if every
fault was found, 1 if not.`
}

func (c *doctorCommand) Run(ctx context.Context) error {
	command, err := workerArgs()
	if err != nil {
		return err
	}
	began := time.Now()
	healthy, err := doctor.Examine(ctx, doctor.Options{URL: c.URL, Command: command, Observe: func(o doctor.Outcome) {
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
		fmt.Println("The harness would miss these faults. Do not trust its reports.")
		return &exit{code: report.ExitFail}
	}
	fmt.Printf("The harness is healthy: every fault was found, and nothing else (%.0f s).\n", time.Since(began).Seconds())
	return nil
}
