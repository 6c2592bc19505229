package main

import (
	"os"
	"slices"
	"strings"

	"fanfare/loadtest/report"
)

type compareCommand struct {
	Before string `arg:"" help:"${before}"`
	After  string `arg:"" help:"${after}"`
	Fail   bool   `help:"${fail}"`
}

func (*compareCommand) Help() string {
	return `Examples:
  loadtest compare before.results after.results
  loadtest compare a1.results,a2.results,a3.results b1.results,b2.results,b3.results --fail

A difference counts if it is larger than the spread of the repeats. A single run is divided into five periods, which
count as its repeats.`
}

func (c *compareCommand) Run() error {
	var sides [2][]*report.Report
	for i, list := range []string{c.Before, c.After} {
		for name := range strings.SplitSeq(list, ",") {
			r, err := report.Load([]string{name}, nil)
			if err != nil {
				return &exit{report.ExitUsage, err}
			}
			sides[i] = append(sides[i], r)
		}
	}
	if err := report.WriteComparison(os.Stdout, sides[0], sides[1]); err != nil {
		return err
	}
	for _, row := range report.Compare(sides[0], sides[1]) {
		if c.Fail && row.Beyond && row.Worse {
			return &exit{code: report.ExitFail}
		}
	}
	for _, r := range slices.Concat(sides[0], sides[1]) {
		if c.Fail && r.Verdict == report.Invalid {
			return &exit{code: report.ExitInvalid}
		}
	}
	return nil
}
