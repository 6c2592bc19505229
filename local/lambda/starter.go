package lambda

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// starter starts processes, all from one thread. The kernel's promise to kill a child when its parent dies is tied to
// the thread that started it, and Go ends threads as it sees fit; this one lives as long as the service.
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
	runtime.LockOSThread() // and never unlocked, so that the thread ends with this goroutine and not before
	defer close(s.ended)
	for cmd := range s.commands {
		s.results <- cmd.Start()
	}
}

// start starts the command that build makes. While its file is being written ("text file busy": a build, or
// another thread's fork that still holds it open) it tries again, for a second.
func (s *starter) start(build func() *exec.Cmd) (*exec.Cmd, error) {
	const tries, pause = 50, 20 * time.Millisecond
	for try := 1; ; try++ {
		cmd := build() // a Cmd cannot be started twice
		s.commands <- cmd
		err := <-s.results // of this command: nobody else's is taken before
		if err == nil {
			return cmd, nil
		}
		if !errors.Is(err, syscall.ETXTBSY) || try == tries {
			return nil, err
		}
		time.Sleep(pause)
	}
}

// stop ends the thread. Every process must have ended.
func (s *starter) stop() {
	close(s.commands)
	<-s.ended
}
