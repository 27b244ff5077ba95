package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/lane"
	"rollcall/internal/registry"
)

var (
	queueTasks = desc("queue_tasks",
		"Tasks in a queue of the lane. asynq keeps the latest 9,999 archived tasks of a queue, for 90 days.", "lane", "priority", "state")
	queueOldest = desc("queue_oldest_pending_seconds", "Time since the oldest pending task of the queue became pending; 0 if there is none.",
		"lane", "priority")
	queuePaused = desc("queue_paused", "1 while the queue is paused in asynq's web UI, else 0.", "lane", "priority")
	queuesRead  = desc("queues_read", "1 if the queues could be read. If 0, their metrics are missing.")
)

// newQueues collects the numbers of asynq's tasks in the lanes' queues.
func newQueues(rdb redis.UniversalClient, lanes []*lane.Lane) collector {
	type labels struct{ lane, priority string }
	var names []string
	var all []labels // in the order of names
	for _, l := range lanes {
		names = append(names, registry.Queue(l.Tenant, l.Kind, true), registry.Queue(l.Tenant, l.Kind, false))
		all = append(all, labels{l.Name(), "urgent"}, labels{l.Name(), "normal"})
	}
	return stored(&reading[[]backlog.Queue]{
		ok: queuesRead, descs: []*prometheus.Desc{queueTasks, queueOldest, queuePaused}, partial: true,
		read: func(ctx context.Context) ([]backlog.Queue, error) { return backlog.Read(ctx, rdb, names) },
		collect: func(out chan<- prometheus.Metric, read []backlog.Queue) {
			for i, q := range read {
				if q.Name != "" { // else damaged
					collectQueue(out, q, all[i].lane, all[i].priority)
				}
			}
		},
	})
}

func collectQueue(out chan<- prometheus.Metric, q backlog.Queue, lane, priority string) {
	for state, n := range map[string]int64{
		"pending": q.Pending, "active": q.Active, "scheduled": q.Scheduled,
		"retry": q.Retry, "archived": q.Archived, "completed": q.Completed,
	} {
		out <- gauge(queueTasks, float64(n), lane, priority, state)
	}
	out <- gauge(queueOldest, q.Oldest.Seconds(), lane, priority)
	out <- gauge(queuePaused, flag(q.Paused), lane, priority)
}
