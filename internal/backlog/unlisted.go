package backlog

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed unlisted.lua
	unlistedLua string
	//go:embed relist.lua
	relistLua string
	//go:embed park.lua
	parkLua string

	findUnlisted = redis.NewScript(unlistedLua)
	relist       = redis.NewScript(relistLua)
	park         = redis.NewScript(parkLua)
)

// Unlisted is a task that asynq has and never runs.
type Unlisted struct {
	Task

	Lease string // of a worker that may be running it; "": none
	Ahead bool   // it is listed, and waits for a time that cannot be meant
}

// OddState is a task whose state is none of asynq's.
type OddState struct {
	Task

	State string
}

// FindUnlisted returns those of tasks that no list of their queue holds: asynq moves tasks
// in single steps, so another program removed them. It also returns those with an odd
// state. A long list of pending tasks is searched only for a task that has been pending
// for longer than those at its head. Cost: one pipelined round trip.
func FindUnlisted(ctx context.Context, rdb redis.UniversalClient, tasks []Task) (lost []Unlisted, odd []OddState, err error) {
	byQueue := map[string][]any{}
	var queues []string
	for _, t := range tasks {
		if byQueue[t.Queue] == nil {
			queues = append(queues, t.Queue)
			byQueue[t.Queue] = []any{Key(t.Queue, "t:")}
		}
		byQueue[t.Queue] = append(byQueue[t.Queue], t.ID)
	}
	calls := make([]call, len(queues))
	for i, queue := range queues {
		calls[i] = call{keysOf(queue, listNames...), byQueue[queue]}
	}
	for i, answer := range runEach(ctx, rdb, findUnlisted, calls) {
		found, failed := answer.StringSlice()
		if failed != nil {
			err = fmt.Errorf("look for tasks of queue %s that no list holds: %w", queues[i], failed)
			continue
		}
		for n := 0; n+2 < len(found); n += 3 {
			task := Task{Queue: queues[i], ID: found[n+1]}
			if found[n] == "odd" {
				odd = append(odd, OddState{task, found[n+2]})
				continue
			}
			lost = append(lost, Unlisted{Task: task, Lease: found[n+2], Ahead: found[n] == "ahead"})
		}
	}
	return lost, odd, err
}

// listNames are the keys of a queue by which the scripts find its tasks, in their order.
var listNames = []string{"pending", "active", "scheduled", "retry", "lease"}

// Relist makes a task pending that FindUnlisted has found, unless its lease was renewed
// since, or it is listed again. It reports whether it did. Cost: one round trip.
func Relist(ctx context.Context, rdb redis.UniversalClient, lost Unlisted) (bool, error) {
	n, err := relist.Run(ctx, rdb, append(keysOf(lost.Queue, listNames...), Key(lost.Queue, "t:"+lost.ID)), lost.ID, lost.Lease).Int()
	if err != nil {
		return false, fmt.Errorf("make task %s pending that no list holds: %w", lost.ID, err)
	}
	return n == 1, nil
}

// DamagedTaskError reports that the key of a task has another type than asynq's.
type DamagedTaskError struct{ Key string }

// Error names the key.
func (e *DamagedTaskError) Error() string {
	return fmt.Sprintf("damaged key in Redis, %q: is not a hash; see rollcall repair", e.Key)
}

// Park removes an active task whose key has another type from the active tasks. Cost: one
// round trip.
func (m *Repairer) Park(ctx context.Context, queue, id string) error {
	if err := park.Run(ctx, m.rdb, keysOf(queue, "active", "lease", "t:"+id), id).Err(); err != nil {
		return fmt.Errorf("park task %s: %w", id, err)
	}
	return nil
}
