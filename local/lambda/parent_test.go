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

// parentVariable makes the test binary act as the parent that the test kills. Its value is a function's directory.
const parentVariable = "LAMBDA_TEST_PARENT"

// runParent starts three processes of a function, prints their ids, and waits to be killed.
func runParent(dir string) {
	s, err := lambda.New(lambda.Options{})
	if err == nil {
		err = s.Add(lambda.Function{Name: "f", Dir: dir, Timeout: testTimeout})
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
	// One process is busy when the parent is killed.
	go func() { _, _ = s.Invoke(context.Background(), "f", []byte(`{"sleep":60000}`), "") }()
	select {}
}

func TestService_ParentKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux kills child processes with their parent")
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
			t.Fatalf("parent: got line %q, want an answer", lines.Text())
		}
		pids[a.PID] = true
		if !alive(a.PID) {
			t.Errorf("process %d: got ended, want alive while its parent is", a.PID)
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
