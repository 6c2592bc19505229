package lambda_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"fanfare/local/lambda"
)

// parentVariable tells the test binary to be the parent that TestParentKilled kills; its value is a function's directory.
const parentVariable = "LAMBDA_TEST_PARENT"

// beParent starts three processes of a function, prints their ids, and waits to be killed.
func beParent(dir string) {
	s, err := lambda.New(lambda.Options{})
	if err == nil {
		err = s.Add(lambda.Function{Name: "f", Dir: dir, Timeout: patience})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	results := make(chan string)
	for range 3 {
		go func() {
			response, err := s.Invoke(context.Background(), "f", []byte(`{"sleep":100}`), "")
			if err != nil {
				response = []byte(err.Error())
			}
			results <- string(response)
		}()
	}
	for range 3 {
		fmt.Println(<-results)
	}
	go func() { _, _ = s.Invoke(context.Background(), "f", []byte(`{"sleep":60000}`), "") }() // one is at work
	select {}
}

func TestParentKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends children with their parent")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), parentVariable+"="+goDir(t))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pids := map[int]bool{}
	lines := bufio.NewScanner(out)
	for range 3 {
		var a answer
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &a) != nil {
			t.Fatalf("the parent said %q", lines.Text())
		}
		pids[a.PID] = true
		if !alive(a.PID) {
			t.Errorf("process %d does not live beside its parent", a.PID)
		}
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for pid := range pids {
		eventually(t, fmt.Sprintf("the end of process %d", pid), func() bool { return !alive(pid) })
	}
}
