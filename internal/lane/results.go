package lane

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
)

// results are the results of done tasks that asynq has not written yet. Each is sent to
// Redis with the completion of its task, which follows at once. That saves a round trip
// per task.
type results struct {
	mu   sync.Mutex
	kept map[string]keptResult // by the task's Redis key
}

type keptResult struct {
	fields []any // of the task's hash
	since  time.Time
}

const (
	// maxResults is the number of results from which those are forgotten whose completion
	// never comes: asynq gives up a task whose lease expired, 30 s after its last renewal.
	maxResults   = 2 * (maxTasks + extraUrgent)
	completesFor = time.Minute
)

// keep stores a result. It returns false if there are too many; the caller then writes
// it at once.
func (r *results) keep(key string, fields []any) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) >= maxResults {
		maps.DeleteFunc(r.kept, func(_ string, k keptResult) bool { return time.Since(k.since) > completesFor })
	}
	if len(r.kept) >= maxResults {
		return false
	}
	if r.kept == nil {
		r.kept = map[string]keptResult{}
	}
	r.kept[key] = keptResult{fields, time.Now()}
	return true
}

// take removes and returns the result of the task whose key is among a script's keys.
func (r *results) take(keys []string) (key string, fields []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		if k, ok := r.kept[key]; ok {
			delete(r.kept, key)
			return key, k.fields
		}
	}
	return "", nil
}

// HSet is the method with which asynq writes a task's result. It uses HSet for nothing
// else.
func (c gated) HSet(ctx context.Context, key string, values ...any) *redis.IntCmd {
	if len(values) == 2 && values[0] == "result" && c.gate.results.keep(key, values) {
		kept := redis.NewIntCmd(ctx, "hset", key)
		kept.SetVal(1)
		return kept
	}
	return c.UniversalClient.HSet(ctx, key, values...)
}

// evalSha runs a script, and in the same round trip writes the result of its task
// first.
func (c gated) evalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := revived(ctx)
	defer cancel()
	key, fields := c.gate.results.take(keys)
	if fields == nil {
		return c.shared.EvalSha(ctx, sha, keys, args...)
	}
	cmd := redisdb.Script(ctx, "evalsha", sha, keys, args...)
	result := redis.NewIntCmd(ctx, append([]any{"hset", key}, fields...)...)
	if err := c.shared.Do(ctx, key, result, cmd); err != nil {
		c.gate.results.keep(key, fields) // asynq sends the completion again
		cmd = redis.NewCmd(ctx, "evalsha", sha)
		cmd.SetErr(err)
	} else if result.Err() != nil {
		c.gate.results.keep(key, fields)
	}
	return cmd
}

// revived returns a context with the same deadline for a script that asynq sends again
// after a failure: asynq (v0.26) has already cancelled its own context, so the retry
// could never succeed. Without this, the task would stay active until its worker counts
// as dead.
func revived(ctx context.Context) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	if bounded && errors.Is(ctx.Err(), context.Canceled) {
		return context.WithDeadline(context.WithoutCancel(ctx), end)
	}
	return ctx, func() {}
}
