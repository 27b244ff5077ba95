// Package audit records who did what, and when, in a stream of Redis that people read
// later: holds that began and ended, dead letters that were replayed, keys that were
// repaired.
//
// The package must not know what its events are about.
package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// Stream is the Redis stream of all events.
	Stream = "rollcall:events"
	// kept is the approximate bound of the stream.
	kept = 10_000
)

// Lane is the level of an event that concerns one lane.
const Lane = "lane"

// Event is an entry of the stream. Fields that the writer did not know are empty.
type Event struct {
	Time   time.Time // when it was written, by Redis' clock
	Event  string    // subject and verb: hold.entered, dead.replayed
	Level  string    // of what it concerns: Lane, or a level of holds
	Name   string
	Class  string
	Reason string
	By     string            // person or worker
	More   map[string]string // further fields; nil: none
}

// Scope returns the level and the name of what the event concerns.
func (e Event) Scope() string { return e.Level + " " + e.Name }

// Add adds an event to commands that are sent together.
func Add(ctx context.Context, rdb redis.Cmdable, e Event) *redis.StringCmd {
	values := []any{"event", e.Event, "level", e.Level, "name", e.Name, "class", e.Class, "reason", e.Reason, "by", e.By}
	for _, name := range slices.Sorted(maps.Keys(e.More)) {
		values = append(values, name, e.More[name])
	}
	return rdb.XAdd(ctx, &redis.XAddArgs{Stream: Stream, MaxLen: kept, Approx: true, Values: values})
}

// Write writes an event. Cost: one round trip.
func Write(ctx context.Context, rdb redis.Cmdable, e Event) error {
	if err := Add(ctx, rdb, e).Err(); err != nil {
		return fmt.Errorf("write event %s of %s: %w", e.Event, e.Scope(), err)
	}
	return nil
}

// Read returns the last n events, the newest last. Cost: one round trip.
func Read(ctx context.Context, rdb redis.Cmdable, n int) ([]Event, error) {
	messages, err := rdb.XRevRangeN(ctx, Stream, "+", "-", int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("read the events: %w", err)
	}
	slices.Reverse(messages)
	events := make([]Event, len(messages))
	for i, m := range messages {
		events[i] = parse(m)
	}
	return events, nil
}

func parse(m redis.XMessage) Event {
	var e Event
	known := map[string]*string{
		"event": &e.Event, "level": &e.Level, "name": &e.Name, "class": &e.Class, "reason": &e.Reason, "by": &e.By,
	}
	for name, value := range m.Values {
		text, _ := value.(string)
		if field, ok := known[name]; ok {
			*field = text
			continue
		}
		if e.More == nil {
			e.More = map[string]string{}
		}
		e.More[name] = text
	}
	// The first half of the id is the time in ms.
	ms, _, _ := strings.Cut(m.ID, "-")
	if at, err := strconv.ParseInt(ms, 10, 64); err == nil {
		e.Time = time.UnixMilli(at).UTC()
	}
	return e
}
