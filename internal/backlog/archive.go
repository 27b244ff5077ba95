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

// ArchivedSince counts what was archived in each queue at its score or after it.
// One pipelined round trip, or one to each node of a Cluster. If one queue cannot
// be read, none is told.
func ArchivedSince(ctx context.Context, rdb redis.UniversalClient, queues []string, scores []float64) ([]int64, error) {
	answers := make([]*redis.IntCmd, len(queues))
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			answers[i] = p.ZCount(ctx, Key(queue, "archived"), from(scores[i]), "+inf")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count archived tasks: %w", err)
	}
	counts := make([]int64, len(queues))
	for i, answer := range answers {
		counts[i] = answer.Val()
	}
	return counts, nil
}

// Archived lists what was archived at score or after it, the oldest first: at
// most 9,999 entries, asynq's bound. One round trip.
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
	Info *asynq.TaskInfo // nil for one that asynq cannot read
	Raw  []byte          // then its message as it was found
}

// LastErr is the task's last error, as asynq keeps it.
func (r Remains) LastErr() string {
	if r.Info == nil {
		return "it cannot read the message"
	}
	return r.Info.LastErr
}

// Archived reads an archived task; false if it is not archived any more. Two
// round trips.
func (m *Mender) Archived(ctx context.Context, queue, id string) (remains Remains, found bool, err error) {
	info, err := m.inspector.GetTaskInfo(queue, id)
	switch {
	case err == nil:
		return Remains{Info: info}, info.State == asynq.TaskStateArchived, nil
	case errors.Is(err, asynq.ErrTaskNotFound):
		return Remains{}, false, nil
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

// Unarchive removes a task from asynq's books if it is archived, as asynq's own
// deletion does, and returns the state it was found in: "archived" for one that
// was removed, "" for one that asynq does not know. asynq's Inspector would also
// delete one that somebody has just had run again. One round trip.
func Unarchive(ctx context.Context, rdb redis.UniversalClient, queue, id string) (state string, err error) {
	state, err = unarchive.Run(ctx, rdb, []string{Key(queue, "archived"), Key(queue, "t:"+id)}, id).Text()
	if err != nil {
		return "", fmt.Errorf("remove archived task %s: %w", id, err)
	}
	return state, nil
}

// State is the state of a task as asynq names it, "" for one that it does not
// know. One round trip.
func State(ctx context.Context, rdb redis.UniversalClient, queue, id string) (string, error) {
	state, err := rdb.HGet(ctx, Key(queue, "t:"+id), "state").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("look at task %s: %w", id, err)
	}
	return state, nil
}
