// Package backlog is what asynq keeps of a lane's queues in Redis, by its
// layout in v0.26: read cheaply, and mended. The layout is asynq's own and
// nowhere promised; the tests of this package fail if an upgrade changes what
// is relied on here.
//
// A queue is a name to it. It must not know lanes, handlers, providers or
// verdicts, and decides nothing: when to mend, and what to tell, is its
// caller's.
package backlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Key is asynq's key for one of the things it keeps of a queue: pending, active,
// scheduled, retry, archived, completed, lease, paused, or t:<id> for a task.
// The braces keep a queue on one node of a Cluster.
func Key(queue, name string) string { return "asynq:{" + queue + "}:" + name }

// Queues lists the queues that asynq knows: all that ever had a task, unless
// somebody deleted them. Sorted. One round trip.
func Queues(ctx context.Context, rdb redis.UniversalClient) ([]string, error) {
	queues, err := rdb.SMembers(ctx, "asynq:queues").Result()
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	slices.Sort(queues)
	return queues, nil
}

// Pending returns how many tasks are pending in each queue, in the order given.
// One pipelined round trip however many there are, or one to each node of a
// Cluster. It is asked many times a second: 220 queues cost 0.15 ms of a
// processor and 59 KB, four allocations a queue. Fewer, by commands made in one
// piece, cost the same of both. If one queue cannot be read, none is told.
func Pending(ctx context.Context, rdb redis.UniversalClient, queues []string) ([]int64, error) {
	answers := make([]*redis.IntCmd, len(queues))
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			answers[i] = p.LLen(ctx, Key(queue, "pending"))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count pending tasks: %w", err)
	}
	lengths := make([]int64, len(queues))
	for i, answer := range answers {
		lengths[i] = answer.Val()
	}
	return lengths, nil
}

// Queue is what asynq keeps of one queue.
type Queue struct {
	Name string

	Pending, Active, Scheduled, Retry int64

	// asynq keeps the last 9,999 archived ones, for 90 days; completed ones for as
	// long as their producer said.
	Archived, Completed int64

	Paused bool
	Oldest time.Duration // since the eldest pending task became pending; 0 without one
}

// Waiting is how many tasks have not ended.
func (q Queue) Waiting() int64 { return q.Pending + q.Active + q.Scheduled + q.Retry }

// eldest is how many tasks at the head of a queue are asked for their age: one
// that was put back there by a worker that stopped has none.
const eldest = 4

// Read reads the queues, in the order given, in two round trips however many
// there are. asynq's Inspector takes three a queue and measures memory each
// time, and one damaged task makes it fail for the whole queue. If one queue
// cannot be read, none is told.
func Read(ctx context.Context, rdb redis.UniversalClient, queues []string) ([]Queue, error) {
	type asked struct {
		pending, active, scheduled, retry, archived, completed, paused *redis.IntCmd

		head  *redis.StringSliceCmd
		since []*redis.StringCmd
	}
	answers := make([]asked, len(queues))
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			answers[i] = asked{
				pending:   p.LLen(ctx, Key(queue, "pending")),
				active:    p.LLen(ctx, Key(queue, "active")),
				scheduled: p.ZCard(ctx, Key(queue, "scheduled")),
				retry:     p.ZCard(ctx, Key(queue, "retry")),
				archived:  p.ZCard(ctx, Key(queue, "archived")),
				completed: p.ZCard(ctx, Key(queue, "completed")),
				paused:    p.Exists(ctx, Key(queue, "paused")),
				head:      p.LRange(ctx, Key(queue, "pending"), -eldest, -1),
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read queues: %w", err)
	}
	_, err = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			for _, id := range answers[i].head.Val() {
				answers[i].since = append(answers[i].since, p.HGet(ctx, Key(queue, "t:"+id), "pending_since"))
			}
		}
		return nil
	})
	// A task that was taken in between has no such field: redis.Nil is no fault.
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read the age of pending tasks: %w", err)
	}
	now := time.Now()
	read := make([]Queue, len(queues))
	for i, a := range answers {
		read[i] = Queue{
			Name: queues[i], Pending: a.pending.Val(), Active: a.active.Val(), Scheduled: a.scheduled.Val(),
			Retry: a.retry.Val(), Archived: a.archived.Val(), Completed: a.completed.Val(), Paused: a.paused.Val() == 1,
		}
		for _, since := range a.since {
			if ns, err := strconv.ParseInt(since.Val(), 10, 64); err == nil {
				read[i].Oldest = max(read[i].Oldest, now.Sub(time.Unix(0, ns)))
			}
		}
	}
	return read, nil
}
