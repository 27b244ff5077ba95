package lane

import (
	"context"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/redisdb"
)

// gated is the Redis client of a lane's asynq server: its dequeues pass the
// gate, everything else goes through. asynq has no place of its own to say that
// a queue is not to be taken from for now: its pause is a key that an operator's
// button sets and clears, and its concurrency is fixed. That each dequeue comes
// here, and that redis.Nil means an empty queue to it, is pinned by tests.
type gated struct {
	redis.UniversalClient

	gate   *gate
	shared *redisdb.Autopipeline // for what follows each task
}

// EvalSha is how asynq runs its scripts. While nothing may be taken the first
// dequeue of a round waits here.
func (c gated) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	queue, dequeue := backlog.DequeueOf(keys)
	if !dequeue {
		return c.evalSha(ctx, sha, keys, args...)
	}
	task, n := c.gate.admit(queue)
	if task != nil {
		return task
	}
	if n == 0 {
		nothing := redis.NewCmd(ctx, "evalsha", sha)
		nothing.SetErr(redis.Nil)
		return nothing
	}
	return c.gate.dequeued(queue, c.dequeue(ctx, n, sha, keys, args))
}

// dequeue asks for n tasks in one round trip.
func (c gated) dequeue(ctx context.Context, n int, sha string, keys []string, args []any) []*redis.Cmd {
	if n == 1 {
		return []*redis.Cmd{c.UniversalClient.EvalSha(ctx, sha, keys, args...)}
	}
	cmds := make([]*redis.Cmd, n)
	_, _ = c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range cmds {
			cmds[i] = p.EvalSha(ctx, sha, keys, args...)
		}
		return nil
	}) // each has its own error
	return cmds
}

// Eval follows an EvalSha that found its script unknown to Redis.
func (c gated) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := revived(ctx)
	defer cancel()
	cmd := c.UniversalClient.Eval(ctx, script, keys, args...)
	if queue, dequeue := backlog.DequeueOf(keys); dequeue {
		return c.gate.dequeued(queue, []*redis.Cmd{cmd})
	}
	return cmd
}
