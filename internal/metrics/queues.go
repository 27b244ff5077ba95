package metrics

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/lane"
	"rollcall/tasks"
)

const (
	// queuesFresh is how long a reading serves further scrapes.
	queuesFresh = 5 * time.Second
	// queuesWithin bounds a reading, for all queues together.
	queuesWithin = 2 * time.Second
	// eldest is how many tasks at the head of a queue are asked for their age: one
	// that was put back there by a worker that stopped has none.
	eldest = 4
)

var (
	queueTasks = desc("queue_tasks",
		"Tasks in a queue of the lane. asynq keeps the last 9,999 archived ones of a queue, for 90 days.", "lane", "priority", "state")
	queueOldest = desc("queue_oldest_pending_seconds", "Time since the oldest pending task of the queue became pending; 0 without one.",
		"lane", "priority")
	queuePaused = desc("queue_paused", "1 while the queue is paused in asynq's web UI, else 0.", "lane", "priority")
	queuesRead  = desc("queues_read", "1 if the queues could be read. If 0, what is measured of them is missing.")
)

// queues reads the lengths of all queues in two round trips, however many there
// are. asynq's Inspector takes three a queue and measures memory each time, and
// one damaged task makes it fail for the whole queue. The tests of this package
// compare the two, as the keys are asynq's, by its layout in v0.26.
type queues struct {
	redis redis.UniversalClient
	all   []*queue

	mu   sync.Mutex // held across a reading, so that one scrape reads for all
	at   time.Time
	read bool
}

type queue struct {
	lane, priority, name string

	lengths map[string]int64 // by state
	paused  bool
	oldest  time.Duration
}

func newQueues(rdb redis.UniversalClient, lanes []*lane.Lane) *queues {
	q := &queues{redis: rdb}
	for _, l := range lanes {
		q.all = append(q.all,
			&queue{lane: l.Name(), priority: "urgent", name: tasks.Queue(l.Tenant, l.Kind, true)},
			&queue{lane: l.Name(), priority: "normal", name: tasks.Queue(l.Tenant, l.Kind, false)})
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
	q.mu.Lock()
	defer q.mu.Unlock()
	if time.Since(q.at) >= queuesFresh {
		ctx, cancel := context.WithTimeout(context.Background(), queuesWithin)
		q.read = q.refresh(ctx) == nil
		cancel()
		q.at = time.Now()
	}
	out <- gauge(queuesRead, flag(q.read))
	if !q.read {
		return
	}
	for _, one := range q.all {
		for state, n := range one.lengths {
			out <- gauge(queueTasks, float64(n), one.lane, one.priority, state)
		}
		out <- gauge(queueOldest, one.oldest.Seconds(), one.lane, one.priority)
		out <- gauge(queuePaused, flag(one.paused), one.lane, one.priority)
	}
}

func (q *queues) refresh(ctx context.Context) error {
	type asked struct {
		lengths map[string]*redis.IntCmd
		paused  *redis.IntCmd
		head    *redis.StringSliceCmd
		since   []*redis.StringCmd
	}
	answers := make([]asked, len(q.all))
	_, err := q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, one := range q.all {
			a := asked{lengths: map[string]*redis.IntCmd{}}
			for _, state := range []string{"pending", "active"} {
				a.lengths[state] = p.LLen(ctx, key(one.name, state))
			}
			for _, state := range []string{"scheduled", "retry", "archived", "completed"} {
				a.lengths[state] = p.ZCard(ctx, key(one.name, state))
			}
			a.paused = p.Exists(ctx, key(one.name, "paused"))
			a.head = p.LRange(ctx, key(one.name, "pending"), -eldest, -1)
			answers[i] = a
		}
		return nil
	})
	if err != nil || len(q.all) == 0 {
		return err
	}
	_, err = q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, one := range q.all {
			for _, id := range answers[i].head.Val() {
				answers[i].since = append(answers[i].since, p.HGet(ctx, key(one.name, "t:"+id), "pending_since"))
			}
		}
		return nil
	})
	// A task that was taken in between has no such field: redis.Nil is no fault.
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	now := time.Now()
	for i, one := range q.all {
		a := answers[i]
		one.lengths = map[string]int64{}
		for state, n := range a.lengths {
			one.lengths[state] = n.Val()
		}
		one.paused, one.oldest = a.paused.Val() == 1, 0
		for _, since := range a.since {
			if ns, err := strconv.ParseInt(since.Val(), 10, 64); err == nil {
				one.oldest = max(one.oldest, now.Sub(time.Unix(0, ns)))
			}
		}
	}
	return nil
}

func key(queue, name string) string { return "asynq:{" + queue + "}:" + name }
