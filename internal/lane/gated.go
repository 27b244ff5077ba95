package lane

import (
	"context"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/redisdb"
)

// gated is the Redis client of a lane's asynq server. Dequeues pass the gate, every
// other command goes straight to Redis. asynq has no other way to stop taking tasks
// from a queue for a while: its pause is a key that asynqmon's button sets and clears,
// and its concurrency is fixed. Tests check that each dequeue passes here, and that
// redis.Nil means an empty queue to asynq.
type gated struct {
	redis.UniversalClient

	gate   *gate
	shared *redisdb.Autopipeline // for the commands that follow each task
}

// EvalSha is the method with which asynq runs its scripts. While no task may be taken,
// the first dequeue of a round blocks here.
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

// dequeue takes up to n tasks in one round trip.
func (c gated) dequeue(ctx context.Context, n int, sha string, keys []string, args []any) []*redis.Cmd {
	if n == 1 {
		return []*redis.Cmd{backlog.Dequeue(ctx, c.UniversalClient, sha, keys, args...)}
	}
	cmds := make([]*redis.Cmd, n)
	_, _ = c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range cmds {
			cmds[i] = backlog.Dequeue(ctx, p, sha, keys, args...)
		}
		return nil
	}) // each command has its own error
	return cmds
}

// Eval is called after an EvalSha whose script was unknown to Redis.
func (c gated) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := revived(ctx)
	defer cancel()
	if queue, dequeue := backlog.DequeueOf(keys); dequeue {
		cmd := backlog.DequeueEval(ctx, c.UniversalClient, script, keys, args...)
		return c.gate.dequeued(queue, []*redis.Cmd{cmd})
	}
	return c.UniversalClient.Eval(ctx, script, keys, args...)
}
