package main

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"fanfare/local/stack"
)

// manual is the documentation that these tests hold against the code.
func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/local.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The manual has a line for each fault and for nothing else.
func TestTheManualListsTheFaults(t *testing.T) {
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `((?:apigateway|sqs|dynamodb|lambda)\\.\\w+)` \\| \\w+ \\| .+ \\|$").FindAllStringSubmatch(manual(t), -1) {
		listed = append(listed, row[1])
	}
	slices.Sort(listed)
	if names := stack.FaultNames(); !slices.Equal(listed, names) {
		t.Errorf("the manual lists\n%v\nand there are\n%v", listed, names)
	}
}
