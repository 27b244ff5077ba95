package run

import (
	"context"
	"fmt"
	"time"
)

// WaitWhile returns when the run is no longer in a state. It returns an error when ctx ends
// before.
func (s *Service) WaitWhile(ctx context.Context, id string, state State) (Run, error) {
	ticker := time.NewTicker(waitEvery)
	defer ticker.Stop()
	for {
		h, err := s.load(ctx, id)
		if err != nil {
			return Run{}, err
		}
		if h.state() != state {
			return s.Get(ctx, id)
		}
		select {
		case <-ctx.Done():
			return Run{}, fmt.Errorf("wait for run %s: %w", id, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
