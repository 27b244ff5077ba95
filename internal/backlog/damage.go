package backlog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// DamagedError reports keys that do not have the type that asynq gives them. All other
// queues were read: the answers that come with this error can be used.
type DamagedError struct {
	Keys map[string]string // by queue
}

// Error names the keys.
func (e *DamagedError) Error() string {
	return "damaged keys in Redis, of another type than asynq's: " +
		strings.Join(slices.Sorted(maps.Values(e.Keys)), ", ") + "; see rollcall repair"
}

// damage collects the keys of a pipeline that have a wrong type.
type damage struct{ keys map[string]string }

// judge records an answer of Redis about a key, and returns an error unless it is about
// this key alone.
func (d *damage) judge(queue, key string, err error) error {
	if !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return err
	}
	d.add(queue, key)
	return nil
}

func (d *damage) add(queue, key string) {
	if d.keys == nil {
		d.keys = map[string]string{}
	}
	d.keys[queue] = key
}

func (d *damage) err(doing string) error {
	if len(d.keys) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, &DamagedError{Keys: d.keys})
}

// KeyType is a key of asynq and the type that it has unless it is damaged.
type KeyType struct{ Key, Type string }

// Types returns the keys that asynq keeps for a queue at a time, but for those of its tasks.
// asynq counts by the day in UTC.
func Types(queue string, now time.Time) []KeyType {
	day := now.UTC().Format(time.DateOnly)
	return []KeyType{
		{Key(queue, "pending"), "list"},
		{Key(queue, "active"), "list"},
		{Key(queue, "lease"), "zset"},
		{Key(queue, "scheduled"), "zset"},
		{Key(queue, "retry"), "zset"},
		{Key(queue, "archived"), "zset"},
		{Key(queue, "completed"), "zset"},
		{Key(queue, "processed"), "string"},
		{Key(queue, "failed"), "string"},
		{Key(queue, "processed:"+day), "string"},
		{Key(queue, "failed:"+day), "string"},
	}
}
