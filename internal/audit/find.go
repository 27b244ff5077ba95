package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

const (
	// scanned is how many events a step of Find reads.
	scanned = 500
	// stepsOfFind bounds the steps of one Find: they read the whole stream.
	stepsOfFind = 2 * kept / scanned
)

// Query selects events. The zero value selects all.
type Query struct {
	Event string // beginning of the event: "dead" or "dead.replayed"
	By    string // part of who did it, in any case
	About string // part of the name of what it concerns, or of the reason, in any case
}

func (q Query) has(e Event) bool {
	contains := func(text, part string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(part)) }
	return strings.HasPrefix(e.Event, q.Event) && contains(e.By, q.By) && (contains(e.Name, q.About) || contains(e.Reason, q.About))
}

// Find returns at most n of the events that are selected, the newest first, from the end of
// the page before, which is "" at first; next is "" after the last. The stream is bounded: a
// page reads all of it at most. One round trip for each 500 events.
func Find(ctx context.Context, rdb redis.Cmdable, q Query, from string, n int) (events []Event, next string, err error) {
	last := "+"
	if from != "" {
		last = "(" + from
	}
	for range stepsOfFind {
		messages, err := rdb.XRevRangeN(ctx, Stream, last, "-", scanned).Result()
		if err != nil {
			return nil, "", fmt.Errorf("read the events: %w", err)
		}
		for i, m := range messages {
			if e := parse(m); q.has(e) {
				events = append(events, e)
			}
			if len(events) == n && (i+1 < len(messages) || len(messages) == scanned) {
				return events, m.ID, nil
			}
		}
		if len(messages) < scanned {
			return events, "", nil
		}
		last = "(" + messages[len(messages)-1].ID
	}
	return events, strings.TrimPrefix(last, "("), nil
}
