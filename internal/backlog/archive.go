package backlog

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// ArchivedTask is an entry of a queue's archive.
type ArchivedTask struct {
	ID    string
	Score float64 // when it was archived, Unix seconds
}

// ArchivedSince counts the tasks that were archived in each queue at its score or
// later. Cost: one pipelined round trip, or one to each node of a Cluster. A queue
// with a damaged key has none, and is named by a *DamagedError.
func ArchivedSince(ctx context.Context, rdb redis.UniversalClient, queues []string, scores []float64) ([]int64, error) {
	return count(ctx, rdb, queues, "archived", func(p redis.Pipeliner, i int, key string) *redis.IntCmd {
		return p.ZCount(ctx, key, from(scores[i]), "+inf")
	})
}

// Archived lists the tasks that were archived at score or later, the oldest first: at
// most 9,999 entries, asynq's bound. Cost: one round trip.
func Archived(ctx context.Context, rdb redis.UniversalClient, queue string, score float64) ([]ArchivedTask, error) {
	found, err := rdb.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
		Key: Key(queue, "archived"), ByScore: true, Start: from(score), Stop: "+inf",
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("list archived tasks: %w", err)
	}
	entries := make([]ArchivedTask, len(found))
	for i, z := range found {
		id, _ := z.Member.(string)
		entries[i] = ArchivedTask{ID: id, Score: z.Score}
	}
	return entries, nil
}

// Remains is what asynq keeps of an archived task.
type Remains struct {
	Info *asynq.TaskInfo // nil if asynq cannot read the message
	Raw  []byte          // in that case the message's bytes
}

// LastErr returns the task's last error, as asynq keeps it.
func (r Remains) LastErr() string {
	if r.Info == nil {
		return "asynq cannot read the message"
	}
	return r.Info.LastErr
}

// Archived reads an archived task; false if it is no longer archived. Cost: two round
// trips.
func (m *Repairer) Archived(ctx context.Context, queue, id string) (remains Remains, found bool, err error) {
	info, err := m.inspector.GetTaskInfo(queue, id)
	switch {
	case err == nil:
		return Remains{Info: info}, info.State == asynq.TaskStateArchived, nil
	case errors.Is(err, asynq.ErrTaskNotFound):
		return Remains{}, false, nil
	case damagedTask(err):
		return Remains{}, false, &DamagedTaskError{Key(queue, "t:"+id)}
	case !undecodable(err):
		return Remains{}, false, fmt.Errorf("read archived task %s: %w", id, err)
	}
	raw, err := m.rdb.HGet(ctx, Key(queue, "t:"+id), "msg").Bytes()
	if errors.Is(err, redis.Nil) {
		return Remains{}, false, nil
	}
	if err != nil {
		return Remains{}, false, fmt.Errorf("read archived message %s: %w", id, err)
	}
	return Remains{Raw: raw}, true, nil
}

func from(score float64) string { return strconv.FormatFloat(score, 'f', -1, 64) }

//go:embed unarchive.lua
var unarchiveLua string

var unarchive = redis.NewScript(unarchiveLua)

// Unarchive deletes a task from asynq if it is archived, as asynq's own deletion does.
// It returns the state that the task had: "archived" if it was deleted, "" if asynq
// does not know it. asynq's Inspector would also delete a task that was just run again.
// Cost: one round trip.
func Unarchive(ctx context.Context, rdb redis.UniversalClient, queue, id string) (state string, err error) {
	state, err = unarchive.Run(ctx, rdb, keysOf(queue, "archived", "t:"+id), id).Text()
	if err != nil {
		return "", fmt.Errorf("remove archived task %s: %w", id, err)
	}
	return state, nil
}

// State returns the state of a task as asynq names it, "" if asynq does not know it.
// Cost: one round trip.
func State(ctx context.Context, rdb redis.UniversalClient, queue, id string) (string, error) {
	state, err := rdb.HGet(ctx, Key(queue, "t:"+id), "state").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read the state of task %s: %w", id, err)
	}
	return state, nil
}
