package lane

import (
	"context"
	"errors"

	"rollcall/internal/backlog"
)

// stale goes on through the lists of all queues and removes ids whose tasks
// somebody deleted in Redis: asynqmon fails for all queues while one is listed.
// The dead letter of such a task is another pass': it is missing among those that
// have not ended. One round trip.
func (s *sweeper) stale(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	var faults []error
	for i, found := range backlog.RemoveStale(within, s.set.rdb, s.names, s.steps) {
		s.steps[i] = found.Next
		faults = append(faults, found.Err)
		for state, ids := range found.Tasks {
			s.queues[i].lane.log.Warn("ids without a task removed from a queue: their tasks were deleted in Redis",
				"queue", s.names[i], "state", state, "count", len(ids), "first", ids[0])
		}
	}
	return errors.Join(faults...)
}
