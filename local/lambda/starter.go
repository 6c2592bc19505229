package lambda

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// starter starts processes from a single thread. The kernel kills a child when the thread that started it ends
// (PR_SET_PDEATHSIG), and Go ends threads at will; this thread lives as long as the service.
type starter struct {
	commands chan *exec.Cmd
	results  chan error
	ended    chan struct{}
}

func newStarter() *starter {
	s := &starter{commands: make(chan *exec.Cmd), results: make(chan error), ended: make(chan struct{})}
	go s.run()
	return s
}

func (s *starter) run() {
	runtime.LockOSThread() // never unlocked, so that the thread ends with this goroutine and not before
	defer close(s.ended)
	for cmd := range s.commands {
		s.results <- cmd.Start()
	}
}

// start starts the command that build returns. It retries for a second while the kernel reports that the file is being
// written (ETXTBSY): a build is running, or a fork in another thread still holds the file open.
func (s *starter) start(build func() *exec.Cmd) (*exec.Cmd, error) {
	const tries, pause = 50, 20 * time.Millisecond
	for try := 1; ; try++ {
		cmd := build() // a Cmd can be started only once
		s.commands <- cmd
		err := <-s.results // belongs to cmd: run handles one command at a time
		if err == nil {
			return cmd, nil
		}
		if !errors.Is(err, syscall.ETXTBSY) || try == tries {
			return nil, err
		}
		time.Sleep(pause)
	}
}

// stop ends the thread. All processes must have ended.
func (s *starter) stop() {
	close(s.commands)
	<-s.ended
}
