package lane

import (
	"context"
	"errors"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
)

// stale continues through the lists of all queues and removes the ids of tasks that a
// person deleted in Redis: asynqmon fails for all queues while one is listed. The dead
// letter of such a task is written by another pass, which finds it among the open
// tasks. Cost: one round trip.
func (s *sweeper) stale(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	var faults []error
	for i, found := range backlog.RemoveStale(within, s.set.rdb, s.names, s.steps) {
		s.steps[i] = found.Next
		faults = append(faults, unlessDamaged(found.Err))
		for _, id := range found.Damaged {
			s.set.Damaged(ledger.Damage{Key: backlog.Key(s.names[i], "t:"+id), What: "is not a hash: the task was taken out of its queue"})
		}
		for state, ids := range found.Tasks {
			s.queues[i].lane.log.Warn("ids without a task removed from a queue; their tasks were deleted in Redis",
				"queue", s.names[i], "key", backlog.Key(s.names[i], state), "state", state, "count", len(ids), "first", ids[0])
		}
	}
	return errors.Join(faults...)
}
