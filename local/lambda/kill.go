package lambda

import (
	"fmt"
	"syscall"
)

// Kill kills the processes of a function that run an invocation, as if they had crashed, and returns their number.
// Their invocations fail as after any exit. Processes without an invocation keep running. The only error is
// ErrNotFound.
func (s *Service) Kill(functionName string) (int, error) {
	value, ok := s.functions.Load(functionName)
	if !ok {
		return 0, fmt.Errorf("kill processes of %s: %w", functionName, ErrNotFound)
	}
	f := value.(*function)
	f.mu.Lock()
	all := make([]*process, 0, len(f.all))
	for p := range f.all {
		all = append(all, p)
	}
	f.mu.Unlock()
	killed := 0
	for _, p := range all {
		p.mu.Lock()
		if p.current != nil && p.killErr == nil {
			p.signal(syscall.SIGKILL)
			killed++
		}
		p.mu.Unlock()
	}
	return killed, nil
}
