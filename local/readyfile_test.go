package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRun_ReadyFile(t *testing.T) {
	dir := t.TempDir()
	template := filepath.Join(dir, "template.yaml")
	if err := os.WriteFile(template, []byte(`
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: work
Outputs:
  QueueUrl:
    Value: !Ref Queue
`), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ready.json")
	if err := os.WriteFile(path, []byte("left behind by a run that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- program{io.Discard, io.Discard}.run(ctx, options{
			Template: template, BuildDir: dir, Speed: 1, Quiet: true, ReadyFile: path,
			Ready: `grep -qs "left behind" "` + path + `" && exit 1 || exit 0`})
	}()

	var got readyFile
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(path)
		if err == nil && json.Unmarshal(data, &got) == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("run ended with %v before it wrote the file", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("run did not write the file within a minute")
		}
	}
	if got.WebSocket != "" || got.AWS == "" {
		t.Errorf("got %+v, want an AWS endpoint and no WebSocket API", got)
	}
	if want := got.AWS + "/000000000000/work"; len(got.Outputs) != 1 || got.Outputs["QueueUrl"] != want {
		t.Errorf("got outputs %v, want QueueUrl %s", got.Outputs, want)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run ended with %v, want no error", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a clean stop the file's status is %v, want %v", err, fs.ErrNotExist)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".ready*")); err != nil || len(left) != 0 {
		t.Errorf("got temporary files %v, %v, want none", left, err)
	}
}
