package main

import "strings"

// The reasons why a command is no step of a task's path, so that its reply is not lost
// in these tests.
const (
	publishing = "publishes state for people or other processes; repeated within seconds"
	listening  = "subscribes to notifications that are not relied on"
	looking    = "only reads; repeated within seconds"
	// remembering: written again with the next read.
	remembering = "shows later whether Redis still has its data; repeated within seconds"
	along       = "sent together with `EXEC`, whose reply is lost"
)

// offPath maps these commands to the reason.
var offPath = map[string]string{
	"asynq's `writeServerState`":              publishing,
	"`ZADD asynq:servers`":                    publishing,
	"`ZADD asynq:workers`":                    publishing,
	"`HSET rollcall:lanes`":                   publishing,
	"`EXPIRE rollcall:lanes`":                 publishing,
	"`SUBSCRIBE asynq:cancel`":                listening,
	"`SUBSCRIBE rollcall:holds`":              listening,
	"`SUBSCRIBE rollcall:pace`":               listening,
	"`HGETALL rollcall:holds`":                looking,
	"`HGETALL rollcall:schema`":               looking,
	"`HMGET rollcall:{lakeside}:spent`":       looking,
	"`TIME`":                                  looking,
	"`INFO server`":                           looking,
	"`internal/backlog/look.lua`":             looking,
	"`internal/backlog/read.lua`":             looking,
	"`GET rollcall:memory:{rollcall:holds}`":  looking,
	"`HGET rollcall:{address/default}:pace`":  looking,
	"`GET rollcall:{lakeside}:memory`":        looking,
	"`GET rollcall:{lakeside/id}:changed`":    looking,
	"`SET rollcall:memory:{rollcall:holds}`":  remembering,
	"`SET rollcall:{lakeside}:memory`":        remembering,
	"`internal/ledger/schema.lua`":            "sent when a worker starts and when Redis is back; repeated until answered",
	"`internal/ledger/deadpage.lua`":          looking,
	"`HSETNX rollcall:{lakeside}:spent`":      publishing,
	"`internal/backlog/stale.lua`":            "removes ids without a task; repeated within seconds",
	"`SISMEMBER asynq:queues`":                looking,
	"`SET rollcall:runs:keep`":                publishing,
	"`GET rollcall:runs:keep`":                looking,
	"asynq's `listLeaseExpired`":              looking,
	"asynq's `reclaimStateAggregationSets`":   looking,
	"asynq's `deleteExpiredCompletedTasks`":   "removes completed tasks; repeated within seconds",
	"asynq's `dequeue`":                       "of the queue of runs, which is empty; repeated within seconds",
	"`internal/backlog/unlisted.lua`":         looking,
	"asynq's `forward`, urgent":               "the same as for the other queue",
	"`MULTI`":                                 along,
	"`HINCRBY rollcall:{<task id>}:attempts`": along,
	"`HSETNX rollcall:{<task id>}:attempts`":  along,
	"`HGET rollcall:{<task id>}:attempts`":    along,
	"`PEXPIRE rollcall:{<task id>}:attempts`": along,
	"`internal/pace/give.lua`":                "returns a slot that has passed; if lost, one call fewer is sent",
}

// verbs are those of commands that only read, repeatedly: the poller every 100 ms, the
// sweep every 5 s.
var verbs = []string{"LLEN", "LRANGE", "ZRANGE", "ZCOUNT", "ZLEXCOUNT", "ZCARD", "HLEN", "HSCAN", "SMEMBERS", "TYPE"}

func isOffPath(command string) bool {
	if offPath[command] != "" || offPath[strings.TrimSuffix(command, ", urgent")] != "" {
		return true
	}
	if strings.HasSuffix(command, ":dead:causes`") || strings.HasPrefix(command, "`HGET asynq:") {
		return true // also sent by the sweep
	}
	if strings.HasPrefix(command, "`HGET rollcall:{lakeside}:lane:") {
		return true // reads whether a person ended the pause
	}
	if strings.HasPrefix(command, "`HSET rollcall:{lakeside}:lane:") || strings.HasPrefix(command, "`HMGET rollcall:{lakeside}:lane:") {
		return true // the limits of a lane, published when a worker starts and when Redis is back
	}
	if strings.HasPrefix(command, "`ZADD asynq:{<tenant>.") && strings.HasSuffix(command, "}:lease`") {
		return true // asynq extends the lease of a running task; repeated within seconds
	}
	if strings.HasSuffix(command, ":dead:places`") || strings.HasPrefix(command, "`HMGET rollcall:{lakeside/") {
		return true // reads dead letters that may close
	}
	if strings.HasPrefix(command, "`HGETALL rollcall:{lakeside/") {
		return true // the read of a target that is sent again, repeated at the next look
	}
	if strings.HasPrefix(command, "`GET asynq:{<tenant>.") {
		return true // the check of the lanes' keys reads counters
	}
	for _, verb := range verbs {
		if strings.HasPrefix(command, "`"+verb+" ") {
			return true
		}
	}
	return false
}
