package backlog

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Queue is what asynq keeps of one queue.
type Queue struct {
	Name string

	Pending, Active, Scheduled, Retry int64

	// Due counts the scheduled tasks whose time has come. asynq makes them pending only while
	// a worker runs.
	Due int64

	// asynq keeps the latest 9,999 archived tasks, for 90 days, and completed tasks for
	// as long as their producer asked.
	Archived, Completed int64

	Paused bool
	Oldest time.Duration // age of the oldest pending task; 0 if there is none
}

// Waiting returns how many tasks have not ended.
func (q Queue) Waiting() int64 { return q.Pending + q.Active + q.Scheduled + q.Retry }

const (
	// oldestCandidates is how many tasks at the head of a queue are read for their age: a
	// task that a stopping worker put back there has none.
	oldestCandidates = 4
	// queuesTogether is how many queues share a script, where they are on one node: some
	// milliseconds of Redis' time.
	queuesTogether = 100
)

//go:embed read.lua
var readLua string

var readQueues = redis.NewScript(readLua)

// readNames are the keys of a queue that are read, in the order of read.lua.
var readNames = []string{"pending", "active", "scheduled", "retry", "archived", "completed", "paused"}

// Read reads the queues, in the given order, in one round trip for any number of queues, and
// with a command for each hundred, or for each queue of a Cluster. asynq's Inspector needs
// three round trips per queue, measures memory each time, and fails for the whole queue if one
// task is damaged. A queue with a damaged key has no Name, and is named by a *DamagedError.
func Read(ctx context.Context, rdb redis.UniversalClient, queues []string) ([]Queue, error) {
	together := queuesTogether
	if _, cluster := rdb.(*redis.ClusterClient); cluster {
		together = 1
	}
	now := time.Now()
	var calls []call
	for some := range slices.Chunk(queues, together) {
		keys := make([]string, 0, len(some)*len(readNames))
		for _, queue := range some {
			keys = append(keys, keysOf(queue, readNames...)...)
		}
		calls = append(calls, call{keys, []any{now.Unix(), oldestCandidates}})
	}
	read := make([]Queue, 0, len(queues))
	var damaged damage
	for _, answer := range runEach(ctx, rdb, readQueues, calls) {
		some, err := answer.Slice()
		if err != nil {
			return nil, fmt.Errorf("read queues: %w", err)
		}
		for _, one := range some {
			name := queues[len(read)]
			fields, _ := one.([]any)
			q, wrong := readQueue(name, fields, now)
			if wrong != "" {
				damaged.add(name, Key(name, wrong))
			}
			read = append(read, q)
		}
	}
	if len(read) != len(queues) {
		return nil, fmt.Errorf("read queues: %d answers for %d queues", len(read), len(queues))
	}
	return read, damaged.err("read queues")
}

// readQueue reads an answer of the script; wrong is the name of a key that has another type.
func readQueue(name string, fields []any, now time.Time) (q Queue, wrong string) {
	if len(fields) == 1 {
		wrong, _ = fields[0].(string)
		return Queue{}, wrong
	}
	numbers := make([]int64, 8)
	for i := range numbers {
		numbers[i], _ = fields[i].(int64)
	}
	q = Queue{
		Name: name, Pending: numbers[0], Active: numbers[1], Scheduled: numbers[2], Retry: numbers[3], Archived: numbers[4],
		Completed: numbers[5], Paused: numbers[6] == 1, Due: numbers[7],
	}
	for _, since := range fields[len(numbers):] {
		text, _ := since.(string)
		if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
			q.Oldest = max(q.Oldest, now.Sub(time.Unix(0, ns)))
		}
	}
	return q, ""
}
