package lane

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
)

// rescuers is how many orphans are processed concurrently: a worker with a hundred
// lanes leaves thousands of them, and each costs three round trips.
const rescuers = 8

// orphans finds tasks whose workers are dead and makes them pending again. It replaces
// those that asynq cannot read. Cost: one round trip for all queues while no worker is
// dead.
//
// asynq's own recoverer needs one to two minutes for the same. Both may run.
func (s *sweeper) orphans(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, pollTimeout)
	names := make([]string, len(s.rescued))
	for i, q := range s.rescued {
		names[i] = q.name
	}
	looks := s.repairer.Look(within, names)
	cancel()
	var faults []error
	var rescue errgroup.Group
	rescue.SetLimit(rescuers)
	var mu sync.Mutex // guards what the looks remember
	for i, q := range s.rescued {
		faults = append(faults, unlessDamaged(looks[i].Err))
		for _, orphan := range q.beats.look(looks[i]) {
			rescue.Go(func() error {
				// An orphan whose rescue panics must not stop the others.
				rescue := s.rescue
				if q.lane == nil {
					rescue = s.requeue
				}
				err := s.set.faults.Guard("the rescue of a task", func() error { return rescue(ctx, q, orphan) })
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				q.beats.forget(orphan.ID)
				return nil
			})
		}
	}
	// Only the first fault of the rescues is kept: while Redis is unavailable they are
	// all the same.
	return errors.Join(append(faults, rescue.Wait())...)
}

// damagedTask reports whether an error is about the key of a task, and logs it.
func (s *sweeper) damagedTask(err error) bool {
	damaged, ok := errors.AsType[*backlog.DamagedTaskError](err)
	if ok {
		s.set.Damaged(ledger.Damage{Key: damaged.Key, What: "is not a hash: the task does not run"})
	}
	return ok
}

// rescue makes a task of a dead worker pending again, unless too many workers died
// while they ran it. A task whose key is damaged is taken out of the queue, and its key
// stays. Cost: four round trips.
func (s *sweeper) rescue(ctx context.Context, q *swept, orphan backlog.Orphan) error {
	long, err := s.repairer.TooLong(ctx, q.name, orphan.ID)
	if long { // one at a time: it may have hundreds of megabytes
		s.large.Lock()
		defer s.large.Unlock()
	}
	if s.damagedTask(err) {
		return s.repairer.Park(ctx, q.name, orphan.ID)
	}
	if err != nil {
		return err
	}
	raw, unreadable, err := s.repairer.Unreadable(ctx, q.name, orphan.ID)
	if err != nil {
		return err
	}
	if unreadable {
		return s.replace(ctx, q.name, orphan.ID, raw)
	}
	verdictError, kills, err := s.repairer.Requeue(ctx, q.name, orphan, poisonous)
	if err != nil {
		return err
	}
	switch verdictError {
	case backlog.Requeued:
		q.lane.log.Warn("task of a dead worker made pending again; no attempt is counted", "task", orphan.ID, "queue", q.name, "workers_lost", kills.Times)
		if s.set.observer != nil {
			s.set.observer.Recovered(q.lane.Name())
		}
	case backlog.TooMany:
		return s.archivePoison(ctx, q, orphan, kills)
	case backlog.Moved:
	}
	return nil
}

// requeue makes a task of a queue without a lane pending again, however often its workers
// died. Cost: one round trip.
func (s *sweeper) requeue(ctx context.Context, q *swept, orphan backlog.Orphan) error {
	result, kills, err := s.repairer.Requeue(ctx, q.name, orphan, backlog.Bound{Kills: math.MaxInt32, Forget: time.Hour})
	if err == nil && result == backlog.Requeued {
		s.set.log.Warn("task of a dead worker made pending again", "task", orphan.ID, "queue", q.name, "workers_lost", kills.Times)
	}
	return err
}
