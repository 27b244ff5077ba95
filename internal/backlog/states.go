package backlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Task names a task of a queue.
type Task struct{ Queue, ID string }

// Damaged is the state of a task whose key has another type than asynq's.
const Damaged = "damaged"

// States returns the state of each task, in the given order, as [State] does for one,
// and Redis' clock. Cost: one pipelined round trip, or one to each node of a Cluster,
// whose clock is that of any of them.
func States(ctx context.Context, rdb redis.UniversalClient, tasks []Task) (states []string, now time.Time, err error) {
	answers := make([]*redis.StringCmd, len(tasks))
	var clock *redis.TimeCmd
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		clock = p.Time(ctx)
		for i, t := range tasks {
			answers[i] = p.HGet(ctx, Key(t.Queue, "t:"+t.ID), "state")
		}
		return nil
	})
	states = make([]string, len(tasks))
	for i, answer := range answers {
		state, err := answer.Result()
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			state, err = Damaged, nil
		}
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, time.Time{}, fmt.Errorf("read the state of task %s: %w", tasks[i].ID, err)
		}
		states[i] = state
	}
	if err := clock.Err(); err != nil {
		return nil, time.Time{}, fmt.Errorf("read the time: %w", err)
	}
	return states, clock.Val(), nil
}
