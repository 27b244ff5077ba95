package run

import (
	"context"
	"time"
)

// loadedRuns bounds how many runs Load reads, the newest ones.
const loadedRuns = 1000

// Load is what runs have in front of them.
type Load struct {
	States  map[State]int // runs that have not ended, by state; every such state is there
	Waiting int           // rows of applied runs that are not in the queues of their lanes yet
	// Oldest is when the oldest run with such rows was applied. Zero: there is none.
	Oldest time.Time
}

// Load sums up the newest 1,000 runs that have not ended. It reads runs, and no rows.
func (s *Service) Load(ctx context.Context) (Load, error) {
	load := Load{States: map[State]int{}}
	var open []State
	for _, state := range States() {
		if !state.Ended() {
			open = append(open, state)
			load.States[state] = 0
		}
	}
	runs, err := s.List(ctx, Filter{States: open, N: loadedRuns})
	for _, r := range runs {
		load.States[r.State]++
		if !r.State.Applied() || r.Plan == nil {
			continue
		}
		waiting := r.Plan.Calls() - r.Fed
		if load.Waiting += max(waiting, 0); waiting > 0 && (load.Oldest.IsZero() || r.Applied.Before(load.Oldest)) {
			load.Oldest = r.Applied
		}
	}
	return load, err
}
