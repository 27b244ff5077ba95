package sweep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
)

// lostTask is a task that no list of asynq holds, and since when.
type lostTask struct {
	backlog.Unlisted

	since time.Time
}

// findLost finds tasks that no list of asynq holds. Cost: one round trip.
func (s *vanished) findLost(ctx context.Context, r *register, waiting []backlog.Task, now time.Time) error {
	if len(waiting) == 0 {
		return nil
	}
	found, odd, err := backlog.FindUnlisted(ctx, s.Redis, waiting)
	s.reportOdd(odd)
	r.noteLost(found, now)
	return unlessDamaged(err)
}

// relist makes tasks pending again that no list of asynq has held long enough: another
// program removed them, or a list was discarded because it was damaged. No task runs
// twice: the ledger knows what was applied.
func (s *vanished) relist(ctx context.Context, r *register, now time.Time) error {
	var faults []error
	for id, lost := range r.lost {
		if now.Sub(lost.since) < missedFor {
			continue
		}
		done, err := backlog.Relist(ctx, s.Redis, lost.Unlisted)
		if err != nil {
			faults = append(faults, unlessDamaged(err))
			continue
		}
		delete(r.lost, id)
		if done {
			what := "task that no list of asynq held made pending again"
			if lost.Ahead {
				what = "task that waited for a time far ahead made pending again"
			}
			r.log.Warn(what, "task", id, "queue", lost.Queue)
		}
	}
	return errors.Join(faults...)
}

// withoutState reports whether asynq has a task whose state is missing. If no list holds
// it, it is pending again soon.
func (s *vanished) withoutState(ctx context.Context, r *register, task backlog.Task, now time.Time) (bool, error) {
	lost, odd, err := backlog.FindUnlisted(ctx, s.Redis, []backlog.Task{task})
	s.reportOdd(odd)
	r.noteLost(lost, now)
	return len(odd) > 0, err
}

// noteLost notes tasks that no list holds, since now or an earlier look.
func (r *register) noteLost(lost []backlog.Unlisted, now time.Time) {
	for _, l := range lost {
		if _, known := r.lost[l.ID]; !known {
			r.lost[l.ID] = lostTask{l, now}
		}
	}
}

func (s *vanished) reportOdd(odd []backlog.OddState) {
	for _, o := range odd {
		s.Lanes.Damaged(ledger.Damage{Key: backlog.Key(o.Queue, "t:"+o.ID), Entry: "state", What: fmt.Sprintf("its state is %.40q, which asynq does not have", o.State)})
	}
}
