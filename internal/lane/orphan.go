package lane

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/backlog"
)

// rescuers is how many orphans are mended at once: a worker at a hundred lanes
// leaves thousands behind, and each costs three round trips.
const rescuers = 8

// orphans looks for tasks whose workers are gone, has them run again, and
// replaces those that asynq cannot read. One round trip for all queues while no
// worker is gone.
//
// asynq's own recoverer takes one to two minutes for the same. Both may run.
func (s *sweeper) orphans(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, lookWithin)
	looks := s.mender.Look(within, s.names)
	cancel()
	var faults []error
	var rescue errgroup.Group
	rescue.SetLimit(rescuers)
	var mu sync.Mutex // of what the looks remember
	for i, q := range s.queues {
		faults = append(faults, looks[i].Err)
		for _, orphan := range q.beats.look(looks[i]) {
			rescue.Go(func() error {
				if err := s.rescue(ctx, q, orphan); err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				q.beats.forget(orphan.ID)
				return nil
			})
		}
	}
	// Of rescues the first fault: while Redis is away they are all the same.
	return errors.Join(append(faults, rescue.Wait())...)
}

// rescue has a task run again whose worker is gone, unless too many died with it.
// Three round trips.
func (s *sweeper) rescue(ctx context.Context, q *swept, orphan backlog.Orphan) error {
	raw, unreadable, err := s.mender.Unreadable(ctx, q.name, orphan.ID)
	if err != nil {
		return err
	}
	if unreadable {
		return s.replace(ctx, q.name, orphan.ID, raw)
	}
	fate, kills, err := s.mender.Requeue(ctx, q.name, orphan, poisonous)
	if err != nil {
		return err
	}
	switch fate {
	case backlog.Requeued:
		q.lane.log.Warn("a task whose worker is gone runs again; no attempt is counted", "task", orphan.ID, "queue", q.name, "workers_lost", kills.Times)
		if s.set.observer != nil {
			s.set.observer.Recovered(q.lane.Name())
		}
	case backlog.TooMany:
		return s.condemn(ctx, q, orphan, kills)
	case backlog.Moved:
	}
	return nil
}
