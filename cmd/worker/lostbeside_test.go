package main

import "strings"

// Why a command is no step of a task's path: its reply is not lost here.
const (
	telling   = "tells people, or other processes, how things stand; told again within seconds"
	listening = "listens for words that nobody relies on"
	looking   = "only reads, and reads again within seconds"
	// remembering: written again with the next look.
	remembering = "shows later whether Redis still has its data; written again within seconds"
	along       = "sent together with `EXEC`, whose reply is lost"
)

// beside are those, and why.
var beside = map[string]string{
	"asynq's `writeServerState`":              telling,
	"`ZADD asynq:servers`":                    telling,
	"`ZADD asynq:workers`":                    telling,
	"`HSET rollcall:lanes`":                   telling,
	"`EXPIRE rollcall:lanes`":                 telling,
	"`SUBSCRIBE asynq:cancel`":                listening,
	"`SUBSCRIBE rollcall:holds`":              listening,
	"`SUBSCRIBE rollcall:pace`":               listening,
	"`HGETALL rollcall:holds`":                looking,
	"`HMGET rollcall:{lakeside}:spent`":       looking,
	"`TIME`":                                  looking,
	"`INFO server`":                           looking,
	"`internal/backlog/look.lua`":             looking,
	"`GET rollcall:memory:{rollcall:holds}`":  looking,
	"`HGET rollcall:{address/default}:pace`":  looking,
	"`GET rollcall:{lakeside}:memory`":        looking,
	"`GET rollcall:{lakeside/id}:changed`":    looking,
	"`SET rollcall:memory:{rollcall:holds}`":  remembering,
	"`SET rollcall:{lakeside}:memory`":        remembering,
	"`internal/ledger/schema.lua`":            "sent when a worker starts, and when Redis is back; repeated until it is answered",
	"`internal/ledger/deadpage.lua`":          looking,
	"`HSETNX rollcall:{lakeside}:spent`":      telling,
	"`internal/backlog/stale.lua`":            "removes ids without a task; looked for again within seconds",
	"`SISMEMBER asynq:queues`":                looking,
	"asynq's `listLeaseExpired`":              looking,
	"asynq's `reclaimStateAggregationSets`":   looking,
	"asynq's `deleteExpiredCompletedTasks`":   "removes what is over; asked again within seconds",
	"asynq's `forward`, urgent":               "as that of the other queue",
	"`MULTI`":                                 along,
	"`HINCRBY rollcall:{<task id>}:attempts`": along,
	"`HSETNX rollcall:{<task id>}:attempts`":  along,
	"`HGET rollcall:{<task id>}:attempts`":    along,
	"`PEXPIRE rollcall:{<task id>}:attempts`": along,
	"`internal/pace/give.lua`":                "gives back a slot that has passed; lost, one call too few leaves",
}

// verbs are those of commands that look at what there is, again and again: the
// lookout every 100 ms, the sweep every 5 s.
var verbs = []string{"LLEN", "LRANGE", "ZRANGE", "ZCOUNT", "ZLEXCOUNT", "ZCARD", "HLEN", "HSCAN", "SMEMBERS"}

func isBeside(command string) bool {
	if beside[command] != "" || beside[strings.TrimSuffix(command, ", urgent")] != "" {
		return true
	}
	if strings.HasSuffix(command, ":dead:causes`") || strings.HasPrefix(command, "`HGET asynq:") {
		return true // the sweep's, too
	}
	if strings.HasPrefix(command, "`HGET rollcall:{lakeside}:lane:") {
		return true // whether a person ended the pause
	}
	if strings.HasPrefix(command, "`HSET rollcall:{lakeside}:lane:") || strings.HasPrefix(command, "`HMGET rollcall:{lakeside}:lane:") {
		return true // the limits of a lane, published when a worker starts and when Redis is back
	}
	if strings.HasPrefix(command, "`ZADD asynq:{<tenant>.") && strings.HasSuffix(command, "}:lease`") {
		return true // asynq extends the lease of a running task, and extends it again within seconds
	}
	if strings.HasSuffix(command, ":dead:places`") || strings.HasPrefix(command, "`HMGET rollcall:{lakeside/") {
		return true // the look at dead letters that may close
	}
	for _, verb := range verbs {
		if strings.HasPrefix(command, "`"+verb+" ") {
			return true
		}
	}
	return false
}
