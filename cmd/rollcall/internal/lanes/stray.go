package lanes

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/registry"
)

// readLanes reads the served lanes, and lanes without a worker whose queues still
// hold tasks.
func readLanes(ctx context.Context, rdb redis.UniversalClient, now time.Time) ([]registry.Lane, error) {
	all, err := registry.Read(ctx, rdb, time.Time{})
	if err != nil {
		return nil, err
	}
	queues, err := backlog.Queues(ctx, rdb)
	if err != nil {
		return nil, err
	}
	lanes := slices.DeleteFunc(slices.Clone(all), func(l registry.Lane) bool { return now.Sub(l.Seen) > registry.Life })
	listed := func(l registry.Lane) bool {
		return slices.ContainsFunc(lanes, func(o registry.Lane) bool { return o.Tenant == l.Tenant && o.Kind == l.Kind })
	}
	var left []string
	var of []registry.Lane // in the order of left
	for _, queue := range queues {
		if l, ok := registry.OfQueue(queue, all); ok && !listed(l) {
			left, of = append(left, queue), append(of, l)
		}
	}
	if len(left) == 0 {
		return lanes, nil
	}
	read, err := backlog.Read(ctx, rdb, left)
	if err != nil {
		return nil, err
	}
	for i, q := range read {
		if q.Waiting() > 0 && !listed(of[i]) {
			lanes = append(lanes, of[i])
		}
	}
	return lanes, nil
}
