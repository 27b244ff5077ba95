package lane

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
)

// missedBeats is how many looks in a row must find a task's lease unmoved
// before its worker counts as gone: a worker that lives moves it every 5 s. It
// is looks that are counted and not time, so that an outage of Redis, in which
// no worker could move anything, does not count.
//
// asynq's own recoverer takes one to two minutes for the same. Both may run: the
// script moves a task that is still listed as active, and so does asynq's.
const missedBeats = 5

//go:embed requeue.lua
var requeueLua string

// sighting is what the last look at an active task found.
type sighting struct {
	lease string // "" for none
	looks int    // in a row that found it so
}

// orphans makes those active tasks of a queue pending again whose workers are
// gone. seen remembers the looks before, by task id; it is of this queue alone.
func (s *sweeper) orphans(ctx context.Context, l *Lane, queue string, active []string, seen map[string]sighting) error {
	leases, err := s.set.rdb.ZRangeWithScores(ctx, key(queue, "lease"), 0, -1).Result()
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	held := make(map[string]string, len(leases))
	for _, z := range leases {
		id, _ := z.Member.(string)
		held[id] = strconv.FormatFloat(z.Score, 'f', -1, 64)
	}
	listed := make(map[string]bool, len(active))
	for _, id := range active {
		listed[id] = true
		before := seen[id]
		if before.looks == 0 || before.lease != held[id] {
			seen[id] = sighting{lease: held[id], looks: 1}
			continue
		}
		before.looks++
		seen[id] = before
		if before.looks < missedBeats {
			continue
		}
		keys := []string{key(queue, "active"), key(queue, "lease"), key(queue, "pending"), key(queue, "t:"+id)}
		moved, err := s.requeue.Run(ctx, s.set.rdb, keys, id, before.lease).Int()
		if err != nil {
			return fmt.Errorf("make task %s pending again: %w", id, err)
		}
		delete(seen, id)
		if moved == 1 {
			l.log.Warn("a task whose worker is gone runs again; no attempt is counted", "task", id, "queue", queue)
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

// key is one of asynq's own, by its layout in v0.26; the tests of this package
// fail if it changes.
func key(queue, name string) string { return "asynq:{" + queue + "}:" + name }
