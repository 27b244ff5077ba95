package backlog

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protowire"
)

// Entry is a schedule as asynq's web UI lists it.
type Entry struct {
	ID         string // its history is kept under it
	Spec       string
	Type       string
	Payload    []byte
	Options    []string  // as asynq.Option prints them
	Next, Prev time.Time // zero: none
}

const (
	schedulers  = "asynq:schedulers"
	historyKept = 1000 // ticks of an entry, as asynq's scheduler keeps
)

func schedulerKey(scheduler string) string { return schedulers + ":{" + scheduler + "}" }

// ShowEntries lists a scheduler's entries for keep, in place of those that it listed
// before. One round trip, two on a Cluster.
func ShowEntries(ctx context.Context, rdb redis.UniversalClient, scheduler string, entries []Entry, keep time.Duration) error {
	key := schedulerKey(scheduler)
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, key)
		for _, e := range entries {
			p.RPush(ctx, key, e.encode())
		}
		p.PExpire(ctx, key, keep)
		// asynq compares the score with its clock in whole seconds.
		p.ZAdd(ctx, schedulers, redis.Z{Score: float64(time.Now().Add(keep + time.Second).Unix()), Member: key})
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the entries of a schedule: %w", err)
	}
	return nil
}

// HideEntries removes what ShowEntries listed. One round trip, two on a Cluster.
func HideEntries(ctx context.Context, rdb redis.UniversalClient, scheduler string) error {
	key := schedulerKey(scheduler)
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, schedulers, key)
		p.Del(ctx, key)
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove the entries of a schedule: %w", err)
	}
	return nil
}

// RecordTick adds a task to the history of an entry, which keeps the last 1,000. One
// round trip.
func RecordTick(ctx context.Context, rdb redis.UniversalClient, entry, task string, at time.Time) error {
	key := "asynq:scheduler_history:" + entry
	event := appendTime(appendText(nil, 1, task), 2, at)
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAdd(ctx, key, redis.Z{Score: float64(at.Unix()), Member: event})
		p.ZRemRangeByRank(ctx, key, 0, -historyKept-1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("record a tick of schedule %s: %w", entry, err)
	}
	return nil
}

// encode returns the message SchedulerEntry of asynq's asynq.proto.
func (e Entry) encode() []byte {
	b := appendText(nil, 1, e.ID)
	b = appendText(b, 2, e.Spec)
	b = appendText(b, 3, e.Type)
	b = appendText(b, 4, string(e.Payload))
	for _, o := range e.Options {
		b = appendText(b, 5, o)
	}
	b = appendTime(b, 6, e.Next)
	return appendTime(b, 7, e.Prev)
}

func appendText(b []byte, field protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

// appendTime appends a google.protobuf.Timestamp of whole seconds.
func appendTime(b []byte, field protowire.Number, t time.Time) []byte {
	seconds := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(t.Unix())) //nolint:gosec // two's complement, as protobuf has it
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), seconds)
}
