package enqueue

import (
	"context"
	"crypto/sha1" //nolint:gosec // by which Redis names a script
	"encoding/hex"
	"sync"

	"github.com/redis/go-redis/v9"
)

// recorded is what asynq did to store a task: one script, which was not sent.
type recorded struct {
	sha     string
	keys    []string
	args    []any
	listing error // why the queue could not be added to asynq's list of queues

	// The answer: the task was stored, or its id is taken; or an error.
	stored bool
	err    error
}

type recordedKey struct{}

// recorder is a Redis client for asynq's client. It records the scripts that store tasks
// and answers them as Redis does when a task was stored; anything else is sent. A test
// pins that asynq stores a task by one script.
type recorder struct {
	redis.UniversalClient
	scripts sync.Map // SHA-1 of a script, as hex → its text
}

func (r *recorder) text(sha string) string {
	text, _ := r.scripts.Load(sha)
	s, _ := text.(string)
	return s
}

// EvalSha implements [redis.Scripter]. A script of which the text is not known is requested
// by Eval, as from a Redis that does not know the script.
func (r *recorder) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	seen, ok := ctx.Value(recordedKey{}).(*recorded)
	if !ok {
		return r.UniversalClient.EvalSha(ctx, sha, keys, args...)
	}
	cmd := redis.NewCmd(ctx)
	if r.text(sha) == "" {
		cmd.SetErr(noScriptError{})
		return cmd
	}
	seen.sha, seen.keys, seen.args = sha, keys, args
	cmd.SetVal(int64(1))
	return cmd
}

// Eval implements [redis.Scripter].
func (r *recorder) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	if _, ok := ctx.Value(recordedKey{}).(*recorded); !ok {
		return r.UniversalClient.Eval(ctx, script, keys, args...)
	}
	sum := sha1.Sum([]byte(script)) //nolint:gosec // as above
	sha := hex.EncodeToString(sum[:])
	r.scripts.Store(sha, script)
	return r.EvalSha(ctx, sha, keys, args...)
}

// SAdd adds a queue to asynq's list of queues, and keeps the error, which asynq turns into
// text.
func (r *recorder) SAdd(ctx context.Context, key string, members ...any) *redis.IntCmd {
	cmd := r.UniversalClient.SAdd(ctx, key, members...)
	if redis.HasErrorPrefix(cmd.Err(), "WRONGTYPE") { // only pages and sweeps need the list
		cmd.SetErr(nil)
	}
	if seen, ok := ctx.Value(recordedKey{}).(*recorded); ok {
		seen.listing = cmd.Err()
	}
	return cmd
}

// noScriptError is Redis' answer to the SHA-1 of a script that it does not know.
type noScriptError struct{}

func (noScriptError) Error() string { return "NOSCRIPT No matching script. Please use EVAL." }
func (noScriptError) RedisError()   {}
