package sweep

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
)

// stale removes the ids of tasks that a person deleted in Redis: asynqmon fails for all
// queues while one is listed. The dead letter of such a task is written by another pass,
// which finds it among the open tasks.
type stale struct {
	common

	steps []int64 // position of the search, by queue
}

// run continues through the lists of all queues. Cost: one round trip.
func (s *stale) run(ctx context.Context, _ time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var faults []error
	for i, found := range backlog.RemoveStale(ctx, s.Redis, s.names, s.steps) {
		s.steps[i] = found.Next
		faults = append(faults, unlessDamaged(found.Err))
		for _, id := range found.Damaged {
			s.Lanes.Damaged(ledger.Damage{Key: backlog.Key(s.names[i], "t:"+id), What: "is not a hash: the task was taken out of its queue"})
		}
		for state, ids := range found.Tasks {
			s.queues[i].log.Warn("ids without a task removed from a queue; their tasks were deleted in Redis",
				"queue", s.names[i], "key", backlog.Key(s.names[i], state), "state", state, "count", len(ids), "first", ids[0])
		}
	}
	return errors.Join(faults...)
}
