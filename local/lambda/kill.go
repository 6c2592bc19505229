package lambda

import (
	"fmt"
	"syscall"
)

// Kill kills, as if they had crashed, the processes of a function that are in the middle of an invocation, and returns
// how many there were. Their invocations fail as after any exit; processes without an invocation live on. The error is
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
		if p.current != nil && p.doom == nil {
			p.signal(syscall.SIGKILL)
			killed++
		}
		p.mu.Unlock()
	}
	return killed, nil
}
