package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fanfare/local/stack"
)

// readyFile is the JSON document that --ready-file writes for programs that start the local AWS.
type readyFile struct {
	WebSocket string            `json:"webSocket"` // URL of the first WebSocket API, or "" without one
	AWS       string            `json:"aws"`       // URL of SQS, DynamoDB, Secrets Manager and /_local/
	Outputs   map[string]string `json:"outputs"`   // the stack's outputs by name, with local URLs
}

// writeReadyFile writes the addresses of s to path, or nothing if path is "". It renames a temporary file, so that a
// reader never finds a part of the document.
func writeReadyFile(path string, s *stack.Stack) error {
	if path == "" {
		return nil
	}
	content := readyFile{AWS: s.AWSEndpoint, Outputs: make(map[string]string)}
	if len(s.Endpoints) > 0 {
		content.WebSocket = "ws" + strings.TrimPrefix(s.Endpoints[0], "http")
	}
	for _, output := range s.Resolved.Outputs {
		content.Outputs[output.Name] = s.Local(output.Value)
	}
	data, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the ready file: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("create the ready file: %w", err)
	}
	_, err = file.Write(append(data, '\n'))
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the ready file: %w", err), os.Remove(file.Name()))
	}
	return nil
}

// removeReadyFile removes the file at path. A file that does not exist, or the path "", is no error.
func removeReadyFile(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the ready file: %w", err)
	}
	return nil
}
