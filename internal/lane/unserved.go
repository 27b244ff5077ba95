package lane

import (
	"context"
	"slices"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/registry"
)

const (
	// unservedEvery is how often it is looked for queues that nobody serves. Two
	// round trips; two more where there are some.
	unservedEvery = 30 * time.Second
	// unservedAfter is how long nobody must have published a lane: workers do so
	// every minute.
	unservedAfter = 3 * time.Minute
)

// strays remembers the looks for queues that nobody serves. Every worker looks;
// there are few looks, and nothing to agree on.
type strays struct {
	looked time.Time
	lanes  map[string]published // by name
	told   map[string]int64     // the queues that nobody serves, and their tasks
}

// published is when a lane was last heard of: seen is by the clock of the worker
// that published it, and tells one word from the next; moved is by this worker's.
type published struct{ seen, moved time.Time }

// unserved finds queues of lanes, of whatever time, that hold tasks and that no
// worker serves.
func (s *sweeper) unserved(ctx context.Context, now time.Time) error {
	if now.Sub(s.strays.looked) < unservedEvery {
		return nil
	}
	s.strays.looked = now
	found, err := s.readUnserved(ctx, now)
	if err != nil {
		s.strays.lanes = nil // an outage is no silence
		return err
	}
	sum := int64(0)
	for queue, n := range found {
		sum += n
		if _, told := s.strays.told[queue]; !told {
			s.set.log.Warn("nobody serves this queue, and its tasks wait: start a worker that serves the lane, or delete them in the web UI",
				"queue", queue, "tasks", n)
		}
	}
	for queue := range s.strays.told {
		if _, still := found[queue]; !still {
			s.set.log.Warn("a queue that nobody served is served again, or empty", "queue", queue)
		}
	}
	s.strays.told = found
	if s.set.observer != nil {
		s.set.observer.Unserved(len(found), sum)
	}
	return nil
}

// readUnserved counts the tasks in queues that nobody serves, by queue.
func (s *sweeper) readUnserved(ctx context.Context, now time.Time) (map[string]int64, error) {
	queues, err := backlog.Queues(ctx, s.set.rdb)
	if err != nil {
		return nil, err
	}
	lanes, err := registry.Read(ctx, s.set.rdb, time.Time{})
	if err != nil {
		return nil, err
	}
	queues = slices.DeleteFunc(queues, func(queue string) bool { return slices.Contains(s.names, queue) })
	silent := s.strays.silent(queues, lanes, now)
	found := map[string]int64{}
	if len(silent) == 0 {
		return found, nil
	}
	read, err := backlog.Read(ctx, s.set.rdb, silent)
	if err != nil {
		return nil, err
	}
	for _, q := range read {
		if n := q.Waiting(); n > 0 {
			found[q.Name] = n
		}
	}
	return found, nil
}

// silent are those queues whose lanes no worker has published for a while.
func (s *strays) silent(queues []string, lanes []registry.Lane, now time.Time) []string {
	heard := map[string]published{}
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
		heard[name] = p
		if now.Sub(p.moved) >= unservedAfter {
			silent = append(silent, queue)
		}
	}
	s.lanes = heard
	return silent
}
