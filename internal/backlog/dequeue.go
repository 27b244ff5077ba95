package backlog

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by it
	_ "embed"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// LongestMessage is how many bytes a message may have to be taken from a queue. A task of
// rollcall has up to 64 KiB; its headers and its last error are around it. It bounds the
// memory of the tasks that run at once.
const LongestMessage = 256 << 10

// dequeueOfAsynq is the SHA-1 of the script by which asynq v0.26 takes a task.
const dequeueOfAsynq = "a8153319360adc71cdc370107f8ab9786f204765"

//go:embed dequeue.lua
var dequeueLua string

var dequeue = redis.NewScript(dequeueLua)

// Dequeue runs the script by which an asynq server takes a task, with its keys and
// arguments, by the client: sha names it. If it is that of asynq v0.26, one of ours runs
// instead, which leaves messages that are longer than LongestMessage, and tasks whose key
// has another type, to [Repairer.Unreadable].
func Dequeue(ctx context.Context, rdb redis.Scripter, sha string, keys []string, args ...any) *redis.Cmd {
	if sha == dequeueOfAsynq {
		sha, args = dequeue.Hash(), append(slices.Clip(args), LongestMessage)
	}
	return rdb.EvalSha(ctx, sha, keys, args...)
}

// DequeueEval is Dequeue for a Redis that does not know the script yet.
func DequeueEval(ctx context.Context, rdb redis.Scripter, script string, keys []string, args ...any) *redis.Cmd {
	sum := sha1.Sum([]byte(script)) //nolint:gosec // Redis names scripts by it
	if hex.EncodeToString(sum[:]) == dequeueOfAsynq {
		script, args = dequeueLua, append(slices.Clip(args), LongestMessage)
	}
	return rdb.Eval(ctx, script, keys, args...)
}

// DequeueOf returns the queue that asynq's dequeue script takes a task from, or false
// if the keys are those of another script.
//
// A server takes tasks only by that script, one queue per call. Its keys are pending,
// paused, active and lease of the queue, in that order. go-redis runs it by EvalSha,
// and by Eval if Redis does not know it yet. A wrapper around a server's client that
// answers both with redis.Nil for such keys therefore keeps the server from taking
// tasks: to the server the queue is empty. It asks the next queue, and after the last
// sleeps for a TaskCheckInterval, plus or minus half. With StrictPriority it asks in
// order of priority, always starting with the first. It asks from one goroutine, with a
// context that never ends.
func DequeueOf(keys []string) (queue string, ok bool) {
	if len(keys) != 4 {
		return "", false
	}
	prefix, pending := strings.CutSuffix(keys[0], "pending")
	if !pending {
		return "", false
	}
	for i, name := range [...]string{"paused", "active", "lease"} {
		if rest, same := strings.CutPrefix(keys[i+1], prefix); !same || rest != name {
			return "", false
		}
	}
	queue, ours := strings.CutPrefix(prefix, "asynq:{")
	queue, whole := strings.CutSuffix(queue, "}:")
	if !ours || !whole {
		return "", false
	}
	return queue, true
}
