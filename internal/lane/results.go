package lane

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
)

// results are what asynq was told of tasks that are done and has not written
// down yet. Each goes to Redis together with its task's completion, which
// follows at once: a round trip less for every task.
type results struct {
	mu   sync.Mutex
	kept map[string][]any // by the task's key in Redis
}

// mostResults bounds what is kept for completions that never come: asynq gives a
// task up whose lease has run out.
const mostResults = 2 * (mostTogether + spareUrgent)

// keep takes a result in; false if there are too many, and it is to be written
// at once.
func (r *results) keep(key string, fields []any) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) >= mostResults {
		return false
	}
	if r.kept == nil {
		r.kept = map[string][]any{}
	}
	r.kept[key] = fields
	return true
}

// take returns the result of the task that one of a script's keys is, and
// forgets it.
func (r *results) take(keys []string) (key string, fields []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		if fields, ok := r.kept[key]; ok {
			delete(r.kept, key)
			return key, fields
		}
	}
	return "", nil
}

// HSet is how asynq writes a task's result, and nothing else.
func (c gated) HSet(ctx context.Context, key string, values ...any) *redis.IntCmd {
	if len(values) == 2 && values[0] == "result" && c.gate.results.keep(key, values) {
		kept := redis.NewIntCmd(ctx, "hset", key)
		kept.SetVal(1)
		return kept
	}
	return c.UniversalClient.HSet(ctx, key, values...)
}

// evalSha runs a script, after writing the result of the task that it is about.
func (c gated) evalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := revived(ctx)
	defer cancel()
	key, fields := c.gate.results.take(keys)
	if fields == nil {
		return c.shared.EvalSha(ctx, sha, keys, args...)
	}
	cmd := redisdb.Script(ctx, "evalsha", sha, keys, args...)
	result := redis.NewIntCmd(ctx, append([]any{"hset", key}, fields...)...)
	// A failure of the result is the command's as well.
	if err := c.shared.Do(ctx, key, result, cmd); err != nil {
		cmd = redis.NewCmd(ctx, "evalsha", sha)
		cmd.SetErr(err)
	}
	return cmd
}

// revived is a context of the same deadline for a script that asynq sends once
// more because it failed the first time: asynq (v0.26) has cancelled its context
// by then, and would never succeed. Such a task stays active until its worker
// counts as dead.
func revived(ctx context.Context) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	if bounded && errors.Is(ctx.Err(), context.Canceled) {
		return context.WithDeadline(context.WithoutCancel(ctx), end)
	}
	return ctx, func() {}
}
