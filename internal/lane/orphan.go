package lane

import (
	"context"

	"rollcall/internal/backlog"
)

// missedBeats is how many looks in a row must find a task's lease unmoved
// before its worker counts as gone: a worker that lives moves it every 5 s. It
// is looks that are counted and not time, so that an outage of Redis, in which
// no worker could move anything, does not count.
//
// asynq's own recoverer takes one to two minutes for the same. Both may run.
const missedBeats = 5

// sighting is what the last look at an active task found.
type sighting struct {
	lease string // "" for none
	looks int    // in a row that found it so
}

// orphans makes those active tasks of a queue pending again whose workers are
// gone. seen remembers the looks before, by task id; it is of this queue alone.
func (s *sweeper) orphans(ctx context.Context, l *Lane, queue string, active []backlog.Active, seen map[string]sighting) error {
	listed := make(map[string]bool, len(active))
	for _, task := range active {
		listed[task.ID] = true
		before := seen[task.ID]
		if before.looks == 0 || before.lease != task.Lease {
			seen[task.ID] = sighting{lease: task.Lease, looks: 1}
			continue
		}
		before.looks++
		seen[task.ID] = before
		if before.looks < missedBeats {
			continue
		}
		moved, err := s.mender.Requeue(ctx, queue, task)
		if err != nil {
			return err
		}
		delete(seen, task.ID)
		if moved {
			l.log.Warn("a task whose worker is gone runs again; no attempt is counted", "task", task.ID, "queue", queue)
			if s.set.observer != nil {
				s.set.observer.Recovered(l.Name())
			}
		}
	}
	for id := range seen {
		if !listed[id] {
			delete(seen, id)
		}
	}
	return nil
}
