package backlog

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed stale.lua
var staleLua string

var removeStale = redis.NewScript(staleLua)

const (
	// stalePage is how many ids of each list of a queue one step checks: 220 full
	// queues cost Redis some 30 ms.
	stalePage = 100
	// staleHead is how many ids at the head of each list every step checks. asynq
	// measures the memory of that many tasks for a page of asynqmon, which fails
	// completely if one id has no task.
	staleHead = 20
)

// staleStates are the lists that are searched. Active tasks are left to [Repairer.Look]:
// a worker may be running one, and completes it without its hash.
var staleStates = []string{"pending", "scheduled", "retry", "archived", "completed"}

// Stale is what a step of [RemoveStale] found in a queue.
type Stale struct {
	Next    int64               // where the next step starts; 0: at the head
	Tasks   map[string][]string // ids without a task that were removed, by the state that listed them; nil: none
	Damaged []string            // ids that were removed, whose key has another type
	Err     error               // why nothing is known of the queue
}

// RemoveStale takes the next step through the lists of each queue, starting at its
// position in from. It removes the ids that have no task: a person deleted the task's
// hash, or it was evicted. asynq itself writes and deletes both in one step, so it
// leaves no such ids. It also removes those whose key has another type, which stops the
// tasks behind them. Cost: one pipelined round trip, or one to each node of a Cluster.
func RemoveStale(ctx context.Context, rdb redis.UniversalClient, queues []string, from []int64) []Stale {
	calls, all := make([]call, len(queues)), make([]Stale, len(queues))
	for i, queue := range queues {
		calls[i] = call{keysOf(queue, staleStates...), []any{Key(queue, "t:"), from[i], stalePage, staleHead}}
	}
	for i, answer := range runEach(ctx, rdb, removeStale, calls) {
		if all[i] = readStale(answer); all[i].Err != nil {
			all[i].Next, all[i].Err = from[i], fmt.Errorf("search for ids without a task in queue %s: %w", queues[i], all[i].Err)
		}
	}
	return all
}

func readStale(answer *redis.Cmd) Stale {
	found, err := answer.Slice()
	if err != nil {
		return Stale{Err: err}
	}
	next, ok := found[0].(int64)
	s := Stale{Next: next}
	for i := 1; ok && i+2 < len(found); i += 3 {
		var state int64
		var id string
		if state, ok = found[i].(int64); !ok || state < 1 || int(state) > len(staleStates) {
			break
		}
		if id, ok = found[i+1].(string); !ok {
			break
		}
		if kind, _ := found[i+2].(string); kind != "none" {
			s.Damaged = append(s.Damaged, id)
			continue
		}
		if s.Tasks == nil {
			s.Tasks = map[string][]string{}
		}
		name := staleStates[state-1]
		s.Tasks[name] = append(s.Tasks[name], id)
	}
	if !ok {
		return Stale{Err: fmt.Errorf("redis answered %v", found)}
	}
	return s
}
