// Package sweep searches the lanes' queues and records in the background, in every
// worker: for tasks of dead workers, messages that asynq cannot read, tasks that asynq
// archived or lost, dead letters that a later change has replaced, ids without a task,
// damaged keys, and queues that no worker serves.
//
// Each pass is a type in a file of its own, and knows no other. This package must not
// know how a task is carried out or judged.
package sweep

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/lane"
	"rollcall/internal/ledger"
)

// every is how often the queues are searched. A sweep that finds nothing costs four round
// trips for all queues, one more for each organisation's API, and two for each lane that
// has dead letters. Every second one costs two more.
const every = 5 * time.Second

// Sweeper searches the queues of a Set. Use it from one goroutine at a time.
type Sweeper struct {
	lanes  *lane.Set
	passes []pass
}

// pass is one search, at a time of this worker's clock.
type pass struct {
	name string
	run  func(context.Context, time.Time) error
}

// New returns a Sweeper that has seen nothing yet.
func New(cfg Config) *Sweeper {
	c := newCommon(cfg)
	return &Sweeper{lanes: cfg.Lanes, passes: []pass{
		{"the check of the keys", (&keys{common: c}).run},
		{"the sweep for tasks of dead workers", newOrphans(c).run},
		{"the sweep for lanes with dead letters", func(ctx context.Context, _ time.Time) error { return cfg.Lanes.FindDeadLetters(ctx) }},
		{"the sweep of archived tasks", (&archives{common: c, seen: make([]archive, len(c.queues))}).run},
		{"the sweep of corrected dead letters", (&corrections{common: c, cursors: map[*lane.Lane]ledger.Cursor{}}).run},
		{"the sweep for vanished tasks", newVanished(c).run},
		{"the sweep for queues without a worker", (&unserved{common: c}).run},
		{"the sweep for ids without a task", (&stale{common: c, steps: make([]int64, len(c.queues))}).run},
	}}
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.Sweep(ctx, time.Now())
		}
	}
}

// Sweep searches all queues once, at a time of this worker's clock. An error or a panic
// in one pass or queue does not stop the others.
func (s *Sweeper) Sweep(ctx context.Context, now time.Time) {
	var faults []error
	for _, pass := range s.passes {
		faults = append(faults, s.lanes.Guard(pass.name, func() error { return pass.run(ctx, now) }))
	}
	err := errors.Join(faults...)
	if ctx.Err() == nil {
		s.lanes.Outcome("queues not searched for lost tasks; retried at the next sweep", "queues searched for lost tasks again", err)
	}
}
