package backlog

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// call is one run of a script.
type call struct {
	keys []string
	args []any
}

// runEach runs a script for each call: in one pipelined round trip, or one to each node of a
// Cluster, and as many again if Redis does not know the script yet. Each answer has its own
// error: one node of a Cluster may be unavailable alone.
func runEach(ctx context.Context, rdb redis.UniversalClient, script *redis.Script, calls []call) []*redis.Cmd {
	run := func(eval func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd) []*redis.Cmd {
		answers := make([]*redis.Cmd, len(calls))
		_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, c := range calls {
				answers[i] = eval(ctx, p, c.keys, c.args...)
			}
			return nil
		})
		return answers
	}
	answers := run(script.EvalSha)
	if slices.ContainsFunc(answers, func(a *redis.Cmd) bool { return redis.HasErrorPrefix(a.Err(), "NOSCRIPT") }) {
		answers = run(script.Eval)
	}
	return answers
}

// keysOf returns the keys of some of the things that asynq keeps for a queue.
func keysOf(queue string, names ...string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = Key(queue, name)
	}
	return keys
}
