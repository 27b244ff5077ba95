package sweep

import (
	"context"
	"errors"
	"slices"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
)

const (
	// unservedEvery is how often the sweeper searches for queues that no worker serves.
	// Cost: two round trips, and two more if there are any.
	unservedEvery = 30 * time.Second
	// unservedAfter is how long no worker must have published a lane: workers publish
	// every minute.
	unservedAfter = 3 * time.Minute
)

// unserved finds queues of any version's lanes that contain tasks and that no worker
// serves. Every worker searches: it is rare and needs no coordination.
type unserved struct {
	common

	looked time.Time
	lanes  map[string]published // lanes, by name
	logged map[string]int64     // the unserved queues, and their tasks
}

// published is when a lane was last published. seen is by the clock of the worker that
// published it, and distinguishes one publication from the next. moved is by this
// worker's clock.
type published struct{ seen, moved time.Time }

func (s *unserved) run(ctx context.Context, now time.Time) error {
	if now.Sub(s.looked) < unservedEvery {
		return nil
	}
	s.looked = now
	found, err := s.readUnserved(ctx, now)
	if err != nil {
		s.lanes = nil // no worker could publish during an outage
		return err
	}
	sum := int64(0)
	for queue, n := range found {
		sum += n
		if _, notified := s.logged[queue]; !notified {
			s.Log.Warn("no worker serves this queue: start a worker that serves the lane, or delete its tasks in the web UI",
				"queue", queue, "tasks", n)
		}
	}
	for queue := range s.logged {
		if _, still := found[queue]; !still {
			s.Log.Warn("queue is served again, or empty", "queue", queue)
		}
	}
	s.logged = found
	s.Observer.Unserved(len(found), sum)
	return nil
}

// readUnserved counts the tasks in unserved queues, by queue.
func (s *unserved) readUnserved(ctx context.Context, now time.Time) (map[string]int64, error) {
	queues, err := backlog.Queues(ctx, s.Redis)
	if err != nil {
		return s.logged, unlessDamaged(err)
	}
	lanes, err := registry.Read(ctx, s.Redis, time.Time{})
	if err != nil {
		return s.logged, unlessDamaged(err)
	}
	queues = slices.DeleteFunc(queues, func(queue string) bool { return slices.Contains(s.names, queue) })
	silent := s.silent(queues, lanes, now)
	found := map[string]int64{}
	if len(silent) == 0 {
		return found, nil
	}
	read, err := backlog.Read(ctx, s.Redis, silent)
	if damaged, ok := errors.AsType[*backlog.DamagedError](err); ok {
		for queue, key := range damaged.Keys {
			s.Lanes.Damaged(ledger.Damage{Key: key, What: "has another type: queue " + queue + " is skipped"})
		}
	} else if err != nil {
		return nil, err
	}
	for _, q := range read {
		if n := q.Waiting(); n > 0 {
			found[q.Name] = n
		}
	}
	return found, nil
}

// silent returns those queues whose lanes no worker has published for a while.
func (s *unserved) silent(queues []string, lanes []registry.Lane, now time.Time) []string {
	received := map[string]published{}
	var silent []string
	for _, queue := range queues {
		l, ok := registry.OfQueue(queue, lanes)
		if !ok {
			continue
		}
		name := registry.Queue(l.Tenant, l.Kind, false)
		p, before := s.lanes[name]
		if !before || !p.seen.Equal(l.Seen) {
			p = published{seen: l.Seen, moved: now}
		}
		received[name] = p
		if now.Sub(p.moved) >= unservedAfter {
			silent = append(silent, queue)
		}
	}
	s.lanes = received
	return silent
}
