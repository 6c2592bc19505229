//go:build unix

package doctor

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"fanfare/loadtest/timing"
	"fanfare/loadtest/trial"
)

// suspend stops the trial's first worker, a publisher, for d once it has published.
func suspend(ctx context.Context, t *trial.Trial, d time.Duration) error {
	workers := t.Workers()
	if len(workers) == 0 {
		return errors.New("no worker process to stop")
	}
	for {
		p, err := t.Progress()
		if err != nil {
			return err
		}
		if p.Published > 0 {
			break
		}
		if err := timing.Wait(ctx, timing.Now()+20_000); err != nil {
			return fmt.Errorf("wait for the first message: %w", err)
		}
	}
	if err := syscall.Kill(workers[0], syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop worker: %w", err)
	}
	_ = timing.Wait(ctx, timing.Now()+d.Microseconds()) // continue even if interrupted
	if err := syscall.Kill(workers[0], syscall.SIGCONT); err != nil {
		return fmt.Errorf("continue worker: %w", err)
	}
	return nil
}
