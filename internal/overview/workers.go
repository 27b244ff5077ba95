package overview

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// serversKey is asynq's list of its servers, by when they count as dead, Unix s.
	serversKey = "asynq:servers"
	// heartbeat is how long after its last sign of life asynq lets a server expire.
	heartbeat = 10 * time.Second
	// silent is how long a worker may be late beyond that: clocks differ.
	silent = 10 * time.Second
	// deadFor is how long a dead worker is shown.
	deadFor = time.Hour
)

// Worker is a process that serves lanes.
type Worker struct {
	Host string
	PID  int
	// Servers counts its asynq servers: one a lane, and some for runs and schedules.
	Servers int
	First   time.Time // when this process first saw it
	Seen    time.Time // its last sign of life
	Dead    bool      // it did not remove itself
	// Replaced means that another worker of the same host was seen later.
	Replaced bool
}

// Name is what events and holds call the worker.
func (w Worker) Name() string { return w.Host + "/" + strconv.Itoa(w.PID) }

// readWorkers reads the workers. A worker that stops removes itself from asynq's list, one that
// dies does not. Cost: one round trip.
func (r *Reader) readWorkers(ctx context.Context, now time.Time) ([]Worker, error) {
	listed, err := r.rdb.ZRangeWithScores(ctx, serversKey, 0, -1).Result()
	if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, fmt.Errorf("read the workers: %w", err)
	}
	found := map[string]Worker{}
	for _, z := range listed {
		text, _ := z.Member.(string)
		w, ok := parseServer(text)
		if !ok {
			continue
		}
		w.Seen = time.Unix(int64(z.Score), 0).Add(-heartbeat)
		if before, known := found[w.Name()]; known {
			if w.Servers = before.Servers + 1; before.Seen.After(w.Seen) {
				w.Seen = before.Seen
			}
		}
		found[w.Name()] = w
	}
	for name, w := range found {
		w.First = now
		if before, known := r.workers[name]; known {
			w.First = before.First
		}
		w.Dead = now.Sub(w.Seen) > heartbeat+silent
		found[name] = w
	}
	// asynq's web UI removes dead servers from the list: remember them.
	for name, before := range r.workers {
		if _, still := found[name]; !still && before.Dead {
			found[name] = before
		}
	}
	maps.DeleteFunc(found, func(_ string, w Worker) bool { return w.Dead && now.Sub(w.Seen) > deadFor })
	r.workers = found
	all := slices.Collect(maps.Values(found))
	for i, w := range all {
		all[i].Replaced = w.Dead && slices.ContainsFunc(all, func(o Worker) bool { return !o.Dead && o.Host == w.Host && o.First.After(w.Seen) })
	}
	slices.SortFunc(all, func(x, y Worker) int { return cmp.Or(cmp.Compare(x.Host, y.Host), cmp.Compare(x.PID, y.PID)) })
	return all, nil
}

// parseServer reads a key of asynq: asynq:servers:{host:pid:id}.
func parseServer(key string) (Worker, bool) {
	inner, ok := strings.CutPrefix(key, serversKey+":{")
	inner, closed := strings.CutSuffix(inner, "}")
	parts := strings.Split(inner, ":")
	if !ok || !closed || len(parts) < 3 {
		return Worker{}, false
	}
	pid, err := strconv.Atoi(parts[len(parts)-2])
	return Worker{Host: strings.Join(parts[:len(parts)-2], ":"), PID: pid, Servers: 1}, err == nil
}
