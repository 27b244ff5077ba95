package sweep

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/backlog"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
)

// rescuers is how many orphans are processed concurrently: a worker with a hundred
// lanes leaves thousands of them, and each costs three round trips.
const rescuers = 8

// orphans finds tasks whose workers are dead and makes them pending again. It replaces
// those that asynq cannot read.
//
// asynq's own recoverer needs one to two minutes for the same. Both may run.
type orphans struct {
	common // its queues are those without a lane, too

	client *asynq.Client
	beats  []beats    // by queue
	large  sync.Mutex // held while a long message is in memory
}

func newOrphans(c common) *orphans {
	c.queues, c.names = slices.Clone(c.queues), slices.Clone(c.names)
	for _, name := range c.Rescue {
		c.add(queue{name: name, log: c.Log})
	}
	return &orphans{common: c, client: asynq.NewClientFromRedisClient(backlog.Tolerant(c.Redis)), beats: make([]beats, len(c.queues))}
}

// run looks at all queues. Cost: one round trip while no worker is dead.
func (s *orphans) run(ctx context.Context, _ time.Time) error {
	within, cancel := context.WithTimeout(ctx, lookTimeout)
	looks := s.repairer.Look(within, s.names)
	cancel()
	var faults []error
	var rescue errgroup.Group
	rescue.SetLimit(rescuers)
	var mu sync.Mutex // guards what the looks remember
	for i, q := range s.queues {
		faults = append(faults, unlessDamaged(looks[i].Err))
		for _, orphan := range s.beats[i].look(looks[i]) {
			rescue.Go(func() error {
				// An orphan whose rescue panics must not stop the others.
				rescue := s.rescue
				if q.lane == nil {
					rescue = s.requeue
				}
				err := s.Lanes.Guard("the rescue of a task", func() error { return rescue(ctx, q, orphan) })
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				s.beats[i].forget(orphan.ID)
				return nil
			})
		}
	}
	// Only the first fault of the rescues is kept: while Redis is unavailable they are
	// all the same.
	return errors.Join(append(faults, rescue.Wait())...)
}

// rescue makes a task of a dead worker pending again, unless too many workers died
// while they ran it. A task whose key is damaged is taken out of the queue, and its key
// stays. Cost: four round trips.
func (s *orphans) rescue(ctx context.Context, q queue, orphan backlog.Orphan) error {
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
	result, kills, err := s.repairer.Requeue(ctx, q.name, orphan, poisonous)
	if err != nil {
		return err
	}
	switch result {
	case backlog.Requeued:
		q.log.Warn("task of a dead worker made pending again; no attempt is counted", "task", orphan.ID, "queue", q.name, "workers_lost", kills.Times)
		s.Observer.Recovered(q.lane.Name())
	case backlog.TooMany:
		return s.archivePoison(ctx, q, orphan, kills)
	case backlog.Moved:
	}
	return nil
}

// requeue makes a task of a queue without a lane pending again, however often its workers
// died. One that cannot be read is removed once its owner has made it again. Cost: two
// round trips.
func (s *orphans) requeue(ctx context.Context, q queue, orphan backlog.Orphan) error {
	_, unreadable, err := s.repairer.Unreadable(ctx, q.name, orphan.ID)
	switch {
	case s.damagedTask(err):
		return s.repairer.Park(ctx, q.name, orphan.ID)
	case err != nil:
		return err
	case unreadable:
		s.Lanes.Damaged(ledger.Damage{Key: backlog.Key(q.name, "t:"+orphan.ID), Entry: "msg", What: "is not a message of asynq: the task is removed"})
		if s.Restore != nil {
			if err := s.Restore(ctx, q.name, orphan.ID); err != nil {
				return err
			}
		}
		return s.repairer.Unlist(ctx, q.name, orphan.ID)
	}
	result, kills, err := s.repairer.Requeue(ctx, q.name, orphan, backlog.Bound{Kills: math.MaxInt32, Forget: time.Hour})
	if err == nil && result == backlog.Requeued {
		q.log.Warn("task of a dead worker made pending again", "task", orphan.ID, "queue", q.name, "workers_lost", kills.Times)
	}
	return err
}

// replace stores the stand-in first and removes the message second: a crash in between
// leaves both rather than neither.
func (s *orphans) replace(ctx context.Context, queue, id string, raw []byte) error {
	task, err := lane.StandIn(queue, id, raw)
	if err != nil {
		return err
	}
	_, err = s.client.EnqueueContext(ctx, task, asynq.Queue(queue), asynq.TaskID("undecodable-"+id), asynq.MaxRetry(1))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("keep message %s: %w", id, err)
	}
	return s.repairer.Unlist(ctx, queue, id)
}
