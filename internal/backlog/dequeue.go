package backlog

import "strings"

// DequeueOf returns the queue that asynq's dequeue script asks for a task, or
// false where the keys are another script's.
//
// A server takes tasks by that script alone, one queue a call, and its keys are
// pending, paused, active and lease of the queue, in that order. go-redis runs
// it by EvalSha, and by Eval where Redis does not know it yet. So whoever wraps
// a server's client and answers both with redis.Nil for such keys keeps the
// server from taking anything: to it the queue is empty, it asks the next one,
// and after the last it rests for a TaskCheckInterval, give or take a half. With
// StrictPriority it asks in order of priority, each time from the first. It asks
// from one goroutine, with a context that never ends.
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
