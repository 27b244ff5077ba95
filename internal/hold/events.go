package hold

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Event is an entry of the stream about a hold. Fields that the writer did not know are
// empty.
type Event struct {
	Scope

	Time   time.Time
	Event  string // hold.entered, hold.changed or hold.left
	Class  Class
	Reason string // reason of the hold, also of one that has ended
	By     string // who added the hold, or ended it
	Seen   Seen   // the evidence for the hold at that time
}

// ReadEvents returns the last n events, the newest last. One round trip.
func ReadEvents(ctx context.Context, rdb redis.UniversalClient, n int) ([]Event, error) {
	messages, err := rdb.XRevRangeN(ctx, Events, "+", "-", int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("read the events of holds: %w", err)
	}
	slices.Reverse(messages)
	events := make([]Event, len(messages))
	for i, m := range messages {
		text := func(name string) string {
			s, _ := m.Values[name].(string)
			return s
		}
		events[i] = Event{
			Scope: Scope{Level(text("level")), text("name")}, Event: text("event"),
			Class: Class(text("class")), Reason: text("reason"), By: text("by"), Seen: readSeen(text),
		}
		// The first half of the id is the time in ms by Redis' clock.
		ms, _, _ := strings.Cut(m.ID, "-")
		if at, err := strconv.ParseInt(ms, 10, 64); err == nil {
			events[i].Time = time.UnixMilli(at).UTC()
		}
	}
	return events, nil
}

// notify writes an event and wakes the workers. A failure is ignored: it changes no
// hold, and workers read the holds periodically anyway.
func (b *Store) notify(ctx context.Context, change Change, h Hold, by string) {
	_, _ = b.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.XAdd(ctx, &redis.XAddArgs{Stream: Events, MaxLen: eventsKept, Approx: true, Values: append([]any{
			"event", "hold." + string(change), "level", string(h.Level), "name", h.Name, "class", string(h.Class), "reason", h.Reason, "by", by,
		}, h.Seen.values()...)})
		p.Publish(ctx, Channel, h.field())
		return nil
	})
}

// Listen calls changed for each notification that a hold began, changed or ended, until
// ctx ends. Notifications are lost while Redis is unavailable.
func Listen(ctx context.Context, rdb redis.UniversalClient, changed func()) {
	subscription := rdb.Subscribe(ctx, Channel)
	defer func() { _ = subscription.Close() }()
	messages := subscription.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-messages:
			if !open {
				return
			}
			changed()
		}
	}
}
