package backlog

import "strings"

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
