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

// queues collects the numbers of asynq's tasks in the lanes' queues.
type queues struct {
	redis  redis.UniversalClient
	names  []string
	labels []labels // in the order of names

	reading reading[[]backlog.Queue] // in the order of names; none with an error
}

type labels struct{ lane, priority string }

func newQueues(rdb redis.UniversalClient, lanes []*lane.Lane) *queues {
	q := &queues{redis: rdb}
	for _, l := range lanes {
		q.names = append(q.names, registry.Queue(l.Tenant, l.Kind, true), registry.Queue(l.Tenant, l.Kind, false))
		q.labels = append(q.labels, labels{l.Name(), "urgent"}, labels{l.Name(), "normal"})
	}
	return q
}

// Describe implements prometheus.Collector.
func (*queues) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueTasks, queueOldest, queuePaused, queuesRead} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (q *queues) Collect(out chan<- prometheus.Metric) {
	read, err := q.reading.get(func(ctx context.Context) ([]backlog.Queue, error) { return backlog.Read(ctx, q.redis, q.names) })
	out <- gauge(queuesRead, flag(err == nil))
	for i, one := range read {
		of := q.labels[i]
		if one.Name == "" { // damaged
			continue
		}
		for state, n := range map[string]int64{
			"pending": one.Pending, "active": one.Active, "scheduled": one.Scheduled,
			"retry": one.Retry, "archived": one.Archived, "completed": one.Completed,
		} {
			out <- gauge(queueTasks, float64(n), of.lane, of.priority, state)
		}
		out <- gauge(queueOldest, one.Oldest.Seconds(), of.lane, of.priority)
		out <- gauge(queuePaused, flag(one.Paused), of.lane, of.priority)
	}
}
